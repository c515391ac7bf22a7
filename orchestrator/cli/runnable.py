"""Whether a plan can be run as it is: looked at before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from orchestrator.api.solve import Solve
from orchestrator.cli.findings import Findings
from orchestrator.cli.prepare import Prepared
from orchestrator.diagnostics import Diagnostic
from orchestrator.errors import PlanBlockedError, RegistryError, UsageError
from orchestrator.plan.model import Destination, ExportStep, SolveStep, TestStep
from orchestrator.state.workspace import NAME, check_no_link, check_workspace
from orchestrator.ui.text import count


def check_runnable(prepared: Prepared, findings: Findings, environment: Mapping[str, str]) -> None:
    """Stop where the plan cannot be executed.

    Raises:
        PlanBlockedError: something is blocked or refused, or a node does not answer.
        RegistryError: a registry that tags are to be put in did not answer.
        UsageError: a secret is not there.
    """
    check_blocked(prepared, findings)
    if prepared.lowered.refusals:
        _block(findings)
    missing = [
        finding
        for step in prepared.plan.steps
        if isinstance(step, SolveStep)
        for finding in missing_secrets(step.solve, environment, prepared.loaded.root)
    ]
    if missing:
        findings.add(missing)
        message = f"nothing was done: {count(len(missing), 'secret')} missing"
        raise UsageError(message, report=findings.render())
    check_layouts(prepared)
    steps = prepared.plan.steps
    used = {(step.backend, step.node) for step in steps if isinstance(step, SolveStep | TestStep)}
    silent = [
        node
        for backend, nodes in prepared.nodes.items()
        for node in nodes
        if node.provisional and (backend, node.name) in used
    ]
    if silent:
        message = f"nothing was done: node `{silent[0].name}` does not answer: {silent[0].summary}"
        raise PlanBlockedError(message, hints=(*silent[0].hints, "`orchestrate doctor` says what is missing"))


def check_blocked(prepared: Prepared, findings: Findings) -> None:
    """Stop where the plan is blocked, or a registry that it needs did not answer.

    Raises:
        PlanBlockedError: something in the plan is blocked.
        RegistryError: a registry that tags are to be put in did not answer.
    """
    if prepared.plan.blocked:
        _block(findings)
    unknown = any(finding.code == "tag-unknown" for finding in prepared.plan.diagnostics)
    if unknown and prepared.plan.destination is Destination.PUSH:
        message = "nothing was done: a registry does not answer, or refuses to"
        raise RegistryError(message, report=findings.render())


def check_layouts(prepared: Prepared) -> None:
    """A layout is written into an empty folder, or into one that is a layout already.

    Raises:
        PlanBlockedError: something else stands there.
        UsageError: a link stands on the way there, which a repository may have brought.
    """
    root = prepared.loaded.root
    paths = sorted({step.target.path for step in prepared.plan.steps if isinstance(step, ExportStep)})
    if any(Path(path).is_relative_to(NAME) for path in paths):
        check_workspace(root)
    # what the user named was resolved: a link that is left on the way came with the repository
    for part in sorted({part for path in paths for part in (root / path, *(root / path).parents)}):
        check_no_link(part)
        if part.exists() and not part.is_dir():
            _refuse_folder(part, root)
    for folder in (root / path for path in paths):
        if folder.exists() and not (folder / "oci-layout").is_file() and any(folder.iterdir()):
            _refuse_folder(folder, root)


def _refuse_folder(folder: Path, root: Path) -> NoReturn:
    shown = folder.relative_to(root) if folder.is_relative_to(root) else folder
    message = f"nothing was done: `{shown}` holds something else than an OCI layout"
    raise PlanBlockedError(message, hints=("choose another folder with `--oci DIR`",))


def missing_secrets(solve: Solve, environment: Mapping[str, str], root: Path) -> Iterator[Diagnostic]:
    """The secrets of a solve that are not where the file says; their values are not looked at."""
    for secret in solve.options.secrets:
        if secret.env and secret.env not in environment:
            problem, hint = f"environment variable `{secret.env}`, which is not set", f"export {secret.env}"
        elif secret.src and not (root / secret.src).is_file():
            problem, hint = f"file `{secret.src}`, which is not there", "create it, or say another `src`"
        else:
            continue
        message = f"secret `{secret.id}` of `{solve.image}` comes from the {problem}"
        yield Diagnostic(code="secret-missing", message=message, subject=solve.image, hints=(hint,))


def _block(findings: Findings) -> NoReturn:
    message = "nothing was done: the plan is blocked"
    raise PlanBlockedError(message, report=findings.render())
