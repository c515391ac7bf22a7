from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.dockerfile.edges import ImageUse, external_uses
from orchestrator.dockerfile.model import Dockerfile
from orchestrator.dockerfile.parse import parse
from orchestrator.dockerfile.scope import mentions_build_platform
from orchestrator.oci.platform import Platform, parse_platform

AMD64 = parse_platform("linux/amd64")
ARM = parse_platform("linux/arm/v7")


def _dockerfile(text: str) -> Dockerfile:
    parsed, _ = parse(text, "Dockerfile")
    assert parsed is not None
    return parsed


def _resolve(
    text: str, target: str = "", arguments: dict[str, str] | None = None, platform: Platform = AMD64
) -> tuple[tuple[ImageUse, ...], tuple[Diagnostic, ...]]:
    return external_uses(
        _dockerfile(text), arguments=arguments or {}, target=target, platform=platform, build_platform=AMD64
    )


def _uses(
    text: str, target: str = "", arguments: dict[str, str] | None = None, platform: Platform = AMD64
) -> tuple[ImageUse, ...]:
    uses, diagnostics = _resolve(text, target, arguments, platform)
    assert diagnostics == ()
    return uses


def _keys(text: str, target: str = "", arguments: dict[str, str] | None = None) -> list[str]:
    return [use.key for use in _uses(text, target, arguments)]


def _findings(text: str, target: str = "", arguments: dict[str, str] | None = None) -> list[tuple[str, str, int]]:
    """Severity, code and line of every finding."""
    found: list[tuple[str, str, int]] = []
    for diagnostic in _resolve(text, target, arguments)[1]:
        assert isinstance(diagnostic.place, Span)
        assert diagnostic.hints
        found.append((diagnostic.severity.value, diagnostic.code, diagnostic.place.line))
    return found


def test_bases_copies_and_mounts_are_uses() -> None:
    """Every instruction that takes data from an image counts, in the order of the file."""
    text = "FROM base\nCOPY --from=assets:1 a b\nRUN --mount=from=tools ls\n"
    expected = (
        ImageUse(name="base", key="base", kind="from", line=1),
        ImageUse(name="assets:1", key="assets:1", kind="copy", line=2),
        ImageUse(name="tools", key="tools", kind="mount", line=3),
    )

    assert expected == _uses(text)


def test_stages_and_scratch_are_no_images() -> None:
    """Stages are found by name in any case, by number in `COPY --from`, and in mounts by name."""
    text = (
        "FROM scratch AS One\nFROM one AS two\nFROM scratch\n"
        "COPY --from=ONE a b\nCOPY --from=1 a b\nCOPY --from=scratch a b\nRUN --mount=from=Two ls\n"
    )

    assert _keys(text) == []


def test_only_what_the_target_needs_counts() -> None:
    """Stages that the target does not start from or copy from are not built."""
    text = "FROM a AS a1\nFROM b AS b1\nFROM c AS c1\nCOPY --from=a1 x y\nFROM d\n"

    assert _keys(text, "C1") == ["a", "c"]
    assert _keys(text) == ["d"]


def test_an_unknown_target_has_a_suggestion() -> None:
    """The hint names the closest stage."""
    uses, (diagnostic,) = _resolve("FROM a AS release\n", "relaese")

    assert (uses, diagnostic.code, diagnostic.hints) == ((), "unknown-target", ("did you mean `release`?",))


@pytest.mark.parametrize("text", ["FROM a AS x\nFROM b\n", "FROM a\n"])
@pytest.mark.parametrize("target", ["0", "7", "zzz"])
def test_a_number_is_no_target(text: str, target: str) -> None:
    """BuildKit knows targets by name alone (moby/buildkit#1503)."""
    assert [code for _, code, _ in _findings(text, target)] == ["unknown-target"]


