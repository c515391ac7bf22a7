from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from orchestrator.config.decode import decode, decode_bytes, decode_included, decode_table
from orchestrator.config.duration import parse_duration
from orchestrator.config.findings import Findings
from orchestrator.config.locate import resolve
from orchestrator.config.rules.image import MAX_COMBINATIONS
from orchestrator.config.schema import BuildFile, ImageTable
from orchestrator.config.syntax import MAX_LENGTH
from orchestrator.config.walk import Walk
from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.model import Table
from orchestrator.ui.diagnostics import ordered

EXAMPLE = Path(__file__).parents[3] / "examples" / "acme.builds.toml"


PLATFORMS_HINT = (
    'here `platforms` is a list: `platforms = ["linux/arm64"]`; what differs by platform is in `on."linux/arm64"`'
)
EXTEND_HINT = (
    "write a table with `platforms`, `tags`, `secrets`, `ssh`, `cache-from`, `cache-to`, `no-cache-filter`, "
    "`entitlements`"
)


def found(text: str) -> tuple[Diagnostic, ...]:
    """The located findings about a text, in the order in which they are shown."""
    _, diagnostics = decode(text, "builds.toml")
    return ordered(resolve(diagnostics, {"builds.toml": text}))


def only(text: str) -> Diagnostic:
    """The one finding about a text."""
    diagnostics = found(text)
    assert [finding.code for finding in diagnostics[:1]] == [finding.code for finding in diagnostics]
    return diagnostics[0]


def summary(text: str) -> list[tuple[int, str]]:
    """Line and code of every finding."""
    return [
        (finding.place.line if isinstance(finding.place, Span) else 0, finding.code)
        for finding in found("format = 1\n" + text)
    ]


def image(body: str) -> list[tuple[int, str]]:
    """Line and code of every finding about the keys of one image, which start in line 3."""
    return summary("[images.x]\n" + body)


def test_the_example_decodes() -> None:
    """The specification by example has no findings, not even warnings."""
    text = EXAMPLE.read_text(encoding="utf-8")
    file, diagnostics = decode(text, "builds.toml")
    assert diagnostics == ()
    assert isinstance(file, BuildFile)
    assert list(file.images) == [
        "base", "runtime", "web-assets", "api", "worker", "edge", "db", "tools", "legacy",
    ]  # fmt: skip


def test_an_error_leaves_no_file() -> None:
    """Who gets tables may trust them."""
    assert decode("format = 1\nx = 1\n", "f")[0] is None


def test_a_warning_leaves_the_file() -> None:
    """A warning is shown and stops nothing."""
    text = 'format = 1\n[project]\nsecrets-in-args = "warn"\n[images.x]\nargs = { API_TOKEN = "abc" }\n'
    file, diagnostics = decode(text, "f")
    assert file is not None
    assert [Severity.WARNING] == [finding.severity for finding in diagnostics]


