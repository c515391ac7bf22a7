"""What a saved plan was made from, frozen beside it: the same project and this give the same plan on any machine.

It comes from a file, which anybody may have written: digests, platforms and references are parsed anew, and whoever
executes it holds everything that can change against the world first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.api.backend import Node
from orchestrator.config.credentials import hide_userinfo, is_credential, looks_like_credential
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes, parse_digest
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.bases import BaseFacts
from orchestrator.plan.compile import Scope
from orchestrator.plan.context import Listing, parse_listing
from orchestrator.plan.facts import RunFacts, StateRules, TagState
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.memory import Memory
from orchestrator.plan.model import Reason
from orchestrator.plan.scopes import check_scope
from orchestrator.tags.facts import GitFacts, NoGit
from orchestrator.tags.version import VersionFacts

MOST_LISTED: Final = 32 * 1024 * 1024
"""How many bytes of listings a plan holds, so that a changed file can be named; of the rest only the digest is kept."""


class Overrides(Model):
    """What environment and command line said over the files: by var as environment variables spell it, and in order."""

    variables: Mapping[str, str] = {}
    assignments: tuple[str, ...] = ()
    registry: str | None = None
    backend: str | None = None
    allow: tuple[str, ...] = ()


class FrozenBase(Model):
    """An external image; `triggers` are the `ONBUILD` instructions of each platform of which they are known."""

    reference: str
    digest: str
    platforms: tuple[str, ...]
    triggers: tuple[tuple[str, tuple[str, ...]], ...]


class Frozen(Model):
    """All that a plan takes from outside of the project.

    `now` is the time that templates see, in ISO 8601; `git` is None where there was none, for the reason `no_git`.
    `lock` is the digest of what `builds.lock` says. `listings` are the digests of all listings of contexts, `contents`
    what the smaller of them say.
    """

    overrides: Overrides
    now: str
    git: GitFacts | None
    no_git: str
    version_environment: Mapping[str, str]
    version_files: Mapping[str, str | None]
    lock: Digest | None
    host: str
    scope: Scope
    nodes: Mapping[str, tuple[Node, ...]]
    tags: Mapping[str, TagState]
    bases: tuple[FrozenBase, ...]
    inputs: Mapping[str, InputManifest]
    listings: tuple[Digest, ...]
    contents: Mapping[str, bytes]
    memory: Memory
    reasons: Mapping[str, tuple[Reason, ...]]
    replaced: Mapping[str, Digest]
    state: StateRules


class Origin(Model):
    """What of a project's loading is frozen."""

    overrides: Overrides
    now: str
    versions: VersionFacts
    lock: Digest | None


def freeze(origin: Origin, scope: Scope, facts: RunFacts, listings: Mapping[Digest, Listing]) -> Frozen:
    """The frozen form; the same facts always give the same bytes."""
    git = origin.versions.git
    return Frozen(
        overrides=origin.overrides,
        now=origin.now,
        git=git if isinstance(git, GitFacts) else None,
        no_git=git.reason if isinstance(git, NoGit) else "",
        version_environment=origin.versions.environment,
        version_files=origin.versions.files,
        lock=origin.lock,
        host=str(facts.host),
        scope=scope,
        nodes=facts.nodes,
        tags=facts.tags,
        bases=tuple(_freeze_base(reference, facts.bases[reference]) for reference in sorted(facts.bases)),
        inputs=facts.inputs,
        listings=tuple(sorted(facts.listings)),
        contents=_contents(listings),
        memory=facts.memory,
        reasons=facts.reasons,
        replaced=facts.replaced,
        state=facts.state,
    )


def find_credentials(frozen: Frozen) -> tuple[str, ...]:
    """What in it looks like a credential, by name: a file that is handed on is no place for one."""
    named = (
        *(f"var {name}" for name in frozen.overrides.variables if looks_like_credential(name)),
        *(f"--set {target}" for target in map(_target, frozen.overrides.assignments) if _names_credential(target)),
        *(
            f"arg {name}"
            for manifest in frozen.inputs.values()
            for name, value in (*manifest.args, *manifest.labels)
            if looks_like_credential(name) or hide_userinfo(value) != value
        ),
    )
    return tuple(dict.fromkeys(named))


