"""`orchestrate doctor`: what builds need of this machine, what is missing, and with `--fix` the cure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from orchestrator.buildkit.builders import Engine
    from orchestrator.plan.place import ConfiguredBackend
    from orchestrator.probe.checks import Check, Status
    from orchestrator.probe.diagnosis import Found
    from orchestrator.probe.repair import Machine


@click.command(name="doctor")
@click.option("--fix", is_flag=True, help="Create or start builders, and register QEMU handlers, that are missing.")
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the checks.",
)
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=Path("builds.toml"),
    show_default=True,
    help="The file whose platforms, nodes and registry are looked at.",
)
@click.option("--registry", envvar="ORCHESTRATE_REGISTRY", default="", help="Look at this registry.")
def command(*, fix: bool, output: str, file: Path, registry: str) -> None:
    """Look at Docker, buildx, builders, nodes, QEMU, the registry, git and disks, and say what to do.

    Ends with 0 when nothing failed, else with 3.
    """
    from orchestrator.errors import PlanBlockedError
    from orchestrator.probe.checks import Status
    from orchestrator.probe.declared import registry_host
    from orchestrator.probe.diagnosis import diagnose
    from orchestrator.probe.survey import Scope, survey
    from orchestrator.process.environment import child_environment
    from orchestrator.ui.text import print_result

    environment = child_environment(os.environ)
    scope = Scope(folder=Path.cwd(), file=file, registry=registry_host(registry))
    found = survey(scope, environment, ping_registry, configure_backend)
    checks = diagnose(found)
    if fix and _repair(found, checks, environment):
        checks = diagnose(survey(scope, environment, ping_registry, configure_backend))
    print_result(_render_json(checks) if output == "json" else _render_text(checks))
    failed = sum(check.status is Status.FAIL for check in checks)
    if failed:
        fixable = any(check.fix for check in checks) and not fix
        message = f"{failed} of {len(checks)} checks failed"
        raise PlanBlockedError(message, hints=("`orchestrate doctor --fix` mends some of it",) if fixable else ())


def _repair(found: Found, checks: tuple[Check, ...], environment: Mapping[str, str]) -> bool:
    """Announce all actions, then do them; what fails is said, and does not keep the rest from being tried."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.probe.repair import perform, plan_repair, render_action
    from orchestrator.ui.text import print_note, printable

    fixes = tuple(check.fix for check in checks if check.fix is not None)
    actions = plan_repair(fixes, _machine(found, environment))
    if not actions:
        print_note("nothing to fix")
        return False
    print_note("will run:")
    for action in actions:
        print_note(f"  {printable(render_action(action))}")
    for action in actions:
        print_note(f"+ {printable(render_action(action))}")
        try:
            perform(action, environment)
        except OrchestratorError as error:
            print_note(f"failed: {printable(error.message)}")
    return True


def ping_registry(host: str, environment: Mapping[str, str]) -> None:
    """Ask the registry, twice at most: a doctor is not to wait for long."""
    from orchestrator.cli.insecure import insecure_registries
    from orchestrator.process.capture import capture
    from orchestrator.registry import open_stores
    from orchestrator.registry.patience import Patience

    patience = Patience(attempts=2, longest_delay=1.0, connect_timeout=5.0, read_timeout=10.0)
    insecure = insecure_registries(environment)
    with open_stores(environment, insecure=insecure, capture=capture, patience=patience) as stores:
        stores.ping(host)


def configure_backend(name: str, table: object) -> ConfiguredBackend:
    """The backend as a plan would configure it; the first mistake of its table is what a doctor says.

    Raises:
        ConfigurationError: its table has mistakes.
        PluginError: there is none of this name, or it cannot be used.
    """
    from orchestrator.diagnostics import Severity
    from orchestrator.errors import ConfigurationError
    from orchestrator.plugins import check_table, configure, find_backends

    spec = find_backends().spec(name)
    for finding in check_table(spec, {} if table is None else table, "builds.toml"):
        if finding.severity is Severity.ERROR:
            raise ConfigurationError(finding.message, hints=finding.hints)
    return configure(spec, table)


def _machine(found: Found, environment: Mapping[str, str]) -> Machine:
    from orchestrator.buildkit.builders import Engine
    from orchestrator.probe.host import read_rules
    from orchestrator.probe.repair import Machine

    here = isinstance(found.engine, Engine) and _runs_here(found.engine, environment)
    return Machine(trusted=os.geteuid() == 0 and here, mounted=found.handlers.mounted, rules=read_rules())


def _runs_here(engine: Engine, environment: Mapping[str, str]) -> bool:
    """Whether the engine shares this machine's kernel: reached by a socket of it, and its data to be seen."""
    socket = environment.get("DOCKER_HOST", "unix://").startswith("unix://")
    return socket and engine.context in {"", "default"} and Path(engine.root).is_dir()


def _render_text(checks: tuple[Check, ...]) -> str:
    """One line each, whatever is in what others said; what to do stands under it."""
    from orchestrator.ui.text import printable

    width = max(len(printable(check.subject)) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{_word(check.status)} {printable(check.subject):<{width}}  {printable(check.message)}")
        if check.hint:
            lines.append(f"     {'':<{width}}  -> {printable(check.hint)}")
    return "\n".join((*lines, ""))


def _word(status: Status) -> str:
    return f"{status.value:<4}"


def _render_json(checks: tuple[Check, ...]) -> str:
    import msgspec

    from orchestrator.ui.text import printable

    document = {
        "format_version": 1,
        "checks": [
            {
                "status": check.status.value.lower(),
                "subject": printable(check.subject),
                "message": printable(check.message),
                "hint": printable(check.hint),
                "fixable": check.fix is not None,
            }
            for check in checks
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
