from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.tags.errors import Absent, TemplateError
from orchestrator.tags.facts import NoGit
from orchestrator.tags.render import MAX_TEMPLATE, Renderer
from orchestrator.tags.values import (
    NO_MATRIX,
    NO_PLATFORM,
    NO_VERSION,
    Values,
    Version,
    git_value,
    mapping_value,
    version_value,
)
from tests.unit.tags.facts_for_tags import BETWEEN, GIT, NOW, SHA, VALUES


def _error(text: str, values: Values = VALUES) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        Renderer().render(text, values)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain } text {", "plain } text {"),
        ("{{ registry }}/{{ image }}:{{ version }}", "ghcr.io/acme/api:1.2.3-rc.1+b5"),
        ("{{ version.major }}.{{ version.minor }}.{{ version.patch }}", "1.2.3"),
        ("{{ version.prerelease }}|{{ version.build }}", "rc.1|b5"),
        ("sha-{{ git.short_sha }}", f"sha-{SHA[:12]}"),
        ("{{ git.branch }}|{{ git.default_branch }}|{{ git.tag }}", "feature/Login_page|main|v1.2.3"),
        ("{{ git.dirty }}|{{ git.on_release_tag }}|{{ git.distance }}", "false|true|0"),
        ("{{ git.commit_time }}|{{ now }}", "2023-11-14T22:13:20Z|2026-08-09T07:06:05Z"),
        ("{{ git.commit_time.year }}", "2023"),
        ("{{ vars.go }}|{{ vars['go'] }}|{{ vars.one }}|{{ vars.yes }}", "1.23|1.23|1|true"),
        ("pg{{ matrix.pg }}", "pg15"),
        ("{{ platform }}|{{ platform.slug }}|{{ platform.variant }}", "linux/arm/v7|linux-arm-v7|v7"),
        ("{{ platform == 'linux/arm/v7' }}|{{ version in ['1'] }}", "true|false"),
        ("{{ 'a' if git.dirty else 'b' }}", "b"),
        ("{{ git.branch or 'detached' }}", "feature/Login_page"),
        ("{{ not version.prerelease }}|{{ version.major >= 1 and true }}", "false|true"),
        ("{{ version or 'none' }}", "1.2.3-rc.1+b5"),
        ("{{ version.major * 100 + version.minor * 10 - 1 }}", "119"),
        ("{{ 7 // 2 }}|{{ 7 % 2 }}|{{ 2 ** 10 }}|{{ 1 / 2 }}|{{ -1 }}", "3|1|1024|0.5|-1"),
        ("{{ 'v' ~ version.major ~ true }}|{{ 'v' + version }}", "v1true|v1.2.3-rc.1+b5"),
        ("{{ vars.brace }}", "{{ version }}"),
        ("{{ '{{ image }}' }}", "{{ image }}"),
        ("{{ vars.gone | default('x') }}|{{ vars.gone is defined }}|{{ vars.go is defined }}", "x|false|true"),
        ("{{ (git.branch | split('/'))[-1] }}", "Login_page"),
        ("a\n{{ image }}\n", "a\napi\n"),
    ],
)
def test_a_template_renders(text: str, expected: str) -> None:
    """Names, fields, operators and filters give what a user expects of them."""
    assert expected == Renderer().render(text, VALUES)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{{ verison }}", "there is no `verison`", "did you mean `version`?"),
        ("{{ git.shaa }}", "there is no `git.shaa`", "did you mean `git.sha`?"),
        ("{{ git.shaa | default('x') }}", "there is no `git.shaa`", "did you mean `git.sha`?"),
        ("{{ vars.goo }}", "there is no `vars.goo`", "did you mean `vars.go`?"),
        ("{{ image | slugg }}", "there is no filter `slugg`", "did you mean `slug`?"),
        ("{{ image is startswith('a') }}", "there is no test `startswith`", "did you mean `startingwith`?"),
        ("{{ git }}", "`git` alone is no text", "name a field of it, such as `git.sha`"),
        ("{{ git.branch.startswith('x') }}", "`startswith(…)`", 'use `is startingwith("…")`'),
        ("{{ image.lower() }}", "`lower(…)`", "use `| lower`"),
        ("{{ range(9) }}", "`range(…)`", "there are filters"),
        ("{{ (1)(2) }}", "a call", "there are filters"),
        ("{{ git.sha[:7] }}", "slices", "use `| short(12)`"),
        ("{{ image[0] }}", "there is no `0` of `api`", "use a filter"),
        ("{% if image %}x{% endif %}", "statements", "a if condition else b"),
        ("{# note #}", "comments", "literal text"),
        ("{{ 'a' if git.dirty }}", "an `if` in a template needs an `else`", "else ''"),
        ("{{ {'a': 1} }}", "`dict` is not allowed", "expressions"),
        ("{{ none }}", "`None` is no text", "write a value"),
        ("{{ ['a'] }}", "a list is no text", "join"),
        ("{{ image", "the template cannot be parsed", "templates are like"),
        ("{{ }}", "the template cannot be parsed: expected an expression", "templates are like"),
        ("{{ 1 / 0 }}", "the template cannot be evaluated: division by zero", "kinds"),
        ("{{ 1 < 'a' }}", "the template cannot be evaluated", "kinds"),
        ("{{ image | replace('a') }}", "the template cannot be evaluated", "kinds"),
        ("{{ image | default(**vars) }}", "`*` and `**` before an argument", "write every argument out"),
        ("{{ ([] | split('-'))[9] }}", "a list is no text", "join"),
        ("{{ (image | split('-'))[9] }}", "there is no item 9", "numbered from 0"),
    ],
)
def test_a_mistake_says_what_to_do(text: str, message: str, hint: str) -> None:
    """Every mistake has a message and a hint that names the way out."""
    error = _error(text)

    assert message in error.message
    assert hint in error.hints[0]


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ image.__class__.__mro__ }}",
        "{{ version.__init__ }}",
        "{{ version['__class__'] }}",
        "{{ vars['__class__'] }}",
        "{{ now.__class__ }}",
        "{{ now['tzinfo'] }}",
        "{{ (1).__class__ }}",
        "{{ [].append }}",
        "{{ git._fields }}",
        "{{ self }}",
        "{{ loop }}",
        "{{ image | attr('__class__') }}",
        "{{ image | map(attribute='x') }}",
        "{{ lipsum }}",
        "{{ cycler }}",
        "{{ platform is callable }}",
    ],
)
def test_nothing_but_values_can_be_reached(text: str) -> None:
    """No attribute, global, filter or test of Python or Jinja2 leads out of the sandbox."""
    assert _error(text).hints


