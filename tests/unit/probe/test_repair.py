from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.probe.checks import CreateBuilder, RegisterHandlers, StartBuilder
from orchestrator.probe.host import Rule
from orchestrator.probe.repair import Command, Machine, Write, perform, plan_repair, render_action

_RULE = Rule(name="qemu-aarch64", architecture="arm64", interpreter="/q", line=":qemu-aarch64:M::x::/q:F")
_CONTAINER = Command(argv=("docker", "run", "--privileged", "--rm", "tonistiigi/binfmt", "--install", "arm64,s390x"))
_FIXES = (RegisterHandlers(architectures=("arm64",)), RegisterHandlers(architectures=("s390x",)))


def test_a_builder_is_created_by_buildx() -> None:
    """Of the docker-container driver, and started, so that a failure is seen now."""
    expected = ("docker", "buildx", "create", "--name=orchestrate", "--driver=docker-container", "--bootstrap")
    assert (Command(argv=expected),) == plan_repair((CreateBuilder(),), Machine(trusted=False, mounted=False))


def test_a_builder_is_started_by_buildx() -> None:
    """And only then says what it builds."""
    expected = Command(argv=("docker", "buildx", "inspect", "--bootstrap", "farm"))
    assert (expected,) == plan_repair((StartBuilder(name="farm"),), Machine(trusted=False, mounted=False))


def test_handlers_are_registered_by_one_container_where_we_may_not() -> None:
    """Also where rules are there, since they need root and the engine's own kernel."""
    machine = Machine(trusted=False, mounted=False, rules=(_RULE,))
    assert plan_repair(_FIXES, machine) == (_CONTAINER,)


def test_rules_of_the_distribution_are_used_where_we_may() -> None:
    """What has no rule is left to the container; what is mounted is not mounted again."""
    machine = Machine(trusted=True, mounted=True, rules=(_RULE,), binfmt="/b")
    container = Command(argv=(*_CONTAINER.argv[:-1], "s390x"))
    assert (Write(path="/b/register", text=_RULE.line), container) == plan_repair(_FIXES, machine)


def test_binfmt_misc_is_mounted_where_it_is_not() -> None:
    """Nothing can be registered before."""
    machine = Machine(trusted=True, mounted=False, rules=(_RULE,), binfmt="/b")
    mount = Command(argv=("mount", "-t", "binfmt_misc", "binfmt_misc", "/b"))
    assert mount == plan_repair(_FIXES[:1], machine)[0]


def test_nothing_to_fix_is_no_action() -> None:
    """No more is touched than needed."""
    assert plan_repair((), Machine(trusted=True, mounted=False, rules=(_RULE,))) == ()


def test_actions_are_announced_as_what_could_be_typed() -> None:
    """Quoted, so that it can be."""
    assert render_action(Write(path="/b/register", text=":a:M:\\x7f")) == "printf %s ':a:M:\\x7f' > /b/register"
    assert render_action(Command(argv=("docker", "run", "a b"))) == "docker run 'a b'"


def test_a_rule_is_written(tmp_path: Path) -> None:
    """As it is."""
    perform(Write(path=str(tmp_path / "register"), text=_RULE.line), {})
    assert _RULE.line == (tmp_path / "register").read_text()


def test_a_write_that_is_refused_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(OrchestratorError, match="cannot write"):
        perform(Write(path=str(tmp_path / "none" / "register"), text=_RULE.line), {})


def test_a_command_that_fails_is_an_error() -> None:
    """With what it said."""
    command = Command(argv=("sh", "-c", "echo 'ERROR: no room' >&2; echo more >&2; exit 1"))
    with pytest.raises(OrchestratorError, match="failed: no room"):
        perform(command, {"PATH": os.environ["PATH"]})
