from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.solve import BuildArg, Cache, NetworkMode, Provenance, Secret, SshAgent
from orchestrator.config.assign import parse_assignments
from orchestrator.config.schema import VersionTable
from orchestrator.diagnostics import KeyPlace, Severity
from orchestrator.plan.expand import Given, expand
from orchestrator.plan.grants import parse_grants
from orchestrator.plan.image import DeclaredContext, ImageContext, LocalContext, PlatformTest, RemoteContext
from orchestrator.plan.matrix import combinations
from orchestrator.plan.versions import version_rule, version_rules
from orchestrator.tags.facts import NoGit
from orchestrator.tags.version import VersionFacts, VersionRule
from tests.unit.config.samples import project_of
from tests.unit.plan.samples import (
    AMD64,
    ARM64,
    GIT,
    HEAD,
    NOW,
    codes,
    expand_text,
    find_mistakes,
    images_of,
    read_project,
    write_project,
)

AXES = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True), min_size=1
)


@given(axes=AXES, data=st.data())
def test_a_matrix_is_the_product_of_its_axes_less_what_is_excluded(
    axes: dict[str, list[int]], data: st.DataObject
) -> None:
    """Every combination once, the last axis fastest, and an excluded value never."""
    axis = data.draw(st.sampled_from(sorted(axes)))
    value = data.draw(st.sampled_from(axes[axis]))
    tree: dict[str, object] = {"matrix": axes, "name": "x", "exclude": [{axis: value}]}
    table = project_of({"images": {"x": tree}}).images[0].table
    expected: list[dict[str, int]] = [{}]
    for name, values in axes.items():
        expected = [{**one, name: other} for one in expected for other in values]
    assert [one for one in expected if one[axis] != value] == [dict(one) for one in combinations(table)]


def test_an_image_without_a_matrix_is_one_image() -> None:
    """Its one combination is empty."""
    table = project_of({"images": {"x": {}}}).images[0].table
    assert [{}] == [dict(one) for one in combinations(table)]


def test_a_matrix_gives_images_and_a_family() -> None:
    """The name is rendered for each combination, and the declared name stands for all."""
    text = (
        HEAD
        + '[images.db]\nname = "db{{ matrix.pg }}"\nmatrix = { pg = [15, 16] }\nargs = { PG = "{{ matrix.pg }}" }\n'
    )
    expansion, found = expand_text(text)
    assert found == ()
    assert {"db": ("db15", "db16")} == expansion.families
    assert [("15",), ("16",)] == [
        tuple(arg.value for arg in image.variants[0].options.args) for image in expansion.images
    ]