def test_all_findings_at_once() -> None:
    """Types and rules are checked in one go, and the lines are those of the file although a bad element is skipped."""
    body = 'contxt = "x"\nretries = 11\nplatforms = [\n  5,\n  "linux/arm46",\n]\n[images.UPPER]\n'
    assert image(body) == [
        (3, "unknown-key"), (4, "illegal-value"), (6, "wrong-type"), (7, "illegal-platform"), (9, "illegal-name"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ('platform = "linux/amd64"', "write `platforms`, a list"),
        ("no_cache = true", "did you mean `no-cache`?"),
        ('depends_on = ["a"]', "write `needs` for order alone; data comes from `contexts` and `FROM`"),
        ("secret = []", "write `secrets`"),
        ('output = ["type=docker"]', "leave it out: `--push`, `--oci` and `--load` say where results go"),
        ('attest = ["type=sbom"]', "write `provenance` and `sbom`"),
        ("platfroms = []", "did you mean `platforms`?"),
        ('emulation = "allow"', '`emulation` belongs in `[platforms."PLATFORM"]`'),
        ('registry = "ghcr.io"', "`registry` belongs in `[project]`"),
        ("on.'linux/amd64'.tags = []", "`tags` is the same for all platforms of an image: move it out of `on`"),
        ("qqqqqqqq = 1", "the reference of `builds.toml` lists all keys"),
        ("zzz = { wwwww = 1 }", "a name has no dots: write `images.x-zzz`"),
        ('test = { run = ["a"], qqqqq = 1 }', "known are `run`, `platforms`"),
    ],
)
def test_an_unknown_key_says_what_was_meant(body: str, hint: str) -> None:
    """The nearest key, the word of another tool, or the table where the key is at home."""
    finding = only(f"format = 1\n[images.x]\n{body}\n")
    assert (finding.code, finding.hints) == ("unknown-key", (hint,))


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        (
            'platforms = "linux/amd64,linux/arm64"',
            "expected a list of strings for `platforms`, got a string",
            'write a list: `platforms = ["linux/amd64", "linux/arm64"]`',
        ),
        (
            'platforms."linux/arm64" = {}',
            "expected a list of strings for `platforms`, got a table",
            PLATFORMS_HINT,
        ),
        ("timeout = 30", "expected a string for `timeout`, got an integer", "put it in quotes"),
        ("version = 1979-05-27", "expected a string or a table for `version`, got a date", "put it in quotes"),
        ('pull = "true"', "expected a Boolean for `pull`, got a string", "write it without quotes"),
        ("pull = []", "expected a Boolean for `pull`, got a list", "write `pull = true`"),
        ('args = ["A=b"]', "expected a table for `args`, got a list", "write `args = { … }`"),
        ('args = "A=b"', "expected a table for `args`, got a string", 'write a table: `args = { NAME = "…" }`'),
        ("tags = {}", "expected a list of strings or tables for `tags`, got a table", 'write `tags = ["…"]`'),
        ('test = ["true"]', "expected a table for `test`, got a list", 'write `test = { run = ["…"] }`'),
        (
            "provenance = true",
            "expected `off`, `min` or `max` for `provenance`, got a Boolean",
            'write `provenance = "min"`',
        ),
        (
            'secrets = ["id=x,env=X"]',
            "expected a table in `secrets`, got a string",
            'write `secrets = [{ id = "…", env = "…" }]`',
        ),
        ("extend = 5", "expected a table for `extend`, got an integer", EXTEND_HINT),
        ("needs = [[]]", "expected a string in `needs`, got a list", 'write `"…"`'),
        ('extend = "x"', "expected a table for `extend`, got a string", EXTEND_HINT),
    ],
)  # fmt: skip
def test_a_wrong_type_says_what_to_write(body: str, message: str, hint: str) -> None:
    """What was expected, what is there, and the value in the form that is wanted."""
    finding = only(f"format = 1\n[images.x]\n{body}\n")
    assert (finding.code, finding.message, finding.hints) == ("wrong-type", message, (hint,))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[[images]]\n", "write `[images.NAME]`, with single brackets"),
        ("[[defaults]]\n", "write `[defaults]`, with single brackets"),
        (
            'platforms = ["linux/amd64"]\n',
            "the platforms of images are in `[defaults]` or `[images.NAME]`; here are rules for single platforms",
        ),
        ('[backends]\nqemu = "x"\n', "write `[backends.qemu]` and its settings below it"),
        ("[backends]\ndefault = 3\n", 'write `default = "qemu"`, and the settings of a backend in `[backends.NAME]`'),
    ],
)
def test_a_wrong_type_at_the_top(text: str, hint: str) -> None:
    """The tables of the file have hints of their own."""
    finding = only("format = 1\n" + text)
    assert (finding.code, finding.hints) == ("wrong-type", (hint,))


