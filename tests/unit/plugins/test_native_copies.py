"""Builders of several nodes, of which `native` uses each alone: what they are, what they get, what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest

from orchestrator.api.backend import Emulation, Mode, Node, Placement, PlaceRequest, Refusal
from orchestrator.api.invocation import Invocation, Outcome, render_word
from orchestrator.oci.platform import Platform
from orchestrator.plugins import check_table, find_backends
from orchestrator_native.backend import NativeBackend
from orchestrator_native.config import NativeConfig
from tests.unit.buildkit.solves import AMD64, ARM64

FARM: Mapping[str, object] = {"name": "farm", "platforms": ["linux/amd64", "linux/arm64"], "builder": "b", "slots": 3}
AMD, ARM = ("linux/amd64", "linux/arm64"), ("linux/arm64", "linux/amd64")
CONTAINER, CLUSTER = "docker-container", "kubernetes"


def native(**more: object) -> NativeBackend:
    """A native backend of this builder."""
    return NativeBackend.configured(msgspec.convert({"nodes": [{**FARM, **more}]}, NativeConfig))


def said(*nodes: str, driver: str = "remote") -> Outcome:
    """What `docker buildx inspect` prints of a builder of these nodes."""
    return Outcome(exit_code=0, stdout=f"Name: b\nDriver: {driver}\n\nNodes:\n" + "\n".join(nodes))


def told(
    name: str, endpoint: str = "", options: str = "", *, status: str = "running", runs: tuple[str, ...] = ()
) -> str:
    """What it prints of one node."""
    lines = [
        f"Name: {name}",
        f"Endpoint: {endpoint or f'tcp://{name}:1'}",
        f"Driver Options: {options}" * bool(options),
    ]
    lines += [f"Status: {status}", f"Platforms: {', '.join(runs)}" * bool(runs)]
    return "\n".join(filter(None, lines)) + "\n"


def found(backend: NativeBackend, answer: Outcome, **alone: Outcome) -> tuple[Node, ...]:
    """The nodes, after the builder and then its nodes answered this."""
    answers = {"inspect farm": answer}
    probes = {node.name: node.probe for node in backend.nodes(answers) if node.probe}
    return backend.nodes({**answers, **{probes[f"farm/{name}"].name: each for name, each in alone.items()}})


def two(backend: NativeBackend) -> tuple[Node, ...]:
    """An amd64 node and an arm64 one."""
    answer = said(told("one"), told("two"))
    return found(backend, answer, one=said(told("one", runs=AMD)), two=said(told("two", runs=ARM)))


def place(backend: NativeBackend, nodes: tuple[Node, ...], platform: Platform) -> Placement | Refusal:
    """Where an image goes that may be emulated."""
    return backend.place(PlaceRequest(image="x", platform=platform, emulation=Emulation.ALLOW, nodes=nodes, host=AMD64))


def words(invocations: tuple[Invocation, ...]) -> list[list[str]]:
    """What children are told."""
    return [[render_word(word) for word in invocation.argv] for invocation in invocations]


def test_each_node_of_a_builder_is_a_node() -> None:
    """With what it runs of the declared platforms, and the slots of the table."""
    backend = native(emulates=["linux/arm64", "linux/s390x"])
    one, two_ = two(backend)
    assert ("farm/one", (AMD64,), (ARM64,)) == (one.name, one.platforms, one.emulates)
    assert ("farm/two", (ARM64,), ()) == (two_.name, two_.platforms, two_.emulates)
    assert {(3, True, False, "")} == {
        (node.slots, node.private, node.provisional, node.problem) for node in (one, two_)
    }
    assert Placement(node="farm/two", mode=Mode.NATIVE) == place(backend, (one, two_), ARM64)


def test_unasked_it_is_one_node() -> None:
    """As it is declared; nobody knows of its nodes."""
    (node,) = native().nodes({})
    assert ("farm", "b", True, False) == (node.name, node.builder, node.provisional, node.private)


def one(first: str, alone: Outcome | None, *, driver: str = "remote") -> Node:
    """The node of a builder of one node, for arm64, after it was asked, and asked alone."""
    backend, answers = native(platforms=["linux/arm64"]), {"inspect farm": said(first, driver=driver)}
    (node,) = backend.nodes(answers)
    if alone is not None:
        assert node.probe is not None
        (node,) = backend.nodes({**answers, node.probe.name: alone})
    return node


def test_what_was_declared_for_the_one_node_of_a_builder_is_no_proof() -> None:
    """It is asked alone, without it: an amd64 machine that is called arm64 only emulates that."""
    node = one(told("one", runs=("linux/arm64*", *AMD)), said(told("one", runs=AMD)))
    assert "it is declared to run `linux/arm64` natively, and only emulates it" == node.problem


def test_the_one_node_of_a_builder_that_is_what_was_declared_is_taken() -> None:
    """As the builder that it is; nothing is made for it, and nothing is asked twice while it builds."""
    node = one(told("one", runs=("linux/arm64*", "linux/amd64")), said(told("one", runs=ARM)))
    assert ("", "b", False, False, None) == (node.problem, node.builder, node.private, node.provisional, node.probe)
    assert (ARM64,) == node.platforms


def test_until_it_was_asked_alone_nothing_is_built_on_it() -> None:
    """But it does answer."""
    node = one(told("one", runs=("linux/arm64*", *AMD)), None)
    assert ("it was not asked what its machine is", False) == (node.problem, node.provisional)


@pytest.mark.parametrize(
    ("runs", "problem"),
    [(("linux/arm64*", "linux/arm/v7"), ""), (("linux/arm64*", *AMD), "cannot be asked without them")],
)
def test_one_that_cannot_be_asked_alone_has_to_be_plain(runs: tuple[str, ...], problem: str) -> None:
    """What BuildKit lists besides agrees with what was declared, or nobody knows what it is."""
    node = one(told("one", options='new="1"', runs=runs), None)
    assert (True, bool(problem)) == (problem in node.problem, bool(node.hints))


def test_one_that_is_silent_when_asked_alone_is_a_guess() -> None:
    """As any other that does not answer."""
    node = one(told("one", runs=("linux/arm64*", *AMD)), Outcome(exit_code=127, stderr="it hangs"))
    assert (True, "it hangs") == (node.provisional, node.summary)


def test_what_one_pod_emulates_is_emulated() -> None:
    """A cluster of unequal machines takes either."""
    pods = [told("k0", "kubernetes:///b?deployment=k0", runs=runs) for runs in (AMD, ARM)]
    (node,) = found(native(platforms=["linux/arm64"]), said(*pods, driver=CLUSTER))
    assert "it is declared to run `linux/arm64` natively, and only emulates it" == node.problem


def test_what_a_node_says_alone_counts() -> None:
    """In the builder somebody has declared platforms for it, which buildx puts first."""
    backend = native()
    alone = said(told("one", runs=AMD))
    nodes = found(backend, said(told("one", runs=("linux/arm64*", *AMD)), told("two")), one=alone)
    assert (AMD64,) == nodes[0].platforms


def test_nodes_that_do_the_same_are_equal() -> None:
    """One is chosen, the other is told of; one that runs nothing of it is left out."""
    backend = native(platforms=["linux/amd64"])
    answer = said(told("one"), told("two"), told("three"))
    alone = {name: said(told(name, runs=AMD)) for name in ("one", "two")}
    nodes = found(backend, answer, three=said(told("three", runs=("linux/arm64",))), **alone)
    assert ["farm/one", "farm/two"] == [node.name for node in nodes]
    placed = place(backend, nodes, AMD64)
    assert isinstance(placed, Placement)
    assert {"farm/one", "farm/two"} == {placed.node, *placed.others}


def test_pods_of_one_deployment_are_one_node() -> None:
    """Of which buildx tells as often as there are pods; the builder is used as it is."""
    pod = told("k0", "kubernetes:///b?deployment=k0", runs=ARM)
    (node,) = found(native(platforms=["linux/arm64"]), said(pod, pod, driver=CLUSTER))
    assert ("farm", "b", False, False, "") == (node.name, node.builder, node.provisional, node.private, node.problem)


def test_a_platform_that_none_of_them_runs_is_refused() -> None:
    """It is not emulated in its place, and the message names the builder."""
    backend = native()
    answer = said(told("one"), told("two"))
    nodes = found(backend, answer, **{name: said(told(name, runs=AMD)) for name in ("one", "two")})
    refused = place(backend, nodes, ARM64)
    assert isinstance(refused, Refusal)
    assert "no node of builder `b` runs `linux/arm64` natively" == refused.message
    assert 'emulates = ["linux/arm64"]' in refused.hints[1]


@pytest.mark.parametrize(
    ("alone", "summary"),
    [
        (said(told("two", status="inactive")), "tcp://two:1 does not answer"),
        (Outcome(exit_code=127, stderr="it did not end within 12 seconds"), "it did not end within 12 seconds"),
    ],
)
def test_a_node_that_is_silent_leaves_the_others_alone(alone: Outcome, summary: str) -> None:
    """Nothing begins on it; an equal one is taken."""
    backend = native()
    answer = said(told("one"), told("two", status="inactive"))
    nodes = found(backend, answer, one=said(told("one", runs=AMD)), two=alone)
    assert [(False, "remote driver of builder `b`"), (True, summary)] == [(n.provisional, n.summary) for n in nodes]
    assert Placement(node="farm/one", mode=Mode.NATIVE) == place(backend, nodes, AMD64)


@pytest.mark.parametrize(
    "alone", [said(told("two", runs=ARM)), said(told("two", status="inactive")), Outcome(exit_code=1)]
)
def test_one_is_asked_again_without_its_builder(alone: Outcome) -> None:
    """While it builds: its own question tells whether it answers, under the same name."""
    backend = native()
    probe = two(backend)[1].probe
    assert probe is not None
    again = {node.name: node.provisional for node in backend.nodes({probe.name: alone})}
    assert ("farm/two", alone.exit_code == 0 and "running" in alone.stdout) == (probe.node, not again["farm/two"])


def test_the_question_makes_nothing() -> None:
    """It asks a builder in a folder of its own, which holds this node as it was created, without platforms."""
    options = 'cacert="/c a" key="/k"'
    nodes = native().nodes({"inspect farm": said(told("one", options=options, runs=("linux/arm64*",)), told("two"))})
    assert nodes[0].probe is not None
    (file,) = nodes[0].probe.writes
    assert ("BUILDX_CONFIG", 12.0, nodes[0].builder) == (
        nodes[0].probe.folder, nodes[0].probe.timeout, file.name.partition("/")[2]
    )  # fmt: skip
    stored = json.loads(render_word(file.content))
    assert {"Name": nodes[0].builder, "Driver": "remote", "Nodes": [
        {"Name": "one", "Endpoint": "tcp://one:1", "DriverOpts": {"cacert": "/c a", "key": "/k"}}
    ]} == stored  # fmt: skip


def made(driver: str, node: str) -> tuple[tuple[Invocation, ...], list[list[str]], list[list[str]]]:
    """What is run first for a node, and last."""
    backend = native()
    name = node.splitlines()[0].removeprefix("Name: ")
    first = found(
        backend, said(node, told("other"), driver=driver), **{name: said(told(name, runs=AMD), driver=driver)}
    )
    bound = (msgspec.structs.replace(first[0], name="of-the-plan"),)
    setup = backend.setup(bound)
    return setup, words(setup), words(backend.teardown(bound))


START = ["docker", "buildx", "inspect", "--bootstrap", "<builder of of-the-plan>"]
CREATE = ["docker", "buildx", "create", "--name=<builder of of-the-plan>"]


def test_a_remote_node_is_connected_to_as_it_was() -> None:
    """With all its certificates, and the name of its server; and forgotten, while BuildKit stays."""
    options = 'cacert="/a,b/ca" cert="/c" key="/k\\"" servername="h"'
    _, setup, teardown = made("remote", told("one", options=options))
    assert [[
        *CREATE, "--node=one", "--driver=remote", '--driver-opt="cacert=/a,b/ca"', '--driver-opt="cert=/c"',
        '--driver-opt="key=/k"""', '--driver-opt="servername=h"', "tcp://one:1",
    ]] == setup  # fmt: skip
    assert [["docker", "buildx", "rm", "--keep-daemon", "--keep-state", "<builder of of-the-plan>"]] == teardown


