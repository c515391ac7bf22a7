"""`[backends.native]`: the nodes as they are declared, and what is wrong with them beyond their types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from orchestrator.api import ConfigProblem, FileOf, Platform, Table, parse_platform
from orchestrator.api.withheld import WITHHELD_HINT, is_withheld
from orchestrator.buildkit.builders import BuilderName

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Driver: TypeAlias = Literal["remote", "docker-container", "kubernetes"]
Keys: TypeAlias = tuple[str | int, ...]

_REMOTE: Final = ("tcp", "unix", "docker-container", "kube-pod")
_SCHEMES: Final = ("tcp", "ssh", "unix", "docker-container", "kube-pod")
_CERTIFICATES: Final = ("cacert", "cert", "key")
_OF_AN_ENDPOINT: Final = ("endpoint", "driver", "options", *_CERTIFICATES)


class NodeTable(Table):
    """A node of `[backends.native]`: a BuildKit somewhere, used as a builder of its own."""

    name: Annotated[str, Meta(min_length=1, description="The node's name, in plans and with `--node`.")]
    platforms: Annotated[list[str], Meta(min_length=1, description="The platforms that it runs natively.")]
    endpoint: Annotated[
        Text | UnsetType, Meta(description="`tcp://HOST:PORT`, `ssh://USER@HOST`, `unix://PATH` or a Docker context.")
    ] = UNSET
    driver: Annotated[
        Driver | UnsetType,
        Meta(description="The buildx driver; unless said `docker-container` for `ssh://` and contexts, else `remote`."),
    ] = UNSET
    builder: Annotated[
        BuilderName | UnsetType,
        Meta(description="An existing buildx builder, of which each node is one here, instead of an endpoint."),
    ] = UNSET
    emulates: Annotated[list[str], Meta(description="The platforms that it may emulate, where that is allowed.")] = []  # noqa: RUF012 (msgspec copies it)
    slots: Annotated[int, Meta(ge=1, le=256, description="How many solves run on it at a time.")] = 2
    speed: Annotated[
        float, Meta(gt=0, le=1000, description="How fast it is beside nodes that build the same: 2 is twice as fast.")
    ] = 1.0
    options: Annotated[dict[str, str], Meta(description="Options of the driver, such as a namespace.")] = {}  # noqa: RUF012 (msgspec copies it)
    cacert: Annotated[
        Text | UnsetType,
        Meta(description="The CA: a file, from the project's folder on, or `env:NAME` of a variable with its path."),
    ] = UNSET
    cert: Annotated[Text | UnsetType, Meta(description="The client certificate, as `cacert`.")] = UNSET
    key: Annotated[Text | UnsetType, Meta(description="The client key, as `cacert`.")] = UNSET


class NativeConfig(Table):
    """`[backends.native]`."""

    nodes: Annotated[list[NodeTable], Meta(min_length=1, description="The nodes.")] = []  # noqa: RUF012 (msgspec copies it)


def driver_of(table: NodeTable) -> Driver:
    """The buildx driver of an endpoint: `remote` where BuildKit itself listens."""
    scheme, separator, _ = (table.endpoint or "").partition("://")
    return table.driver or ("remote" if separator and scheme in _REMOTE else "docker-container")


def certificates_of(table: NodeTable) -> dict[str, str]:
    """The files of mTLS that a node names, by the driver's names of them."""
    given = {"cacert": table.cacert, "cert": table.cert, "key": table.key}
    return {name: path for name, path in given.items() if path}


def platforms_of(texts: list[str]) -> tuple[Platform, ...]:
    """The platforms; `find_problems` refused those that nobody knows when the table was read."""
    return tuple(parse_platform(text) for text in texts)


def find_problems(config: Table) -> Iterator[ConfigProblem]:
    """Platforms that are none, endpoints that nobody can reach, and nodes with one name."""
    nodes = config.nodes if isinstance(config, NativeConfig) else []
    first: dict[str, int] = {}
    for position, node in enumerate(nodes):
        keys: Keys = ("nodes", position)
        if first.setdefault(node.name, position) != position:
            yield ConfigProblem(
                keys=(*keys, "name"),
                code="duplicate-node",
                message=f"two nodes are called `{node.name}`",
                hints=("give each node a name of its own",),
            )
        yield from _taken_name(node.name, nodes, (*keys, "name"))
        yield from _wrong_platforms(node.platforms, (*keys, "platforms"))
        yield from _wrong_platforms(node.emulates, (*keys, "emulates"))
        yield from _wrong_place(node, keys)
        yield from _wrong_certificates(node, keys)