@pytest.mark.parametrize(
    ("body", "code", "keys"),
    [
        ('name = "UP{{ matrix.a }}"\nmatrix = { a = ["x"] }', "image-name", ("images", "x", "name")),
        ('name = "x{{ matrix.a }}"\nmatrix = { a = ["b", "C"] }', "image-name", ("images", "x", "matrix", "a", 1)),
        ('name = "same"\nmatrix = { a = ["1", "2"] }', "duplicate-image", ("images", "x", "name")),
        ('name = "{{ matrix.b }}"\nmatrix = { a = ["1"] }', "template", ("images", "x", "name")),
        ('repository = "r.example/UP"', "repository", ("images", "x", "repository")),
        ('tags = ["a b"]', "tag", ("images", "x", "tags", 0)),
        ('tags = [{ ref = "a/b" }]', "tag", ("images", "x", "tags", 0, "ref")),
        ('tags = ["a/b:c@sha256:' + "0" * 64 + '"]', "tag", ("images", "x", "tags", 0)),
        ('tags = ["{{ image }}{{ nobody }}"]', "template", ("images", "x", "tags", 0)),
        ('tags = [{ ref = "x", when = "{{ image }}" }]', "template", ("images", "x", "tags", 0, "when")),
        ('args = { A = "{{ a" }', "template", ("images", "x", "args", "A")),
        ('contexts = { AB = "x" }', "context-name", ("images", "x", "contexts", "AB")),
        ('context = "../../x"', "outside-repository", ("images", "x", "context")),
        ('contexts = { y = "/etc" }', "outside-repository", ("images", "x", "contexts", "y")),
        ('dockerfile = "../../Dockerfile"', "outside-repository", ("images", "x", "dockerfile")),
        ('secrets = [{ id = "s", src = "/root/.netrc" }]', "outside-repository", ("images", "x", "secrets", 0)),
        ('secrets = [{ id = "s", env = "BUILDKIT_TOKEN" }]', "illegal-value", ("images", "x", "secrets", 0)),
        ('secrets = [{ id = "SOURCE_DATE_EPOCH" }]', "illegal-value", ("images", "x", "secrets", 0)),
        ('ssh = [{ id = "s", paths = ["/root/.ssh/id"] }]', "outside-repository", ("images", "x", "ssh", 0)),
        ('cache-to = [{ type = "local", dest = "/tmp/c" }]', "outside-repository",
         ("images", "x", "cache-to", 0, "dest")),
        ('entitlements = ["security.insecure"]', "not-granted", ("images", "x", "entitlements", 0)),
        ('network = "host"', "not-granted", ("images", "x", "network")),
        ('test = { run = ["a"], platforms = ["linux/s390x"] }', "test-platform",
         ("images", "x", "test", "platforms", 0)),
        ('version = { fallback = "1" }', "version", ("images", "x", "version")),
    ],
)  # fmt: skip
def test_a_mistake_stands_at_its_value(body: str, code: str, keys: tuple[str | int, ...]) -> None:
    """Whatever is wrong after rendering is found at the keys that say it."""
    project = HEAD.replace("tags =", "#tags =")
    _, found = expand_text(project + f"[images.x]\n{body}\n")
    assert [code] == list(dict.fromkeys(codes(found)))
    assert all(finding.hints for finding in found)
    place = found[0].place
    assert isinstance(place, KeyPlace)
    assert keys[: len(place.keys)] == place.keys
    assert len(place.keys) > 2


def test_two_images_of_different_families_with_one_name_are_told_with_both_places() -> None:
    """The second gives way, and the first is named."""
    body = '[images.a1]\n[images.a]\nname = "a{{ matrix.n }}"\nmatrix = { n = [1] }\n'
    _, found = expand_text(HEAD + body)
    assert ["duplicate-image"] == codes(found)
    assert (KeyPlace(file="builds.toml", keys=("images", "a1", "name")),) == found[0].related
    assert ("give one of them another name",) == found[0].hints


