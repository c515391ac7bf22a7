"""Looks up external images: in `builds.lock`, and in the registries that have them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar

import msgspec

from orchestrator.config.lock import LOCK_FILE, Lock, decode_lock
from orchestrator.config.syntax import MAX_LENGTH, decode_bytes
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.manifest import Descriptor, Manifest, parse_config, parse_index, parse_manifest
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Reference, Repository
from orchestrator.oci.validate import CONFIG_TYPES, MAX_CONFIG_BYTES
from orchestrator.plan.bases import Base, BaseFacts, choose_platform
from orchestrator.registry.failure import TRANSIENT_STATUSES, RequestError
from orchestrator.state.basefacts import read_base_facts, write_base_facts
from orchestrator.state.beneath import Missing, open_folder, open_regular

_THREADS: Final = 32
_MOST_UNNAMED: Final = 16
"""An index need not say the platforms of its entries; so many of them are looked into for theirs."""


class BaseStore(Protocol):
    """What looking up images needs of a store."""

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag."""

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest behind a tag or a digest."""

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob, held against its descriptor."""


class Unresolved(Model):
    """Why nobody can tell what a reference stands for; `of_registry` where it is so for all of its registry."""

    reason: str
    hints: tuple[str, ...] = ()
    of_registry: bool = False


_NO_TAG: Final = Unresolved(
    reason="there is no such tag in its registry",
    hints=("look at the line that names it: the tag was removed, or never was",),
)
_Answer = TypeVar("_Answer")


def read_lock(root: Path) -> tuple[Lock | None, tuple[Diagnostic, ...], Mapping[str, str]]:
    """The lock of the project in `root`; None where there is none, or none that can be read.

    Returns:
        The lock, what is wrong with its file, and its text by the name that places give it. A link is not followed:
        findings quote the file, and it may have come with a pull request.
    """
    try:
        with open_folder(root, (), Missing.FAIL) as folder, open_regular(LOCK_FILE, folder) as file:
            content = file.read(MAX_LENGTH + 1)
    except FileNotFoundError:
        return None, (), {}
    except OSError as error:
        message = f"cannot read `{LOCK_FILE}`: {(error.strerror or str(error)).lower()}"
        hints = ("it is a regular file that `orchestrate lock` writes: put git's version of it there",)
        return None, (Diagnostic(code="unreadable-file", message=message, hints=hints),), {}
    text, found = decode_bytes(content, LOCK_FILE)
    if text is None:
        return None, found, {}
    lock, found = decode_lock(text, LOCK_FILE)
    return lock, found, {LOCK_FILE: text}


def fetch_bases(
    wanted: Mapping[Reference, Iterable[Platform]], repository_of: Callable[[Repository], BaseStore]
) -> Mapping[Reference, BaseFacts | Unresolved]:
    """What these references stand for: one GET for an index, two for a manifest without one.

    The platforms beside a reference are those whose `ONBUILD` triggers are to be known, two more requests each.
    """
    return _ask_each(wanted, lambda reference: _fetch(repository_of(reference.repository), reference, wanted))


def fetch_digests(
    references: Iterable[Reference], repository_of: Callable[[Repository], BaseStore]
) -> Mapping[Reference, Digest | Unresolved | None]:
    """The digests behind tags, None where there is no such tag: one HEAD each, which registries do not count."""
    return _ask_each(references, lambda reference: repository_of(reference.repository).find(reference.locator))


