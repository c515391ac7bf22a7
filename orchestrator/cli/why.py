"""`orchestrate why`: what a build is made from now, against last time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import make_project_options, project_options, state_scope_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.cli.findings import Findings
    from orchestrator.cli.load import Loaded
    from orchestrator.cli.prepare import Prepared
    from orchestrator.errors import OrchestratorError
    from orchestrator.plan.why import Why


@click.command(name="why")
@click.argument("targets", nargs=-1, metavar="[IMAGE|GLOB|GROUP][@PLATFORM]...")
@project_options
@state_scope_option
@click.option("--all", "everything", is_flag=True, help="Show also what is the same as last time.")
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print it.")
def command(
    *, targets: tuple[str, ...], state_scope: str | None, everything: bool, style: str, **values: object
) -> None:
    """Say why an image is built, or not: what it is made from now, against last time.

    Compares line by line with what is remembered of the last build that was verified. Builds nothing.
    """
    from orchestrator.cli.options import PlanOptions
    from orchestrator.cli.prepare import Preparation
    from orchestrator.plan.model import Destination
    from orchestrator.ui.text import print_note, print_result
    from orchestrator.ui.why import render_why, render_why_json

    options = make_project_options(values)
    preparation = Preparation(options, os.environ)
    loaded = preparation.load()
    wanted = _select(targets, loaded)
    asked = PlanOptions(names=tuple(dict.fromkeys(image for image, _ in wanted)), state_scope=state_scope)
    has_home = any(image.repository for image in loaded.expansion.images)
    # `--stage` compares the same as `--push`, and needs no look at tags; layouts are remembered on this machine
    destination = Destination.STAGE if has_home and not options.offline else Destination.LAYOUT
    prepared = preparation.plan(loaded, asked, destination=destination)
    found = tuple(_explain(prepared, preparation.findings, wanted))
    if options.offline and has_home and not any(why.last for why in found):
        raise _nothing_here()
    print_result(render_why_json(found) if style == "json" else render_why(found, everything=everything))
    if preparation.findings.all:
        print_note("\n" + preparation.findings.render())


def _select(targets: tuple[str, ...], loaded: Loaded) -> dict[tuple[str, str], None]:
    """The images and platforms that are meant, in the order of their declaration.

    Raises:
        UsageError: a name says nothing, or an image is not built for a platform.
    """
    from orchestrator.config.select import select
    from orchestrator.errors import UsageError

    images = {image.name: tuple(map(str, image.platforms)) for image in loaded.expansion.images}
    found: set[tuple[str, str]] = set()
    for target in targets or ("",):
        name, at, platform = target.partition("@")
        selection, wrong = select(
            (name,) if name else (), tuple(images), loaded.expansion.families, loaded.project.groups
        )
        if wrong:
            raise UsageError(wrong[0].message, hints=wrong[0].hints)
        chosen = [(image, each) for image in selection for each in _platforms(platform if at else "*", images[image])]
        if not chosen:
            offered = sorted({each for image in selection for each in images[image]})
            message = f"`{target}`: `{name}` is not built for `{platform}`"
            raise UsageError(message, hints=(f"it is built for {', '.join(offered)}",))
        found.update(chosen)
    pairs = ((image, each) for image, platforms in images.items() for each in platforms)
    return dict.fromkeys(pair for pair in pairs if pair in found)


def _platforms(asked: str, offered: tuple[str, ...]) -> frozenset[str]:
    """Those of an image that a name or a glob means.

    Raises:
        UsageError: it is no platform.
    """
    from orchestrator.config.names import filter_names, is_glob
    from orchestrator.errors import UsageError
    from orchestrator.oci.platform import parse_platform

    if is_glob(asked):
        return frozenset(filter_names(asked, offered))
    try:
        return frozenset({str(parse_platform(asked))} & set(offered))
    except ValueError as error:
        raise UsageError(str(error), hints=("write it as `api@linux/arm64`",)) from error


def _explain(prepared: Prepared, findings: Findings, wanted: dict[tuple[str, str], None]) -> Iterator[Why]:
    """Each of these builds.

    Raises:
        RegistryError: a registry gave no answer.
    """
    from orchestrator.errors import RegistryError
    from orchestrator.plan.past import Past
    from orchestrator.plan.why import say_why

    facts = prepared.facts
    silent = next((each for each in findings.all if each.code == "state-unknown"), None)
    if silent is not None:
        raise RegistryError(silent.message, hints=silent.hints[:-1])
    for build in prepared.plan.builds:
        if (build.image, str(build.platform)) not in wanted:
            continue
        past = facts.past.get(build.id, Past())
        if past.is_silent:
            raise RegistryError(past.problem, hints=past.hints)
        standing = facts.memory.parts.get(build.id)
        manifest = facts.inputs[build.id]
        yield say_why(build, manifest, prepared.listings, past=past, standing=standing, others=facts.past)


def _nothing_here() -> OrchestratorError:
    from orchestrator.errors import UsageError

    message = "`--offline` asks no registry what was built before, and on this machine nothing is remembered of it"
    return UsageError(message, hints=("leave `--offline` out",))
