"""Options that several commands share, and the values they become."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from orchestrator.errors import UsageError
from orchestrator.model import Model
from orchestrator.ui.notes import set_note_style

_F = TypeVar("_F", bound=Callable[..., object])  # type: ignore[explicit-any]  # commands take what click gives them


class ProjectOptions(Model):
    """Which project, with what overrides. Everything is as the user wrote it."""

    file: Path | None = None
    variables: Mapping[str, str] = {}
    assignments: tuple[str, ...] = ()
    registry: str | None = None
    backend: str | None = None
    allow: tuple[str, ...] = ()
    offline: bool = False


class PlanOptions(Model):
    """Which part of the project, and what to do with it."""

    names: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    no_deps: bool = False
    push: bool = False
    stage: bool = False
    load: bool = False
    oci: str | None = None
    replace_tags: bool = False
    allow_downgrade: bool = False
    force: bool = False
    fresh_volatile: bool = False
    state_scope: str | None = None
    since: str | None = None


def project_options(function: _F) -> _F:  # type: ignore[explicit-any]  # as above
    """Add the options of `ProjectOptions`."""
    for option in reversed(_PROJECT):
        function = option(function)
    return function


def plan_options(function: _F) -> _F:  # type: ignore[explicit-any]  # as above
    """Add the options and arguments of `PlanOptions`."""
    for option in reversed(_PLAN):
        function = option(function)
    return function


def jobs_option(function: _F) -> _F:  # type: ignore[explicit-any]  # as above
    """Add the option `--jobs`, which a build obeys and the estimate of a plan goes by."""
    return click.option(
        "-j",
        "--jobs",
        type=click.IntRange(1, 1000),
        envvar="ORCHESTRATE_JOBS",
        default=8,
        show_default=True,
        help="How many solves run at a time; each node's slots are a limit too.",
    )(function)


def check_alone(option: str, *, may: tuple[str, ...]) -> None:
    """An option that takes no others but those that it may have.

    Raises:
        UsageError: another one was given on the command line.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in may and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            given = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(context)
            message = f"`{option}` undoes all of the release, and `{given}` means nothing there"
            raise UsageError(message, hints=(f"leave `{given}` out",))


def progress_option(function: _F) -> _F:  # type: ignore[explicit-any]  # as above
    """Add the option `--progress`; a program that reads stderr gets nothing but JSON there, mistakes included."""
    return click.option(
        "--progress",
        type=click.Choice(("auto", "tty", "plain", "json", "github")),
        envvar="ORCHESTRATE_PROGRESS",
        default="auto",
        show_default=True,
        is_eager=True,
        callback=_prepare_stderr,
        help="How to show what runs, on stderr: lines that change on a terminal, lines that stay, one JSON object a "
        "line, groups and annotations of GitHub Actions. auto takes what fits.",
    )(function)


def _prepare_stderr(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """From here on all that goes to stderr is what was asked for, before anything is planned."""
    set_note_style("json" if value == "json" else "text")
    if value == "tty" and not (sys.stderr and sys.stderr.isatty()):
        message = "`--progress=tty`: stderr is no terminal"
        raise UsageError(message, hints=("leave it out, or take `--progress=plain`",))
    return value


def result_option(purpose: str) -> Callable[[_F], _F]:  # type: ignore[explicit-any]  # as above
    """An option `--result FILE`; what it may name is found out when it is opened."""
    return click.option(
        "--result",
        "result_file",
        type=click.Path(path_type=Path, readable=False, dir_okay=False),
        callback=_named_file,
        help=purpose,
    )


def report_option(name: str, purpose: str) -> Callable[[_F], _F]:  # type: ignore[explicit-any]  # as above
    """An option that names the file of a report."""
    return click.option(
        name,
        "report_file",
        metavar="FILE",
        type=click.Path(path_type=Path, readable=False),
        callback=_named_file,
        help=purpose,
    )


def _named_file(_context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """An empty name is what is left of a variable that nobody set; to ignore it would write elsewhere."""
    if value == Path():
        _refuse_empty(parameter.opts[0], "FILE")
    return value


def _refuse_empty(option: str, metavar: str) -> NoReturn:
    message = f"`{option}=`: expected {metavar}"
    raise UsageError(message, hints=(f"name one, or leave `{option}` out",))


file_option = click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The builds.toml; the nearest one above this folder unless said.",
)

_PROJECT = (
    file_option,
    click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Set a variable of [vars]."),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="PATTERN.KEY=VALUE",
        help="Override an attribute of images: 'api*.args.GO=1.24'.",
    ),
    click.option("--registry", metavar="HOST/PATH", help="Override `registry` of [project]."),
    click.option("--backend", metavar="NAME", help="Override the default backend."),
    click.option(
        "--allow",
        multiple=True,
        metavar="GRANT",
        help="Grant what the file asks for: read=PATH, network.host, security.insecure. A relative PATH starts at the "
        "folder of the root builds.toml, not at yours; an absolute one covers what the file writes as absolute.",
    ),
    click.option("--offline", is_flag=True, help="Ask nobody: no engine, no registry."),
)

