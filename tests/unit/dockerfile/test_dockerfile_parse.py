from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.diagnostics import Severity, Span
from orchestrator.dockerfile.model import Argument, Dockerfile, Stage, Step, Use
from orchestrator.dockerfile.parse import MAX_BYTES, parse

WHOLE = """\
# syntax=docker/dockerfile:1 --flag
# check=skip=all
ARG GO=1.23 BASE
FROM --platform=$BUILDPLATFORM golang:${GO} AS Build
ARG TARGETARCH
RUN --network=none --mount=type=cache,target=/x --mount=type=bind,from=tools,target=/t <<EOF
COPY --from=not-an-instruction a b
EOF
ONBUILD COPY --from=assets \\
  /a /b
ONBUILD RUN --mount=from=0 <<EOF
EOF
ONBUILD ARG LATER
FROM scratch
copy --chown=1 --from=build /a /b
"""


def _parse(text: str) -> Dockerfile:
    parsed, diagnostics = parse(text, "Dockerfile")
    assert diagnostics == ()
    assert parsed is not None
    return parsed


def _findings(text: str) -> list[tuple[str, int]]:
    """The codes and lines of all findings."""
    found: list[tuple[str, int]] = []
    for diagnostic in parse(text, "Dockerfile")[1]:
        assert isinstance(diagnostic.place, Span)
        assert diagnostic.hints
        found.append((diagnostic.code, diagnostic.place.line))
    return found


def test_a_dockerfile_is_its_arguments_stages_and_uses() -> None:
    """Here-documents, mounts, triggers and flags are read as BuildKit reads them."""
    build = Stage(
        index=0,
        name="build",
        base="golang:${GO}",
        platform="$BUILDPLATFORM",
        line=4,
        arguments=(Argument(name="TARGETARCH", value=None, line=5), Argument(name="LATER", value=None, line=13)),
        uses=(
            Use(kind="mount", name="tools", line=6, is_mount=True),
            Use(kind="onbuild", name="assets", line=9),
            Use(kind="onbuild", name="0", line=11, is_mount=True),
        ),
        steps=(
            Step(name="ARG", words=("TARGETARCH",), line=5),
            Step(
                name="RUN",
                words=(),
                line=6,
                flags=("--mount=type=cache,target=/x", "--mount=type=bind,from=tools,target=/t"),
            ),
            Step(name="COPY", words=("/a", "/b"), line=9, flags=("--from=assets",), is_trigger=True),
            Step(name="RUN", words=(), line=11, flags=("--mount=from=0",), is_trigger=True),
            Step(name="ARG", words=("LATER",), line=13, is_trigger=True),
        ),
    )
    last = Stage(
        index=1,
        name="",
        base="scratch",
        platform="",
        line=14,
        uses=(Use(kind="copy", name="build", line=15),),
        steps=(Step(name="COPY", words=("/a", "/b"), line=15, flags=("--chown=1", "--from=build")),),
    )
    expected = Dockerfile(
        file="Dockerfile",
        syntax="docker/dockerfile:1",
        syntax_line=1,
        arguments=(Argument(name="GO", value="1.23", line=3), Argument(name="BASE", value=None, line=3)),
        stages=(build, last),
    )

    assert expected == _parse(WHOLE)


def test_the_escape_directive_is_known_after_another_one() -> None:
    """`# check`, which the parser does not know, does not hide `# escape`."""
    parsed = _parse("# check=skip=all\n# escape=`\nFROM a `\n  AS b\nCOPY --from=b C:\\a C:\\b\n")

    assert (parsed.escape, parsed.stages[0].name, parsed.stages[0].line) == ("`", "b", 3)


