"""The backends that ship conform to what is asked of any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import pytest

from orchestrator.api.backend import BackendSpec, LowerRequest, Placement, PlaceRequest, Refusal
from orchestrator.api.invocation import Invocation, Outcome, render_word
from orchestrator.oci.digest import Digest
from orchestrator.plugins import find_backends
from orchestrator.testing.conformance import BackendConformance
from orchestrator_qemu.backend import QemuBackend

SPECS = find_backends().specs
NODES = [
    {"name": "amd", "platforms": ["linux/amd64"], "endpoint": "tcp://10.0.0.1:1234", "slots": 2},
    {"name": "arm", "platforms": ["linux/arm64", "linux/arm/v7"], "endpoint": "ssh://build@arm"},
    {"name": "other", "builder": "other", "platforms": ["linux/amd64"], "emulates": ["linux/s390x"]},
]


class TestQemu(BackendConformance):
    """One builder."""

    spec: ClassVar[BackendSpec] = SPECS["qemu"]


class TestQemuConfigured(BackendConformance):
    """Another builder."""

    spec: ClassVar[BackendSpec] = SPECS["qemu"]
    table: ClassVar[Mapping[str, object]] = {"builder": "far", "slots": 16}


class TestNative(BackendConformance):
    """Three nodes."""

    spec: ClassVar[BackendSpec] = SPECS["native"]
    table: ClassVar[Mapping[str, object]] = {"nodes": NODES}


class TestBake(BackendConformance):
    """The graph as bake files."""

    spec: ClassVar[BackendSpec] = SPECS["bake"]

    def succeed(self, invocation: Invocation, digest: Digest) -> Outcome:
        """Bake's metadata has an entry for each target, which are its last words."""
        targets = map(render_word, invocation.argv[-len(invocation.steps) :])
        content = msgspec.json.encode({target: {"containerimage.digest": digest} for target in targets})
        done = super().succeed(invocation, digest)
        return msgspec.structs.replace(done, files=tuple((name, content) for name, _ in done.files))


class Careless(QemuBackend):
    """A backend that does everything that it must not."""

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """Refuses without a word of help."""
        del request
        return Refusal(code="no", message="no")

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """Starts a shell, for steps of somebody else."""
        del request
        return (Invocation(argv=("sh", "-c", "docker build ."), steps=("solve:other",)),)


class TestCareless:
    """The kit finds what is wrong with a backend; one that passes everything would prove nothing."""

    @pytest.mark.parametrize(
        "test",
        [
            "test_every_platform_is_placed_or_refused_in_words",
            "test_lowering_is_refused_in_words_or_gives_children",
            "test_success_gives_a_digest_for_each_step",
        ],
    )
    def test_a_careless_backend_does_not_conform(self, test: str) -> None:
        """Each of its faults fails a test."""

        class Kit(BackendConformance):
            spec = BackendSpec(
                name="careless",
                summary="does it wrong",
                factory=Careless.configured,
                config=SPECS["qemu"].config,
            )

        with pytest.raises(AssertionError):
            getattr(Kit(), test)()
