"""What one platform build is made of: args, contexts, caches, secrets, limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

from msgspec import UNSET, UnsetType

from orchestrator.config.credentials import looks_like_credential
from orchestrator.config.findings import Findings, quote
from orchestrator.config.scan import Keys
from orchestrator.config.schema import (
    BuildTable,
    ContextTable,
    ExtendTable,
    Scalar,
    SecretTable,
    SshTable,
    Value,
    ValueTable,
)
from orchestrator.diagnostics import Severity
from orchestrator.oci.platform import parse_platform

SecretsInArgs: TypeAlias = Literal["error", "warn", "allow"]

SIZE_PATTERN: Final = r"[0-9]+(\.[0-9]+)? ?[kKmMgGtTpP]?[iI]?[bB]?"
LIMITS: Final = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
LIMIT_PATTERN: Final = rf"({'|'.join(LIMITS)})=(-1|[0-9]+)(:(-1|[0-9]+))?"
CACHES: Final = ("registry", "local", "inline", "gha", "s3", "azblob")

_SIZE: Final = re.compile(SIZE_PATTERN)
_LIMIT: Final = re.compile(LIMIT_PATTERN)
_ENVIRONMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CACHE_KEY: Final = re.compile(r"[a-z][a-z0-9_-]*")
_KEY: Final = re.compile(r"[^\s=\x00-\x1f\x7f]+")


def check_build(build: BuildTable, findings: Findings, keys: Keys, secrets_in_args: SecretsInArgs) -> None:
    """Whether args, labels, contexts, hosts and limits are written as the tools that get them expect."""
    if build.args is not UNSET:
        check_values(build.args, findings, (*keys, "args"))
        if secrets_in_args != "allow":
            severity = Severity.ERROR if secrets_in_args == "error" else Severity.WARNING
            for name, value in build.args.items():
                _check_credential(name, value, findings, (*keys, "args", name), severity)
    if build.labels is not UNSET:
        check_values(build.labels, findings, (*keys, "labels"))
    if build.contexts is not UNSET:
        _check_keys(build.contexts, findings, (*keys, "contexts"))
        for name, context in build.contexts.items():
            _check_context(context, findings, (*keys, "contexts", name))
    if build.extra_hosts is not UNSET:
        _check_keys(build.extra_hosts, findings, (*keys, "extra-hosts"))
    if build.shm_size is not UNSET and not _SIZE.fullmatch(build.shm_size):
        message = f"not a size: {quote(build.shm_size)}"
        findings("illegal-value", message, findings.value(*keys, "shm-size"), "write it like `128m` or `1g`")
    if build.dockerfile is not UNSET and build.dockerfile_inline is not UNSET:
        message = "`dockerfile` and `dockerfile-inline` exclude each other"
        place, related = findings.key(*keys, "dockerfile-inline"), (findings.key(*keys, "dockerfile"),)
        findings("conflicting-keys", message, place, "remove one of the two", related=related)
    check_lists(build, findings, keys)


def check_lists(table: BuildTable | ExtendTable, findings: Findings, keys: Keys) -> None:
    """Whether the elements of the lists that `extend` has as well are what they must be."""
    if table.cache_from is not UNSET:
        _check_caches(table.cache_from, findings, (*keys, "cache-from"))
    if table.cache_to is not UNSET:
        _check_caches(table.cache_to, findings, (*keys, "cache-to"))
    if table.secrets is not UNSET:
        _check_secrets(table.secrets, findings, (*keys, "secrets"))
    if table.ssh is not UNSET:
        ids = [ssh.id if isinstance(ssh, SshTable) else ssh for ssh in table.ssh]
        _check_ids(ids, findings, (*keys, "ssh"))
        _check_ssh_paths(table.ssh, findings, (*keys, "ssh"))
    if table.ulimits is not UNSET:
        _check_limits(table.ulimits, findings, (*keys, "ulimits"))


def check_values(values: Mapping[str, Value], findings: Findings, keys: Keys) -> None:
    """Whether args, labels or annotations have names that can be passed on, and one value each."""
    _check_keys(values, findings, keys)
    for name, value in values.items():
        if not isinstance(value, ValueTable):
            continue
        if value.value is UNSET and value.raw is UNSET:
            message = f"{quote(name)} has neither `value` nor `raw`"
            findings("missing-key", message, findings.value(*keys, name), 'add `value = "…"`')
        elif value.value is not UNSET and value.raw is not UNSET:
            place, related = findings.key(*keys, name, "raw"), (findings.key(*keys, name, "value"),)
            hint = "keep `value` for a template, `raw` for literal text"
            findings("conflicting-keys", "`value` and `raw` exclude each other", place, hint, related=related)


def _check_keys(names: Iterable[str], findings: Findings, keys: Keys) -> None:
    for name in names:
        if not _KEY.fullmatch(name):
            message = f"illegal name {quote(name)}: no `=`, no blanks, not empty" if name else "an empty name"
            findings("illegal-name", message, findings.key(*keys, name), "rename it")


def _check_credential(name: str, value: Value, findings: Findings, keys: Keys, severity: Severity) -> None:
    if not looks_like_credential(name) or not _is_literal(value):
        return
    findings(
        "secret-in-args",
        f"arg {quote(name)} looks like a credential: args end up in the image's history",
        findings.key(*keys),
        f'pass it as a secret: `secrets = [{{ id = "{name.lower()}", env = "{name}" }}]` and '
        f"`RUN --mount=type=secret,id={name.lower()}`",
        'if it is none, write `secrets-in-args = "warn"` in `[project]`',
        severity=severity,
    )


def _is_literal(value: Value) -> bool:
    """Whether the file itself holds the value; a template may take it from a variable."""
    if isinstance(value, ValueTable):
        return bool(value.raw) if value.raw is not UNSET else value.value is not UNSET and _is_literal(value.value)
    if isinstance(value, str):
        return bool(value) and "{{" not in value
    return not isinstance(value, bool | float)


def _check_context(context: str | ContextTable, findings: Findings, keys: Keys) -> None:
    if isinstance(context, ContextTable):
        _check_context_platform(context.platform, findings, (*keys, "platform"))
        return
    scheme, colon, name = context.partition(":")
    if colon and scheme in {"target", "service"}:
        message = f"{quote(context)} is bake's way to name another image"
        findings("bake-target", message, findings.value(*keys), f"write `image:{name}`")
    elif context == "image:":
        findings("illegal-value", "`image:` without a name", findings.value(*keys), "write `image:NAME`")


def _check_context_platform(platform: str | UnsetType, findings: Findings, keys: Keys) -> None:
    if platform is UNSET:
        return
    try:
        parse_platform(platform)
    except ValueError as error:
        findings("illegal-platform", str(error), findings.value(*keys), "write it like `linux/amd64`")


def _check_caches(caches: Iterable[str | dict[str, Scalar]], findings: Findings, keys: Keys) -> None:
    for position, cache in enumerate(caches):
        place = findings.value(*keys, position)
        if isinstance(cache, str):
            if "type=" in cache or "," in cache:
                hint = 'write a table: `{ type = "registry", ref = "…" }`'
                findings("illegal-value", "a cache in the CSV form of buildx", place, hint)
            continue
        for key in cache:
            if not _CACHE_KEY.fullmatch(key):
                message = f"illegal key {quote(key)} of a cache: lower-case letters, digits, `_` and `-`"
                findings("illegal-name", message, findings.key(*keys, position, key), "write it in lower case")
        kind = cache.get("type")
        if kind is None:
            hint = 'add `type = "registry"`'
            findings("missing-key", "missing key `type` of a cache", place, hint)
        elif kind not in CACHES:
            known = ", ".join(f"`{name}`" for name in CACHES)
            hint = findings.nearest(str(kind), CACHES) or f"known are {known}"
            message = f"unknown type of cache {quote(str(kind))}"
            findings("illegal-value", message, findings.value(*keys, position, "type"), hint)


def _check_ssh_paths(agents: list[str | SshTable], findings: Findings, keys: Keys) -> None:
    for position, agent in enumerate(agents):
        for number, path in enumerate(agent.paths if isinstance(agent, SshTable) else ()):
            if "," in path:
                place = findings.value(*keys, position, "paths", number)
                findings("illegal-value", f"a comma in the path {quote(path)}", place, "write two paths as two texts")


def _check_secrets(secrets: list[SecretTable], findings: Findings, keys: Keys) -> None:
    _check_ids([secret.id for secret in secrets], findings, keys)
    for position, secret in enumerate(secrets):
        if secret.env is not UNSET and secret.src is not UNSET:
            place, related = findings.key(*keys, position, "src"), (findings.key(*keys, position, "env"),)
            message = f"secret {quote(secret.id)} has both `env` and `src`"
            findings("conflicting-keys", message, place, "remove one of the two", related=related)
        if secret.env is not UNSET and not _ENVIRONMENT.fullmatch(secret.env):
            # The text may be the secret itself, put where its variable's name belongs.
            message = f"`env` of secret {quote(secret.id)} is not the name of an environment variable"
            findings(
                "illegal-value", message, findings.value(*keys, position, "env"), "name the variable, not the value"
            )


def _check_ids(ids: list[str], findings: Findings, keys: Keys) -> None:
    first: dict[str, int] = {}
    for position, name in enumerate(ids):
        if not _ID.fullmatch(name):
            message = f"illegal id {quote(name)}: letters, digits, `_`, `.` and `-`"
            findings(
                "illegal-name", message, findings.value(*keys, position), "rename it; paths have keys of their own"
            )
        if first.setdefault(name, position) != position:
            related = (findings.value(*keys, first[name]),)
            message = f"id {quote(name)} is there twice"
            findings("duplicate-id", message, findings.value(*keys, position), "remove one of the two", related=related)


def _check_limits(limits: Iterable[str], findings: Findings, keys: Keys) -> None:
    for position, limit in enumerate(limits):
        if _LIMIT.fullmatch(limit):
            continue
        close = findings.nearest(limit.partition("=")[0], LIMITS) if "=" in limit else None
        place = findings.value(*keys, position)
        findings("illegal-value", f"not a limit: {quote(limit)}", place, close or "write it like `nofile=1024:2048`")