@pytest.mark.parametrize(
    ("body", "line", "code"),
    [
        ('context = ""', 3, "empty-value"),
        ("platforms = []", 3, "empty-value"),
        ("retries = -1", 3, "illegal-value"),
        ('network = "hots"', 3, "illegal-value"),
        ("args = { A = nan }", 3, "illegal-value"),
        ("args = { A = 1e400 }", 3, "illegal-value"),
        ("args = { A = 0xffffffffffffffffff }", 3, "illegal-value"),
        ("args = { A = '' }", 0, ""),
        ("args = { 'A=B' = '1' }", 3, "illegal-name"),
        ("args = { '' = '1' }", 3, "illegal-name"),
        ("args = { A = { volatile = true } }", 3, "missing-key"),
        ("args = { A = { value = 1, raw = '1' } }", 3, "conflicting-keys"),
        ("args = { A = { raw = '{{' } }", 0, ""),
        ("labels = { 'a b' = '1' }", 3, "illegal-name"),
        ("annotations = { A = {} }", 3, "missing-key"),
        ("contexts = { base = 'target:base' }", 3, "bake-target"),
        ("contexts = { base = 'image:' }", 3, "illegal-value"),
        ("contexts = { base = { image = 'base', platform = 'arm64' } }", 3, "illegal-platform"),
        ("contexts = { base = { image = 'base', platform = 'linux/arm64' } }", 0, ""),
        ("contexts = { base = { image = 'base' } }", 0, ""),
        ("extra-hosts = { 'a=b' = '::1' }", 3, "illegal-name"),
        ("shm-size = '128m'", 0, ""),
        ("shm-size = 'much'", 3, "illegal-value"),
        ("ulimits = ['nofile=1024:2048', 'core=-1']", 0, ""),
        ("ulimits = ['nofile']", 3, "illegal-value"),
        ("dockerfile = 'a'\ndockerfile-inline = 'FROM x'", 4, "conflicting-keys"),
        ("cache-from = [{ ref = 'x' }]", 3, "missing-key"),
        ("cache-to = [{ type = 'registyr' }]", 3, "illegal-value"),
        ("cache-from = ['type=registry,ref=x']", 3, "illegal-value"),
        ("cache-from = ['ghcr.io/acme/cache']", 0, ""),
        ("secrets = [{ id = 'a', env = 'A', src = 'a' }]", 3, "conflicting-keys"),
        ("secrets = [{ id = 'a', env = 'my secret' }]", 3, "illegal-value"),
        ("secrets = [{ id = 'a' },\n{ id = 'a' }]", 4, "duplicate-id"),
        ("secrets = [{ env = 'A' }]", 3, "missing-key"),
        ("ssh = ['default', { id = 'default' }]", 3, "duplicate-id"),
        ("platforms = ['linux/arm64',\n'linux/arm64/v8']", 4, "duplicate-platform"),
        ("platforms = ['linux/amd64,linux/arm64']", 3, "illegal-platform"),
        ("platforms = ['linux/*']", 3, "illegal-platform"),
        ("platforms = ['plan9']", 3, "illegal-platform"),
        ("extend = { platforms = ['x'] }", 3, "illegal-platform"),
        ("extend = { ulimits = ['x'] }", 3, "illegal-value"),
        ("test = { run = ['a'], platforms = ['x'] }", 3, "illegal-platform"),
        ("test = { run = [] }", 3, "empty-value"),
        ("on.'linux/arm46'.args = {}", 3, "illegal-platform"),
        ("on.'linux/arm64'.shm-size = 'x'", 3, "illegal-value"),
        ("timeout = '30'", 3, "illegal-value"),
        ("name = 'x-{{ matrix.a }}'", 3, "conflicting-keys"),
        ("exclude = []", 3, "conflicting-keys"),
        ("matrix = { a = ['1'] }", 3, "missing-key"),
        ("name = 'x'\nmatrix = {}", 4, "empty-matrix"),
        ("name = 'x'\nmatrix = { a = [] }", 4, "empty-matrix"),
        ("name = 'x'\nmatrix = { a = [1, '1'] }", 4, "duplicate-value"),
        ("name = 'x'\nmatrix = { a-b = ['1'] }", 4, "illegal-name"),
        ("name = 'x'\nmatrix = { a = ['1'] }\nexclude = [{ b = '1' }]", 5, "unknown-axis"),
        ("name = 'x'\nmatrix = { a = ['1'] }\nexclude = [{ a = 1 }]", 5, "unknown-axis-value"),
        ("name = 'x'\nmatrix = { a = [1] }\nexclude = [{ a = '1' }]", 5, "unknown-axis-value"),
        ("name = 'x'\nmatrix = { a = ['full'] }\nexclude = [{ a = 'ful' }]", 5, "unknown-axis-value"),
        ("name = 'x'\nmatrix = { a = ['1'] }\nexclude = [{}]", 5, "empty-exclude"),
        ("version = { match = 'api-v*' }", 0, ""),
        ("version = { value = '1', match = 'v*' }", 3, "conflicting-keys"),
        ("version = { value = '1', fallback = 'v*' }", 3, "conflicting-keys"),
        ("version = { value = '1', from = 'git-tag' }", 3, "conflicting-keys"),
        ("version = { from = 'env:V', match = 'v*' }", 3, "conflicting-keys"),
        ("version = { from = 'evn:V' }", 3, "illegal-value"),
        ("version = { from = 'gittag' }", 3, "illegal-value"),
    ],
)
def test_one_image(body: str, line: int, code: str) -> None:
    """Each rule about the keys of an image, at its line."""
    assert ([(line, code)] if code else []) == image(body + "\n")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("matrix = { a = '1' }", [(4, "wrong-type")]),
        ("matrix = { a = [{}] }", [(4, "wrong-type")]),
        ("matrix = { a = [['1']] }\nexclude = [{ a = '1' }]", [(4, "wrong-type")]),
        ("matrix = { a = '1' }\nexclude = [{ a = '1' }]", [(4, "wrong-type")]),
        ("matrix = { a = ['1'] }\nexclude = [{ a = [] }]", [(5, "wrong-type")]),
        ("matrix = { a = 1, b = [] }", [(4, "wrong-type"), (4, "empty-matrix")]),
        ("matrix = { a = ['1'], b = 1 }\nexclude = [{ a = '2' }]", [(4, "wrong-type"), (5, "unknown-axis-value")]),
    ],
)
def test_what_follows_from_a_wrong_type_is_not_told(body: str, expected: list[tuple[int, str]]) -> None:
    """A matrix is not empty because what is in it was left out; what is wrong beside it is told."""
    assert expected == image(f"name = 'x-{{{{ matrix.a }}}}'\n{body}\n")