def test_arguments_before_the_first_from_are_expanded_in_order() -> None:
    """Defaults may use earlier arguments, and what is given wins over a default."""
    text = 'ARG REG=ghcr.io/acme\nARG NAME="${REG}/base" TAG\nFROM ${NAME}:${TAG:-latest}\n'

    assert _keys(text) == ["ghcr.io/acme/base"]
    assert _keys(text, arguments={"NAME": "docker.io/library/x", "TAG": "2"}) == ["x:2"]


def test_an_argument_that_is_not_declared_before_the_first_from_has_no_value() -> None:
    """An `ARG` in a stage is not known to a `FROM`, whatever is given."""
    assert _findings("FROM x:$TAG\nARG TAG=1\n", arguments={"TAG": "2"}) == [("warning", "cannot-infer", 1)]


def test_the_platforms_are_known_to_a_from() -> None:
    """BuildKit's own arguments need no `ARG`, and a base for the building platform says so."""
    text = "FROM --platform=$BUILDPLATFORM a-$TARGETARCH$TARGETVARIANT\nCOPY --from=b x y\nRUN --mount=from=c x\n"
    (base, copied, mounted) = _uses(text, platform=ARM)

    assert (base.name, base.platform, base.uses_build_platform) == ("a-armv7", AMD64, True)
    assert (copied.platform, copied.uses_build_platform) == (None, False)
    assert (mounted.platform, mounted.uses_build_platform) == (None, False)


def test_the_building_platform_is_followed_through_arguments() -> None:
    """An `ARG` whose default is the building platform passes that on; a given value does not."""
    text = "ARG P=${BUILDPLATFORM}\nFROM --platform=$P a\n"

    assert [use.uses_build_platform for use in _uses(text)] == [True]
    assert [use.uses_build_platform for use in _uses(text, arguments={"P": "linux/arm/v7"})] == [False]


@pytest.mark.parametrize(
    ("written", "expected"), [("arm", "linux/arm/v7"), ("linux", "linux/amd64"), ("linux/arm64/v8", "linux/arm64")]
)
def test_a_platform_is_completed(written: str, expected: str) -> None:
    """One component alone is legal, and means the rest of the machine that builds."""
    assert [expected] == [str(use.platform) for use in _uses(f"FROM --platform={written} a\n")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM base AS base\n", 1),
        ("FROM docker.io/library/base:latest AS base\n", 1),
        ("FROM x AS y\nFROM base AS z\nFROM z AS base\nCOPY --from=y a b\n", 3),
        ("FROM base:1 AS base\n", None),
        ("FROM base AS base-\n", None),
        ("FROM other AS base\nFROM base:latest\nCOPY --from=BASE a b\n", 1),
        ("FROM other AS base\nFROM scratch\nCOPY --from=base:latest a b\nCOPY --from=base a b\n", 1),
    ],
)
def test_an_image_with_the_key_of_a_stage_names_its_line(text: str, expected: int | None) -> None:
    """A named context of that key would replace the stage in silence."""
    uses = {use.key.partition(":")[0]: use.stage_line for use in _uses(text)}

    assert expected == uses["base"]


def test_a_stage_that_is_not_built_is_no_trap() -> None:
    """Nothing is lost where the stage of the same name is not needed."""
    assert [use.stage_line for use in _uses("FROM x AS base\nFROM base:latest AS y\n")] == [None]
    assert [use.stage_line for use in _uses("FROM base AS y\nFROM x AS base\n", "y")] == [None]