state_scope_option = click.option(
    "--state-scope",
    metavar="NAME",
    envvar="ORCHESTRATE_STATE_SCOPE",
    help="Under which name to remember what is built; pr-<n> where CI says so, else main.",
)

since_option = click.option(
    "--since",
    metavar="REF",
    help="Only what changes since REF affect: since the last commit that REF and HEAD have in common.",
)

_PLAN = (
    click.argument("names", nargs=-1, metavar="[IMAGE|GLOB|GROUP]..."),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="PLATFORM[,...]",
        help="Only these platforms; repeatable.",
    ),
    click.option("--no-deps", is_flag=True, help="Do not build what the images need; take it from the registry."),
    click.option("--push", is_flag=True, help="Push, verify, and put the tags."),
    click.option("--stage", is_flag=True, help="Push and verify under private names; `promote` puts the tags."),
    click.option("--load", is_flag=True, help="Load this machine's platform into Docker."),
    click.option("--oci", metavar="DIR", help="Write an OCI layout per image into this folder."),
    click.option("--replace-tags", is_flag=True, help="Replace fixed tags that exist with another digest."),
    click.option("--allow-downgrade", is_flag=True, help="Let moving tags go to a lower version."),
    click.option("--force", is_flag=True, help="Build what is selected, though it stands already."),
    click.option(
        "--fresh-volatile", is_flag=True, help="Build what is selected and has volatile args or labels, for new values."
    ),
    state_scope_option,
    since_option,
)


def make_project_options(values: Mapping[str, object]) -> ProjectOptions:
    """The options of a command's keyword arguments.

    Raises:
        UsageError: a `--var` is not `NAME=VALUE`.
    """
    variables: dict[str, str] = {}
    for text in _texts(values["variables"]):
        name, equals, value = text.partition("=")
        if not equals or not name:
            message = f"`--var {text}`: expected NAME=VALUE"
            raise UsageError(message, hints=("for example `--var go=1.24`",))
        variables[name] = value
    file, registry, backend = values["file"], values["registry"], values["backend"]
    return ProjectOptions(
        file=file if isinstance(file, Path) else None,
        variables=variables,
        assignments=_texts(values["assignments"]),
        registry=registry if isinstance(registry, str) else None,
        backend=backend if isinstance(backend, str) else None,
        allow=_texts(values["allow"]),
        offline=values["offline"] is True,
    )


def make_plan_options(values: Mapping[str, object]) -> PlanOptions:
    """The options of a command's keyword arguments.

    Raises:
        UsageError: two destinations at once, or `--oci` without a folder.
    """
    oci, state_scope, since = values["oci"], values["state_scope"], values["since"]
    if oci == "":
        _refuse_empty("--oci", "DIR")
    chosen = [name for name in ("push", "stage", "load", "oci") if values[name]]
    if len(chosen) > 1:
        message = f"`--{chosen[0]}` and `--{chosen[1]}` exclude each other"
        raise UsageError(message, hints=("choose how far the results go, and run it again for another",))
    return PlanOptions(
        names=_texts(values["names"]),
        platforms=_texts(values["platforms"]),
        no_deps=values["no_deps"] is True,
        push=values["push"] is True,
        stage=values["stage"] is True,
        load=values["load"] is True,
        oci=oci if isinstance(oci, str) else None,
        replace_tags=values["replace_tags"] is True,
        allow_downgrade=values["allow_downgrade"] is True,
        force=values["force"] is True,
        fresh_volatile=values["fresh_volatile"] is True,
        state_scope=state_scope if isinstance(state_scope, str) else None,
        since=since if isinstance(since, str) else None,
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple) else ()
