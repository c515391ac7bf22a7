from __future__ import annotations

import pytest

from orchestrator.api import Emulation, Node
from orchestrator.buildkit.builders import Builder, BuilderNode, BuildxVersion, Engine
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.probe.checks import (
    Check,
    CreateBuilder,
    Problem,
    RegisterHandlers,
    RegistryAnswer,
    Space,
    StartBuilder,
    Status,
    check_builders,
    check_buildx,
    check_engine,
    check_git,
    check_platform,
    check_registry,
    check_space,
)
from orchestrator.probe.declared import ConfiguredBuilder, Wanted
from orchestrator.probe.host import Handler, Handlers

_ENGINE = Engine(version="28.5.1", architecture="amd64", containerd_snapshotter=True)
_OLD_STORE = Engine(version="27.0", architecture="amd64", containerd_snapshotter=False)
_NO_HANDLERS = Handlers(mounted=True, enabled=True)
_ARM64 = parse_platform("linux/arm64")


def _node(*, native: tuple[Platform, ...] = (), emulated: tuple[Platform, ...] = ()) -> BuilderNode:
    return BuilderNode(name="n", endpoint="e", status="running", native=native, emulated=emulated)


def _builder(node: BuilderNode, *, driver: str = "docker") -> Builder:
    return Builder(name="default", driver=driver, nodes=(node,), current=True)


def _platform_check(node: BuilderNode, handlers: Handlers = _NO_HANDLERS, *, forbidden: bool = False) -> Check:
    wanted = Wanted(platform=_ARM64, emulation=Emulation.FORBID if forbidden else None)
    return check_platform(wanted, (_builder(node),), "amd64", handlers)


def test_an_engine_is_described() -> None:
    """The version, and the image store that decides what the docker driver can do."""
    expected = Check(status=Status.OK, subject="docker", message="28.5.1, containerd image store")
    assert expected == check_engine(_ENGINE, ())


@pytest.mark.parametrize(("elsewhere", "status"), [(True, Status.WARN), (False, Status.FAIL)])
def test_no_engine_is_bearable_where_a_builder_runs_elsewhere(*, elsewhere: bool, status: Status) -> None:
    """A remote node does not need one."""
    builders = (_builder(_node(), driver="remote"),) if elsewhere else ()
    assert status == check_engine(Problem(message="none"), builders).status


@pytest.mark.parametrize(("silent", "status"), [(False, Status.WARN), (True, Status.FAIL)])
def test_no_engine_is_bearable_where_a_node_answers(*, silent: bool, status: Status) -> None:
    """A BuildKit of a `tcp://` endpoint does not need one."""
    node = Node(name="amd-1", platforms=(_ARM64,), provisional=silent)
    assert status == check_engine(Problem(message="none"), (), (node,)).status


@pytest.mark.parametrize(("numbers", "status"), [((0, 19, 9), Status.FAIL), ((0, 20, 0), Status.OK)])
def test_buildx_has_a_minimum(numbers: tuple[int, ...], status: Status) -> None:
    """0.20."""
    assert status == check_buildx(BuildxVersion(text="x", numbers=numbers)).status


def test_a_docker_driver_with_the_old_store_is_no_builder_for_several_platforms() -> None:
    """It is said, what to do is said, and `--fix` can do it."""
    own, missing = check_builders((_builder(_node()),), _OLD_STORE)
    assert (own.status, missing.status, missing.fix) == (Status.WARN, Status.FAIL, CreateBuilder())


def test_another_builder_makes_up_for_the_old_store() -> None:
    """One that can is enough."""
    builders = (_builder(_node()), _builder(_node(), driver="docker-container"))
    assert [check.status for check in check_builders(builders, _OLD_STORE)] == [Status.WARN, Status.OK]


def test_no_builder_is_missed_where_none_is_needed() -> None:
    """Nothing is to be created or changed for builds that run on nodes."""
    assert [Status.OK] == [check.status for check in check_builders((_builder(_node()),), _OLD_STORE, needed=False)]