def test_every_option_of_a_build_is_rendered() -> None:
    """Args, labels, secrets, caches and all the rest, as BuildKit is to get them."""
    body = """[images.x]
context = "src"
dockerfile = "other.Dockerfile"
target = "{{ image }}-stage"
args = { A = 1, B = true, C = { raw = "{{ x }}" }, D = { value = "{{ git.branch }}", volatile = true }, E = 1.5 }
labels = { l = "{{ platform.architecture }}" }
secrets = [{ id = "e", env = "TOKEN" }, { id = "f", src = "token.txt" }, { id = "g" }]
ssh = ["default", { id = "k", paths = ["keys/a"] }]
cache-from = ["{{ registry }}/cache", { type = "gha", scope = "x" }, { type = "local", src = "cache" }]
no-cache = true
no-cache-filter = ["s"]
pull = true
network = "none"
extra-hosts = { h = "10.0.0.1" }
shm-size = "1g"
ulimits = ["nofile=1:2"]
provenance = "max"
sbom = true
timeout = "90s"
retries = 5
description = "what it is"
annotations = { a = "{{ version }}" }
test = { run = ["/app", "{{ version }}"] }
"""
    image = images_of(HEAD + '[version]\nfrom = "git-tag"\nmatch = "v*"\n' + body)["x"]
    amd, arm = (variant.options for variant in image.variants)
    assert ("src", "src/other.Dockerfile", "x-stage") == (amd.context, amd.dockerfile, amd.target)
    assert (
        BuildArg(name="A", value="1"),
        BuildArg(name="B", value="true"),
        BuildArg(name="C", value="{{ x }}"),
        BuildArg(name="D", value="main", volatile=True),
        BuildArg(name="E", value="1.5"),
    ) == amd.args
    assert ("amd64", "arm64") == (amd.labels[0].value, arm.labels[0].value)
    assert (Secret(id="e", env="TOKEN"), Secret(id="f", src="token.txt"), Secret(id="g", env="g")) == amd.secrets
    assert (SshAgent(id="default"), SshAgent(id="k", paths=("keys/a",))) == amd.ssh
    assert (
        Cache(type="registry", attributes=(("ref", "r.example/acme/cache"),)),
        Cache(type="gha", attributes=(("scope", "x"),)),
        Cache(type="local", attributes=(("src", "cache"),)),
    ) == amd.cache_from
    assert (True, ("s",), True, NetworkMode.NONE) == (amd.no_cache, amd.no_cache_filter, amd.pull, amd.network)
    assert ((("h", "10.0.0.1"),), "1g", ("nofile=1:2",)) == (amd.extra_hosts, amd.shm_size, amd.ulimits)
    assert (Provenance.MAX, True) == (amd.provenance, amd.sbom)
    assert (90.0, 5, "what it is", "1.4.0") == (image.timeout, image.retries, image.description, image.version)
    assert (("a", "1.4.0"),) == image.annotations
    assert PlatformTest(run=("/app", "1.4.0"), platforms=(AMD64, ARM64)) == image.test


def test_variants_that_say_nothing_of_their_platform_share_one_value() -> None:
    """So that grouping platforms into solves compares identities, and 10,000 images are rendered once each."""
    one, other = images_of(HEAD + '[images.x]\nargs = { A = "b" }\n')["x"].variants
    assert one.options is other.options
    one, other = images_of(HEAD + '[images.x]\ncache-from = ["r/c:{{ platform.slug }}"]\n')["x"].variants
    assert one.options != other.options


@pytest.mark.parametrize(
    "body",
    [
        'args = { A = "{{ platform }}" }',
        'labels = { l = { value = "{{ platform.os }}" } }',
        'no-cache-filter = ["platform"]',
    ],
)
def test_a_mention_of_the_platform_is_looked_for_everywhere(body: str) -> None:
    """In tables, lists and values; a false alarm costs nothing but time."""
    one, other = images_of(HEAD + f"[images.x]\n{body}\n")["x"].variants
    assert one.options is not other.options


def test_contexts_are_images_folders_and_what_buildkit_reads() -> None:
    """An image of the project, a folder, or what BuildKit fetches itself."""
    body = """[images.x]
contexts = { a = "image:base", "node:20" = "lib", c = "https://e.example/x.git", d = "oci-layout://l@sha256:0", \
e = { image = "base", platform = "linux/amd64" }, g = { image = "base" } }
"""
    assert (
        DeclaredContext(name="a", key="a", source=ImageContext(image="base")),
        DeclaredContext(name="node:20", key="node:20", source=LocalContext(path="lib")),
        DeclaredContext(name="c", key="c", source=RemoteContext(value="https://e.example/x.git")),
        DeclaredContext(name="d", key="d", source=RemoteContext(value="oci-layout://l@sha256:0")),
        DeclaredContext(name="e", key="e", source=ImageContext(image="base", platform=AMD64)),
        DeclaredContext(name="g", key="g", source=ImageContext(image="base")),
    ) == images_of(HEAD + body)["x"].variants[0].contexts


def test_a_remote_context_has_its_dockerfile_there() -> None:
    """The name is handed on as it is."""
    options = images_of(HEAD + '[images.x]\ncontext = "https://e.example/x.git#main"\n')["x"].variants[0].options
    assert ("https://e.example/x.git#main", "Dockerfile") == (options.context, options.dockerfile)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "-", "https://e.example/Dockerfile"])
