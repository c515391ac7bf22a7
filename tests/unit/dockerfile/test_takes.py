from __future__ import annotations

from collections.abc import Set as AbstractSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.diagnostics import Severity, Span
from orchestrator.dockerfile.parse import parse
from orchestrator.dockerfile.takes import MAIN, WHOLE, Paths, Taken, Triggers, taken
from orchestrator.oci.platform import Platform, parse_platform

AMD64 = parse_platform("linux/amd64")
ARM = parse_platform("linux/arm/v7")
NONE: frozenset[str] = frozenset()


def _take(
    text: str,
    *,
    arguments: dict[str, str] | None = None,
    target: str = "",
    platform: Platform = AMD64,
    triggers: Triggers = NONE,
    contexts: AbstractSet[str] = NONE,
) -> Taken:
    dockerfile, _ = parse(text, "Dockerfile")
    assert dockerfile is not None
    return taken(
        dockerfile,
        arguments=arguments or {},
        target=target,
        platform=platform,
        build_platform=AMD64,
        triggers=triggers,
        contexts=contexts,
    )


def _main(text: str, **arguments: str) -> Paths:
    return _take(f"FROM scratch\n{text}\n", arguments=arguments).paths(MAIN)


def _findings(text: str) -> list[tuple[str, Severity, int]]:
    found: list[tuple[str, Severity, int]] = []
    for diagnostic in _take(f"FROM scratch\n{text}\n").diagnostics:
        assert isinstance(diagnostic.place, Span)
        assert diagnostic.hints
        found.append((diagnostic.code, diagnostic.severity, diagnostic.place.line))
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a", ("a",)),
        ("/a", ("a",)),
        ("./a", ("a",)),
        ("a/", ("a",)),
        ("//a//b/.", ("a/b",)),
        ("../../a", ("a",)),
        ("a/../../b/../c", ("c",)),
        ("a b a ./a", ("a", "b")),
        ("s*/[ab]?.txt", ("s*/[ab]?.txt",)),
        (".", WHOLE),
        ("/", WHOLE),
        ("a ..", WHOLE),
        ("a/..", WHOLE),
        ("a\\\\b", WHOLE),
        ("C:/a", WHOLE),
        ('""', WHOLE),
    ],
)
@pytest.mark.parametrize("instruction", ["COPY", "ADD"])
def test_sources_are_cleaned_as_buildkit_does(instruction: str, source: str, expected: Paths) -> None:
    """Patterns are rooted and cannot leave the context; the root is all of it, and so is what only Windows knows."""
    assert expected == _main(f"{instruction} {source} /x/")


def test_the_destination_is_no_source() -> None:
    """The last word says where to, in the form of a list, too."""
    assert ("a b", "c") == _main('COPY ["a b", "c", "."]')


@pytest.mark.parametrize(
    "text", ["COPY <<EOF /x\na\nEOF", "COPY <<-'EOF' <<\"B\" /x/\na\nEOF\nb\nB", "LABEL a=b", "RUN cat a.txt", "COPY"]
)
def test_what_takes_no_files(text: str) -> None:
    """Here-documents stand in the Dockerfile, and a command sees no context."""
    assert () == _main(text)