def test_triggers_are_executed_by_the_stages_that_start_from_theirs() -> None:
    """`ONBUILD COPY --from` is a use of the child, not of the stage that declares it."""
    parent = "FROM a AS parent\nONBUILD COPY --from=assets x y\nONBUILD WORKDIR /x\nRUN --mount=from=a:1 ls\n"
    text = parent + "FROM parent AS child\nFROM child AS grandchild\n"

    assert _keys(text, "parent") == ["a", "a:1"]
    assert _keys(text, "child") == ["a", "a:1", "assets"]
    assert _keys(text, "grandchild") == ["a", "a:1", "assets"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM $X\n", ("warning", "cannot-infer", 1)),
        ("ARG X\nFROM a:$X\n", ("warning", "cannot-infer", 2)),
        ("ARG X=\nFROM a:$X\n", ("warning", "cannot-infer", 2)),
        ("FROM ${X:?no}\n", ("error", "dockerfile-substitution", 1)),
        ("ARG Y=${X\nFROM a\n", ("error", "dockerfile-substitution", 1)),
        ("FROM a\nCOPY --from=$X a b\n", ("error", "dockerfile-substitution", 2)),
        ("FROM a\nCOPY --from=${X a b\n", ("error", "dockerfile-substitution", 2)),
        ("FROM a\nRUN --mount=from=$X ls\n", ("error", "dockerfile-substitution", 2)),
        ("FROM a AS Build\nFROM Build\n", ("error", "bad-image-reference", 2)),
        ('FROM ""\n', ("error", "bad-image-reference", 1)),
        ("FROM a\nCOPY --from=a:b:c a b\n", ("error", "bad-image-reference", 2)),
        ("FROM a\nCOPY --from=1 a b\n", ("error", "unknown-stage", 2)),
        ("FROM a\nCOPY --from=-1 a b\n", ("error", "unknown-stage", 2)),
        ("FROM a AS x\nCOPY --from=y a b\nFROM b AS y\n", ("error", "unknown-stage", 2)),
        ("FROM a AS x\nCOPY --from=x a b\n", ("error", "unknown-stage", 2)),
        ("FROM a\nRUN --mount=from=0 ls\n", ("warning", "dockerfile-mount", 2)),
        ("FROM --platform=linux/z80 a\n", ("error", "bad-platform", 1)),
        ("FROM --platform=${X?} a\n", ("error", "dockerfile-substitution", 1)),
    ],
)
def test_what_cannot_be_resolved_is_found(text: str, expected: tuple[str, str, int]) -> None:
    """Every mistake has a severity, a code, its line and a hint."""
    assert [expected] == _findings(text)


def test_an_unset_variable_that_leaves_a_legal_name_is_no_mistake() -> None:
    """`base$SUFFIX` without a suffix is `base`."""
    assert _keys("ARG SUFFIX\nFROM base$SUFFIX\n") == ["base"]


def test_a_dockerfile_of_another_frontend_uses_nothing() -> None:
    """Nothing is known, and nothing is made up."""
    assert _resolve("# syntax=acme/x\nhello\n", "any") == ((), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM --platform=$BUILDPLATFORM a\n", True),
        ("ARG X=$BUILDARCH\nFROM a\n", True),
        ("FROM a\nARG BUILDOS\n", True),
        ("FROM a\nONBUILD ARG BUILDVARIANT\n", True),
        ("FROM a\nRUN echo $BUILDPLATFORM\n", False),
        ("FROM a\nARG MYBUILDPLATFORM TARGETPLATFORM\n", False),
    ],
)
def test_a_dockerfile_mentions_the_building_platform_or_not(text: str, expected: bool) -> None:  # noqa: FBT001  # pytest gives it by position
    """A `RUN` alone does not see the platform that builds; an `ARG` makes it visible."""
    assert expected is mentions_build_platform(_dockerfile(text))


words = st.text("ab$X{}:-/?'\"\\#%1", min_size=1, max_size=12).filter(lambda word: not word.startswith("#"))


@given(words, words, words, st.dictionaries(st.sampled_from(["X", "a"]), st.text(max_size=5)))
def test_substitution_gives_uses_or_diagnostics(default: str, base: str, origin: str, given: dict[str, str]) -> None:
    """Whatever stands in a Dockerfile, and whatever is given, nothing raises."""
    parsed, diagnostics = parse(f"ARG X={default}\nFROM {base} AS s\nCOPY --from={origin} a b\n", "Dockerfile")
    if parsed is None:
        assert diagnostics
        return
    uses, found = external_uses(parsed, arguments=given, target="", platform=ARM, build_platform=AMD64)

    assert all(use.key for use in uses)
    assert all(finding.severity in Severity for finding in found)