def test_the_dockerfile_of_a_remote_context_lies_in_it(name: str) -> None:
    """Buildx would read these from this machine, from stdin or from elsewhere."""
    body = f'[images.x]\ncontext = "https://e.example/x.git"\ndockerfile = "{name}"\n'
    _, found = expand_text(HEAD + body)
    assert {("illegal-value", "dockerfile")} == {
        (one.code, str(one.place.keys[-1])) for one in found if isinstance(one.place, KeyPlace)
    }


@pytest.mark.parametrize(
    ("context", "expected"), [("-x", "./-x"), ("-", "./-"), ("target:x", "./target:x"), ("a/b:c", "a/b:c"), (".", ".")]
)
def test_a_folder_is_never_taken_for_a_flag_or_a_url(context: str, expected: str) -> None:
    """It gets a `./` where buildx would read something else."""
    assert expected == images_of(HEAD + f'[images.x]\ncontext = "{context}"\n')["x"].variants[0].options.context


def test_what_on_says_holds_for_its_platform_alone() -> None:
    """And its places are its own."""
    image = images_of(HEAD + '[images.x]\nargs = { A = "1" }\non."linux/arm64".args = { B = "2" }\n')["x"]
    assert [("A",), ("A", "B")] == [tuple(arg.name for arg in variant.options.args) for variant in image.variants]
    expected = KeyPlace(file="builds.toml", keys=("images", "x", "on", "linux/arm64", "args", "B"))
    assert expected == image.place("args", "B", platform=ARM64)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [((), "image"), (("x.args.A=set",), "set"), (('x.on."linux/amd64".args.A=one',), "one")],
)
def test_the_command_line_wins_over_all_tables(settings: tuple[str, ...], expected: str) -> None:
    """Defaults < templates < image < platform < environment < command line."""
    text = HEAD + 'args = { A = "defaults" }\n[templates.t]\nargs = { A = "template" }\n'
    text += '[images.x]\ninherits = ["t"]\nargs = { A = "image" }\n'
    assert expected == images_of(text, *settings)["x"].variants[0].options.args[0].value


def test_without_a_registry_images_have_no_repository() -> None:
    """Tags are names then; those that name a registry of their own are references, those that need ours are gone."""
    text = HEAD.replace('registry = "r.example/acme"', "")
    text += '[images.x]\ntags = ["1", "docker.io/a/x:1", "{{ registry }}/x:1"]\n'
    expansion, found = expand_text(text, registry=None)
    assert found == ()
    (image,) = expansion.images
    assert image.repository is None
    assert [("1", None), ("1", "docker.io/a/x:1")] == [
        (tag.name, str(tag.reference) if tag.reference else None) for tag in image.tags
    ]


def test_an_own_repository_needs_no_registry() -> None:
    """It may be written in full."""
    image = images_of(HEAD + '[images.x]\nrepository = "docker.io/me/x"\n')["x"]
    assert "docker.io/me/x:1.0" == str(image.tags[0].reference)


def test_an_empty_repository_is_none() -> None:
    """A template that says nothing leaves the image without a home in a registry."""
    text = HEAD + "[images.x]\nrepository = \"{{ '' }}\"\n"
    assert images_of(text)["x"].repository is None


def test_a_tag_that_is_said_twice_is_put_once() -> None:
    """Two templates may give one tag, as `latest` and a version named so."""
    tags = images_of(HEAD + '[images.x]\ntags = ["1", "1", { ref = "2", moving = true }]\n')["x"].tags
    assert [("1", False), ("2", True)] == [(tag.name, tag.moving) for tag in tags]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('tags = ["1", { ref = "1", moving = true }]', "tag"),
        ("contexts = { f = \"{{ '' }}\" }", "empty-value"),
        ("context = \"{{ '' }}\"", "empty-value"),
        ('contexts = { q = "lib", "q:latest" = "lib" }', "context-name"),
        ('contexts = { q = "x://../../outside" }', "outside-repository"),
        ("args = { A = '{{ \"\\x00\" }}' }", "illegal-value"),
        ('args = { A = { raw = "' + "x" * 130_000 + '" } }', "illegal-value"),
    ],
)
def test_values_that_would_be_lost_or_mean_something_else_are_refused(body: str, code: str) -> None:
    """Each is told where it stands, instead of a build that lacks it or reads what it must not."""
    _, found = expand_text(HEAD + f"[images.x]\n{body}\n")
    assert code in {finding.code for finding in found}


