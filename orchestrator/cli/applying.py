"""From a saved plan to one that can be run here: made again from what is frozen, and held against the world.

Nothing of the file is executed. The project beside it and the frozen facts give a plan; where that is not the one in
the file, or something that it was made from has changed, nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from orchestrator.cli.findings import Findings
from orchestrator.cli.homes import reach_homes
from orchestrator.cli.load import REGISTRY, Loaded, Taken, load_project
from orchestrator.cli.options import ProjectOptions
from orchestrator.cli.prepare import Basis, Prepared, compile_prepared, configured_backends, tags_to_read
from orchestrator.cli.recollect import Asked, look
from orchestrator.cli.registries import open_asked
from orchestrator.cli.saving import lock_digest, overrides_of
from orchestrator.config.assign import VARIABLE
from orchestrator.config.variables import PREFIX
from orchestrator.errors import PlanBlockedError, UsageError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.compile import place_selected, published_parents, selected_images
from orchestrator.plan.differences import compare_plans, say_the_same
from orchestrator.plan.document import build_document
from orchestrator.plan.facts import RunFacts, TagState
from orchestrator.plan.frozen import Frozen, Overrides, thaw_facts, thaw_listings, thaw_origin
from orchestrator.plan.memory import Memory, want_images
from orchestrator.plan.saved import SavedPlan
from orchestrator.plan.scopes import read_scopes
from orchestrator.plan.stale import (
    Stale,
    stale_declarations,
    stale_grants,
    stale_inputs,
    stale_memory,
    stale_overrides,
    stale_tags,
)
from orchestrator.probe.facts import read_tags
from orchestrator.probe.memory import recall
from orchestrator.ui.excerpt import printable
from orchestrator.ui.text import count

_SHOWN = 20


class Permissions(Model):
    """What the user says besides the plan; `vouched`: its digest reached them otherwise."""

    vouched: bool = False
    moved_tags: bool = False
    replace_tags: bool = False
    allow_downgrade: bool = False


class Revived(Model):
    """A saved plan that is still true, and what of it stands by now."""

    prepared: Prepared
    memory: Memory


def revive(
    saved: SavedPlan,
    options: ProjectOptions,
    environment: Mapping[str, str],
    permissions: Permissions,
    findings: Findings,
) -> Revived:
    """Make the plan again, and hold each of its preconditions against the world.

    Raises:
        PlanBlockedError: something is not as it was, with all that is not in its report.
        UsageError: the file holds what no plan can hold.
        ConfigurationError: the project is wrong.
    """
    try:
        facts = thaw_facts(saved.frozen)
        listings = thaw_listings(saved.frozen)
        origin = thaw_origin(saved.frozen)
        now = datetime.fromisoformat(origin.now)
    except ValueError as error:
        message = f"not a plan: {error}"
        raise UsageError(message, hints=("make it again: `orchestrate plan --out FILE`",)) from error
    here = overrides_of(options, environment)
    stop_on_stale((*_unsaid(saved.frozen, here, permissions), *stale_grants(origin.overrides, here)))
    if permissions.vouched:
        options, environment = _as_planned(origin.overrides, options, environment)
    loaded = load_project(options, environment, findings, Taken(now=now, host=facts.host, facts=origin.versions))
    basis = _basis(saved.frozen, loaded, facts)
    prepared = compile_prepared(basis, Findings())
    inputs = look(_asked(basis), loaded.declared, facts, loaded.reader) if facts.inputs else None
    document = build_document(prepared.plan, prepared.lowered, ())
    found = (
        *(stale_inputs(facts.inputs, inputs.manifests, listings, inputs.listings) if inputs else ()),
        *stale_declarations(compare_plans(saved.plan, document)),
    )
    if not found and not say_the_same(saved.plan, document):
        found = (Stale(message="the plan says of itself what this project does not give"),)
    tags, memory = _read_registries(basis, environment)
    moved = () if permissions.moved_tags else stale_tags(facts.tags, tags, _own_tags(prepared, memory))
    stop_on_stale((*found, *stale_memory(facts.memory, memory), *moved))
    rules = msgspec.structs.replace(
        basis.scope.rules,
        released={**basis.scope.rules.released, **memory.images},
        replace_tags=basis.scope.rules.replace_tags or permissions.replace_tags,
        allow_downgrade=basis.scope.rules.allow_downgrade or permissions.allow_downgrade,
    )
    basis = msgspec.structs.replace(
        basis,
        facts=msgspec.structs.replace(facts, tags=tags),
        scope=msgspec.structs.replace(basis.scope, rules=rules),
        listings=inputs.listings if inputs else {},
    )
    return Revived(prepared=compile_prepared(basis, findings), memory=memory)


def recall_again(prepared: Prepared, environment: Mapping[str, str]) -> Memory:
    """What of a plan stands by now."""
    return _read_registries(prepared, environment)[1]


def stop_on_stale(stale: Iterable[Stale]) -> None:
    """Stop where something is not as it was planned.

    Raises:
        PlanBlockedError: with all of it.
    """
    unique = tuple(dict.fromkeys(stale))
    if not unique:
        return
    lines = [f"changed: {printable(one.message)}" for one in unique[:_SHOWN]]
    if len(unique) > _SHOWN:
        lines.append(f"changed: {len(unique) - _SHOWN} more")
    hints = tuple(dict.fromkeys(hint for one in unique for hint in one.hints))
    message = f"nothing was done: {count(len(unique), 'thing')} changed since it was planned"
    raise PlanBlockedError(
        message, hints=(*hints, "or plan again: `orchestrate plan --out FILE`"), report="\n".join(lines)
    )


def _unsaid(frozen: Frozen, here: Overrides, permissions: Permissions) -> tuple[Stale, ...]:
    """What only the file says, and nobody who could vouch for it."""
    if permissions.vouched:
        return ()
    rules = frozen.scope.rules
    asked = (
        (rules.replace_tags and not permissions.replace_tags, "replaces fixed tags", "--replace-tags"),
        (
            rules.allow_downgrade and not permissions.allow_downgrade,
            "moves tags to lower versions",
            "--allow-downgrade",
        ),
    )
    unsaid = (
        Stale(message=f"the plan {what}", hints=(f"say `{option}` here, or vouch for it with `--expect DIGEST`",))
        for is_missing, what, option in asked
        if is_missing
    )
    return (*stale_overrides(frozen.overrides, here), *unsaid)


def _as_planned(
    overrides: Overrides, options: ProjectOptions, environment: Mapping[str, str]
) -> tuple[ProjectOptions, dict[str, str]]:
    """Options and environment as they were when it was planned."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(PREFIX) and name not in {VARIABLE, REGISTRY}
    }
    kept |= {f"{PREFIX}{name}": text for name, text in overrides.variables.items()}
    planned = msgspec.structs.replace(
        options,
        variables={},
        assignments=overrides.assignments,
        registry=overrides.registry,
        backend=overrides.backend,
    )
    return planned, kept


