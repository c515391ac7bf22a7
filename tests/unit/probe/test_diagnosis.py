from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec import structs

from orchestrator.api import Mode, Node, Placement, Refusal
from orchestrator.buildkit.builders import Builder, BuilderNode, BuildxVersion, Engine
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.probe.checks import Check, Problem, Status
from orchestrator.probe.declared import ConfiguredBuilder, Wanted
from orchestrator.probe.diagnosis import Found, diagnose
from orchestrator.probe.host import Handlers
from orchestrator.probe.node_checks import AskedBackend

_AMD64, _ARM64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")
_OLD_STORE = Engine(version="27.0", architecture="amd64", containerd_snapshotter=False)
_DEFAULT = Builder(name="default", driver="docker", nodes=(BuilderNode(name="n", endpoint="e", status="running"),))
_AMD = Node(name="amd-1", platforms=(_AMD64,), summary="remote driver", builder="orchestrate-amd-1")
_ARM = Node(name="arm-1", platforms=(_ARM64,), summary="docker-container driver", builder="orchestrate-arm-1")
_SILENT = structs.replace(_ARM, provisional=True, summary="no route", hints=("see that it runs",))
_NOBODY = Refusal(code="no-node", message="no node builds `linux/arm64`", hints=("add one", "or none"))


def _on(node: Node, *others: str) -> Placement:
    return Placement(node=node.name, mode=Mode.NATIVE, others=others)


def _native(*nodes: Node, arm64: Placement | Refusal = _NOBODY, problem: Problem | None = None) -> AskedBackend:
    placed: Mapping[Platform, Placement | Refusal] = {} if problem else {_AMD64: _on(_AMD), _ARM64: arm64}
    return AskedBackend(name="native", nodes=nodes, placed=placed, problem=problem)


def _found(*backends: AskedBackend, nodes_only: bool = True) -> Found:
    """A machine with the old image store and without QEMU, and a project for both platforms."""
    return Found(
        engine=_OLD_STORE,
        buildx=BuildxVersion(text="0.29.1", numbers=(0, 29, 1)),
        builders=(_DEFAULT,),
        architecture="amd64",
        handlers=Handlers(mounted=True, enabled=True),
        wanted=(Wanted(platform=_AMD64), Wanted(platform=_ARM64)),
        registries=(),
        git="2.39.5",
        spaces=(),
        backends=backends,
        nodes_only=nodes_only,
    )


def _lines(found: Found) -> dict[str, Check]:
    return {check.subject: check for check in diagnose(found)}


def test_what_was_not_looked_at_has_no_line() -> None:
    """Without the program `docker` the same failure is not told three times, and nothing is said of platforms."""
    found = structs.replace(
        _found(), engine=Problem(message="`docker` is not installed"), buildx=None, builders=None, backends=None
    )
    assert ["docker", "git"] == [check.subject for check in diagnose(found)]


def test_where_nodes_build_everything_nothing_of_this_machine_is_needed() -> None:
    """Neither a builder for several platforms nor QEMU."""
    checks = diagnose(_found(_native(_AMD, _ARM, arm64=_on(_ARM))))
    assert not [check for check in checks if check.fix or check.status is Status.FAIL]


def test_each_node_has_a_line_and_platforms_count_them() -> None:
    """What it is, and what it builds."""
    both = structs.replace(_AMD, emulates=(_ARM64,))
    lines = _lines(_found(_native(both, _ARM, structs.replace(_ARM, name="arm-2"), arm64=_on(_ARM, "arm-2"))))
    expected = "remote driver, linux/amd64 natively, linux/arm64 emulated"
    assert Check(status=Status.OK, subject="node amd-1", message=expected) == lines["node amd-1"]
    expected = "native on arm-1 and arm-2"
    assert Check(status=Status.OK, subject="platform linux/arm64", message=expected) == lines["platform linux/arm64"]


def test_a_node_that_does_not_answer_fails_with_its_platform() -> None:
    """With the hint of its backend; no emulator makes up for it."""
    lines = _lines(_found(_native(_AMD, _SILENT, arm64=_on(_SILENT))))
    silent = Check(
        status=Status.FAIL, subject="node arm-1", message="does not answer: no route", hint="see that it runs"
    )
    only = Check(status=Status.FAIL, subject="platform linux/arm64", message="only on arm-1, which does not answer")
    assert (silent, only) == (lines["node arm-1"], lines["platform linux/arm64"])