def test_a_tag_that_is_rendered_to_nothing_is_none() -> None:
    """A condition may be written into the template too; an empty text that no template made is a mistake."""
    assert () == images_of(HEAD + "[images.x]\ntags = [\"{{ '' }}\"]\n")["x"].tags


@pytest.mark.parametrize("tag", ["sha-1", "{{ git.short_sha }}", "x-{{ git.sha }}"])
def test_a_dirty_tree_puts_no_tag_that_names_its_commit(tag: str) -> None:
    """It is left out with a warning, at the line of the tag."""
    dirty = msgspec.structs.replace(GIT, dirty=True)
    expansion, found = expand_text(HEAD + f'[images.x]\ntags = ["1", "{tag}"]\n', git=dirty)
    assert ["1"] == [put.name for put in expansion.images[0].tags]
    assert [("dirty-sha-tag", Severity.WARNING)] == [(finding.code, finding.severity) for finding in found]


def test_outside_of_git_only_what_needs_git_fails() -> None:
    """The rest of the image is there."""
    text = HEAD + '[images.x]\nargs = { A = "{{ git.sha }}", B = "b" }\n'
    expansion, found = expand_text(text, git=NoGit(reason="this is no git repository"))
    assert ["template"] == list(dict.fromkeys(codes(found)))
    assert ["", "b"] == [arg.value for arg in expansion.images[0].variants[0].options.args]


def test_an_image_may_have_a_version_of_its_own() -> None:
    """Its template sees it, the others see the project's."""
    text = HEAD.replace('tags = ["1.0", ', 'tags = ["{{ version }}", ')
    text += '[version]\nvalue = "1.0.0"\n[images.x]\nversion = "2.0.0"\n[images.y]\n'
    assert {"x": "2.0.0", "y": "1.0.0"} == {name: image.tags[0].name for name, image in images_of(text).items()}


def test_an_image_without_platforms_is_told_where_to_say_them() -> None:
    """At the image, as nothing else is written."""
    _, found = expand_text("format = 1\n[images.x]\n")
    assert ["no-platforms"] == codes(found)
    assert KeyPlace(file="builds.toml", keys=("images", "x"), on_key=True) == found[0].place


def test_an_image_of_an_included_file_is_pointed_to_the_defaults_of_that_file(tmp_path: Path) -> None:
    """Those of the root are not for it."""
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "builds.toml").write_text("format = 1\n[images.b]\n", encoding="utf-8")
    text = 'format = 1\ninclude = ["team/builds.toml"]\n[defaults]\nplatforms = ["linux/amd64"]\n[images.a]\n'
    path = write_project(tmp_path, text, {"a": "FROM scratch\n", "team/b": "FROM scratch\n"})
    (hint,) = [finding.hints[0] for finding in find_mistakes(path) if finding.code == "no-platforms"]
    assert (
        'say them in `team/builds.toml`: `[defaults]` with `platforms = ["linux/amd64", "linux/arm64"]` there; '
        "the defaults of `builds.toml` are not those of files it includes"
    ) == hint


@pytest.mark.parametrize(
    ("body", "settings", "hint"),
    [
        ("", (r'x.context="a\u0000b"',), "no argument of a program can hold one: write the value without it"),
        (f"context = '{'a' * 120_001}'\n", (), "shorten it"),
    ],
    ids=["NUL", "long"],
)
def test_what_no_argument_can_hold_is_told_as_what_it_is(body: str, settings: tuple[str, ...], hint: str) -> None:
    """A NUL character does not go away when a value gets shorter."""
    _, found = expand_text(f"{HEAD}[images.x]\n{body}", *settings)
    assert ("illegal-value", (hint,)) == (found[0].code, found[0].hints)


