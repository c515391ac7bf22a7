"""`orchestrate prune`: what private names nothing needs any more; shown before anything is deleted."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import make_project_options, project_options

if TYPE_CHECKING:
    from collections.abc import Collection

    from orchestrator.cli.load import Loaded
    from orchestrator.engine.prune import Standing
    from orchestrator.oci.digest import Digest
    from orchestrator.plan.prune import Rules
    from orchestrator.plan.removal import Pruned, Removal
    from orchestrator.probe.holdings import Holdings
    from orchestrator.registry.stores import RegistryStores


@click.command(name="prune")
@click.argument("names", nargs=-1, metavar="[IMAGE|GLOB|GROUP]...")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="NAME",
    help="Forget this state scope too, such as pr-12: what it alone needs goes; repeatable.",
)
@click.option("--yes", is_flag=True, help="Delete, and do not ask.")
@project_options
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print it.")
def command(*, names: tuple[str, ...], scopes: tuple[str, ...], yes: bool, style: str, **values: object) -> None:
    """Delete old state from registries: private names that nothing needs, and manifests that only those reach.

    Public tags stay, and what they came from; so does the last index of each image and scope. Shows what would go, and
    asks on a terminal; elsewhere it deletes with --yes only. No digest is deleted that a tag reaches which stays.

    Ends with 5 when something that should have gone is still there.
    """
    from orchestrator.cli.insecure import insecure_registries
    from orchestrator.cli.prepare import Preparation
    from orchestrator.errors import UsageError
    from orchestrator.plan.prune import decide
    from orchestrator.probe.holdings import Holdings
    from orchestrator.process.capture import capture
    from orchestrator.registry import open_stores
    from orchestrator.ui.text import print_note

    options = make_project_options(values)
    if options.offline:
        message = "`prune` is about registries, and with `--offline` nobody is asked"
        raise UsageError(message, hints=("drop `--offline`",))
    preparation = Preparation(options, os.environ)
    loaded = preparation.load()
    if preparation.findings.all:
        print_note(preparation.findings.render())
    rules = _find_rules(loaded, names, scopes)
    with open_stores(os.environ, insecure=insecure_registries(os.environ), capture=capture) as stores:
        holdings = Holdings(stores.repository, rules.declared)
        removals = decide(holdings.read(rules.related), holdings.graph, rules)
        if not _may_delete(removals, yes=yes, style=style):
            return
        pruned = _delete(removals, holdings, stores)
    _tell(removals, pruned, style)


def _find_rules(loaded: Loaded, names: tuple[str, ...], scopes: tuple[str, ...]) -> Rules:
    """Where to look.

    Raises:
        UsageError: there is no such image, no legal scope, or no repository.
    """
    from orchestrator.config.select import select
    from orchestrator.diagnostics import has_errors
    from orchestrator.errors import UsageError
    from orchestrator.plan.prune import make_rules
    from orchestrator.plan.scopes import check_scope

    images = loaded.expansion.images
    known = tuple(image.name for image in images)
    selected, found = select(names or known, known, loaded.expansion.families, loaded.project.groups)
    if has_errors(found):
        raise UsageError(found[0].message, hints=found[0].hints)
    for scope in scopes:
        try:
            check_scope(scope)
        except ValueError as error:
            raise UsageError(str(error), hints=("for example `--scope pr-12`",)) from error
    declared = loaded.declared
    rules = make_rules(images, declared.edges, selected, state=declared.state, scopes=scopes)
    if not rules.targets:
        message = "there is no repository to look at"
        raise UsageError(message, hints=("set `registry` in [project], or give `--registry HOST/PATH`",))
    return rules


def _may_delete(removals: tuple[Removal, ...], *, yes: bool, style: str) -> bool:
    """Show what goes, and find out whether it may; programs have to say so beforehand, and get one document."""
    from orchestrator.ui.prune import render_json, render_removals
    from orchestrator.ui.text import print_note, print_result

    has_names = any(removal.names for removal in removals)
    if style == "json":
        if not yes:
            print_result(render_json(removals, ()))
        return yes
    print_result(render_removals(removals))
    if not has_names or yes:
        return has_names
    if sys.stdin is None or not sys.stdin.isatty():
        print_note("nothing is deleted without `--yes`")
        return False
    return click.confirm("Delete them?", err=True)


def _delete(removals: tuple[Removal, ...], holdings: Holdings, stores: RegistryStores) -> tuple[Pruned, ...]:
    from orchestrator.engine.prune import Standing, prune
    from orchestrator.plan.prune import protected

    def look(removal: Removal, refused: Collection[Digest]) -> Standing:
        (now,) = holdings.read((removal.repository,))
        return Standing(tags=now.tags, protected=protected(now, holdings.graph, removal, refused))

    return tuple(prune(tuple(one for one in removals if one.names), stores.repository, look))


def _tell(removals: tuple[Removal, ...], pruned: tuple[Pruned, ...], style: str) -> None:
    """Print what became of it.

    Raises:
        RegistryError: something is still there that should have gone; each registry has its say once.
    """
    from orchestrator.engine.prune import deletes_nothing
    from orchestrator.errors import RegistryError
    from orchestrator.plan.removal import Fate
    from orchestrator.ui.prune import render_json, render_pruned
    from orchestrator.ui.text import count, print_result

    print_result(render_json(removals, pruned) if style == "json" else render_pruned(pruned))
    failed = [one for one in pruned if one.refusal]
    if not failed:
        return
    refusals: dict[str, RegistryError] = {}
    for one in failed:
        if one.refusal:
            refusals.setdefault(one.removal.repository.registry, one.refusal)
    names = sum(fate is Fate.REFUSED for one in failed for _, fate in one.fates)
    manifests = sum(len(one.removal.digests) - len(one.deleted) for one in failed)
    message = f"{count(names, 'name')} and {count(manifests, 'manifest')} should have gone and are still there"
    hints = [hint for refusal in refusals.values() for hint in refusal.hints]
    if any(map(deletes_nothing, refusals.values())):
        hints.append("switch deletion on there, as with `REGISTRY_STORAGE_DELETE_ENABLED=true` for Distribution")
    report = "\n".join(f"`{registry}` refuses: {refusal.message}" for registry, refusal in refusals.items())
    raise RegistryError(message, hints=tuple(dict.fromkeys(hints)), report=report)