def test_choices_of_a_wrong_type_are_not_none_at_all() -> None:
    """The wrong type is the whole mistake."""
    assert [(3, "wrong-type")] == summary("[vars]\nx = { choices = [[]] }\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[version]\nmatch = 'v*'\n", [(2, "missing-key")]),
        ("[version]\nform = 'git-tag'\n", [(3, "unknown-key")]),
        ("[images.db]\nname = 'x'\nmatirx = { a = ['1'] }\n", [(4, "unknown-key")]),
        ("[images.Db]\n", [(2, "illegal-name")]),
        ("[images.db-]\n", [(2, "illegal-name")]),
        ("[images.'---']\n", [(2, "illegal-name")]),
        (f"[images.{'x' * 129}]\n", [(2, "illegal-name")]),
        ("[templates.'a.b']\n", [(2, "illegal-name")]),
        ("[groups]\n'a b' = []\n", [(3, "illegal-name")]),
        ("[vars]\ngo-version = '1'\n", [(3, "illegal-name")]),
        ("[vars]\n1 = '1'\n", [(3, "illegal-name")]),
        ("[vars]\na = { default = 'x', choices = ['y'] }\n", [(3, "not-a-choice")]),
        ("[vars]\na = { default = 'x', choices = [] }\n", [(3, "empty-list")]),
        ("[vars]\na = { description = 'given', choices = ['y'] }\n", []),
        ("[platforms.'*']\nemulation = 'allow'\n", []),
        ("[platforms.'arm/v7']\n", [(2, "illegal-platform")]),
        ('[backends.x]\na = nan\nb = "\\u0000"\n', [(3, "illegal-value"), (4, "illegal-character")]),
        ("[backends.x]\na = 0xffffffffffffffffff\n", [(3, "illegal-value")]),
        (f"[backends.x]\na = {'[' * 40}1{']' * 40}\n", [(3, "too-deep")]),
        ("[images.x]\nargs = { \"a\\u0000\" = '1' }\n", [(3, "illegal-character"), (3, "illegal-name")]),
    ],
)
def test_one_file(text: str, expected: list[tuple[int, str]]) -> None:
    """Each rule about the tables of a file, at its line; what a misspelled key explains is not said twice."""
    assert expected == summary(text)


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("", 1, "missing-format"),
        ("fromat = 1\n", 1, "unknown-key"),
        ("\nformat = '1'\n", 2, "wrong-type"),
        ("format = true\n", 1, "wrong-type"),
        ("format = 0\n", 1, "unknown-format"),
        ("format = 2\nwhatever = 1\n", 1, "unknown-format"),
        (f"format = 0x{'f' * 5000}\n", 1, "unknown-format"),
    ],
)
def test_format(text: str, line: int, code: str) -> None:
    """The format is known, or nothing but that is said."""
    finding = only(text)
    assert isinstance(finding.place, Span)
    assert (line, code) == (finding.place.line, finding.code)


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        (
            "[platforms.linux/arm/v7]\n",
            1,
            'quote the part that is not letters, digits, `-` and `_`: `[platforms."linux/arm/v7"]`',
        ),
        (
            "on.linux/arm64.args = {}\n",
            1,
            'quote the part that is not letters, digits, `-` and `_`: `on."linux/arm64".args = …`',
        ),
        (
            'target "api" {\n  tags = ["x"]\n}\n',
            1,
            "this is bake's HCL: write `[images.NAME]` and `key = value` lines below it",
        ),
        ("}\n", 1, "braces of HCL or JSON have no place here: a table starts with `[name]` and ends at the next one"),
        ("a: 1\n", 1, "this is YAML or JSON: write `a = …`"),
        ("// a\n", 1, "a comment starts with `#`"),
        ("<<<<<<< HEAD\n", 1, "this is a mark of a merge conflict: resolve it"),
        ("a = True\n", 1, "write `true`, in lower case and without quotes"),
        ("a = None\n", 1, "TOML has no null: remove the line, or name the key in `unset`"),
        ("a = \u201cx\u201d\n", 1, 'use straight quotes: `"…"`'),
        ("a = linux/amd64\n", 1, "a string needs quotes around it"),
        ("a = *\n", 1, "a string needs quotes around it"),
        ("a =\nb = 1\n", 1, 'write `a = "…"`, or remove the line'),
        ("a = # nothing\n", 1, 'write `a = "…"`, or remove the line'),
        ("a = [\n  'x',\n  'y'\n  'z',\n]\n", 3, "close it with `]`, or put a comma between its parts"),
        ("a = [\n  'x', # one, [two]\n\nb = 1\n", 2, "close it with `]`, or put a comma between its parts"),
        ("a = [\n[b]\n", 1, "close it with `]`, or put a comma between its parts"),
        ("a = { b = 1,\n  { c = 2 },\n", 1, "close it with `}`, or put a comma between its parts"),
        ("a = [\n  b = 1 },\n]\n", 2, "add `{`"),
        ("a = ['x' 'y']\n", 1, "close it with `]`, or put a comma between its parts"),
        ('a = "x\nb = 1\n', 1, "close the string with the quote that it was opened with"),
        ("a = '''\nx\n", 1, "close it with `'''`"),
        ('a = """\nx\n', 1, 'close it with `"""`'),
        ("b = 1\na = 'x", 2, "close it with `'`"),
        ('a = "C:\\dir"\n', 1, "write `\\\\`, or put the string in single quotes, where `\\` means itself"),
        ('a = "\x01"\n', 1, "remove it"),
        ("a = 1 2\n", 1, "a string needs quotes, a list `[` `]`"),
        ("a = 2020-13-01\n", 1, "a string needs quotes, a list `[` `]`"),
        ("[a\n", 1, "write `[name]`"),
        ("a = " + "[" * 1000, 1, "flatten it"),
        (".".join("a" * 2000) + " = 1\n", 1, "flatten it"),
        ("b = 1\na = " + "1" * 5000, 2, "put it in quotes if it is a string"),
        ("a = [\n  *\n]\n", 2, "a string needs quotes around it"),
        ("a = [[1\n  2\n]\n", 1, "close it with `]`, or put a comma between its parts"),
        ("\ufeffa ==1\n", 1, "a string needs quotes around it"),
    ],
)
def test_syntax(text: str, line: int, hint: str) -> None:
    """What is no TOML has one finding, on the line with the mistake, and a hint."""
    finding = only(text)
    assert isinstance(finding.place, Span)
    assert ("toml-syntax", line, (hint,)) == (finding.code, finding.place.line, finding.hints)