def test_a_template_of_a_credential_is_not_shown() -> None:
    """What is wrong with it is."""
    _, found = expand_text(HEAD + "[images.x.args]\nX_TOKEN = 'hunter2{{'\n")
    assert {"template"} == set(codes(found))
    assert "a value that is not shown: " in found[0].message
    assert "hunter2" not in found[0].message


def test_a_version_that_is_wrong_for_the_whole_project_is_told_once() -> None:
    """At its table, for all images that have none of their own."""
    project = project_of({"version": {"fallback": "1"}, "images": {"x": {"platforms": ["linux/amd64"]}}})
    given = Given(facts=VersionFacts(git=GIT, environment={}, files={}), now=NOW, variables={})
    _, found = expand(project, given)
    assert ["version"] == codes(found)
    assert KeyPlace(file="builds.toml", keys=("version",), on_key=True) == found[0].place


def test_the_probe_is_told_of_every_version_that_is_declared() -> None:
    """Of the project, of defaults, templates, images and assignments; one that is wrong is left out."""
    text = HEAD + 'version = { from = "env:V" }\n[version]\nfrom = "git-tag"\n[templates.t]\nversion = "1"\n'
    text += '[images.x]\nversion = { from = "file:a/../VERSION" }\n[images.y.version]\nmatch = "y-*"\n'
    assignments, _ = parse_assignments(('*.version={ from = "env:W" }',), "command line")
    assert [
        VersionRule(kind="git-tag", argument="v*"),
        VersionRule(kind="file", argument="VERSION"),
        VersionRule(kind="git-tag", argument="y-*"),
        VersionRule(kind="literal", argument="1"),
        VersionRule(kind="env", argument="V"),
        VersionRule(kind="env", argument="W"),
    ] == list(version_rules(read_project(text), assignments))
    wrong = HEAD + '[images.x]\nversion = { fallback = "1" }\n'
    assert [] == list(version_rules(read_project(wrong)))


@pytest.mark.parametrize(
    ("project", "own", "expected"),
    [
        ('from = "git-tag"\nmatch = "v*"\nfallback = "f"', 'match = "x-*"', ("git-tag", "x-*", "f")),
        ('from = "env:V"', 'match = "x-*"', ("git-tag", "x-*", None)),
        ('from = "git-tag"\nmatch = "v*"', 'fallback = "f"', ("git-tag", "v*", "f")),
        ('from = "file:V"', 'fallback = "f"', ("file", "V", "f")),
        ('value = "1"', 'from = "env:V"', ("env", "V", None)),
        ('from = "git-tag"\nfallback = "f"', 'value = "1"', ("literal", "1", None)),
    ],
)
def test_a_version_table_without_a_source_takes_the_projects(
    project: str, own: str, expected: tuple[str, str, str | None]
) -> None:
    """`[images.x.version] match = "x-*"` is all that an image needs to have tags of its own."""
    text = HEAD + f"[version]\n{project}\n[images.x.version]\n{own}\n"
    rule = list(version_rules(read_project(text)))[-1]
    assert expected == (rule.kind, rule.argument, rule.fallback)


def test_a_literal_version_of_the_project_is_taken_too() -> None:
    """Where it is written as a string alone."""
    rule = version_rule(VersionTable(fallback="f"), "", "1.0")
    assert ("literal", "1.0") == (rule.kind, rule.argument)


def test_grants_allow_what_is_asked_for() -> None:
    """Paths outside and entitlements, once somebody granted them."""
    text = (
        HEAD + '[images.x]\ncontexts = { y = "/data/shared" }\nnetwork = "host"\nentitlements = ["security.insecure"]\n'
    )
    grants = parse_grants(("read=/data", "network.host", "security.insecure"), depth=0)
    expansion, found = expand_text(text, grants=grants)
    assert found == ()
    assert ("security.insecure", "network.host") == expansion.images[0].variants[0].options.entitlements