def test_a_container_is_found_by_the_name_of_its_node() -> None:
    """Its variables are left out: it has them, and some are secret."""
    node = told("one", "ssh://u@h", 'env.TOKEN="secret" network="host"')
    _, setup, teardown = made(CONTAINER, node)
    assert [
        [*CREATE, "--node=one", f"--driver={CONTAINER}", '--driver-opt="network=host"', "ssh://u@h"], START,
    ] == setup  # fmt: skip
    assert "--keep-daemon" in teardown[0]


@pytest.mark.parametrize("kubeconfig", ["", "/home/me/.kube/c d"])
def test_a_deployment_is_found_by_the_name_of_its_node(kubeconfig: str) -> None:
    """Buildx makes the endpoint, of the node's name and the variable that names the kubeconfig."""
    where = f"kubernetes:///b?deployment=one&kubeconfig={kubeconfig.replace('/', '%2F').replace(' ', '+')}"
    invocations, setup, teardown = made(CLUSTER, told("one", where, 'namespace="ci"'))
    assert [[*CREATE, "--node=one", f"--driver={CLUSTER}", '--driver-opt="namespace=ci"'], START] == setup
    assert ((("KUBECONFIG", kubeconfig),) if kubeconfig else ()) == invocations[0].environment
    assert "--keep-daemon" in teardown[0]