@pytest.mark.parametrize(
    ("text", "second", "first"),
    [
        ("[images.a]\n[images.b]\n[images.a]\n", 3, 1),
        ("a = 1\nb = 2\na = 3\n", 3, 1),
        ("[images.a]\nargs = { A = '1' }\n[images.a.args]\n", 3, 2),
        ("a.b = 1\n[a]\n", 2, 1),
        ("a = { b = 1,\nb = 2 }\n", 2, 1),
        ("a = 1\na.b = 2\n", 2, 1),
        ("[[a]]\n[a]\n", 2, 1),
        ("a = []\n[[a]]\n", 2, 1),
    ],
)
def test_a_duplicate_shows_both_places(text: str, second: int, first: int) -> None:
    """The parser names one place only."""
    finding = only(text)
    assert isinstance(finding.place, Span)
    assert isinstance(finding.related[0], Span)
    assert ("duplicate-key", second, first) == (finding.code, finding.place.line, finding.related[0].line)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("labels.org.opencontainers.image.title = 'x'", 'quote it: `"org.opencontainers.image.title" = …`'),
        ("extra-hosts.registry.local = '::1'", 'quote it: `"registry.local" = …`'),
        ("contexts.docker.io = 'x'", 'quote it: `"docker.io" = …`'),
    ],
)
def test_a_name_with_dots_needs_quotes(body: str, hint: str) -> None:
    """TOML makes tables of the parts of a name, which is never meant in a table with free names."""
    finding = only(f"format = 1\n[images.x]\n{body}\n")
    assert ("dotted-name", (hint,)) == (finding.code, finding.hints)