def _taken_name(name: str, nodes: list[NodeTable], keys: Keys) -> Iterator[ConfigProblem]:
    """Names of the shape that the nodes of a builder get."""
    for other in nodes:
        if other.builder and name.rpartition("/")[0] == other.name:
            yield ConfigProblem(
                keys=keys,
                code="duplicate-node",
                message=f"`{name}` is how a node of the builder of `{other.name}` is called",
                hints=("give it a name that does not begin so",),
            )


def _wrong_platforms(texts: list[str], keys: Keys) -> Iterator[ConfigProblem]:
    for number, text in enumerate(texts):
        try:
            parse_platform(text)
        except ValueError as error:
            yield ConfigProblem(
                keys=(*keys, number),
                code="illegal-platform",
                message=str(error),
                hints=("write it like `linux/amd64`",),
            )


def _wrong_place(node: NodeTable, keys: Keys) -> Iterator[ConfigProblem]:
    """Where a node is: an existing builder, or an endpoint; buildx finds clusters by itself."""
    if node.builder:
        for name in _OF_AN_ENDPOINT:
            if getattr(node, name):
                yield ConfigProblem(
                    keys=(*keys, name),
                    message=f"node `{node.name}` is the builder `{node.builder}`, which has its own `{name}`",
                    hints=(f"leave out `{name}`, or `builder`",),
                )
        return
    if not node.endpoint and node.driver != "kubernetes":
        yield ConfigProblem(
            keys=(*keys, "name"),
            message=f"node `{node.name}` is nowhere",
            hints=(
                'say where it is: `endpoint = "tcp://HOST:PORT"`',
                'or `builder = "NAME"` for a builder that there is: `orchestrate builders ls`',
            ),
        )
    if node.endpoint and node.driver == "kubernetes":
        yield ConfigProblem(
            keys=(*keys, "endpoint"),
            message="a cluster is found by your kubeconfig, not by an endpoint",
            hints=("leave out `endpoint`; `KUBECONFIG` says which kubeconfig, and its current context which cluster",),
        )
        return
    yield from _wrong_endpoint(node.endpoint or "", (*keys, "endpoint"))


def _wrong_endpoint(endpoint: str, keys: Keys) -> Iterator[ConfigProblem]:
    scheme, separator, _ = endpoint.partition("://")
    if separator and scheme not in _SCHEMES:
        yield ConfigProblem(
            keys=keys,
            code="illegal-endpoint",
            message=f"unknown scheme `{scheme}` of an endpoint",
            hints=(f"known are {', '.join(f'`{known}://`' for known in _SCHEMES)}, and names of Docker contexts",),
        )
    elif endpoint.startswith("-") or not endpoint.isprintable() or " " in endpoint:
        yield ConfigProblem(
            keys=keys,
            code="illegal-endpoint",
            message="an endpoint has no spaces, and does not begin with `-`",
            hints=("write it like `tcp://10.0.0.12:1234`",),
        )


def _wrong_certificates(node: NodeTable, keys: Keys) -> Iterator[ConfigProblem]:
    """What the driver `remote` takes: a CA, and a certificate with its key or neither."""
    given = certificates_of(node)
    for name, path in given.items():
        if path == "env:" or "\0" in path:
            yield ConfigProblem(
                keys=(*keys, name), message=f"`{name}` names no file", hints=(f'for example `{name} = "env:NODE_CA"`',)
            )
        variable = FileOf(given=path).variable
        if is_withheld(variable):
            yield ConfigProblem(
                keys=(*keys, name), message=f"the variable `{variable}` is not passed on", hints=(WITHHELD_HINT,)
            )
    if not given or node.builder:
        return
    if driver_of(node) != "remote":
        yield ConfigProblem(
            keys=(*keys, next(iter(given))),
            message=f"the driver `{driver_of(node)}` takes no certificates",
            hints=("certificates are for `tcp://HOST:PORT`",),
        )
    for name, reason in (("cacert", "cert"), ("key", "cert"), ("cert", "key")):
        if name not in given and (name == "cacert" or reason in given):
            yield ConfigProblem(
                keys=(*keys, next(iter(given))),
                message=f"node `{node.name}` has certificates and no `{name}`",
                hints=(f'add `{name} = "certs/{name}.pem"`',),
            )