def test_a_word_that_is_no_here_document_is_a_file() -> None:
    """Only a single word after `<<` opens one."""
    assert ("<<a b",) == _main('COPY ["<<a b", "/x"]')


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--chown=1:1 --chmod=644 --link", ("a/b", "c")),
        ("--exclude=*.md --exclude=c", ("a/b", "c")),
        ("--from=", ("a/b", "c")),
        ("--parents", ("a", "a/b", "c")),
        ("--parents=true", ("a", "a/b", "c")),
        ("--parents=false", WHOLE),
        ("--new-in-some-release", WHOLE),
    ],
)
def test_flags_never_narrow(flag: str, expected: Paths) -> None:
    """`--exclude` is left out, `--parents` makes the folders above, and who knows what an unknown flag does."""
    assert expected == _main(f"COPY {flag} a/b c /x/")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a/./b/c", ("a", "a/b/c")),
        ("/./a/b/./c", ("a", "a/b/c")),
        ("a*/**/b", ("a*", "a*/**/b")),
        ("a/./../b", WHOLE),
        ("**/a", WHOLE),
        ("[ab]/c", WHOLE),
        ("!a/b", WHOLE),
        ("a\\\\*/b", WHOLE),
        (".", WHOLE),
    ],
)
def test_parents_are_taken_with_all_beneath(source: str, expected: Paths) -> None:
    """The topmost folder stands for all beneath, the whole source for what links on its way lead to."""
    assert expected == _main(f"COPY --parents {source} /x/")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--mount=target=/m", WHOLE),
        ("--mount=type=bind,target=/m", WHOLE),
        ("--mount=target=/m,source=/sub/", ("sub",)),
        (r"--mount=target=/m,\"SRC=a,b\"", ("a,b",)),
        ("--mount=target=/m,source=a,source=b", ("b",)),
        ("--mount=target=/m,source=a,src=b", WHOLE),
        ("--mount=target=/m,source=a[1]", WHOLE),
        ("--mount=target=/m,source=$D/c", ("sub/c",)),
        ("--mount=target=/m,source=$D,from=", ("sub",)),
        ("--mount=target=/m,source=a --network=none --mount=target=/n,source=b", ("a", "b")),
        ("--mount=type=$T,target=/m", ()),
        ("--mount=type=cache,target=/m,source=a", ()),
        ("--mount=type=Tmpfs,target=/m", ()),
        ("--mount=type=secret,id=a,target=/m --mount=type=ssh", ()),
    ],
)
def test_mounts(flags: str, expected: Paths) -> None:
    """A bind mount sees its source, all where it has none; it knows no wildcards."""
    assert expected == _main(f"ENV D=sub T=cache\nRUN {flags} ls")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ARG F=a\nCOPY $F /x", ("a",)),
        ("ARG F\nCOPY a$F /x", ("a",)),
        ("ARG F\nCOPY $F /x", WHOLE),
        ("COPY $F/a /x", ("a",)),
        ("COPY ${F:-a} /x", ("a",)),
        ("COPY ${F:?no} /x", WHOLE),
        ("COPY ${F /x", WHOLE),
        ("ENV F=a\nARG F=b\nCOPY $F /x", ("b",)),
        ("ARG F=b\nENV F=a\nCOPY $F /x", ("a",)),
        ("ENV D=a\nENV D=b F=$D/c\nCOPY $F /x", ("a/c",)),
        ("ENV N=F\nENV $N=a\nCOPY $F /x", ("a",)),
        ("ENV $PATH=a\nCOPY ${F:-b} /x", WHOLE),
        ("ENV $PATH=a F=b\nENV F=c\nCOPY $F /x", ("c",)),
        ("ARG D=a F=b\nCOPY $D/$F /x", ("a/b",)),
        ("ARG D=a F=$D\nCOPY $F /x", WHOLE),
        ("ARG D=a\nARG F=$D\nCOPY $F /x", ("a",)),
        ("ARG $N=a\nCOPY ${F:-b} /x", WHOLE),
        ("COPY $PATH /x", WHOLE),
        ("ENV PATH=a\nCOPY $PATH /x", ("a",)),
        ("ARG TARGETARCH TARGETVARIANT\nCOPY bin/$TARGETARCH$TARGETVARIANT /x", ("bin/amd64",)),
        ("ARG SOURCE_DATE_EPOCH=1\nCOPY a$SOURCE_DATE_EPOCH /x", WHOLE),
        ("ARG HTTP_PROXY\nCOPY a$HTTP_PROXY /x", WHOLE),
        ("ARG TARGETSTAGE\nCOPY $TARGETSTAGE /x", WHOLE),
    ],
)
def test_variables(text: str, expected: Paths) -> None:
    """The later of `ENV` and `ARG` wins; what is not certain is all."""
    assert expected == _main(text)


