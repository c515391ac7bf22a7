"""`builds.toml` as types: what may be written, and what every key means.

These classes are the schema: `decode` checks against them, `jsonschema` and the reference of the docs are made from
their descriptions. Attribute names are bake's where bake has the attribute.
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType, field

from orchestrator.model import Table

FORMAT = 1

# TOML's integers have 64 bits; bounds on floats keep out `nan` and `inf`, which no arg or tag can mean.
Integer: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Number: TypeAlias = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
Scalar: TypeAlias = str | Integer | Number | bool
Text: TypeAlias = Annotated[str, Meta(min_length=1)]


class ValueTable(Table):
    """The long form of an arg, a label or an annotation: exactly one of `value` and `raw`."""

    value: Annotated[Scalar | UnsetType, Meta(description="The value; a template.")] = UNSET
    raw: Annotated[str | UnsetType, Meta(description="The value, taken literally: no template.")] = UNSET
    volatile: Annotated[bool, Meta(description="Not part of the input digest: a reused image keeps the old value.")] = (
        False
    )


Value: TypeAlias = Scalar | ValueTable


class TagTable(Table):
    """The long form of a tag."""

    ref: Annotated[Text, Meta(description="The tag, or a whole reference with a slash; a template.")]
    moving: Annotated[
        bool, Meta(description="May be moved from one digest to another, as `latest` is; put after all other tags.")
    ] = False
    when: Annotated[
        Text | bool, Meta(description="A template that gives a Boolean; the tag is left out where it is false.")
    ] = True


class ContextTable(Table):
    """The long form of a named context: the data of another image for one platform."""

    image: Annotated[Text, Meta(description="The name of an image of this project.")]
    platform: Annotated[
        Text | UnsetType,
        Meta(
            description="Take the image of this platform for every platform; for `COPY --from` and mounts, not `FROM`."
        ),
    ] = UNSET


class SecretTable(Table):
    """A build secret: named here, its value read from the environment or a file by BuildKit's client."""

    id: Annotated[Text, Meta(description="The id that `RUN --mount=type=secret,id=…` uses.")]
    env: Annotated[Text | UnsetType, Meta(description="The environment variable that holds the value.")] = UNSET
    src: Annotated[Text | UnsetType, Meta(description="The file that holds the value.")] = UNSET


class SshTable(Table):
    """An SSH agent socket or keys for `RUN --mount=type=ssh`."""

    id: Annotated[Text, Meta(description="The id; `default` is what a mount without an id uses.")]
    paths: Annotated[
        list[Text], Meta(description="Key files or agent sockets; empty for the agent of `SSH_AUTH_SOCK`.")
    ] = []


class VersionTable(Table):
    """Where `{{ version }}` comes from."""

    source: Annotated[
        Text | UnsetType,
        Meta(description="`git-tag`, `env:NAME`, `file:PATH` or `file:PATH#dotted.key` of a TOML or JSON file."),
    ] = field(name="from", default=UNSET)
    value: Annotated[Text | UnsetType, Meta(description="The version, literally.")] = UNSET
    match: Annotated[
        Text | UnsetType,
        Meta(
            description="With `git-tag`: a glob; of the tags on HEAD that match, the highest, less the literal prefix."
        ),
    ] = UNSET
    fallback: Annotated[
        Text | UnsetType,
        Meta(description="A template for the version where the source has none; may use `next_patch` and `distance`."),
    ] = UNSET


class TestTable(Table):
    """A command that must succeed in the built image before any tag moves."""

    run: Annotated[
        list[str],
        Meta(
            min_length=1,
            description="The command, an argv; no shell is started, and `ENTRYPOINT` is not used. Words are templates.",
        ),
    ]
    platforms: Annotated[
        Annotated[list[Text], Meta(min_length=1)] | UnsetType,
        Meta(description="The platforms it runs on; all of the image's unless said."),
    ] = UNSET