def test_the_last_from_of_a_mount_counts_and_quotes_hold_commas() -> None:
    """A mount is a line of CSV."""
    parsed = _parse("FROM a\nRUN --mount=from=x,'\"target=/a,b\"',from=y ls\n")

    assert [use.name for use in parsed.stages[0].uses] == ["y"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\nCOPPY a b\nRUN x\n", [("unknown-instruction", 2)]),
        ("FORM a\nRUN x\n", [("unknown-instruction", 1), ("dockerfile-syntax", 2)]),
        ("FROM a\n\nENV a\nRUN y\n", [("dockerfile-syntax", 3)]),
        ("FROM a\nRUN <<A\nx\nA\nRUN <<EOF\nx\n", [("dockerfile-syntax", 5)]),
        ("FROM a AS 1\n", [("dockerfile-syntax", 1)]),
        ("FROM a b\n", [("dockerfile-syntax", 1)]),
        ("FROM\n", [("dockerfile-syntax", 1)]),
        ("ARG A\n", [("dockerfile-no-from", 1)]),
        ("# check=x\n# escape=`", [("dockerfile-syntax", 1)]),
        ("FROM a\nRUN a \\\n  <<EOF\nx\n", [("dockerfile-syntax", 5)]),
        ("# nothing\n", [("dockerfile-syntax", 1)]),
        ("", [("dockerfile-syntax", 1)]),
        ("FROM a\nARG\nARG =x\n", [("dockerfile-syntax", 2), ("dockerfile-syntax", 3)]),
        ("FROM a\nCOPY --from a b\n", [("dockerfile-syntax", 2)]),
        ('FROM a\nRUN --mount=\\"from=x ls\n', [("dockerfile-syntax", 2)]),
        ("FROM a\nONBUILD FROM b\nONBUILD\nONBUILD FOO\n", [("dockerfile-syntax", n) for n in (2, 3, 4)]),
        ("FROM a\nONBUILD ENV x\n", [("dockerfile-syntax", 2)]),
        ("# syntax=a\n# syntax=b\nFROM a\n", [("dockerfile-frontend", 1)]),
        ("# escape=x\nFROM a\n", [("dockerfile-syntax", 1)]),
        ("FROM a\nRUN " + "x" * 70000 + "\n", [("dockerfile-syntax", 2)]),
        ("FROM a\x00", [("dockerfile-unreadable", 1)]),
        ("FROM \udc80", [("dockerfile-unreadable", 1)]),
        ("#" * (MAX_BYTES + 1), [("dockerfile-unreadable", 1)]),
        ("#" + "ä" * (MAX_BYTES // 2 + 1), [("dockerfile-unreadable", 1)]),
    ],
)
def test_a_mistake_stands_at_its_line(text: str, expected: list[tuple[str, int]]) -> None:
    """Every mistake has a code, its line and a hint."""
    assert expected == _findings(text)


def test_an_unknown_instruction_has_a_suggestion() -> None:
    """The package accepts unknown instructions; we do not."""
    _, (diagnostic,) = parse("FROM a\nWORKDIRR /x\n", "Dockerfile")

    assert diagnostic.hints == ("did you mean `WORKDIR`?",)


@pytest.mark.parametrize(
    "first", ["# syntax=acme/frontend:2", "// syntax=acme/frontend:2", "#!/x\n# syntax=acme/frontend:2"]
)
def test_a_file_for_another_frontend_may_be_in_any_language(first: str) -> None:
    """That nothing can be inferred is a warning, and the frontend is known."""
    parsed, (diagnostic,) = parse(f"{first}\nhello: world\n", "mockerfile")

    assert parsed is not None
    assert (parsed.syntax, parsed.stages) == ("acme/frontend:2", ())
    assert Severity.WARNING is diagnostic.severity


@pytest.mark.parametrize("syntax", ["docker/dockerfile", "docker.io/docker/dockerfile-upstream:master@sha256:0"])
def test_mistakes_for_the_official_frontend_are_errors(syntax: str) -> None:
    """Naming Docker's own frontend changes nothing."""
    assert [code for code, _ in _findings(f"# syntax={syntax}\nFROM a\nFOO\n")] == ["unknown-instruction"]


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text raises; what is refused has a diagnostic."""
    parsed, diagnostics = parse(text, "Dockerfile")

    assert parsed is not None or diagnostics


pieces = st.sampled_from(
    [
        "FROM a", "\n", "RUN ", "COPY --from=b ", "<<EOF", "\nEOF\n", "\\\n", "# escape=`\n", '"', "'", "[", "ENV a",
        "=", "ONBUILD ", "HEALTHCHECK ", "--mount=from=a,", "ARG ", "--", "\t", "\r\n", "é", "$X", "LABEL ", "\ufeff",
    ]
)  # fmt: skip


@given(st.lists(pieces, max_size=14))
def test_any_dockerfile_like_text_is_parsed_or_refused(parts: list[str]) -> None:
    """No combination of what stands in Dockerfiles raises either."""
    parsed, diagnostics = parse("".join(parts), "Dockerfile")

    assert parsed is not None or diagnostics