def test_what_is_given_wins_over_a_default_where_it_is_declared() -> None:
    """An argument that no `ARG` declares has no value."""
    assert ("b", "d", "x") == _main("ARG F=a\nCOPY $F ${G:-d} /x/\nENV F=x\nCOPY $F /x", F="b", G="c")


def test_arguments_before_the_first_from_are_declared_again() -> None:
    """Without a default they keep their value, with one they lose it."""
    text = "ARG F=a G=b H\nFROM scratch\nARG F\nARG G=c\nARG H\nCOPY $F $G a$H /x/\n"

    assert ("a", "c") == _take(text).paths(MAIN)
    assert ("a", "ah", "c") == _take(text, arguments={"H": "h"}).paths(MAIN)


def test_the_base_image_may_set_what_the_dockerfile_does_not() -> None:
    """What an `ARG` or `ENV` sets is certain, until a stage on top gets the variables of the image once more."""
    assert WHOLE == _take("FROM base\nCOPY ${F:-a} /x\n").paths(MAIN)
    assert WHOLE == _take("FROM base\nARG F\nCOPY $F /x\n").paths(MAIN)
    assert ("a",) == _take("FROM base\nARG F=a\nCOPY $F /x\n").paths(MAIN)
    assert WHOLE == _take("FROM base AS b\nARG F=a\nFROM b\nCOPY $F /x\n").paths(MAIN)
    assert ("a",) == _take("FROM base AS b\nENV F=a\nARG F=b\nFROM b\nCOPY $F /x\n").paths(MAIN)


def test_a_stage_inherits_variables() -> None:
    """`ARG`s, too, but what `ENV` set is set again."""
    assert ("a", "d") == _take(
        "FROM scratch AS s\nENV F=a\nARG F=b G=d\nFROM s\nCOPY $F $G /x/\n"
    ).paths(MAIN)  # fmt: skip


def test_only_what_the_target_needs_counts() -> None:
    """Stages that it neither starts nor takes from are not built."""
    text = (
        "FROM scratch AS a\nCOPY a /x\nFROM scratch AS b\nCOPY b /x\nFROM a AS c\n"
        "RUN --mount=from=B,target=/m ls\nFROM scratch\nCOPY . /x\n"
    )

    assert ("a",) == _take(text, target="A").paths(MAIN)
    assert ("a", "b") == _take(text, target="c").paths(MAIN)
    assert WHOLE == _take(text).paths(MAIN)


def test_triggers_are_executed_by_the_stages_on_top() -> None:
    """Before their own instructions, with their variables, and by no stage on top of those."""
    up = (
        "FROM scratch AS up\nARG F=u\nONBUILD ARG F=t\nONBUILD COPY $F <<EOF /x/\n1\nEOF\n"
        "ONBUILD ENV D=sub\nONBUILD RUN --mount=target=/m,source=$D ls\n"
    )

    assert () == _take(up).paths(MAIN)
    assert ("sub", "sub/a", "t") == _take(f"{up}FROM up\nCOPY $D/a /x\n").paths(MAIN)
    assert ("sub", "t", "u") == _take(f"{up}COPY $F /x\nFROM up AS mid\nFROM mid\n").paths(MAIN)