def test_a_remote_node_that_does_not_answer_is_told() -> None:
    """Builds would wait for it for ever."""
    lost = BuilderNode(name="n", endpoint="tcp://10.0.0.1:1", status="inactive")
    check, _ = check_builders((_builder(lost, driver="remote"),), _ENGINE)
    assert (check.status, check.message) == (Status.WARN, "tcp://10.0.0.1:1 does not answer")


def test_a_native_node_is_enough() -> None:
    """Nothing has to be emulated."""
    assert _platform_check(_node(native=(_ARM64,))).message == "native on default"


def test_an_emulating_node_is_enough() -> None:
    """It says so."""
    check = _platform_check(_node(emulated=(_ARM64,)))
    assert (check.status, check.message) == (Status.OK, "emulated on default")


def test_emulation_that_the_file_forbids_is_no_help() -> None:
    """The hint names both ways out."""
    check = _platform_check(_node(emulated=(_ARM64,)), forbidden=True)
    assert check.status is Status.WARN
    assert '[platforms."linux/arm64"]' in check.hint


def test_a_registered_handler_is_enough_before_a_builder_runs() -> None:
    """A builder that is not started lists nothing yet."""
    handler = Handler(name="q", enabled=True, flags="F", architecture="arm64")
    handlers = Handlers(mounted=True, enabled=True, entries=(handler,))
    assert _platform_check(_node(), handlers).status is Status.OK


def test_a_missing_handler_can_be_registered() -> None:
    """With the command to type, and a fix."""
    check = _platform_check(_node())
    assert (check.status, check.fix) == (Status.FAIL, RegisterHandlers(architectures=("arm64",)))
    assert "tonistiigi/binfmt --install arm64" in check.hint


def test_a_handler_is_not_registered_where_emulation_is_forbidden() -> None:
    """It would not be used."""
    assert _platform_check(_node(), forbidden=True).fix is None


def test_a_registry_that_refuses_fails() -> None:
    """With its own words."""
    check = check_registry(RegistryAnswer(host="r.example", problem=Problem(message="refused", hint="log in")))
    assert Check(status=Status.FAIL, subject="registry r.example", message="refused", hint="log in") == check


def test_git_is_only_a_warning() -> None:
    """Without it only what needs git fails."""
    assert check_git(Problem(message="not installed")).status is Status.WARN


@pytest.mark.parametrize(
    ("free", "status"), [(500_000_000, Status.FAIL), (5_000_000_000, Status.WARN), (50_000_000_000, Status.OK)]
)
def test_space(free: int, status: Status) -> None:
    """Under 1 GB builds fail, under 10 GB they may."""
    assert status == check_space(Space(folder="/x", free=free)).status


_FARM = ConfiguredBuilder(name="farm", backend="qemu")
_ARM = ConfiguredBuilder(name="arm", backend="native", node="arm-1")


def _farm(*nodes: BuilderNode, driver: str = "docker-container", error: str | None = None) -> Builder:
    return Builder(name="farm", driver=driver, nodes=nodes, error=error)


def test_a_configured_builder_that_is_there_and_runs_is_all_right() -> None:
    """It has its line already."""
    running = BuilderNode(name="n", endpoint="e", status="running", platforms=(_ARM64,), native=(_ARM64,))
    assert [Status.OK] == [check.status for check in check_builders((_farm(running),), _ENGINE, (_FARM,))]


def test_a_configured_builder_that_does_not_exist_fails() -> None:
    """The line says who names it, what to do, and what may have been meant; `--fix` can create it."""
    _, check = check_builders((Builder(name="farn", driver="docker"),), None, (_FARM,))
    hint = "`orchestrate builders create farm`, or `orchestrate builders use NAME`; did you mean `farn`?"
    expected = Check(
        status=Status.FAIL,
        subject="builder farm",
        message="does not exist, and `backends.qemu.builder` names it",
        hint=hint,
        fix=CreateBuilder(name="farm"),
    )
    assert expected == check