class BuildTable(Table):
    """What one platform build is made of; allowed in an image, a template, `[defaults]` and `on."<platform>"`."""

    context: Annotated[
        Text | UnsetType,
        Meta(description="The build context: a folder, relative to this file, or a URL. The image's name unless said."),
    ] = UNSET
    dockerfile: Annotated[
        Text | UnsetType, Meta(description="The Dockerfile, relative to the context. `Dockerfile` unless said.")
    ] = UNSET
    dockerfile_inline: Annotated[
        str | UnsetType, Meta(description="The text of the Dockerfile itself; literal, no template.")
    ] = UNSET
    target: Annotated[Text | UnsetType, Meta(description="The stage to build; the last one unless said.")] = UNSET
    args: Annotated[dict[str, Value] | UnsetType, Meta(description="Build args; values are templates.")] = UNSET
    labels: Annotated[
        dict[str, Value] | UnsetType, Meta(description="Labels of the image config; values are templates.")
    ] = UNSET
    contexts: Annotated[
        dict[str, Text | ContextTable] | UnsetType,
        Meta(description="Named contexts: `image:NAME`, a folder, `docker-image://`, `oci-layout://`, a URL."),
    ] = UNSET
    secrets: Annotated[list[SecretTable] | UnsetType, Meta(description="Secrets, by name.")] = UNSET
    ssh: Annotated[list[Text | SshTable] | UnsetType, Meta(description="SSH agents, by id.")] = UNSET
    cache_from: Annotated[
        list[Text | dict[str, Scalar]] | UnsetType,
        Meta(description="Caches to read: a reference, or a table with `type` and that type's attributes."),
    ] = UNSET
    cache_to: Annotated[
        list[Text | dict[str, Scalar]] | UnsetType,
        Meta(description="Caches to write: a reference, or a table with `type` and that type's attributes."),
    ] = UNSET
    no_cache: Annotated[bool | UnsetType, Meta(description="Build every step anew.")] = UNSET
    no_cache_filter: Annotated[list[Text] | UnsetType, Meta(description="Stages to build anew.")] = UNSET
    pull: Annotated[bool | UnsetType, Meta(description="Ask the registry for newer base images.")] = UNSET
    network: Annotated[
        Literal["default", "none", "host"] | UnsetType,
        Meta(description="The network of `RUN`; `host` asks for the grant `--allow network.host`."),
    ] = UNSET
    entitlements: Annotated[
        list[Literal["network.host", "security.insecure"]] | UnsetType,
        Meta(description="Privileges of the build; each asks for its grant with `--allow`."),
    ] = UNSET
    extra_hosts: Annotated[
        dict[str, Text] | UnsetType, Meta(description="Names and addresses added to `/etc/hosts`.")
    ] = UNSET
    shm_size: Annotated[Text | UnsetType, Meta(description="The size of `/dev/shm`, such as `128m`.")] = UNSET
    ulimits: Annotated[list[Text] | UnsetType, Meta(description="Limits such as `nofile=1024:1024`.")] = UNSET


class CommonTable(BuildTable):
    """The attributes that images, templates and `[defaults]` share."""

    description: Annotated[str | UnsetType, Meta(description="One line for people.")] = UNSET
    platforms: Annotated[
        Annotated[list[Text], Meta(min_length=1)] | UnsetType,
        Meta(description="The platforms, such as `linux/arm64`; the index holds exactly these."),
    ] = UNSET
    repository: Annotated[
        Text | UnsetType,
        Meta(description="The home repository; a template. A tag without a slash is a tag of it."),
    ] = UNSET
    tags: Annotated[list[Text | TagTable] | UnsetType, Meta(description="The tags; templates.")] = UNSET
    annotations: Annotated[
        dict[str, Value] | UnsetType, Meta(description="Annotations of the image index; values are templates.")
    ] = UNSET
    version: Annotated[
        Text | VersionTable | UnsetType,
        Meta(description="A version of its own: a literal, or a table like `[version]`."),
    ] = UNSET
    publish: Annotated[
        bool | UnsetType, Meta(description="`false` for an intermediate image that never gets a tag.")
    ] = UNSET
    needs: Annotated[list[Text] | UnsetType, Meta(description="Images to be built first: order only, no data.")] = UNSET
    infer: Annotated[
        bool | UnsetType, Meta(description="`false` takes no edges from the Dockerfile. `true` unless said.")
    ] = UNSET
    test: Annotated[
        TestTable | UnsetType,
        Meta(description="A command that must succeed in the image, on each platform, before any tag moves."),
    ] = UNSET
    provenance: Annotated[
        Literal["off", "min", "max"] | UnsetType, Meta(description="The provenance attestation. `min` unless said.")
    ] = UNSET
    sbom: Annotated[bool | UnsetType, Meta(description="`true` adds a software bill of materials.")] = UNSET
    timeout: Annotated[
        Text | UnsetType, Meta(description="The longest time for one solve, such as `30m`. No limit unless said.")
    ] = UNSET
    retries: Annotated[
        Annotated[int, Meta(ge=0, le=10)] | UnsetType,
        Meta(description="Retries of transient failures, never of a failing `RUN`. 2 unless said."),
    ] = UNSET
    backend: Annotated[Text | UnsetType, Meta(description="The backend that builds this image.")] = UNSET
    on: Annotated[
        dict[str, BuildTable] | UnsetType, Meta(description='Overrides for one platform: `on."linux/arm64".args`.')
    ] = UNSET