def resolve_bases(
    bases: tuple[Base, ...], lock: Lock | None, *, root: Path, open_store: Callable[[Repository], BaseStore] | None
) -> tuple[Mapping[Reference, BaseFacts], tuple[Diagnostic, ...]]:
    """What external images stand for in this plan: what they are locked to, else what registries have now.

    Args:
        bases: the images; one with a digest stands for that.
        lock: what wins over registries.
        root: the project, which keeps what was found out.
        open_store: opens a repository; None where nobody may be asked.

    Returns:
        What is known; and a warning for each reason why something is not that somebody was asked about.
    """
    digests = {base.reference: digest for base in bases if (digest := _decided(base.reference, lock))}
    unresolved: dict[Reference, Unresolved] = {}
    if open_store is not None:
        for reference, answer in _ask_digests(bases, digests, open_store).items():
            if isinstance(answer, Unresolved):
                unresolved[reference] = answer
            else:
                digests[reference] = answer
    known = read_base_facts(root)
    wanted = {
        base.reference: (base.reference.repository.at(digests[base.reference]), missing)
        for base in bases
        if base.reference in digests and (missing := _untold(base, known.get(digests[base.reference])))
    }
    if open_store is not None and wanted:
        answers = fetch_bases(dict(wanted.values()), open_store)
        for reference, (pinned, _) in wanted.items():
            facts = answers[pinned]
            if isinstance(facts, Unresolved):
                unresolved[reference] = facts
            else:
                known[facts.digest] = _join(known.get(facts.digest), facts)
        write_base_facts(root, known)
    resolved = {reference: known.get(digest, BaseFacts(digest=digest)) for reference, digest in digests.items()}
    return resolved, tuple(_unknown_bases(bases, unresolved))


def _decided(reference: Reference, lock: Lock | None) -> Digest | None:
    """The digest that nobody need be asked for."""
    locked = lock.bases.get(reference) if lock else None
    return reference.digest or (locked.digest if locked else None)


def _ask_digests(
    bases: Iterable[Base], decided: Collection[Reference], open_store: Callable[[Repository], BaseStore]
) -> Mapping[Reference, Digest | Unresolved]:
    asked = [base.reference for base in bases if base.reference not in decided]
    answers = fetch_digests(asked, open_store) if asked else {}
    return {reference: answer or _NO_TAG for reference, answer in answers.items()}


def _untold(base: Base, known: BaseFacts | None) -> tuple[Platform, ...]:
    """The platforms on which stages start from it and of which triggers are not known."""
    return tuple(platform for platform in base.stood_on if known is None or platform not in known.triggers)


def _join(before: BaseFacts | None, now: BaseFacts) -> BaseFacts:
    if before is None:
        return now
    return msgspec.structs.replace(now, triggers={**before.triggers, **now.triggers})


def _unknown_bases(bases: Iterable[Base], unresolved: Mapping[Reference, Unresolved]) -> Iterator[Diagnostic]:
    """One warning for each reason, however many images it is about."""
    reasons: dict[tuple[str, tuple[str, ...]], list[Base]] = {}
    for base in bases:
        if base.reference in unresolved:
            answer = unresolved[base.reference]
            reasons.setdefault((answer.reason, answer.hints), []).append(base)
    for (reason, hints), several in reasons.items():
        more = f" and {len(several) - 1} more" if len(several) > 1 else ""
        use = several[0].uses[0]
        yield Diagnostic(
            code="base-unknown",
            message=f"`{several[0].reference}`{more} could not be looked up, so what uses it is built: {reason}",
            severity=Severity.WARNING,
            place=use.place,
            subject=use.image,
            hints=hints,
        )


def _ask_each(
    references: Iterable[Reference], ask: Callable[[Reference], _Answer]
) -> dict[Reference, _Answer | Unresolved]:
    """Ask about all, many at once; one of each registry first, so that one that is down is waited for once."""
    chosen = tuple(references)
    first = {reference.repository.registry: reference for reference in reversed(chosen)}
    with ThreadPoolExecutor(_THREADS) as threads:

        def ask_all(some: Iterable[Reference]) -> dict[Reference, _Answer | Unresolved]:
            some = tuple(some)
            return dict(zip(some, threads.map(lambda reference: _attempt(reference, ask), some), strict=True))

        answers = ask_all(first.values())
        silent: dict[str, Unresolved] = {}
        for registry, reference in first.items():
            answer = answers[reference]
            if isinstance(answer, Unresolved) and answer.of_registry:
                silent[registry] = answer
        answers |= ask_all(
            one for one in dict.fromkeys(chosen) if one not in answers and one.repository.registry not in silent
        )
    return {one: answers[one] if one in answers else silent[one.repository.registry] for one in chosen}