def test_named_contexts() -> None:
    """What is no stage may be a named context, by the key that BuildKit looks up; as a base it is taken as it is."""
    answer = _take(
        "FROM Base/x:1 AS never\nFROM docker.io/library/start:latest AS s\nFROM s\n"
        "COPY --from=assets:latest css js/../y.js /x/\nCOPY --from=ghcr.io/a/tools /bin/$PATH /x/\n"
        "RUN --mount=from=data,target=/m,source=d --mount=type=cache,from=seed,target=/n ls\nCOPY --from=scratch a b\n"
    )

    assert {
        "start": WHOLE, "assets": ("css", "y.js"), "ghcr.io/a/tools": WHOLE, "data": ("d",), "seed": WHOLE,
    } == answer.contexts  # fmt: skip
    assert ((), ()) == (answer.paths(MAIN), answer.paths("other"))


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=acme/frontend\nFROM scratch\n",
        "# syntax=acme/frontend\nnot: a Dockerfile\n",
        "# syntax=docker/dockerfile:1.3\nFROM scratch\n",
        "# syntax=docker/dockerfile:1-experimental\nFROM scratch\n",
        f"# syntax=docker/dockerfile@sha256:{'a' * 64}\nFROM scratch\n",
        "FROM $UNSET\n",
        "FROM UPPER\n",
        "FROM ${X?}\n",
        "ARG X=${Y?}\nFROM scratch\n",
        "FROM scratch\nCOPY --from=$X a b\n",
        "FROM scratch\nCOPY --from=7 a b\n",
        "FROM scratch\nRUN --mount=from=A/B,target=/m ls\n",
        'FROM scratch\nRUN --mount=\\"source=x ls\n',
    ],
)
def test_what_is_not_understood_takes_everything(text: str) -> None:
    """Frontends of others, old ones, and what BuildKit refuses: all of every context, known or not."""
    answer = _take(text)

    assert (True, WHOLE, WHOLE) == (answer.is_everything, answer.paths(MAIN), answer.paths("any"))


@pytest.mark.parametrize(
    "syntax",
    [
        *(
            "docker/dockerfile",
            "docker.io/docker/dockerfile:1",
            "docker/dockerfile:1.4",
            "docker/dockerfile:1.21.3-labs",
        ),
        *(f"docker/dockerfile:1.10@sha256:{'a' * 64}", "docker/dockerfile-upstream:master", "docker/dockerfile:labs"),
    ],
)
def test_frontends_with_the_rules_of_today(syntax: str) -> None:
    """Docker's own, since the release that brought here-documents."""
    assert ("a",) == _take(f"# syntax={syntax}\nFROM scratch\nCOPY a /x\n").paths(MAIN)


def test_the_frontend_may_be_an_argument() -> None:
    """It wins over the line in the file."""
    assert _take("FROM scratch\n", arguments={"BUILDKIT_SYNTAX": "acme/frontend"}).is_everything
    assert not _take("# syntax=a/b\nFROM scratch\n", arguments={"BUILDKIT_SYNTAX": "docker/dockerfile:1"}).is_everything


def test_unknown_targets_and_windows_take_everything() -> None:
    """Neither has rules that are followed here."""
    assert _take("FROM scratch\n", target="x").is_everything
    assert _take("FROM scratch\n", platform=parse_platform("windows/amd64")).is_everything


@pytest.mark.parametrize(
    ("triggers", "text", "expected"),
    [
        (NONE, "FROM a:latest\n", False),
        ({"b"}, "FROM a:latest\n", False),
        ({"a"}, "FROM a:latest\n", True),
        ({"a"}, "FROM a AS s\nFROM b\n", False),
        ({"a"}, "FROM a AS s\nFROM s\n", True),
        ({"a"}, "FROM b\nCOPY --from=a x y\n", False),
        ("unknown", "FROM a\n", True),
        ("unknown", "FROM scratch\nCOPY --from=a x y\n", False),
    ],
)
def test_triggers_of_external_bases_may_take_everything(triggers: Triggers, text: str, *, expected: bool) -> None:
    """They are executed where a reached stage starts from the image, not where files are copied from it."""
    answer = _take(text, triggers=triggers)

    assert (expected, expected) == (answer.is_everything, answer.uses_build_platform)


def test_a_stage_that_a_named_context_replaces_is_not_known() -> None:
    """Other variables and triggers come with it; one that the target does not need does no harm."""
    text = "FROM scratch AS b\nENV F=a\nFROM b AS c\nCOPY $F /x\n"

    assert _take(text, contexts={"b"}).is_everything
    assert not _take(text, target="b", contexts={"c", "other"}).is_everything