def test_the_builder_of_another_backend_is_chosen_for_that() -> None:
    """`builders use` is told so."""
    (check,) = check_builders((), None, (ConfiguredBuilder(name="farm", backend="bake"),))
    assert "`orchestrate builders use NAME --backend bake`" in check.hint


def test_the_builder_of_a_node_is_not_created_by_itself() -> None:
    """What stands where only the user knows."""
    (check,) = check_builders((), None, (_ARM,))
    other = "name another one in node `arm-1` of `backends.native`"
    assert (Status.FAIL, None) == (check.status, check.fix)
    assert f"`orchestrate builders create arm --node ENDPOINT`, or {other}" == check.hint


def test_a_name_that_no_builder_can_have_is_not_created() -> None:
    """Buildx would take it for an option."""
    (check,) = check_builders((), None, (ConfiguredBuilder(name="--help", backend="qemu"),))
    assert (Status.FAIL, None, False) == (check.status, check.fix, "create" in check.hint)


def test_a_builder_that_two_name_is_told_once() -> None:
    """With both places."""
    (check,) = check_builders((), None, (_FARM, ConfiguredBuilder(name="farm", backend="bake")))
    assert "does not exist, and `backends.qemu.builder` and `backends.bake.builder` name it" == check.message


@pytest.mark.parametrize(
    ("builder", "problem"),
    [
        (_farm(BuilderNode(name="n", endpoint="tcp://a:1", status="inactive"), driver="remote"), "tcp://a:1 does not"),
        (_farm(BuilderNode(name="n", endpoint="e", status="error", error="no route")), "no route, and"),
        (_farm(error="no such context"), "no such context, and"),
    ],
)
def test_a_configured_builder_whose_nodes_do_not_answer_fails(builder: Builder, problem: str) -> None:
    """For one that nobody names it would be a warning."""
    assert [Status.WARN] == [check.status for check in check_builders((builder,), None)]
    (check,) = check_builders((builder,), None, (_FARM,))
    assert (Status.FAIL, True) == (check.status, check.message.startswith(problem))
    assert check.message.endswith("`backends.qemu.builder` names it")


def test_a_configured_builder_that_lost_some_of_its_nodes_still_builds() -> None:
    """What the others can."""
    here = BuilderNode(name="n", endpoint="e", status="running", platforms=(_ARM64,))
    gone = BuilderNode(name="m", endpoint="f", status="inactive")
    (check,) = check_builders((_farm(here, gone, driver="remote"),), None, (_FARM,))
    assert Status.WARN == check.status


def test_a_configured_builder_that_is_not_running_fails() -> None:
    """Nobody knows what it builds, and a build does not begin; starting it is what `--fix` does."""
    stopped = _farm(BuilderNode(name="n", endpoint="e", status="stopped"))
    (check,) = check_builders((stopped,), _ENGINE, (_FARM,))
    assert (Status.FAIL, StartBuilder(name="farm")) == (check.status, check.fix)
    assert "`orchestrate builders inspect farm --bootstrap`" in check.hint


def test_a_configured_builder_that_builds_one_platform_at_a_time_fails() -> None:
    """The plan would be blocked."""
    running = BuilderNode(name="n", endpoint="e", status="running", platforms=(_ARM64,))
    checks = check_builders((_farm(running, driver="docker"),), _OLD_STORE, (_FARM,))
    assert [Status.FAIL, Status.FAIL] == [check.status for check in checks]


def test_one_builder_is_created_where_two_are_missing() -> None:
    """The configured one, which then builds several platforms too."""
    checks = check_builders((_builder(_node()),), _OLD_STORE, (_FARM,))
    assert [None, CreateBuilder(name="farm")] == [check.fix for check in checks]