@pytest.mark.parametrize(
    "text",
    [
        "{{ 9**9**9 }}",
        "{{ 9**9**9 | string }}",
        "{{ 10**18 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * 'a' }}",
        "{{ [1] * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 999999999 * 999999999 * 999999999 }}",
        "{{ 0 - 999999999999999999 - 9 }}",
        "{{ 1e999 }}",
        "{{ -1e999 }}",
        "{{ 1e308 * 10 }}",
        "{{ " + "9" * 4000 + " }}",
        "{{ 2 ** -1 }}",
        "{{ (0 - 8) ** 0.5 }}",
        "{{ image | replace('', 'x') }}",
        "{{ ('a' * 9) ~ 'b' }}",
        "{{ " + "'" + "a" * 1025 + "' }}",
        "{{ '" + "a" * 600 + "' ~ '" + "a" * 600 + "' }}",
        "{{ '" + "a" * 600 + "' + '" + "a" * 600 + "' }}",
        "{{ '" + "a" * 600 + "' }}{{ '" + "a" * 600 + "' }}",
        "{{ '" + "a" * 1000 + "' | replace('a', 'aa') }}",
        "{{ '" + "a" * 1000 + "' | split('a') | join('aa') }}",
        "{{ " + "(" * 3000 + " }}",
        "{{ " + "not " * 1000 + "true }}",
        "{{ " + "[" * 100 + "]" * 100 + " }}",
        "{{ image" + ".a" * 1500 + " }}",
        "{{ 1" + " + 1" * 900 + " }}",
        "{{ image" + " | lower" * 400 + " }}",
        "{{ image }}" + "x" * MAX_TEMPLATE,
    ],
)
def test_a_hostile_template_is_an_error(text: str) -> None:
    """Large numbers, large texts and deep nesting end in an error, at once."""
    assert _error(text).hints