def _attempt(reference: Reference, ask: Callable[[Reference], _Answer]) -> _Answer | Unresolved:
    try:
        return ask(reference)
    except RequestError as error:
        status = error.failure.status
        silent = status == 0 or status in TRANSIENT_STATUSES
        return Unresolved(reason=error.message, hints=error.hints, of_registry=silent)
    except RegistryError as error:
        return Unresolved(reason=error.message, hints=error.hints)
    except ValueError as error:
        hint = "nothing of it was used: name another image, or ask whoever runs this registry"
        return Unresolved(reason=f"`{reference}`: {error}", hints=(hint,))


def _fetch(
    store: BaseStore, reference: Reference, wanted: Mapping[Reference, Iterable[Platform]]
) -> BaseFacts | Unresolved:
    manifest = store.fetch_manifest(reference.locator)
    if manifest is None:
        hint = "look at the line that names it: the tag was removed, or never was"
        return Unresolved(reason=f"there is no `{reference}` in its registry", hints=(hint,))
    children = dict(_index_children(store, manifest) if manifest.is_index else _lone_child(store, manifest))
    if not children:
        msg = "no platform of it is one that images are built for"
        raise ValueError(msg)
    triggers: dict[Platform, tuple[str, ...]] = {}
    for platform in wanted[reference]:
        chosen = choose_platform(children, platform)
        triggers[platform] = _triggers(store, children[chosen]) if chosen else ()
    return BaseFacts(digest=manifest.digest, platforms=tuple(sorted(children)), triggers=triggers)


def _lone_child(store: BaseStore, manifest: Manifest) -> Iterator[tuple[Platform, Manifest | Digest]]:
    platform = _built_for(parse_config(_config(store, manifest)).normalised())
    if platform:
        yield platform, manifest


def _index_children(store: BaseStore, index: Manifest) -> Iterator[tuple[Platform, Manifest | Digest]]:
    """The images of an index by platform; of two for one platform the first, as everywhere."""
    entries = [entry for entry in parse_index(index.content).manifests if not entry.is_attestation]
    unnamed = [entry for entry in entries if entry.platform is None][:_MOST_UNNAMED]
    # from the back, since the last one of a key stays in a dict
    for entry in reversed([*(entry for entry in entries if entry.platform), *unnamed]):
        digest = parse_digest(entry.digest)
        if entry.platform is None:
            child = store.fetch_manifest(digest)
            if child is not None and not child.is_index:
                yield from _lone_child(store, child)
        elif platform := _built_for(entry.platform.normalised()):
            yield platform, digest


def _built_for(platform: Platform) -> Platform | None:
    """A platform that others wrote, if it is one that we could be asked to build for; the lock has no other."""
    try:
        return parse_platform(str(platform))
    except ValueError:
        return None


class _Trigger(Model, rename={"triggers": "OnBuild"}):
    triggers: tuple[str, ...] | None = None


class _TriggerConfig(Model):
    config: _Trigger | None = None


_TRIGGER_CONFIG: Final = msgspec.json.Decoder(_TriggerConfig)


def _triggers(store: BaseStore, child: Manifest | Digest) -> tuple[str, ...]:
    manifest = child if isinstance(child, Manifest) else store.fetch_manifest(child)
    if manifest is None or manifest.is_index:
        msg = "its index names an image that is not there"
        raise ValueError(msg)
    try:
        config = _TRIGGER_CONFIG.decode(_config(store, manifest)).config
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f"its config cannot be read: {error}"
        raise ValueError(msg) from error
    return (config.triggers if config else None) or ()


def _config(store: BaseStore, manifest: Manifest) -> bytes:
    """The config of an image, where it is an image and no other artifact."""
    descriptor = parse_manifest(manifest.content).config
    if descriptor.media_type not in CONFIG_TYPES:
        msg = "it is no image"
        raise ValueError(msg)
    if descriptor.size > MAX_CONFIG_BYTES:
        msg = f"its config has {descriptor.size} bytes, at most {MAX_CONFIG_BYTES} are read"
        raise ValueError(msg)
    with store.open_blob(descriptor) as stream:
        return stream.read()
