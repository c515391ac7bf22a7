from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.solve import (
    BuildArg,
    BuildOptions,
    Cache,
    NetworkMode,
    Provenance,
    Secret,
    SshAgent,
)
from orchestrator.api.target import Target, TargetContext
from orchestrator.buildkit.bake import MARK, check_targets, escape, render_bake, target_attributes
from tests.unit.buildkit.solves import AMD64, ARM64, OPTIONS

HOSTILE = st.text(
    st.one_of(st.sampled_from("${}%~\"'\\,=:\n\r\t"), st.characters(exclude_categories=["Cs"])), max_size=14
)


def target(options: BuildOptions = OPTIONS, **fields: object) -> Target:
    """A target of two platforms."""
    given_ = {"name": "x", "image": "x", "platforms": (AMD64, ARM64), "options": options, **fields}
    return Target(**given_)  # type: ignore[arg-type]  # whatever fields a test sets


def evaluate(template: str) -> str:
    """What HCL makes of a template of ours: its escapes, and interpolations of a literal in quotes."""
    quoted = r'\$\{"(?P<quoted>[^"]*)"\}'
    return re.sub(
        rf"{quoted}|\$(?P<dollar>\$\{{)|%(?P<percent>%\{{)",
        lambda match: match["dollar"] or match["percent"] or match["quoted"].replace("\\r", "\r"),
        template,
    )


def test_the_least_target_by_value() -> None:
    """What bake takes by itself is not said; without tags nothing leaves the builder."""
    assert {
        "context": "src",
        "dockerfile": "Dockerfile",
        "platforms": ["linux/amd64", "linux/arm64"],
        "attest": [{"type": "provenance", "mode": "min"}, {"type": "sbom", "disabled": True}],
        "output": [{"type": "cacheonly"}],
    } == target_attributes(target())


def test_everything_by_value() -> None:
    """Every option as its attribute, objects rather than CSV."""
    options = BuildOptions(
        context="src/app",
        dockerfile="src/docker/D",
        target="release",
        args=(BuildArg(name="A", value="1"), BuildArg(name="B", value="")),
        labels=(BuildArg(name="l", value="x=y", volatile=True),),
        secrets=(Secret(id="e", env="TOKEN"), Secret(id="f", src="a,b.txt"), Secret(id="g")),
        ssh=(SshAgent(id="default"), SshAgent(id="k", paths=("a", "b"))),
        cache_from=(Cache(type="registry", attributes=(("ref", "r/c"),)),),
        cache_to=(Cache(type="registry", attributes=(("ref", "r/c"), ("mode", "max"))),),
        no_cache=True,
        no_cache_filter=("s", "t"),
        pull=True,
        network=NetworkMode.HOST,
        entitlements=("network.host", "security.insecure"),
        extra_hosts=(("h", "10.0.0.1"),),
        shm_size="1g",
        ulimits=("nofile=1:2",),
        provenance=Provenance.OFF,
        sbom=True,
    )
    contexts = (TargetContext(name="base", value="target:base"), TargetContext(name="lib", value="libs"))
    assert {
        "description": "what it is",
        "context": "src/app",
        "dockerfile": "../docker/D",
        "target": "release",
        "platforms": ["linux/amd64", "linux/arm64"],
        "tags": ["r/x:1"],
        "annotations": ["index:a=b,c"],
        "args": {"A": "1", "B": ""},
        "labels": {"l": "x=y"},
        "contexts": {"base": "target:base", "lib": "libs"},
        "secret": [{"id": "e", "env": "TOKEN"}, {"id": "f", "src": "a,b.txt"}, {"id": "g"}],
        "ssh": [{"id": "default"}, {"id": "k", "paths": ["a", "b"]}],
        "cache-from": [{"type": "registry", "ref": "r/c"}],
        "cache-to": [{"type": "registry", "ref": "r/c", "mode": "max"}],
        "no-cache": True,
        "no-cache-filter": ["s", "t"],
        "pull": True,
        "network": "host",
        "entitlements": ["network.host", "security.insecure"],
        "extra-hosts": {"h": "10.0.0.1"},
        "shm-size": "1g",
        "ulimits": ["nofile=1:2"],
        "attest": [{"type": "provenance", "disabled": True}, {"type": "sbom"}],
        "output": [{"type": "image", "oci-mediatypes": "true"}],
    } == target_attributes(
        target(options, contexts=contexts, tags=("r/x:1",), annotations=(("a", "b,c"),), description="what it is")
    )


def test_the_text_of_a_file() -> None:
    """Groups, then targets; a mark says who wrote it."""
    text = render_bake([target()], {"default": ("x",), "all": ("x",)})
    assert text.startswith('{\n  "group": {\n    "default": {\n      "description": "Written by')
    assert MARK.encode() in text.encode()[:4096]
    assert {"default": {"description": MARK, "targets": ["x"]}, "all": {"targets": ["x"]}} == json.loads(text)["group"]
    assert ["x"] == [*json.loads(text)["target"]]


