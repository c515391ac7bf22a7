"""A solve, and what a child that did it left."""

from __future__ import annotations

import base64
import json

from orchestrator.api.invocation import Invocation, Outcome, render_word
from orchestrator.api.solve import BuildOptions, LayoutOutput, NamedContext, Output, PushOutput, Solve, SourcePin
from orchestrator.buildkit.argv import METADATA, build_invocation
from orchestrator.oci.platform import parse_platform
from orchestrator.oci.reference import parse_reference

AMD64 = parse_platform("linux/amd64")
ARM64 = parse_platform("linux/arm64")
PUSH = PushOutput(reference=parse_reference("r.example/acme/x:run-1"))
LAYOUT = LayoutOutput(name="layout")
OPTIONS = BuildOptions(context="src", dockerfile="src/Dockerfile")


def solve(
    options: BuildOptions = OPTIONS,
    *,
    output: Output = PUSH,
    contexts: tuple[NamedContext, ...] = (),
    pins: tuple[SourcePin, ...] = (),
) -> Solve:
    """A solve of two platforms."""
    return Solve(
        id="solve:x",
        image="x",
        platforms=(AMD64, ARM64),
        options=options,
        output=output,
        contexts=contexts,
        pins=pins,
        timeout=60.0,
    )


def invoke(wanted: Solve) -> Invocation:
    """Its one child."""
    return build_invocation(wanted, "default")


def words(wanted: Solve) -> list[str]:
    """Its argv, as people read it."""
    return [render_word(word) for word in invoke(wanted).argv]


def encode(text: str) -> str:
    """Text as BuildKit sends it."""
    return base64.b64encode(text.encode()).decode()


def status(**fields: object) -> str:
    """One line of `--progress=rawjson`."""
    return json.dumps(fields)


def outcome(exit_code: int = 0, stderr: str = "", metadata: object = None) -> Outcome:
    """How a child ended."""
    files = () if metadata is None else ((METADATA, json.dumps(metadata).encode()),)
    return Outcome(exit_code=exit_code, stderr=stderr, files=files, paths=(("layout", "/run/layout"),))