class ExtendTable(Table):
    """Lists to append to what is inherited, instead of replacing it."""

    platforms: Annotated[list[Text] | UnsetType, Meta(description="Appended to `platforms`.")] = UNSET
    tags: Annotated[list[Text | TagTable] | UnsetType, Meta(description="Appended to `tags`.")] = UNSET
    secrets: Annotated[list[SecretTable] | UnsetType, Meta(description="Appended to `secrets`.")] = UNSET
    ssh: Annotated[list[Text | SshTable] | UnsetType, Meta(description="Appended to `ssh`.")] = UNSET
    cache_from: Annotated[list[Text | dict[str, Scalar]] | UnsetType, Meta(description="Appended to `cache-from`.")] = (
        UNSET
    )
    cache_to: Annotated[list[Text | dict[str, Scalar]] | UnsetType, Meta(description="Appended to `cache-to`.")] = UNSET
    no_cache_filter: Annotated[list[Text] | UnsetType, Meta(description="Appended to `no-cache-filter`.")] = UNSET
    entitlements: Annotated[
        list[Literal["network.host", "security.insecure"]] | UnsetType, Meta(description="Appended to `entitlements`.")
    ] = UNSET
    ulimits: Annotated[list[Text] | UnsetType, Meta(description="Appended to `ulimits`.")] = UNSET
    needs: Annotated[list[Text] | UnsetType, Meta(description="Appended to `needs`.")] = UNSET


class TemplateTable(CommonTable):
    """A template: never built, inherited by images and other templates."""

    inherits: Annotated[
        list[Text] | UnsetType, Meta(description="Templates to start from; later ones win over earlier ones.")
    ] = UNSET
    unset: Annotated[
        list[Text] | UnsetType, Meta(description="Dotted keys, as in TOML, to drop from what was inherited.")
    ] = UNSET
    extend: Annotated[ExtendTable | UnsetType, Meta(description="Lists to append to what was inherited.")] = UNSET


class ImageTable(TemplateTable):
    """An image, or with `matrix` one image for each combination."""

    name: Annotated[Text | UnsetType, Meta(description="With `matrix`: the template of the images' names.")] = UNSET
    matrix: Annotated[
        dict[str, list[Scalar]] | UnsetType,
        Meta(description="Axes and their values; the images are all combinations less `exclude`."),
    ] = UNSET
    exclude: Annotated[
        list[dict[str, Scalar]] | UnsetType, Meta(description="Combinations to leave out; an absent axis means any.")
    ] = UNSET


class ProjectTable(Table):
    """What the whole file shares."""

    name: Annotated[Text | UnsetType, Meta(description="The name of the project. The folder's name unless said.")] = (
        UNSET
    )
    registry: Annotated[
        Text | UnsetType,
        Meta(description="`{{ registry }}`: a host and a path; ORCHESTRATE_REGISTRY or --registry wins over it."),
    ] = UNSET
    secrets_in_args: Annotated[
        Literal["error", "warn", "allow"],
        Meta(description="What to do about args that look like credentials: they end up in the image's history."),
    ] = "error"


class VarTable(Table):
    """A variable with more than a default."""

    default: Annotated[Scalar | UnsetType, Meta(description="The value unless another is given.")] = UNSET
    description: Annotated[str, Meta(description="One line for people.")] = ""
    choices: Annotated[list[Scalar] | UnsetType, Meta(description="The only values allowed.")] = UNSET


class PlatformTable(Table):
    """Rules for one platform, or for all that have none with the key `*`."""

    emulation: Annotated[
        Literal["allow", "warn", "forbid"],
        Meta(description="Whether this platform may be built under emulation; `forbid` unless said."),
    ] = "forbid"


class StateTable(Table):
    """Where results are remembered, and which remembered results a run may take."""

    read: Annotated[list[Text], Meta(description="State scopes to read besides the one that is written.")] = []
    repository: Annotated[
        Text | UnsetType, Meta(description="A repository of its own for state; results are then copied.")
    ] = UNSET


class IncludedFile(Table):
    """What a file may hold that another one includes; its `[defaults]` are for its own images."""

    format: Annotated[int, Meta(description="The version of this format: 1.")]
    vars: Annotated[dict[str, Scalar | VarTable], Meta(description="Variables: `{{ vars.NAME }}`.")] = {}
    defaults: Annotated[CommonTable, Meta(description="What every image of this file starts from.")] = CommonTable()
    templates: Annotated[dict[str, TemplateTable], Meta(description="Templates, by name.")] = {}
    images: Annotated[dict[str, ImageTable], Meta(description="Images, by name.")] = {}
    groups: Annotated[
        dict[str, list[Text]],
        Meta(description="Names and globs of images and groups; `default` is the bare command's."),
    ] = {}


class BuildFile(IncludedFile):
    """A decoded `builds.toml`."""

    include: Annotated[
        list[Text], Meta(description="Globs of further files: their images, templates, groups and vars are added.")
    ] = []
    project: Annotated[ProjectTable, Meta(description="What the whole file shares.")] = ProjectTable()
    version: Annotated[Text | VersionTable | UnsetType, Meta(description="Where `{{ version }}` comes from.")] = UNSET
    platforms: Annotated[
        dict[str, PlatformTable], Meta(description='Rules for platforms: `[platforms."linux/arm/v7"]`.')
    ] = {}
    backends: Annotated[
        dict[str, object],
        Meta(description="`default` names the backend; each other key is a backend's own table."),
    ] = {}
    state: Annotated[StateTable, Meta(description="What is remembered.")] = StateTable()
