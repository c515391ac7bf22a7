"""Input manifests: what decides an image is in them, in no order, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.solve import BuildArg, BuildOptions, Cache, NetworkMode, Provenance, Secret, SshAgent
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.plan.inputs import UNKNOWN, InputManifest, begin_manifest, complete_manifest

AMD64, ARM64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")
OPTIONS = BuildOptions(context="app", dockerfile="app/Dockerfile", args=(BuildArg(name="A", value="1"),))
ONE, OTHER = digest_bytes(b"one"), digest_bytes(b"other")

_WORDS = st.text(alphabet="abcAB_/.:", min_size=1, max_size=6)
_ARGS = st.lists(
    st.builds(BuildArg, name=_WORDS, value=_WORDS, volatile=st.booleans()), max_size=5, unique_by=lambda arg: arg.name
)
_DIGESTS = st.dictionaries(_WORDS, st.one_of(st.none(), st.binary(max_size=3).map(digest_bytes)), max_size=4)


def make(  # noqa: PLR0913 (each of them decides)
    options: BuildOptions = OPTIONS,
    platform: Platform = AMD64,
    *,
    dockerfile: str | None = ONE,
    contexts: Mapping[str, str | None] | None = None,
    images: Mapping[str, Digest | None] | None = None,
    parents: Mapping[str, Digest | None] | None = None,
    build_platform: str | None = "",
) -> InputManifest:
    """A manifest."""
    begun = begin_manifest(options, dockerfile=dockerfile, contexts=contexts or {}, images=images or {})
    return complete_manifest(begun, platform, parents=parents or {}, images={}, build_platform=build_platform)


def changed(**values: object) -> BuildOptions:
    """The options with something else in them."""
    return msgspec.structs.replace(OPTIONS, **values)


@given(args=_ARGS, labels=_ARGS, contexts=_DIGESTS, images=_DIGESTS, parents=_DIGESTS, data=st.data())
def test_order_does_not_count(
    args: list[BuildArg],
    labels: list[BuildArg],
    contexts: dict[str, Digest | None],
    images: dict[str, Digest | None],
    parents: dict[str, Digest | None],
    data: st.DataObject,
) -> None:
    """Args, labels, contexts, images and parents may be said in any order."""

    def shuffled(values: dict[str, Digest | None]) -> dict[str, Digest | None]:
        return dict(data.draw(st.permutations(list(values.items()))))

    first = make(
        changed(args=tuple(args), labels=tuple(labels)), contexts=dict(contexts), images=images, parents=parents
    )
    second = make(
        changed(args=tuple(data.draw(st.permutations(args))), labels=tuple(data.draw(st.permutations(labels)))),
        contexts=dict(shuffled(contexts)),
        images=shuffled(images),
        parents=shuffled(parents),
    )
    assert first.digest == second.digest


@given(name=_WORDS, value=_WORDS, other=_WORDS)
def test_volatile_args_and_labels_do_not_count(name: str, value: str, other: str) -> None:
    """Whatever their values are, and whether they are there."""
    volatile = (*OPTIONS.args, BuildArg(name=f"V{name}", value=value, volatile=True))
    otherwise = (*OPTIONS.args, BuildArg(name=f"V{name}", value=other, volatile=True))
    expected = make().digest
    assert expected == make(changed(args=volatile)).digest == make(changed(args=otherwise)).digest
    assert expected == make(changed(labels=volatile[1:])).digest


@given(value=_WORDS, other=_WORDS)
def test_fixed_args_and_labels_count(value: str, other: str) -> None:
    """Equal values give equal digests, and others others."""

    def digests(text: str) -> tuple[Digest, Digest]:
        given = (BuildArg(name="B", value=text),)
        return make(changed(args=given)).digest, make(changed(labels=given)).digest

    assert (value == other) == (digests(value)[0] == digests(other)[0]) == (digests(value)[1] == digests(other)[1])
    assert digests(value)[0] != digests(value)[1]


def test_what_decides_counts() -> None:
    """Each of these gives a digest of its own."""
    manifests = [
        make(),
        make(platform=ARM64),
        make(dockerfile=OTHER),
        make(contexts={"": ONE}),
        make(contexts={"": OTHER}),
        make(contexts={"x": ONE}),
        make(images={"debian": ONE}),
        make(images={"debian": OTHER}),
        make(parents={"debian": ONE}),
        make(parents={"debian": OTHER}),
        make(build_platform="linux/amd64"),
        make(build_platform="linux/arm64"),
        make(changed(target="release")),
        make(changed(secrets=(Secret(id="token", env="TOKEN"),))),
        make(changed(ssh=(SshAgent(id="token"),))),
        make(changed(network=NetworkMode.NONE)),
        make(changed(entitlements=("security.insecure",))),
        make(changed(extra_hosts=(("a", "10.0.0.1"),))),
        make(changed(shm_size="1g")),
        make(changed(ulimits=("nofile=1",))),
        make(changed(provenance=Provenance.MAX)),
        make(changed(sbom=True)),
    ]
    assert len(manifests) == len({manifest.digest for manifest in manifests})


def test_how_it_is_built_does_not_count() -> None:
    """Caches, where secrets come from, and whether anything is pulled or built anew."""
    caches = (Cache(type="registry", attributes=(("ref", "x/y"),)),)
    token = changed(secrets=(Secret(id="token", env="TOKEN"),))
    assert make().digest == make(changed(cache_from=caches, cache_to=caches)).digest
    assert make().digest == make(changed(no_cache=True, no_cache_filter=("build",), pull=True)).digest
    assert make(token).digest == make(changed(secrets=(Secret(id="token", src="token.txt"),))).digest


def test_images_of_a_platform_come_on_top() -> None:
    """What is published of a parent is an external image like others."""
    begun = begin_manifest(OPTIONS, dockerfile=ONE, contexts={}, images={"debian": ONE})
    manifest = complete_manifest(begun, AMD64, parents={}, images={"base": OTHER}, build_platform="")
    assert make(images={"debian": ONE, "base": OTHER}) == manifest


def test_what_is_not_known_is_named() -> None:
    """Nothing of that may be reused."""
    manifest = make(
        contexts={"": None, "x": ONE}, images={"debian": None}, parents={"base": None}, dockerfile=None,
        build_platform=None,
    )  # fmt: skip
    assert ("the context", "debian", "base", "Dockerfile", "the platform that builds") == manifest.unknown
    assert UNKNOWN == manifest.dockerfile
    assert () == make(contexts={"x": ONE}, build_platform="linux/amd64").unknown


def test_manifest_survives_json() -> None:
    """What is kept is read back, and hashes to the same."""
    manifest = make(contexts={"": ONE}, images={"debian": OTHER}, parents={"base": None}, build_platform="linux/amd64")
    again = msgspec.json.decode(manifest.content, type=InputManifest)
    assert manifest == again
    assert manifest.digest == again.digest == digest_bytes(manifest.content)