def test_an_image_with_a_dot_in_its_name() -> None:
    """`[images.my.app]` is an image `my` with a key `app`, which is never meant."""
    finding = only("format = 1\n[images.my.app]\ncontext = 'x'\n")
    assert (
        "dotted-name", ("a name has letters, digits, `-` and `_`, no dots: write `my-app`",),
    ) == (finding.code, finding.hints)  # fmt: skip


def test_a_platform_without_quotes() -> None:
    """`[platforms.linux.arm64]` is a platform `linux` with a key `arm64`."""
    assert summary("[platforms.linux.arm64]\nemulation = 'allow'\n") == [(2, "illegal-platform"), (2, "unknown-key")]


def test_a_duplicate_that_is_too_deep_to_be_found() -> None:
    """The parser's own place is better than none."""
    key = ".".join("b" * 40)
    for text in (f"{key} = 1\n{key} = 1\n", f"a = 1\n{key} = 1\n{key} = 1\n"):
        assert only(text).code == "toml-syntax"


def test_the_collector_stays_off_where_it_was_off() -> None:
    """Decoding leaves the process as it found it."""
    gc.disable()
    try:
        decode("format = 1\n", "f")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_whole_table_of_a_wrong_type() -> None:
    """There is no key to name."""
    _, diagnostics = decode_table(5, _Config, "f", ())
    assert ["expected a table as the whole file, got an integer"] == [finding.message for finding in diagnostics]


