"""What one file must be beyond its types: names, platforms, formats of single values, things that exclude each other.

References between images, templates and groups are not looked at here: further files may be included.
"""

from __future__ import annotations

from msgspec import UNSET

from orchestrator.config.duration import parse_duration
from orchestrator.config.findings import Findings
from orchestrator.config.rules.build import SecretsInArgs, check_build, check_lists, check_values
from orchestrator.config.rules.image import check_image
from orchestrator.config.rules.names import check_name, check_platforms
from orchestrator.config.rules.version import check_version
from orchestrator.config.scan import Keys
from orchestrator.config.schema import BuildFile, CommonTable, IncludedFile, TemplateTable, VarTable, VersionTable

__all__ = ["SecretsInArgs", "check_file"]


def check_file(file: IncludedFile, findings: Findings, secrets_in_args: SecretsInArgs) -> None:
    """Add what is wrong with one file, main or included."""
    if isinstance(file, BuildFile):
        _check_project(file, findings)
    for name, var in file.vars.items():
        check_name("variable", name, findings, ("vars",))
        if isinstance(var, VarTable):
            _check_var(var, findings, ("vars", name))
    _check_common(file.defaults, findings, ("defaults",), secrets_in_args)
    for name, template in file.templates.items():
        check_name("template", name, findings, ("templates",))
        _check_template(template, findings, ("templates", name), secrets_in_args)
    for name, image in file.images.items():
        check_name("image", name, findings, ("images",))
        _check_template(image, findings, ("images", name), secrets_in_args)
        check_image(image, findings, ("images", name))
    for name in file.groups:
        check_name("group", name, findings, ("groups",))


def _check_project(file: BuildFile, findings: Findings) -> None:
    if isinstance(file.version, VersionTable):
        check_version(file.version, findings, ("version",))
        if file.version.source is UNSET and file.version.value is UNSET:
            findings(
                "missing-key", "`[version]` needs `from` or `value`", findings.key("version"), 'add `from = "git-tag"`'
            )
    check_platforms(file.platforms.keys(), findings, ("platforms",), wildcard="*")
    default = file.backends.get("default", "")
    if not isinstance(default, str):
        findings(
            "wrong-type",
            "expected a string for `default`: the name of a backend",
            findings.value("backends", "default"),
            'write `default = "qemu"`, and the settings of a backend in `[backends.NAME]`',
        )
    for name, table in file.backends.items():
        if name != "default" and not isinstance(table, dict):
            hint = f"write `[backends.{name}]` and its settings below it"
            findings("wrong-type", f"expected a table for backend `{name}`", findings.value("backends", name), hint)


def _check_var(var: VarTable, findings: Findings, keys: Keys) -> None:
    if var.choices is UNSET:
        return
    if not var.choices:
        findings("empty-list", "no choices: no value is allowed", findings.value(*keys, "choices"), "name at least one")
    elif var.default is not UNSET and not any(
        type(var.default) is type(choice) and var.default == choice for choice in var.choices
    ):
        hint = "add it to `choices`, or take one of them"
        findings("not-a-choice", "the default is none of the choices", findings.value(*keys, "default"), hint)


def _check_template(template: TemplateTable, findings: Findings, keys: Keys, secrets_in_args: SecretsInArgs) -> None:
    _check_common(template, findings, keys, secrets_in_args)
    if template.extend is not UNSET:
        check_lists(template.extend, findings, (*keys, "extend"))
        if template.extend.platforms is not UNSET:
            check_platforms(template.extend.platforms, findings, (*keys, "extend", "platforms"))


def _check_common(common: CommonTable, findings: Findings, keys: Keys, secrets_in_args: SecretsInArgs) -> None:
    check_build(common, findings, keys, secrets_in_args)
    if common.platforms is not UNSET:
        check_platforms(common.platforms, findings, (*keys, "platforms"))
    if common.on is not UNSET:
        check_platforms(common.on.keys(), findings, (*keys, "on"))
        for text, table in common.on.items():
            check_build(table, findings, (*keys, "on", text), secrets_in_args)
    if common.annotations is not UNSET:
        check_values(common.annotations, findings, (*keys, "annotations"))
    if isinstance(common.version, VersionTable):
        check_version(common.version, findings, (*keys, "version"))
    if common.test is not UNSET and common.test.platforms is not UNSET:
        check_platforms(common.test.platforms, findings, (*keys, "test", "platforms"))
    if common.timeout is not UNSET:
        _check_timeout(common.timeout, findings, (*keys, "timeout"))


def _check_timeout(timeout: str, findings: Findings, keys: Keys) -> None:
    try:
        parse_duration(timeout)
    except ValueError as error:
        findings("illegal-value", str(error), findings.value(*keys), "write it like `30m` or `1h30m`")