@pytest.mark.parametrize(
    "text", ["ARG BUILDKIT_SBOM_SCAN_CONTEXT=1\nFROM scratch\n", "FROM scratch\nARG BUILDKIT_SBOM_SCAN_CONTEXT\n"]
)
def test_a_scan_of_the_context_sees_it(text: str) -> None:
    """The attestation of its packages is a part of the result."""
    assert WHOLE == _take(text).paths(MAIN)
    assert WHOLE == _main("LABEL a=b", BUILDKIT_SBOM_SCAN_CONTEXT="true")


@pytest.mark.parametrize(
    ("source", "remotes"),
    [
        ("https://example.org/a.tgz", ("https://example.org/a.tgz",)),
        ("http://me:secret@example.org/a", ("http://example.org/a",)),
        ("$URL/a", ("https://example.org/a",)),
        ("https://example.org/$PATH", ("https://example.org/$PATH",)),
        ("a https://example.org/b https://example.org/c", ("https://example.org/b", "https://example.org/c")),
        ("https://example.org/a.git#v1", ("https://example.org/a.git#v1",)),
        (f"https://example.org/a.git#{'a' * 40}", ()),
        (f"https://example.org/a.git#{'a' * 40}:sub", ()),
        (f"https://example.org/a.git?ref=v1&commit={'a' * 40}", ()),
        (f"https://example.org/a.tgz#{'a' * 40}", (f"https://example.org/a.tgz#{'a' * 40}",)),
        (f"https://example.org/a.git#{'a' * 39}", (f"https://example.org/a.git#{'a' * 39}",)),
        (f"--keep-git-dir=true https://example.org/a#{'a' * 40}", ()),
        ("--checksum=sha256:aa https://example.org/a", ()),
        ("--checksum=$SUM https://example.org/a", ("https://example.org/a",)),
    ],
)
def test_remote_sources(source: str, remotes: tuple[str, ...]) -> None:
    """What nothing pins is told, and is no file of the context."""
    answer = _take(f"FROM scratch\nENV URL=https://example.org\nADD {source} /x/\n")

    assert remotes == answer.remotes
    assert (("a",) if source.startswith("a ") else ()) == answer.paths(MAIN)


def test_a_git_address_without_https_may_be_a_path_to_an_old_frontend() -> None:
    """It is told and taken."""
    answer = _take("FROM scratch\nADD git@example.org:a/b.git /x\n")

    assert (("git@example.org:a/b.git",), ("git@example.org:a/b.git",)) == (answer.remotes, answer.paths(MAIN))


def test_what_has_no_scheme_is_a_path() -> None:
    """`github.com/…` is remote as a context alone, and `COPY` fetches nothing."""
    assert ("github.com/a/b",) == _main("ADD github.com/a/b /x")
    assert [] == _findings("COPY https://example.org/a /x")


def test_remote_sources_are_warnings_at_their_line() -> None:
    """Only those of stages that are built."""
    warning = ("remote-add", Severity.WARNING)

    assert [(*warning, 2), (*warning, 4)] == _findings("ADD http://a/b /x\nONBUILD ADD http://a/c /x\nADD git://a/b /x")
    assert () == _take("FROM scratch AS a\nADD http://a/b /x\nFROM scratch\n").diagnostics
    (diagnostic,) = _take("FROM scratch\nADD http://a/b /x\n").diagnostics
    assert ("write `ADD --checksum=sha256:… http://a/b`",) == diagnostic.hints


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\nRUN echo $BUILDPLATFORM\n", False),
        ("FROM a\nARG MY_BUILDARCH\n", False),
        ("FROM a\nARG BUILDARCH\nRUN ls\n", True),
        ("FROM a\nENV X=${BUILDOS}\n", True),
        ("FROM a\nONBUILD ARG BUILDVARIANT\n", True),
        ("ARG X=$BUILDARCH\nFROM a\n", True),
        ("FROM --platform=$BUILDPLATFORM a\n", True),
        ("FROM a-$BUILDARCH\n", True),
        ("FROM --platform=linux a\n", True),
        ("FROM --platform=linux/arm64 a\n", False),
        ("FROM --platform=$BUILDPLATFORM a\nFROM b\n", False),
    ],
)
def test_use_of_the_build_platform(text: str, *, expected: bool) -> None:
    """A mention in a reached stage, and a platform that the builder completes."""
    assert expected == _take(text).uses_build_platform