ABSENT = msgspec.structs.replace(
    VALUES,
    version=NO_VERSION,
    platform=NO_PLATFORM,
    matrix=NO_MATRIX,
    git=git_value(NoGit(reason="this is no git repository")),
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ platform.slug }}", "`platform` is not known here"),
        ("{{ platform }}", "`platform` is not known here"),
        ("{{ platform == 'x' }}", "`platform` is not known here"),
        ("{{ platform in ['x'] }}", "`platform` is not known here"),
        ("{{ 'x' ~ platform }}", "`platform` is not known here"),
        ("{{ 'x' + platform }}", "`platform` is not known here"),
        ("{{ -platform }}", "`platform` is not known here"),
        ("{{ 1 < platform }}", "`platform` is not known here"),
        ("{{ not platform }}", "`platform` is not known here"),
        ("{{ 1 if platform else 2 }}", "`platform` is not known here"),
        ("{{ platform | slug }}", "`platform` is not known here"),
        ("{{ vars[platform] }}", "`platform` is not known here"),
        ("{{ platform | date }}", "`platform` is not known here"),
        ("{{ platform is semver }}", "`platform` is not known here"),
        ("{{ matrix.pg }}", "this image has no `matrix`"),
        ("{{ version.major }}", "no version is configured"),
        ("{{ git.sha }}", "this is no git repository"),
        ("{{ next_patch }}", "`next_patch` and `distance` are known only in the `fallback` of a version"),
    ],
)
def test_an_absent_value_gives_its_reason_when_it_is_used(text: str, reason: str) -> None:
    """Every use of what is not known fails with the reason why."""
    assert reason == _error(text, ABSENT).message


def test_nothing_fails_that_does_not_use_an_absent_value() -> None:
    """Outside a git repository only what needs git fails; `default` and `is defined` ask without using."""
    text = "{{ registry }}/{{ image }}:{{ git.sha | default('none') }}-{{ platform is defined }}"

    assert Renderer().render(text, ABSENT) == "ghcr.io/acme/api:none-false"


def test_a_version_that_is_not_semantic_has_no_parts() -> None:
    """It prints, and its parts say why they are not there."""
    values = msgspec.structs.replace(VALUES, version=version_value(Version(text="2026.08")))

    assert Renderer().render("{{ version }}", values) == "2026.08"
    assert "is no semantic version" in _error("{{ version.major }}", values).message


def test_the_branch_of_a_detached_head_is_empty() -> None:
    """As in every release job; it is no error."""
    values = msgspec.structs.replace(VALUES, git=git_value(msgspec.structs.replace(GIT, branch="")))

    assert Renderer().render("[{{ git.branch }}]{{ git.branch == '' }}", values) == "[]true"


def test_a_shallow_clone_names_the_cure_where_it_may_lie() -> None:
    """Without a release tag on HEAD a shallow clone may lack it; with one it lacks nothing that counts."""
    shallow = msgspec.structs.replace(BETWEEN, shallow=True)
    values = msgspec.structs.replace(VALUES, git=git_value(shallow, "v*"))
    tagged = msgspec.structs.replace(VALUES, git=git_value(msgspec.structs.replace(GIT, shallow=True), "v*"))

    for text in ("{{ git.on_release_tag }}", "{{ git.tag }}", "{{ git.distance }}"):
        assert "git fetch --unshallow --tags" in _error(text, values).hints[0]
    assert Renderer().render("{{ git.on_release_tag }} {{ git.tag }} {{ git.distance }}", tagged) == "true v1.2.3 0"


def test_release_tags_are_those_of_the_versions_glob() -> None:
    """An image with tags of its own is not on a release tag of another, and without a glob there are none."""
    other = msgspec.structs.replace(VALUES, git=git_value(GIT, "api-v*"))
    without = msgspec.structs.replace(VALUES, git=git_value(GIT, ""))

    assert Renderer().render("{{ git.on_release_tag }}|{{ git.tag }}", other) == "false|"
    assert "does not come from a git tag" in _error("{{ git.on_release_tag }}", without).message
    assert "does not come from a git tag" in _error("{{ git.distance }}", without).message


