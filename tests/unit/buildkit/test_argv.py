from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.invocation import CollectedFile, DigestOf, PathOf, Phase, WrittenFile, render_word
from orchestrator.api.solve import (
    BuildArg,
    BuildOptions,
    Cache,
    NamedContext,
    NetworkMode,
    Provenance,
    Secret,
    SourcePin,
    SshAgent,
)
from orchestrator.buildkit.argv import METADATA, POLICY, render_csv
from orchestrator.buildkit.policy import POLICY_VARIABLE
from tests.unit.buildkit.solves import LAYOUT, invoke, solve, words

START = ["docker", "buildx", "build", "--builder=<builder of default>", "--progress=rawjson",
         "--platform=linux/amd64,linux/arm64"]  # fmt: skip
END = ["--provenance=mode=min", "--sbom=false", "--metadata-file=<path of metadata.json>"]
PUSHED = "--output=type=image,name=r.example/acme/x:run-1,push=true,store=false,oci-mediatypes=true"


def test_the_least_solve_by_value() -> None:
    """Every word of it; the context is the last."""
    assert [*START, "--file=src/Dockerfile", *END, PUSHED, "src"] == words(solve())


def test_everything_by_value() -> None:
    """Every option as its flag, in a fixed order."""
    options = BuildOptions(
        context=".",
        dockerfile="Dockerfile",
        target="release",
        args=(BuildArg(name="A", value="1"), BuildArg(name="B", value="a b")),
        labels=(BuildArg(name="l", value="x=y"),),
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
    contexts = (
        NamedContext(name="base", value=("docker-image://r/base@", DigestOf(step="assemble:base", label="base"))),
        NamedContext(name="lib", value="libs/shared"),
    )
    assert [
        *START,
        "--file=Dockerfile",
        "--target=release",
        "--build-arg=A=1",
        "--build-arg=B=a b",
        "--label=l=x=y",
        "--build-context=base=docker-image://r/base@<digest of base>",
        "--build-context=lib=libs/shared",
        "--secret=id=e,env=TOKEN",
        '--secret=id=f,"src=a,b.txt"',
        "--secret=id=g",
        "--ssh=default",
        "--ssh=k=a,b",
        "--cache-from=type=registry,ref=r/c",
        "--cache-to=type=registry,ref=r/c,mode=max",
        "--no-cache",
        "--no-cache-filter=s",
        "--no-cache-filter=t",
        "--pull",
        "--network=host",
        "--allow=network.host",
        "--allow=security.insecure",
        "--add-host=h:10.0.0.1",
        "--shm-size=1g",
        "--ulimit=nofile=1:2",
        "--provenance=false",
        "--sbom=true",
        "--metadata-file=<path of metadata.json>",
        PUSHED,
        ".",
    ] == words(solve(options, contexts=contexts))


def test_what_a_child_is_given_and_leaves() -> None:
    """No provenance in the metadata, the variables of its secrets by name, one file back, and a time limit."""
    invocation = invoke(solve(BuildOptions(context=".", dockerfile="D", secrets=(Secret(id="e", env="TOKEN"),))))
    assert (("BUILDX_METADATA_PROVENANCE", "disabled"),) == invocation.environment
    assert (("TOKEN",), (), (), (CollectedFile(name=METADATA),)) == (
        invocation.inherits, invocation.writes, invocation.folders, invocation.collects,
    )  # fmt: skip
    assert (("solve:x",), Phase.BUILD, 60.0) == (invocation.steps, invocation.phase, invocation.timeout)


def test_a_layout_is_written_into_a_folder_of_its_own() -> None:
    """Which the engine makes for it."""
    assert "--output=type=oci,tar=false,dest=<path of layout>" in words(solve(output=LAYOUT))
    assert ("layout",) == invoke(solve(output=LAYOUT)).folders


def test_an_inline_dockerfile_is_written_for_the_child() -> None:
    """And named by its path."""
    options = BuildOptions(context=".", dockerfile="D", dockerfile_inline="FROM scratch\n")
    assert "--file=<path of Dockerfile>" in words(solve(options))
    assert (WrittenFile(name="Dockerfile", content="FROM scratch\n"),) == invoke(solve(options)).writes


def test_pins_are_a_policy_in_the_environment() -> None:
    """The file holds the late digest."""
    invocation = invoke(solve(pins=(SourcePin(source="docker-image://a", value="docker-image://b"),)))
    assert (POLICY_VARIABLE, (PathOf(name=POLICY),)) == invocation.environment[1]
    assert [POLICY] == [file.name for file in invocation.writes]


@pytest.mark.parametrize(("context", "word"), [("-x", "./-x"), ("x", "x"), ("./-x", "./-x")])
def test_a_context_is_no_flag(context: str, word: str) -> None:
    """Whatever its folder is called."""
    assert word == words(solve(BuildOptions(context=context, dockerfile="D")))[-1]


@pytest.mark.parametrize("network", NetworkMode)
def test_the_network_is_said_where_it_is_not_the_default(network: NetworkMode) -> None:
    """Buildx would take `default` for the default too."""
    wanted = solve(BuildOptions(context=".", dockerfile="D", network=network))
    said = [word for word in words(wanted) if "network" in word]
    assert said == ([] if network is NetworkMode.DEFAULT else [f"--network={network.value}"])


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["ref", "src", "mode"]),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=12),
    ),
    min_size=1,
    max_size=4,
)


@given(FIELDS)
def test_fields_are_read_back_as_they_were(fields: list[tuple[str, str]]) -> None:
    """Commas, quotes and blanks in a value never make another field."""
    (row,) = csv.reader([render_csv(tuple(fields))], strict=True)
    assert [f"{key}={value}" for key, value in fields] == row


def test_a_line_break_does_not_end_the_fields() -> None:
    """It is quoted like a comma."""
    assert '"a=b\nc",d=e' == render_csv((("a", "b\nc"), ("d", "e")))


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_value_changes_the_number_of_words(name: str, value: str) -> None:
    """An argv is words, whatever they hold."""
    options = BuildOptions(context="c", dockerfile="D", args=(BuildArg(name=name, value=value),))
    found = words(solve(options))
    assert f"--build-arg={name}={value}" in found
    assert len(words(solve())) + 1 == len(found)


def test_words_of_secrets_name_them_only() -> None:
    """The value stays where it is."""
    options = BuildOptions(context=".", dockerfile="D", secrets=(Secret(id="e", env="TOKEN"),))
    assert [word for word in words(solve(options)) if "TOKEN" in word] == ["--secret=id=e,env=TOKEN"]
    assert all(isinstance(render_word(word), str) for word in invoke(solve(options)).argv)
