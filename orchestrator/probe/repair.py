"""What `doctor --fix` does: planned as values that can be shown, then done one by one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from orchestrator.errors import UsageError
from orchestrator.model import Model
from orchestrator.probe.ask import run
from orchestrator.probe.checks import CreateBuilder, Fix, RegisterHandlers, StartBuilder
from orchestrator.probe.host import BINFMT, Rule

_PATIENCE: Final = 600.0
_EMULATORS_IMAGE: Final = "tonistiigi/binfmt"


class Command(Model, tag="command"):
    """A command to run."""

    argv: tuple[str, ...]


class Write(Model, tag="write"):
    """A line to write into a file of the kernel."""

    path: str
    text: str


Action: TypeAlias = Command | Write


class Machine(Model):
    """What decides how handlers are registered.

    `trusted` is whether we may do it ourselves: we are root, and the engine runs on this machine and kernel.
    """

    trusted: bool
    mounted: bool
    rules: tuple[Rule, ...] = ()
    binfmt: str = str(BINFMT)


class RepairError(UsageError):
    """An action of `doctor --fix` did not succeed."""


def plan_repair(fixes: tuple[Fix, ...], machine: Machine) -> tuple[Action, ...]:
    """The actions for these fixes, each once, and none besides."""
    actions: dict[Action, None] = {}
    wanted: dict[str, None] = {}
    for fix in fixes:
        match fix:
            case CreateBuilder():
                argv = ("docker", "buildx", "create", f"--name={fix.name}", "--driver=docker-container", "--bootstrap")
                actions[Command(argv=argv)] = None
            case StartBuilder():
                actions[Command(argv=("docker", "buildx", "inspect", "--bootstrap", fix.name))] = None
            case RegisterHandlers():
                wanted.update(dict.fromkeys(fix.architectures))
            case _:
                assert_never(fix)
    return (*_register(tuple(wanted), machine), *actions)


def _register(architectures: tuple[str, ...], machine: Machine) -> tuple[Action, ...]:
    """By the rules of the distribution's own packages where we can, else by the container that everybody uses."""
    # the first of an architecture: later ones are for its rarer calling conventions, such as mipsn32
    rules = {rule.architecture: rule for rule in reversed(machine.rules)} if machine.trusted else {}
    own = [rules[architecture] for architecture in architectures if architecture in rules]
    others = [architecture for architecture in architectures if architecture not in rules]
    actions: list[Action] = []
    if own and not machine.mounted:
        actions.append(Command(argv=("mount", "-t", "binfmt_misc", "binfmt_misc", machine.binfmt)))
    actions += [Write(path=f"{machine.binfmt}/register", text=rule.line) for rule in own]
    if others:
        argv = ("docker", "run", "--privileged", "--rm", _EMULATORS_IMAGE, "--install", ",".join(others))
        actions.append(Command(argv=argv))
    return tuple(actions)


def render_action(action: Action) -> str:
    """The action as it is announced: what could be typed to do it by hand."""
    match action:
        case Command():
            return shlex.join(action.argv)
        case Write():
            return f"printf %s {shlex.quote(action.text)} > {shlex.quote(action.path)}"
    assert_never(action)


def perform(action: Action, environment: Mapping[str, str]) -> None:
    """Do it.

    Raises:
        OrchestratorError: it did not succeed.
    """
    match action:
        case Command():
            run(action.argv, environment, timeout=_PATIENCE, hints=("run it by hand to see more",))
        case Write():
            _write(action)
        case _:
            assert_never(action)


def _write(action: Write) -> None:
    try:
        with Path(action.path).open("w", encoding="utf-8") as file:
            file.write(action.text)
    except FileExistsError as error:
        name = action.text.split(action.text[:1])[1]
        message = f"a handler `{name}` is registered already, and is disabled or lacks flag F"
        hint = f"look at {Path(action.path).with_name(name)}; writing -1 into it removes it"
        raise RepairError(message, hints=(hint,)) from error
    except OSError as error:
        message = f"cannot write `{action.path}`: {(error.strerror or str(error)).lower()}"
        raise RepairError(message, hints=("do it by hand, as root",)) from error