def _target(assignment: str) -> str:
    return assignment.partition("=")[0].strip()


def _names_credential(target: str) -> bool:
    return is_credential(target.split("."))


def thaw_origin(frozen: Frozen) -> Origin:
    """What of a project's loading was frozen."""
    return Origin(
        overrides=frozen.overrides,
        now=frozen.now,
        versions=VersionFacts(
            git=frozen.git or NoGit(reason=frozen.no_git),
            environment=frozen.version_environment,
            files=frozen.version_files,
        ),
        lock=frozen.lock,
    )


def thaw_facts(frozen: Frozen) -> RunFacts:
    """The facts.

    Raises:
        ValueError: a digest, a platform or a reference is none.
    """
    if not all(frozen.nodes.values()):
        msg = "a backend without nodes"
        raise ValueError(msg)
    for node in (node for several in frozen.nodes.values() for node in several):
        for platform in (*node.platforms, *node.emulates):
            _check_platform(platform)
    for platform in frozen.scope.platforms:
        _check_platform(platform)
    digests = (
        *(state.digest for state in frozen.tags.values()),
        *(part.record for part in frozen.memory.parts.values()),
        *(part.manifest for part in frozen.memory.parts.values()),
        *frozen.memory.images.values(),
        *frozen.listings,
        *frozen.replaced.values(),
        *frozen.scope.rules.released.values(),
    )
    for digest in filter(None, digests):
        parse_digest(digest)
    check_scope(frozen.state.scope)
    return RunFacts(
        nodes=frozen.nodes,
        host=parse_platform(frozen.host),
        tags=frozen.tags,
        bases=dict(map(_thaw_base, frozen.bases)),
        inputs=frozen.inputs,
        listings=frozenset(frozen.listings),
        memory=frozen.memory,
        reasons=frozen.reasons,
        replaced=frozen.replaced,
        state=frozen.state,
    )


def thaw_listings(frozen: Frozen) -> dict[Digest, Listing]:
    """The listings that are kept whole.

    Raises:
        ValueError: one of them is no listing, or another one than it is called.
    """
    found: dict[Digest, Listing] = {}
    for digest, content in frozen.contents.items():
        if digest_bytes(content) != digest:
            msg = f"the listing `{digest}` is another one"
            raise ValueError(msg)
        found[parse_digest(digest)] = parse_listing(content)
    return found


def _contents(listings: Mapping[Digest, Listing]) -> dict[str, bytes]:
    """The listings as far as they have room, the smallest first."""
    kept: dict[str, bytes] = {}
    room = MOST_LISTED
    for digest, listing in sorted(listings.items(), key=lambda item: (len(item[1].text), item[0])):
        room -= len(listing.text)
        if room < 0:
            break
        kept[digest] = listing.text
    return kept


def _freeze_base(reference: Reference, base: BaseFacts) -> FrozenBase:
    return FrozenBase(
        reference=str(reference),
        digest=base.digest,
        platforms=tuple(map(str, base.platforms)),
        triggers=tuple((str(platform), base.triggers[platform]) for platform in sorted(base.triggers)),
    )


def _thaw_base(base: FrozenBase) -> tuple[Reference, BaseFacts]:
    facts = BaseFacts(
        digest=parse_digest(base.digest),
        platforms=tuple(map(parse_platform, base.platforms)),
        triggers={parse_platform(platform): instructions for platform, instructions in base.triggers},
    )
    return parse_reference(base.reference), facts


def _check_platform(platform: Platform) -> None:
    if parse_platform(str(platform)) != platform:
        msg = f"`{platform}` is no platform"
        raise ValueError(msg)