def test_a_commit_time_beyond_all_dates_is_absent() -> None:
    """Whoever writes a commit chooses its time."""
    values = msgspec.structs.replace(VALUES, git=git_value(msgspec.structs.replace(GIT, commit_time=10**18)))

    assert "is no date" in _error("{{ git.commit_time }}", values).message
    assert Renderer().render("{{ git.sha }}", values) == SHA


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (True, True), (False, False), ("true", True), ("{{ not git.dirty }}", True), ("{{ git.dirty }}", False),
        ("{{ version.prerelease == '' }}", False), ("{{ 'True' }}", True), ("{{ vars.yes }}", True),
    ],
)  # fmt: skip
def test_a_condition_is_true_or_false(text: str | bool, expected: bool) -> None:  # noqa: FBT001  # pytest gives them by position
    """A Boolean is one, and so is its text."""
    assert expected is Renderer().truth(text, VALUES)


@pytest.mark.parametrize("text", ["", "yes", "{{ version.prerelease }}", "{{ 1 }}"])
def test_a_condition_that_is_neither_is_an_error(text: str) -> None:
    """What Python takes for true is not good enough for moving a tag."""
    with pytest.raises(TemplateError, match="neither `true` nor `false`") as caught:
        Renderer().truth(text, VALUES)
    assert caught.value.hints


def test_the_names_of_a_template_are_known() -> None:
    """The plan asks only for what templates use."""
    renderer = Renderer()

    assert frozenset({"git", "vars"}) == renderer.variables("{{ git.sha if vars.x else vars['y'] }}")
    assert frozenset() == renderer.variables("text")


def test_results_are_remembered_by_value_and_kind() -> None:
    """`1`, `true` and `1.0` are equal in Python, and are not the same text."""
    renderer = Renderer()
    rendered = [
        renderer.render("{{ matrix.x }}", msgspec.structs.replace(VALUES, matrix=mapping_value("matrix", {"x": value})))
        for value in (1, True, 1.0, "1", 1)
    ]

    assert rendered == ["1", "true", "1.0", "1", "1"]


def test_an_image_without_variables_says_so() -> None:
    """There is nothing to suggest."""
    assert ("there is nothing in `vars` here",) == _error("{{ vars.x }}", Values(now=NOW)).hints


def test_a_number_of_the_user_may_be_too_large() -> None:
    """TOML's numbers have no more digits than templates take."""
    values = msgspec.structs.replace(VALUES, vars=mapping_value("vars", {"n": 10**30}))

    assert "more than 18 digits" in _error("{{ vars.n }}", values).message


def test_a_mistake_stays_one() -> None:
    """The second image with the same broken template gets the same error."""
    renderer = Renderer()
    errors: list[tuple[str, tuple[str, ...]]] = []
    for _ in range(2):
        with pytest.raises(TemplateError) as caught:
            renderer.render("{{ verison }}", VALUES)
        errors.append((caught.value.message, caught.value.hints))

    assert errors[0] == errors[1]


pieces = st.sampled_from(
    [
        "{{ ", " }}", "version", "git.sha", "vars", ".go", "platform", "now", " | ", "slug", "date('%Y')", "split('-')",
        "first", "join", "int", "default(1)", " is ", "semver", "matching('[')", "defined", " + ", " - ", " * ", " ** ",
        " % ", " ~ ", "1", "9999999", "'a'", "''", "[", "]", "(", ")", " if ", " else ", "not ", " in ", " < ", " == ",
        ".__class__", "{%", "{#", "none", "1.5", ",", "\n", "é", "replace('a', version)", "short(3)", "-",
    ]
)  # fmt: skip


@given(st.lists(pieces, max_size=16).map("".join), st.sampled_from([VALUES, ABSENT]))
def test_rendering_raises_nothing_but_template_errors(text: str, values: Values) -> None:
    """Whatever is put together from what stands in templates renders, or is refused with a message and a hint."""
    try:
        outcome = Renderer().render("{{ " + text + " }}", values)
    except TemplateError as error:
        outcome = error.message + error.hints[0]

    assert len(outcome) <= MAX_TEMPLATE


@given(st.text())
def test_any_text_renders_or_is_refused(text: str) -> None:
    """No text raises anything else."""
    with contextlib.suppress(TemplateError):
        Renderer().render("{{" + text, VALUES)


def test_an_absence_is_a_value() -> None:
    """It can be held, compared and turned into its error."""
    absent = Absent(reason="gone", hints=("look elsewhere",))

    assert (absent.error().message, absent.error().hints) == ("gone", ("look elsewhere",))
