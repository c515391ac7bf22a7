"""From options to what a plan is about: the selection, how far its results go, and what the user allows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator.cli.backends import default_backend
from orchestrator.cli.findings import Findings
from orchestrator.cli.load import Loaded
from orchestrator.cli.options import PlanOptions
from orchestrator.config.select import parse_platform_options, select
from orchestrator.diagnostics import has_errors
from orchestrator.errors import PlanBlockedError, UsageError
from orchestrator.oci.digest import Digest
from orchestrator.plan.affected import Since
from orchestrator.plan.compile import Scope, selected_images
from orchestrator.plan.facts import StateRules
from orchestrator.plan.model import Destination
from orchestrator.plan.release import ReleaseRules
from orchestrator.plan.scopes import choose_scope, read_scopes
from orchestrator.plan.volatile import forced_all, forced_volatile


def make_scope(
    loaded: Loaded,
    options: PlanOptions,
    *,
    destination: Destination,
    backend: str | None,
    released: Mapping[str, Digest] | None,
    findings: Findings,
) -> Scope:
    """What a plan is about.

    Args:
        loaded: the project.
        options: as the user wrote them.
        destination: how far the results go.
        backend: the default one, where the user chose it.
        released: images that are built already, and their digests.
        findings: takes what is found on the way.

    Raises:
        UsageError: the selection names something unknown, or nothing.
        PlanBlockedError: a part of an index would be published.
    """
    names = tuple(image.name for image in loaded.expansion.images)
    selection, found = select(options.names, names, loaded.expansion.families, loaded.project.groups)
    if has_errors(found):
        raise UsageError(found[0].message, hints=found[0].hints)
    findings.add(found)
    chosen, by_name = default_backend(loaded.project, loaded.found, backend)
    scope = Scope(
        destination=destination,
        selection=selection,
        with_parents=not options.no_deps,
        platforms=parse_platform_options(options.platforms),
        layout_folder=layout_folder(loaded.root, options.oci) if options.oci else ".orchestrate/oci",
        backend=chosen,
        backend_by_name=by_name,
        rules=ReleaseRules(
            replace_tags=options.replace_tags, allow_downgrade=options.allow_downgrade, released=released or {}
        ),
    )
    _check_selection(loaded, scope)
    return scope


def only_affected(scope: Scope, since: Since) -> Scope:
    """The same, but of the selection only what is affected, which may be nothing."""
    selection = tuple(name for name in scope.selection if name in since.names)
    return msgspec.structs.replace(scope, selection=selection)


def make_state_rules(
    loaded: Loaded, options: PlanOptions, selection: tuple[str, ...], environment: Mapping[str, str]
) -> StateRules:
    """Whose memory a plan reads and writes, and what it builds whatever stands.

    Raises:
        UsageError: the scope that was asked for has no legal name.
    """
    try:
        scope = choose_scope(options.state_scope, environment)
    except ValueError as error:
        raise UsageError(str(error), hints=("for example `--state-scope pr-12`",)) from error
    reads = read_scopes(scope, tuple(loaded.project.root.state.read))
    forced = forced_volatile(loaded.declared.images, selection) if options.fresh_volatile else {}
    return StateRules(scope=scope, reads=reads, forced=forced_all(selection) if options.force else forced)


def destination_of(options: PlanOptions, *, unless_said: Destination) -> Destination:
    """How far the results go."""
    if options.push:
        return Destination.PUSH
    if options.stage:
        return Destination.STAGE
    if options.load:
        return Destination.LOAD
    return Destination.LAYOUT if options.oci else unless_said


def layout_folder(root: Path, asked: str) -> str:
    """The folder of `--oci`, which the user says from where they stand; relative to the root where it is below it.

    Raises:
        UsageError: buildx could not tell its path from what follows it.
    """
    path = str(Path(asked).resolve())
    folder = os.path.relpath(path, root) if Path(path).is_relative_to(root) else path
    if any(mark in folder for mark in ":@,"):
        message = f"`--oci {asked}`: buildx takes `:`, `@` and `,` in the path of a layout for its own"
        raise UsageError(message, hints=("choose a folder without them",))
    return folder


def _check_selection(loaded: Loaded, scope: Scope) -> None:
    if not selected_images(loaded.declared, scope):
        platforms = ", ".join(f"`{platform}`" for platform in scope.platforms)
        if platforms:
            message = f"no selected image is built for {platforms}"
            raise UsageError(message, hints=("`orchestrate plan` shows the platforms of each image",))
        message = "there is no image to build"
        raise UsageError(message, hints=("declare one: `[images.NAME]`",))
    if scope.platforms and scope.destination is Destination.PUSH:
        message = "`--platform` builds a part of each index, and a part is never published"
        raise PlanBlockedError(message, hints=("use `--stage` or `--oci DIR`, or leave `--platform` out",))
