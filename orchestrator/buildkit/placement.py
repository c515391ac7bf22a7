"""Placement on one builder: what its CPU runs is native, what its emulators run is emulated, where that is allowed."""

from __future__ import annotations

from orchestrator.api.backend import Emulation, Mode, Node, Placement, PlaceRequest, Refusal
from orchestrator.oci.platform import Platform


def place_on(node: Node, request: PlaceRequest) -> Placement | Refusal:
    """Place a platform build on this node, or say why not."""
    if node.problem:
        return Refusal(code="node-unfit", message=f"node `{node.name}`: {node.problem}", hints=node.hints)
    native = node.platforms or (request.host,)
    if request.platform in native:
        return Placement(node=node.name, mode=Mode.NATIVE)
    if request.emulation is Emulation.FORBID:
        return forbidden(request.platform, node)
    if request.platform in node.emulates or node.provisional:
        return Placement(node=node.name, mode=Mode.EMULATED)
    return Refusal(
        code="no-emulator",
        message=f"node `{node.name}` has no QEMU handler for `{request.platform}`",
        hints=(
            "install it: `orchestrate doctor --fix`",
            f"or by hand: `docker run --privileged --rm tonistiigi/binfmt --install {request.platform.architecture}`",
        ),
    )


def forbidden(platform: Platform, node: Node) -> Refusal:
    """Emulation would be needed and nobody has written that it may be used."""
    return Refusal(
        code="emulation-forbidden",
        message=f"node `{node.name}` could only emulate `{platform}`, which is not allowed",
        hints=(
            f'allow it: `[platforms."{platform}"]` with `emulation = "allow"`',
            'or choose the backend that emulates: `[backends]` with `default = "qemu"`',
            "or add a native node: `[backends.native]`",
        ),
    )