def test_a_span_is_a_place_already() -> None:
    """What a pass dropped moves places that are said by keys only."""
    finding = Diagnostic(code="c", message="m", place=Span(file="f", line=1))
    assert finding == Walk(Findings("f")).original(finding)


def test_very_many_dotted_names_are_not_all_listed() -> None:
    """The number of findings of one table is bounded."""
    lines = "".join(f"labels.a.b{number} = 'x'\n" for number in range(300))
    assert len(image(lines)) == 100


def test_a_secret_in_args_never_shows_its_value() -> None:
    """Name and place are said, the value is not."""
    finding = only('format = 1\n[images.x]\nargs = { NPM_TOKEN = "hunter2" }\n')
    assert finding.code == "secret-in-args"
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize(
    "body",
    ["NPM_TOKEN = '{{ vars.token }}'", "NPM_TOKEN = ''", "NPM_TOKEN = true", "NPM_TOKEN = { value = '' }"],
)
def test_an_arg_without_a_literal_value_is_no_secret(body: str) -> None:
    """A template, an empty value and a switch give nothing away."""
    assert image(f"args = {{ {body} }}\n") == []


@pytest.mark.parametrize("body", ["PIN_PASSWORD = 123456", "T_TOKEN = { raw = '{{' }", "T_TOKEN = { value = 'x' }"])
def test_a_literal_credential(body: str) -> None:
    """Numbers and the long form count as well."""
    assert image(f"args = {{ {body} }}\n") == [(3, "secret-in-args")]


def test_secrets_in_args_can_be_allowed() -> None:
    """The user decides."""
    assert summary("[project]\nsecrets-in-args = 'allow'\n[images.x.args]\nA_TOKEN = 'x'\n") == []


def test_values_of_credentials_are_not_in_messages() -> None:
    """A value that is wrong in another way is not shown either, where its key looks like a credential's."""
    tree = {"token": "hunter2"}

    class Strict(Table):
        token: Literal["a", "b"]

    _, diagnostics = decode_table(tree, Strict, "f", ("backends", "x"))
    assert ["expected `a` or `b` for `token`, got a value that is not shown"] == [one.message for one in diagnostics]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800.0), ("1h30m", 5400.0), ("90s", 90.0), ("1.5s", 1.5), ("250ms", 0.25), ("1h1m1s1ms", 3661.001)],
)
def test_durations(text: str, seconds: float) -> None:
    """Units from large to small."""
    assert seconds == parse_duration(text)


@pytest.mark.parametrize("text", ["", "30", "m", "1m1h", "-1s", "0s", "1 h", "1d", "30m\n", "9" * 50 + "s"])
def test_no_durations(text: str) -> None:
    """A number without a unit may mean anything."""
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(text)


def test_an_included_file() -> None:
    """Images, templates, groups, vars and its own defaults."""
    file, diagnostics = decode_included("format = 1\n[images.x]\n", "f", secrets_in_args="error")
    assert (["x"], ()) == (list(file.images) if file else [], diagnostics)


def test_an_included_file_is_told_where_keys_of_the_project_belong() -> None:
    """`[project]` in an included file is known, but not there."""
    _, diagnostics = decode_included("format = 1\n[project]\nnmae = 1\n[stat]\n", "f", secrets_in_args="error")
    assert ["not-in-included-file", "unknown-key"] == [finding.code for finding in diagnostics]


def test_an_included_file_follows_the_project_on_secrets() -> None:
    """What to do about credentials is said once."""
    text = "format = 1\n[images.x.args]\nA_TOKEN = 'x'\n"
    assert decode_included(text, "f", secrets_in_args="allow")[1] == ()


class _Node(Table):
    name: str
    slots: Annotated[int, Meta(ge=1)] = 4
    load: Annotated[float, Meta(gt=0)] = 1.0
    kind: Annotated[str, Meta(pattern="^[a-z]+$")] = "remote"
    zones: tuple[str, ...] = ()


class _Config(Table):
    nodes: list[_Node] = []  # noqa: RUF012 - msgspec copies it
    limit: int | None = None
    extra: bytes = b""


