"""All that a backend plugin may import, with `orchestrator.buildkit`. Version 1.0."""

from orchestrator.api.backend import (
    API_VERSION,
    Backend,
    BackendSpec,
    Capabilities,
    ConfigProblem,
    Emulation,
    FailureKind,
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
from orchestrator.model import Table
from orchestrator.oci.platform import Platform, parse_platform

__all__ = [
    "API_VERSION", "Backend", "BackendRegistry", "BackendSpec", "BuildOptions", "BuilderOf", "Capabilities",
    "CollectedFile", "ConfigProblem", "DigestOf", "Emulation", "FailureKind", "FileOf", "Invocation", "LayoutOutput",
    "LowerRequest", "Mode", "NamedContext", "NoOutput", "Node", "Outcome", "PathOf", "Phase", "PlaceRequest",
    "Placement", "Platform", "Probe", "PushOutput", "Reader", "Refusal", "Solve", "SolveFailure", "SolveResult",
    "SourcePin", "Table", "Word", "WrittenFile", "hookimpl", "parse_platform", "render_word",
]  # fmt: skip