@pytest.mark.parametrize("status", ["inactive", "stopped"])
def test_a_container_that_does_not_run_is_not_made(status: str) -> None:
    """It would be another one than its builder makes: flags and files are not known here."""
    node = told("one", "unix:///s", status=status)
    nodes = found(native(), said(node, told("two"), driver=CONTAINER), one=said(node, driver=CONTAINER))
    assert "it does not run, and nobody knows yet what it builds" == nodes[0].problem
    assert "`orchestrate builders inspect b --bootstrap`" in nodes[0].hints[0]


@pytest.mark.parametrize(
    ("driver", "node", "problem"),
    [
        ("remote", told("one", options='zstd="1"'), "the driver's option `zstd`"),
        ("remote", told("one", options="zstd"), "not to be read exactly"),
        ("remote", told("one", options='env.A="b"'), "the driver's option `env.A`"),
        ("remote", told("one", endpoint="--use"), "not to be read exactly"),
        ("remote", told("one", endpoint="tcp://h:1 x"), "not to be read exactly"),
        ("remote", told("one two"), "not to be read exactly"),
        ("cloud", told("one"), "only buildx itself can use nodes of the driver `cloud`"),
        (CLUSTER, told("one", "kubernetes:///b?deployment=other"), "`buildx create` does not make its endpoint"),
        (CLUSTER, told("one", "kubernetes:///b?deployment=one&x=y"), "`buildx create` does not make its endpoint"),
        (CLUSTER, told("one", "kubernetes:///b?deployment=one&kubeconfig=%00"), "does not make its endpoint"),
        (CLUSTER, told("one", "kubernetes://[?deployment=one"), "is none"),
    ],
)
def test_what_cannot_be_copied_exactly_is_unfit(driver: str, node: str, problem: str) -> None:
    """It says why and what to do; it is not asked, and not guessed."""
    nodes = native().nodes({"inspect farm": said(node, told("two"), driver=driver)})
    assert (True, None) == (problem in nodes[0].problem, nodes[0].probe)
    assert nodes[0].hints


def test_a_node_of_that_name_is_a_mistake() -> None:
    """Whose names are not known before they are asked."""
    table = {"nodes": [dict(FARM), {"name": "farm/one", "platforms": ["linux/amd64"], "endpoint": "tcp://h:1"}]}
    (finding,) = check_table(find_backends().specs["native"], table, "builds.toml")
    assert ("duplicate-node", "`farm/one` is how a node of the builder of `farm` is called") == (
        finding.code, finding.message
    )  # fmt: skip


def test_a_builder_of_one_node_is_named_by_what_it_is_made_of() -> None:
    """Another endpoint or option, another name; the same for the same."""

    def name(**node: str) -> str:
        return native().nodes({"inspect farm": said(told("one", **node), told("two"))})[0].builder  # type: ignore[arg-type]  # only texts

    names = [name(), name(endpoint="tcp://h:2"), name(options='key="/k"')]
    assert 3 == len(set(names))
    assert name() == names[0]