def test_a_backend_table() -> None:
    """A plugin's class gives typed values."""
    typed, diagnostics = decode_table({"nodes": [{"name": "a"}]}, _Config, "f", ("backends", "x"))
    assert (_Config(nodes=[_Node(name="a")]), ()) == (typed, diagnostics)


def test_a_backend_table_with_mistakes() -> None:
    """A plugin's class gives the same diagnostics as our own."""
    tree = {
        "nodes": [
            {"name": "a", "slots": 0, "load": 0.0, "kind": "A1", "zones": 5},
            {},
            5,
            {"nam": "x"},
        ],
        "limit": "x",
        "extra": [1],
    }
    _, diagnostics = decode_table(tree, _Config, "f", ("backends", "x"))
    assert [
        "expected an integer of at least 1 for `slots`, got `0`",
        "expected a number greater than 0 for `load`, got `0.0`",
        "expected a string that matches `^[a-z]+$` for `kind`, got `A1`",
        "expected a list of strings for `zones`, got an integer",
        "missing key `name` in `[backends.x.nodes[1]]`",
        "expected a table in `nodes`, got an integer",
        "unknown key `nam` in `[backends.x.nodes[3]]`",
        "expected an integer for `limit`, got a string",
        "expected a bytes for `extra`, got a list",
    ] == [finding.message for finding in diagnostics]


def test_a_matrix_that_is_too_large() -> None:
    """The number of images is bounded."""
    values = ", ".join(str(number) for number in range(MAX_COMBINATIONS // 100 + 1))
    values_of_hundred = ", ".join(str(number) for number in range(100))
    assert image(f"name = 'x'\nmatrix = {{ a = [{values}], b = [{values_of_hundred}] }}\n") == [(4, "matrix-too-large")]


@pytest.mark.parametrize(
    ("content", "line", "column", "code"),
    [
        (b"a = 1\nb = \xff\n", 2, 5, "not-utf8"),
        ("a = 1".encode("utf-16"), 1, 1, "not-utf8"),
        (b"#" * (MAX_LENGTH + 1), 1, 1, "file-too-large"),
    ],
)
def test_bytes_that_are_no_text(content: bytes, line: int, column: int, code: str) -> None:
    """The place of the first bad byte, in characters."""
    text, diagnostics = decode_bytes(content, "f")
    assert text is None
    assert [(code, Span(file="f", line=line, column=column))] == [(one.code, one.place) for one in diagnostics]


def test_bytes_that_are_text() -> None:
    """A byte order mark stays, and hurts nobody."""
    text, diagnostics = decode_bytes(b"\xef\xbb\xbfformat = 1\r\n", "f")
    assert ("\ufeffformat = 1\r\n", ()) == (text, diagnostics)
    assert decode(text or "", "f")[1] == ()


def test_a_text_that_is_too_long() -> None:
    """The text is bounded as the bytes are."""
    assert only("#" * (MAX_LENGTH + 1)).code == "file-too-large"


def test_thousands_of_findings() -> None:
    """All are reported; beyond some thousands nobody looks up what was meant."""
    keys = "".join(f"unknown{number} = 1\n" for number in range(6_000))
    assert len(found("format = 1\n" + keys)) == 6_000


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("a1=.\"'[]{},# \n\t\\u0-:tTrue\ufeff\r\0é"), max_size=60))
def test_no_text_is_a_traceback(text: str) -> None:
    """Whatever the text, there are findings, each with a place and a hint."""
    for finding in found(text):
        assert isinstance(finding.place, Span)
        assert finding.hints
        assert finding.message


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "a", "linux/arm64"]), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(tree=st.dictionaries(st.sampled_from([*ImageTable.__struct_encode_fields__, "x"]), _PLAIN, max_size=4))
def test_the_collecting_pass_agrees_with_the_decoder(tree: dict[str, object]) -> None:
    """There are findings exactly where there is no value."""
    typed, diagnostics = decode_table(tree, ImageTable, "f", ("images", "x"))
    assert (typed is None) == bool(diagnostics)