def _basis(frozen: Frozen, loaded: Loaded, facts: RunFacts) -> Basis:
    """What the plan is made of again.

    Raises:
        PlanBlockedError: images, backends or locked bases are others now.
    """
    stale: list[Stale] = []
    if lock_digest(loaded.declared.lock) != frozen.lock:
        stale.append(Stale(message="`builds.lock` is another one"))
    declared = {image.name for image in loaded.declared.images}
    stale += [
        Stale(message=f"`{name}` is not declared any more") for name in frozen.scope.selection if name not in declared
    ]
    state = facts.state
    if state.reads != read_scopes(state.scope, tuple(loaded.project.root.state.read)):
        stale.append(Stale(message="it reads or writes other state scopes"))
    stop_on_stale(stale)
    backends = configured_backends(loaded, frozen.scope)
    stop_on_stale(
        Stale(message=f"backend `{name}` is used now, and was not") for name in backends if name not in facts.nodes
    )
    return Basis(
        loaded=loaded,
        scope=frozen.scope,
        facts=facts,
        backends=backends,
        placed=place_selected(loaded.declared, frozen.scope, facts, backends),
        listings={},
    )


def _asked(basis: Basis) -> Asked:
    images = selected_images(basis.loaded.declared, basis.scope)
    return Asked(
        root=basis.loaded.root,
        images=images,
        dockerfiles=basis.loaded.dockerfiles,
        placed=basis.placed,
        published=published_parents(basis.loaded.declared, images, basis.facts),
        rules=basis.facts.state,
        takes_over=True,
    )


def _read_registries(basis: Basis, environment: Mapping[str, str]) -> tuple[Mapping[str, TagState], Memory]:
    """What tags point at, and what stands in homes, now."""
    loaded, scope = basis.loaded, basis.scope
    images = selected_images(loaded.declared, scope)
    references = tags_to_read(loaded, images, scope.destination)
    with open_asked(loaded.root, environment) as open_store:
        tags = read_tags(references, open_store)
        reached = reach_homes(
            loaded.root, images, loaded.declared, scope.destination, open_store=open_store, environment=environment
        )
        wanted = want_images(images, loaded.declared.edges, basis.facts.inputs, reached.homes)
        memory, silent = recall(wanted, basis.facts.state.reads, reached.open_home)
    stop_on_stale(Stale(message=finding.message, hints=finding.hints) for finding in silent)
    return tags, memory


def _own_tags(prepared: Prepared, memory: Memory) -> dict[str, Digest | None]:
    return {
        str(tag.reference): memory.images.get(image.name)
        for image in prepared.plan.images
        for tag in image.tags
        if tag.reference
    }