@pytest.mark.parametrize(
    ("context", "dockerfile", "found"),
    [
        (".", "Dockerfile", "Dockerfile"),
        ("a", "a/b/D", "b/D"),
        ("a/b", "D", "../../D"),
        ("a/b", "a/D", "../D"),
        ("../x", "../x/D", "D"),
        ("../x", "../y/D", "../y/D"),
        ("/x", "/y/D", "../y/D"),
        ("a", "/y/D", "/y/D"),
        ("https://h.example/x.git", "docker/D", "docker/D"),
        ("git@h.example:x", "docker/D", "docker/D"),
    ],
)
def test_a_dockerfile_is_relative_to_its_context(context: str, dockerfile: str, found: str) -> None:
    """As bake reads it; where the context is fetched, it is in there."""
    assert found == target_attributes(target(BuildOptions(context=context, dockerfile=dockerfile)))["dockerfile"]


def test_an_inline_dockerfile_is_the_only_one() -> None:
    """A path beside it would say nothing."""
    options = BuildOptions(context=".", dockerfile="D", dockerfile_inline="FROM scratch\n")
    found = target_attributes(target(options))
    assert ("FROM scratch\n", False) == (found["dockerfile-inline"], "dockerfile" in found)


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("", ""),
        ("${x}", "$${x}"),
        ("%{ if }", "%%{ if }"),
        ("$${x} 5% {{ }}", "$$${x} 5% {{ }}"),
        ("a\r\n${x}", "a\r\n$${x}"),
        ("$\r\n$${x}", '${"$\\r"}\n$$${x}'),
        ("\ufeff${x}", '${""}\ufeff$${x}'),
        ('"\\n', '"\\n'),
    ],
)
def test_templates_by_value(text: str, template: str) -> None:
    """What HCL would evaluate is escaped, the rest is as it was."""
    assert template == escape(text)


@given(HOSTILE)
def test_a_template_evaluates_to_its_text(text: str) -> None:
    """Whatever is in it."""
    assert text == evaluate(escape(text))


@given(HOSTILE, HOSTILE)
def test_every_text_and_every_key_is_escaped(name: str, value: str) -> None:
    """Wherever it stands: nothing that bake would evaluate is left."""
    options = BuildOptions(
        context=f"{value}/c",
        dockerfile=f"{value}/c/D",
        args=(BuildArg(name=name, value=value),),
        cache_from=(Cache(type="registry", attributes=((name, value),)),),
        ssh=(SshAgent(id=value, paths=(value,)),),
    )
    written = json.loads(render_bake([target(options, tags=(value,))], {"default": ("x",)}))["target"]["x"]
    assert {name: value} == {evaluate(key): evaluate(text) for key, text in written["args"].items()}
    assert value == evaluate(written["ssh"][0]["paths"][0])
    assert f"{value}/c" == evaluate(written["context"])


@given(st.lists(HOSTILE, max_size=5))
def test_the_same_targets_give_the_same_bytes(texts: list[str]) -> None:
    """In the order in which they are."""
    options = BuildOptions(context=".", dockerfile="D", args=tuple(BuildArg(name=text, value=text) for text in texts))
    one, other = (render_bake([target(options)], {"default": ("x",)}) for _ in range(2))
    assert one == other


def test_what_comes_twice_is_there_once() -> None:
    """As bake prints it."""
    options = BuildOptions(context=".", dockerfile="D", ulimits=("a=1:1", "a=1:1"), no_cache_filter=("s", "s"))
    found = target_attributes(target(options, tags=("r/x:1", "r/x:1")))
    assert (["a=1:1"], ["s"], ["r/x:1"]) == (found["ulimits"], found["no-cache-filter"], found["tags"])


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(context="cafe\u0301", dockerfile="cafe\u0301/D"),
        BuildOptions(context=".", dockerfile="D", args=(BuildArg(name="A\u030a", value="1"),)),
        BuildOptions(context=".", dockerfile="D", labels=(BuildArg(name="a", value="\u212b"),)),
    ],
)
def test_a_text_that_hcl_would_change_is_an_error(options: BuildOptions) -> None:
    """It composes characters, and nothing keeps it from that."""
    assert {"bake-text"} == {finding.code for finding in check_targets([target(options)])}


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(context="https://me:pass@h.example/x.git", dockerfile="D"),
        BuildOptions(context=".", dockerfile="D", cache_to=(Cache(type="s3", attributes=(("session_token", "x"),)),)),
        BuildOptions(context=".", dockerfile="D", args=(BuildArg(name="P", value="http://me:pass@proxy"),)),
    ],
)
def test_a_credential_is_an_error(options: BuildOptions) -> None:
    """The file is handed on; the finding does not show it."""
    (found,) = check_targets([target(options)])
    assert "bake-credential" == found.code
    assert "pass" not in found.message


def test_secrets_by_name_are_no_credentials() -> None:
    """Their values are not in the file."""
    options = BuildOptions(context=".", dockerfile="D", secrets=(Secret(id="token", env="TOKEN"),))
    assert [] == [*check_targets([target(options)])]
