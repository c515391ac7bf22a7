from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.platform import (
    KNOWN_ARCHITECTURES,
    KNOWN_OS,
    KNOWN_VARIANTS,
    Platform,
    normalise,
    parse_platform,
)

_WORDS = (*KNOWN_OS, *KNOWN_ARCHITECTURES, "x86_64", "aarch64", "armhf", "armel", "v7", "v8", "8", "7", "V2", "", "x")
_TEXTS = st.lists(st.sampled_from(_WORDS) | st.text(max_size=4), max_size=4).map("/".join)


@given(st.text() | _TEXTS)
def test_any_text(text: str) -> None:
    """Any text is a platform that prints and parses as itself, or a ValueError."""
    try:
        platform = parse_platform(text)
    except ValueError:
        return
    assert platform == parse_platform(str(platform))
    assert platform == normalise(platform.os, platform.architecture, platform.variant)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("Linux/RISCV64", "linux/riscv64"),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    """Spellings of one platform are one platform, as in containerd."""
    assert expected == str(parse_platform(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux", "not a platform"),
        ("linux/arm/v7/x", "not a platform"),
        ("linux/", "not a platform"),
        ("linux/amd64\n", "not a platform"),
        ("amiga/amd64", "unknown operating system `amiga`"),
        ("linux/amd46", "unknown architecture `amd46`"),
        ("linux/amd64/v9", "unknown variant `v9`"),
    ],
)
def test_not_a_platform(text: str, expected: str) -> None:
    """The message says which part is wrong."""
    with pytest.raises(ValueError, match=expected):
        parse_platform(text)


def test_known_variants_are_printed_back() -> None:
    """Every variant that is known parses, with its architecture, to a platform of that architecture."""
    for architecture, variants in KNOWN_VARIANTS.items():
        for variant in variants:
            assert architecture == parse_platform(f"linux/{architecture}/{variant}").architecture


def test_slug() -> None:
    """A slug is fit for tags and file names."""
    assert Platform(os="linux", architecture="arm", variant="v7").slug == "linux-arm-v7"


@given(st.text(), st.text(), st.text())
def test_normalise_is_idempotent(system: str, architecture: str, variant: str) -> None:
    """What others write is normalised once, whatever it is."""
    once = normalise(system, architecture, variant)
    assert once == normalise(once.os, once.architecture, once.variant)
