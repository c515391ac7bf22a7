"""A node of a builder that there is, as a builder of its own: made of what buildx tells of it, or not at all."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import parse_qs, urlsplit

from msgspec import structs

from orchestrator.api import BuilderOf, Invocation, Model, Phase, Probe, Word
from orchestrator.buildkit.builders import BuilderNode, is_builder_name
from orchestrator_native.builders import SHORT, driver_options, name_builder, probe_instance, start_builder

_KNOWN: Final = {
    "remote": frozenset({"servername", "cacert", "cert", "key", "default-load"}),
    "docker-container": frozenset({
        "image", "network", "memory", "memory-swap", "cpu-period", "cpu-quota", "cpu-shares", "cpuset-cpus",
        "cpuset-mems", "cgroup-parent", "restart-policy", "gpus", "provenance-add-gha", "default-load",
    }),
    "kubernetes": frozenset({
        "image", "namespace", "replicas", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
        "limits.cpu", "limits.memory", "limits.ephemeral-storage", "rootless", "schedulername", "serviceaccount",
        "nodeselector", "annotations", "labels", "tolerations", "loadbalance", "qemu.install", "qemu.image",
        "timeout", "default-load",
    }),
}  # fmt: skip
"""The options of each driver; they say how to reach BuildKit, or how to make it where it is not there."""
_VARIABLES: Final = "env."


class Copied(Model):
    """What a builder of one node is made of; buildx finds a container or a deployment by the `node`'s name."""

    driver: str
    node: str
    endpoint: str
    options: tuple[tuple[str, str], ...]
    kubeconfig: str = ""

    def name_builder(self, node: str) -> str:
        """The name of the builder of what the configuration calls so."""
        return name_builder(node, self.driver, self.node, self.endpoint, self.options)


def copy_node(driver: str, node: BuilderNode) -> Copied | str:
    """What a builder of this node is made of, or why nobody can make one that is the same."""
    if driver not in _KNOWN:
        return f"only buildx itself can use nodes of the driver `{driver}`"
    if not is_builder_name(node.name) or node.options is None or not _is_endpoint(node.endpoint):
        return "what it was created from is not to be read exactly"
    # the container is there and has its variables, some of which are nobody's business
    options = tuple(each for each in node.options if not _is_variable(driver, each[0]))
    unknown = [name for name, _ in options if name not in _KNOWN[driver]]
    if unknown:
        return f"it was created with the driver's option `{unknown[0]}`, which is not known here"
    copied = Copied(driver=driver, node=node.name, endpoint=node.endpoint, options=options)
    return _of_a_cluster(copied) if driver == "kubernetes" else copied


def _of_a_cluster(copied: Copied) -> Copied | str:
    """With the kubeconfig of an endpoint `kubernetes:///BUILDER?deployment=NODE&kubeconfig=PATH`.

    `create` takes no endpoint, and makes this one of the node's name and the variable `KUBECONFIG`.
    """
    try:
        endpoint = urlsplit(copied.endpoint)
        asked = parse_qs(endpoint.query)
    except ValueError:
        return f"its endpoint `{copied.endpoint}` is none"
    kubeconfig = asked.pop("kubeconfig", [""])[0]
    if endpoint.scheme != "kubernetes" or asked != {"deployment": [copied.node]} or not kubeconfig.isprintable():
        return f"`buildx create` does not make its endpoint, `{copied.endpoint}`"
    return structs.replace(copied, kubeconfig=kubeconfig)


def _is_variable(driver: str, option: str) -> bool:
    return driver == "docker-container" and option.startswith(_VARIABLES)


def _is_endpoint(text: str) -> bool:
    """Whether it is one argument, which is no option."""
    return bool(text) and text.isprintable() and not text.startswith("-") and not set(text) & {" ", "\ufffd"}


def probe_copy(copied: Copied, *, name: str, node: str) -> Probe:
    """Ask the node alone; platforms that somebody has declared for it are left out: it says what it runs."""
    builder = copied.name_builder(node)
    told = {"Name": copied.node, "Endpoint": copied.endpoint, "DriverOpts": dict(copied.options)}
    instance = json.dumps({"Name": builder, "Driver": copied.driver, "Nodes": [told]})
    return probe_instance(builder, instance, name=name, node=node)


def make_copy(copied: Copied, node: str) -> tuple[Invocation, ...]:
    """Make the builder of what the plan calls so; BuildKit is there, and is started where it was stopped."""
    words: list[Word] = [
        "docker", "buildx", "create", ("--name=", BuilderOf(node=node)), f"--node={copied.node}",
        f"--driver={copied.driver}", *driver_options(copied.options),
    ]  # fmt: skip
    if copied.driver != "kubernetes":
        words.append(copied.endpoint)
    environment = (("KUBECONFIG", copied.kubeconfig),) if copied.kubeconfig else ()
    creation = Invocation(argv=tuple(words), phase=Phase.SETUP, environment=environment, timeout=SHORT)
    return (creation,) if copied.driver == "remote" else (creation, start_builder(node))
