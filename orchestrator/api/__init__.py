"""All that a backend plugin may import, with `orchestrator.buildkit`. Version 1.0."""

from orchestrator.api.backend import (
    API_VERSION,
    Backend,
    BackendSpec,
    Became,
    Capabilities,
    ConfigProblem,
    Emulation,
    FailureKind,
    Link,
    LowerRequest,
    Mode,
    Node,
    Placement,
    PlaceRequest,
    Probe,
    Reader,
    Refusal,
    SolveFailure,
    SolveResult,
    SolveUnknown,
)
from orchestrator.api.hookspecs import BackendRegistry, hookimpl
from orchestrator.api.invocation import (
    BuilderOf,
    CollectedFile,
    DigestOf,
    FileOf,
    Invocation,
    Outcome,
    PathOf,
    Phase,
    Word,
    WrittenFile,
    render_word,
)
from orchestrator.api.solve import BuildOptions, LayoutOutput, NamedContext, NoOutput, PushOutput, Solve, SourcePin
from orchestrator.model import Model, Table
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.platform import Platform, parse_platform

__all__ = [
    "API_VERSION", "Backend", "BackendRegistry", "BackendSpec", "Became", "BuildOptions", "BuilderOf", "Capabilities",
    "CollectedFile", "ConfigProblem", "Digest", "DigestOf", "Emulation", "FailureKind", "FileOf", "Invocation",
    "LayoutOutput", "Link", "LowerRequest", "Mode", "Model", "NamedContext", "NoOutput", "Node", "Outcome", "PathOf",
    "Phase", "PlaceRequest", "Placement", "Platform", "Probe", "PushOutput", "Reader", "Refusal", "Solve",
    "SolveFailure", "SolveResult", "SolveUnknown", "SourcePin", "Table", "Word", "WrittenFile", "hookimpl",
    "parse_digest", "parse_platform", "render_word",
]  # fmt: skip
