"""Plans in files: written by `plan --out`, read by `apply` and `diff`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.cli.findings import Findings
from orchestrator.cli.load import REGISTRY
from orchestrator.cli.options import ProjectOptions
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.show import with_lines
from orchestrator.config.assign import assignment_lines
from orchestrator.config.lock import Lock
from orchestrator.config.variables import PREFIX
from orchestrator.errors import PlanBlockedError, RegistryError, UsageError, disk_error
from orchestrator.oci.digest import Digest, digest_bytes, parse_digest
from orchestrator.plan.document import PlanDocument, build_document, parse_document
from orchestrator.plan.frozen import Origin, Overrides, find_credentials, freeze
from orchestrator.plan.saved import SAVED_FORMAT, SavedPlan, is_saved, parse_saved, render_saved
from orchestrator.state.beneath import Durability, open_named
from orchestrator.state.own_file import replace_own

MOST_BYTES: Final = 512 * 1024 * 1024
_UNKNOWN: Final = frozenset({"state-unknown", "tag-unknown"})
_DISTRIBUTION: Final = "orchestrate-builds"


def overrides_of(options: ProjectOptions, environment: Mapping[str, str]) -> Overrides:
    """What environment and command line say over the files, whichever of both says it."""
    variables = {
        name.upper().removeprefix(PREFIX): text for name, text in environment.items() if name.upper().startswith(PREFIX)
    }
    variables |= {name.upper().replace("-", "_"): text for name, text in options.variables.items()}
    return Overrides(
        variables=dict(sorted(variables.items())),
        assignments=(*assignment_lines(environment), *options.assignments),
        registry=options.registry or environment.get(REGISTRY) or None,
        backend=options.backend,
        allow=options.allow,
    )


def lock_digest(lock: Lock | None) -> Digest | None:
    """What `builds.lock` says, as a digest."""
    if lock is None:
        return None
    entries = {str(reference): base for reference, base in lock.bases.items()}
    return digest_bytes(msgspec.json.encode(entries, order="sorted"))


def save_plan(
    prepared: Prepared, findings: Findings, options: ProjectOptions, environment: Mapping[str, str], path: Path
) -> Digest:
    """Write a plan into a file, whole or not at all; returns the digest that `apply --expect` takes.

    Raises:
        RegistryError, UsageError: as `freeze_plan`.
        UsageError: the file cannot be written, or holds something else.
    """
    digest, content = freeze_plan(prepared, findings, options, environment)
    try:
        is_written = replace_own(path, content, is_own=is_saved, durability=Durability.SYNCED)
    except OSError as error:
        raise disk_error(error) from error
    if not is_written:
        message = f"`{path}` holds something else than a plan"
        raise UsageError(message, hints=("choose another file for `--out`, or remove it",))
    return digest


def freeze_plan(
    prepared: Prepared, findings: Findings, options: ProjectOptions, environment: Mapping[str, str]
) -> tuple[Digest, bytes]:
    """The digest of a plan, and the bytes of its file.

    Raises:
        RegistryError: a registry did not answer, so that something is not known that is to be frozen.
        UsageError: it would hold a credential.
    """
    if any(finding.code in _UNKNOWN for finding in findings.all):
        message = "nothing was saved: a registry does not answer, and what is not known cannot be frozen"
        raise RegistryError(message, hints=("`orchestrate doctor` looks at registries and logins",))
    loaded = prepared.loaded
    origin = Origin(
        overrides=overrides_of(options, environment),
        now=loaded.now.isoformat(),
        versions=loaded.facts,
        lock=lock_digest(loaded.declared.lock),
    )
    frozen = freeze(origin, prepared.scope, prepared.facts, prepared.listings)
    credentials = find_credentials(frozen)
    if credentials:
        message = f"nothing was saved: `{credentials[0]}` looks like a credential, and the plan would hold it"
        raise UsageError(message, hints=("hand it to the build as a secret: `secrets` of the image",))
    document = build_document(with_lines(prepared.plan, findings), prepared.lowered, findings.resolved())
    saved = SavedPlan(saved_format=SAVED_FORMAT, orchestrate=version(_DISTRIBUTION), plan=document, frozen=frozen)
    return render_saved(saved)


def read_plan(path: Path) -> tuple[Digest, SavedPlan]:
    """Read a saved plan, and its digest.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    content = _read(path)
    try:
        return parse_saved(content)
    except ValueError as error:
        message = f"`{path}`: {error}"
        raise UsageError(message, hints=("make it again: `orchestrate plan --out FILE`",)) from error


def read_document(path: Path) -> PlanDocument:
    """Read what a plan says, from `plan --out` or `plan --format json`.

    Raises:
        UsageError: it is neither.
    """
    content = _read(path)
    try:
        return parse_saved(content)[1].plan if is_saved(content) else parse_document(content)
    except ValueError as error:
        message = f"`{path}`: {error}"
        hint = "take what `orchestrate plan --out FILE` or `orchestrate plan --format json` wrote"
        raise UsageError(message, hints=(hint,)) from error


def _read(path: Path) -> bytes:
    try:
        with open_named(path) as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        message = f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}"
        raise UsageError(message, hints=("make one: `orchestrate plan --out FILE`",)) from error
    if len(content) > MOST_BYTES:
        message = f"`{path}` has more than {MOST_BYTES} bytes"
        raise UsageError(message, hints=("make one: `orchestrate plan --out FILE`",))
    return content


def read_expected(path: Path | None, expect: str | None) -> SavedPlan:
    """Read a saved plan, which has to be the one with the digest that the user has of it, if any.

    Raises:
        UsageError: there is none, or it is damaged.
        PlanBlockedError: it is another one.
    """
    if path is None:
        message = "no plan is named, and nothing was cut off here"
        raise UsageError(message, hints=("make one: `orchestrate plan --out FILE`, and apply FILE",))
    digest, saved = read_plan(path)
    check_expected(digest, expect)
    return saved


def check_expected(digest: Digest, expect: str | None) -> None:
    """Hold the plan against the digest that the user has of it.

    Raises:
        UsageError: what was expected is no digest.
        PlanBlockedError: it is another plan.
    """
    if expect is None or expect == digest:
        return
    try:
        parse_digest(expect)
    except ValueError as error:
        message = f"`--expect {expect[:80]}`: {error}"
        raise UsageError(message, hints=("`orchestrate plan --out FILE` prints the digest of the plan",)) from error
    message = f"nothing was done: this is plan {digest}, expected {expect}"
    raise PlanBlockedError(message, hints=("get the plan that was reviewed, or review this one",))