_SOURCES = st.sampled_from(["a", "./a/b", "a*", "$X", "${Y:-c}", "..", "d/../e", "<<EOF", "https://a/b"])
_INSTRUCTIONS = st.one_of(
    st.builds("COPY {} /x/".format, _SOURCES),
    st.builds("COPY --parents {} f /x/".format, _SOURCES),
    st.builds("COPY --from={} {} /x/".format, st.sampled_from(["one", "TWO", "0", "ctx", "scratch"]), _SOURCES),
    st.builds("ADD --exclude=*.md {} /x/".format, _SOURCES),
    st.builds("RUN --mount=target=/m,source={} ls".format, _SOURCES),
    st.builds("RUN --mount=target=/m,from={} ls".format, st.sampled_from(["one", "two", "ctx"])),
    st.sampled_from(["RUN ls", "LABEL a=b", "WORKDIR /x", "USER 1"]),
)
_LINES = st.one_of(
    _INSTRUCTIONS, st.builds("ONBUILD {}".format, _INSTRUCTIONS), st.sampled_from(["ENV X=1", "ARG X=a", "ARG Y"])
)
_BASES = st.sampled_from(["scratch", "base", "one", "two"])


def _covers(larger: Paths, smaller: Paths) -> bool:
    return larger is WHOLE or (smaller is not WHOLE and set(smaller) <= set(larger))


@given(data=st.data())
def test_more_instructions_never_take_less(data: st.DataObject) -> None:
    """One more instruction that takes files, anywhere: each context is seen at least as far as before."""
    lines = ["ARG X=g"]
    for name in ("one", "two", "three"):
        lines += [f"FROM {data.draw(_BASES)} AS {name}", *data.draw(st.lists(_LINES, max_size=4))]
    place = data.draw(st.integers(min_value=2, max_value=len(lines)))
    more = data.draw(st.one_of(_INSTRUCTIONS, st.builds("ONBUILD {}".format, _INSTRUCTIONS)))
    before, after = (
        _take("".join(f"{line}\nin\nEOF\n" if "<<" in line else f"{line}\n" for line in each))
        for each in (lines, [*lines[:place], more, *lines[place:]])
    )

    assert all(_covers(after.paths(key), before.paths(key)) for key in (MAIN, "ctx", "base"))
    assert set(before.remotes) <= set(after.remotes)
    assert before.uses_build_platform <= after.uses_build_platform


@given(st.lists(st.text(alphabet="aC$F{}:-/.*?[]\\'\"<~! ", max_size=12), min_size=1, max_size=4))
def test_hostile_words_never_raise(words: list[str]) -> None:
    """Whatever stands in a Dockerfile that can be parsed, there is an answer within the context."""
    text = "".join(f"COPY --parents {word} /x/\nADD {word} /x/\nENV F={word}x\n" for word in words)
    dockerfile, _ = parse(f"FROM scratch\n{text}", "Dockerfile")
    if dockerfile is not None:
        answer = taken(
            dockerfile, arguments={}, target="", platform=ARM, build_platform=AMD64, triggers=NONE, contexts=NONE
        )
        paths = answer.paths(MAIN)
        patterns = () if paths is WHOLE else paths
        assert not [path for path in patterns if not path or ".." in path.split("/") or path[0] == "/"]