def test_a_node_that_does_not_answer_is_a_warning_where_another_takes_its_work() -> None:
    """A build succeeds."""
    other = structs.replace(_ARM, name="arm-2")
    check = _lines(_found(_native(_AMD, _SILENT, other, arm64=_on(other))))["node arm-1"]
    assert (Status.WARN, "does not answer: no route; other nodes build the same") == (check.status, check.message)


def test_a_node_that_is_not_what_it_was_declared_to_be_fails() -> None:
    """With the words that block the plan."""
    unfit = structs.replace(_ARM, problem="it only emulates it", hints=("move it",))
    check = _lines(_found(_native(_AMD, unfit)))["node arm-1"]
    assert Check(status=Status.FAIL, subject="node arm-1", message="it only emulates it", hint="move it") == check


def test_a_platform_that_its_backend_refuses_fails_with_the_words_of_that() -> None:
    """No fix: QEMU here is of no use to nodes that are somewhere else."""
    check = _lines(_found(_native(_AMD)))["platform linux/arm64"]
    expected = Check(
        status=Status.FAIL, subject="platform linux/arm64", message=_NOBODY.message, hint="add one; or none"
    )
    assert expected == check


def test_a_platform_that_nobody_has_declared_is_only_a_warning() -> None:
    """It is the one that many want next."""
    found = structs.replace(_found(_native(_AMD)), wanted=(Wanted(platform=_ARM64, declared=False),))
    assert Status.WARN is _lines(found)["platform linux/arm64"].status


def test_this_machine_counts_where_images_are_built_on_it_too() -> None:
    """Then an emulator helps, and can be installed."""
    checks = diagnose(_found(_native(_AMD), nodes_only=False))
    assert ["builders", "platform linux/arm64"] == [check.subject for check in checks if check.fix]


def test_nodes_count_beside_this_machine() -> None:
    """What one of them builds needs no emulator."""
    lines = _lines(_found(_native(_AMD, _ARM, arm64=_on(_ARM)), nodes_only=False))
    assert "native on arm-1" == lines["platform linux/arm64"].message


def test_a_backend_that_cannot_be_asked_is_a_warning_and_leaves_platforms_open() -> None:
    """Nobody knows what its nodes build, so nothing is offered."""
    problem = Problem(message="cannot be asked: missing key `name`", hint="`orchestrate plan` tells")
    lines = _lines(_found(_native(problem=problem)))
    assert (
        Check(status=Status.WARN, subject="backend native", message=problem.message, hint=problem.hint)
        == (lines["backend native"])
    )
    assert not [check for check in lines.values() if check.fix or check.subject.startswith("platform")]


_NAMED = ConfiguredBuilder(name="far", backend="native", node="arm-1")
_OF_BUILDER = structs.replace(_SILENT, builder="far")


def test_a_node_whose_builder_does_not_exist_is_told_once() -> None:
    """By the builder that is missing."""
    found = structs.replace(_found(_native(_AMD, _OF_BUILDER, arm64=_on(_OF_BUILDER))), configured=(_NAMED,))
    lines = _lines(found)
    assert Status.FAIL is lines["builder far"].status
    assert "node arm-1" not in lines


@pytest.mark.parametrize(("driver", "status"), [("remote", Status.WARN), ("docker-container", Status.OK)])
def test_of_a_builder_that_is_there_the_node_says_whether_it_builds(driver: str, status: Status) -> None:
    """A container that does not run is started by the build itself; a remote node that does not answer is lost."""
    far = Builder(name="far", driver=driver, nodes=(BuilderNode(name="f", endpoint="tcp://a:1", status="inactive"),))
    node = _OF_BUILDER if driver == "remote" else structs.replace(_ARM, builder="far")
    backend = _native(_AMD, node, arm64=_on(node))
    lines = _lines(structs.replace(_found(backend), builders=(far,), configured=(_NAMED,)))
    assert status is lines["builder far"].status
    assert (Status.FAIL if driver == "remote" else Status.OK) is lines["node arm-1"].status
