"""The specification by example: one test for each line of `examples/acme.builds.toml` whose comment has a meaning."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.api.backend import Mode
from orchestrator.api.solve import BuildArg, Cache, Provenance, Secret, SshAgent
from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.prepare import Prepared
from orchestrator.diagnostics import KeyPlace
from orchestrator.model import Model
from orchestrator.plan.image import Image, ImageContext, LocalContext, PlatformTest, Variant
from orchestrator.plan.model import Destination, PlannedImage
from orchestrator.tags.facts import GitFacts
from tests.unit.plan.samples import AMD64, ARM7, ARM64, prepare, write_project

EXAMPLE = Path(__file__).parents[3] / "examples" / "acme.builds.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
SCRATCH = "FROM scratch\n"
FILES = {
    "images/base": "ARG DEBIAN\nFROM debian:$DEBIAN\n",
    "images/runtime": "FROM base\n",
    "web": SCRATCH,
    "services/api": "FROM runtime AS release\nCOPY --from=assets / /\nCOPY --from=shared / /\n",
    "services/worker": "FROM base\n",
    "services/edge": SCRATCH,
    "images/db": SCRATCH,
    "tools": SCRATCH,
    "services/legacy": SCRATCH,
    "libs/shared": SCRATCH,
}
UNSIGNED = ("-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org", *UNSIGNED)


class Acme(Model):
    """The example in a repository of its own, and its plan."""

    folder: Path
    prepared: Prepared

    def image(self, name: str) -> Image:
        """An image, as it is after the expansion."""
        return next(image for image in self.prepared.loaded.expansion.images if image.name == name)

    def variant(self, name: str, platform: object = AMD64) -> Variant:
        """What is declared for one platform of it."""
        return next(variant for variant in self.image(name).variants if variant.platform == platform)

    def planned(self, name: str) -> PlannedImage:
        """An image of the plan."""
        return next(image for image in self.prepared.plan.images if image.name == name)

    def edges(self, name: str) -> list[tuple[str, str]]:
        """What it needs, and whence that is known."""
        return [(edge.parent, edge.kind.value) for edge in self.planned(name).edges]

    def tags(self, name: str) -> list[str]:
        """Its tags, those that move with a star."""
        return [f"{tag.reference}{'*' if tag.moving else ''}" for tag in self.image(name).tags]


def git(folder: Path, *arguments: str) -> None:
    """Run git."""
    subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, committed and released as v1.4.2."""
    root = tmp_path_factory.mktemp("acme")
    write_project(root, TEXT, FILES)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    git(root, "tag", "v1.4.2")
    git(root, "tag", "v1.4.0")
    return root


def plan(folder: Path, *names: str, environment: dict[str, str] | None = None, **options: object) -> Acme:
    """The plan of a selection."""
    chosen = ProjectOptions(file=folder / "builds.toml", offline=True, **options)  # type: ignore[arg-type]  # by name
    preparation, prepared = prepare(folder / "builds.toml", *names, options=chosen, environment=environment)
    assert [] == list(preparation.findings.resolved())
    return Acme(folder=folder, prepared=prepared)


@pytest.fixture(scope="module")
def acme(folder: Path) -> Acme:
    """The plan of everything."""
    return plan(folder)


def test_nothing_is_wrong_with_it(acme: Acme) -> None:
    """It plans."""
    assert not acme.prepared.plan.blocked
    assert 11 == len(acme.prepared.plan.images)


def test_registry_of_the_command_line_wins_over_the_environment_and_both_over_the_file(folder: Path) -> None:
    """`registry = "ghcr.io/acme"`: {{ registry }}; ORCHESTRATE_REGISTRY or --registry wins over it."""
    environment = {"ORCHESTRATE_REGISTRY": "r.example/env"}
    assert "ghcr.io/acme/base" == str(plan(folder).image("base").repository)
    assert "r.example/env/base" == str(plan(folder, environment=environment).image("base").repository)
    chosen = plan(folder, environment=environment, registry="r.example/line")
    assert "r.example/line/base" == str(chosen.image("base").repository)


def test_the_version_is_the_highest_tag_on_head_less_its_prefix(acme: Acme) -> None:
    """`match = "v*"`: a tag on HEAD that matches, the highest by semver."""
    assert {"1.4.2"} == {image.version for image in acme.prepared.plan.images}


def test_the_fallback_is_for_a_commit_without_a_tag(tmp_path: Path) -> None:
    """`fallback`: when HEAD has none, the next patch and how far it is; 0.0.1-dev… without any tag."""
    write_project(tmp_path, TEXT, FILES)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    first = plan(tmp_path)
    facts = first.prepared.loaded.facts.git
    assert isinstance(facts, GitFacts)
    assert f"0.0.1-dev.1.{facts.short_sha}" == first.image("base").version
    git(tmp_path, "tag", "v2.0.0")
    git(tmp_path, "commit", "-qm", "second", "--allow-empty")
    assert str(plan(tmp_path).image("base").version).startswith("2.0.1-dev.1.")


def test_a_prerelease_moves_no_tag_and_goes_nowhere_else(tmp_path: Path) -> None:
    """`when = "{{ not version.prerelease }}"` and `when = "{{ git.on_release_tag }}"`."""
    write_project(tmp_path, TEXT, FILES)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    base = plan(tmp_path)
    facts = base.prepared.loaded.facts.git
    assert isinstance(facts, GitFacts)
    version = f"0.0.1-dev.1.{facts.short_sha}"
    assert [f"ghcr.io/acme/base:{version}", f"ghcr.io/acme/base:sha-{facts.short_sha}"] == base.tags("base")


@pytest.mark.parametrize(
    ("environment", "variables", "expected"),
    [
        ({}, {}, "1.23"),
        ({"ORCHESTRATE_VAR_GO": "1.24"}, {}, "1.24"),
        ({"ORCHESTRATE_VAR_GO": "1.24"}, {"go": "1.25"}, "1.25"),
    ],
)
def test_vars_can_be_set(folder: Path, environment: dict[str, str], variables: dict[str, str], expected: str) -> None:
    """`{{ vars.go }}`; --var go=1.24 and ORCHESTRATE_VAR_GO win."""
    found = plan(folder, environment=environment, variables=variables)
    assert BuildArg(name="GO_VERSION", value=expected) == found.variant("api").options.args[0]


def test_a_choice_of_a_var_is_a_choice(acme: Acme, folder: Path) -> None:
    """`choices = ["12-slim", "13-slim"]`."""
    assert (BuildArg(name="DEBIAN", value="12-slim"),) == acme.variant("base").options.args
    other = plan(folder, variables={"debian": "13-slim"})
    assert (BuildArg(name="DEBIAN", value="13-slim"),) == other.variant("base").options.args


def test_every_image_starts_from_the_defaults(acme: Acme) -> None:
    """Platforms, provenance, timeout and retries of `[defaults]`."""
    base = acme.image("base")
    assert ((AMD64, ARM64), 1800.0, 2) == (base.platforms, base.timeout, base.retries)
    assert (Provenance.MIN, False) == (base.variants[0].options.provenance, base.variants[0].options.sbom)


def test_a_tag_without_a_slash_is_one_of_the_home(acme: Acme) -> None:
    """`repository`: the home; a tag with a slash is in another registry, copied, then tagged."""
    facts = acme.prepared.loaded.facts.git
    assert isinstance(facts, GitFacts)
    assert [
        "ghcr.io/acme/base:1.4.2",
        f"ghcr.io/acme/base:sha-{facts.short_sha}",
        "ghcr.io/acme/base:1.4*",
        "ghcr.io/acme/base:latest*",
        "docker.io/acme/base:1.4.2",
    ] == acme.tags("base")
    assert any(step.id == "copy:base:docker.io/acme/base" for step in acme.prepared.plan.steps)


def test_a_volatile_label_is_marked(acme: Acme) -> None:
    """`volatile = true`: not in the input digest."""
    (label,) = acme.variant("base").options.labels
    assert ("org.opencontainers.image.revision", 40, True) == (label.name, len(label.value), label.volatile)


def test_templates_are_never_built(acme: Acme) -> None:
    """`[templates.go-service]`: images and templates inherit it."""
    assert "go-service" not in {image.name for image in acme.prepared.plan.images}
    expected = (BuildArg(name="GO_VERSION", value="1.23"), BuildArg(name="VERSION", value="1.4.2"))
    assert expected == acme.variant("worker").options.args


def test_the_context_is_the_images_name_unless_said(acme: Acme, tmp_path: Path) -> None:
    """`[images.base]`: context is the image's name unless said."""
    assert "images/base" == acme.variant("base").options.context
    write_project(tmp_path, "format = 1\n[images.x]\nplatforms = ['linux/amd64']\n", {"x": SCRATCH})
    _, prepared = prepare(tmp_path / "builds.toml", destination=Destination.LAYOUT)
    assert "x" == prepared.loaded.expansion.images[0].variants[0].options.context


def test_the_edge_of_runtime_is_inferred(acme: Acme) -> None:
    """Its Dockerfile says FROM base."""
    assert [("base", "FROM")] == acme.edges("runtime")


def test_web_assets_are_an_intermediate(acme: Acme) -> None:
    """Built once, never tagged, and not promoted."""
    image = acme.planned("web-assets")
    assert ((AMD64,), False, ()) == (image.platforms, image.publish, image.tags)
    assert not any(step.id == "promote:web-assets" for step in acme.prepared.plan.steps)


def test_the_contexts_of_api(acme: Acme) -> None:
    """One platform's data for all; another image; a folder."""
    sources = {context.name: context.source for context in acme.variant("api").contexts}
    assert {
        "assets": ImageContext(image="web-assets", platform=AMD64),
        "runtime": ImageContext(image="runtime"),
        "shared": LocalContext(path="libs/shared"),
    } == sources
    assert [("web-assets", "contexts"), ("runtime", "contexts")] == acme.edges("api")


def test_data_of_one_platform_serves_every_platform_of_api(acme: Acme) -> None:
    """Both need web-assets for amd64, and each the runtime of its own."""
    needs = {build.id: build.needs for build in acme.prepared.plan.builds if build.image == "api"}
    assert ("web-assets@linux/amd64", "runtime@linux/arm64") == needs["api@linux/arm64"]


def test_the_target_of_api_is_a_stage(acme: Acme) -> None:
    """`target = "release"`: Dockerfile stage."""
    assert "release" == acme.variant("api").options.target


def test_secrets_and_agents_of_api_are_named_never_shown(acme: Acme) -> None:
    """`secrets` and `ssh`."""
    options = acme.variant("api").options
    assert ((Secret(id="goproxy", env="GOPROXY_TOKEN"),), (SshAgent(id="default"),)) == (options.secrets, options.ssh)


def test_api_is_tested_on_each_platform(acme: Acme) -> None:
    """`test`: runs in the built image; decoded and shown now."""
    expected = PlatformTest(run=("/app", "--version"), platforms=(AMD64, ARM64))
    assert expected == acme.planned("api").test


def test_api_has_an_arg_of_its_own_on_arm64(acme: Acme) -> None:
    """`on."linux/arm64".args`: overrides for one platform of this image; tables merge."""
    names = [[arg.name for arg in acme.variant("api", platform).options.args] for platform in (AMD64, ARM64)]
    assert [["GO_VERSION", "VERSION"], ["GO_VERSION", "VERSION", "GOARM64"]] == names


def test_caches_of_api_have_one_ref_a_platform(acme: Acme) -> None:
    """`cache-from` and `cache-to`, the latter with its mode."""
    options = acme.variant("api", ARM64).options
    ref = ("ref", "ghcr.io/acme/api:cache-linux-arm64")
    assert (Cache(type="registry", attributes=(ref,)),) == options.cache_from
    assert (Cache(type="registry", attributes=(ref, ("mode", "max"))),) == options.cache_to


def test_worker_comes_after_api_and_takes_nothing(acme: Acme) -> None:
    """`needs`: order only; `infer = false`: no edges from its Dockerfile, which says FROM base."""
    assert [("api", "needs")] == acme.edges("worker")
    assert {()} == {build.needs for build in acme.prepared.plan.builds if build.image == "worker"}
    assert acme.planned("worker").wave > acme.planned("api").wave


def test_edge_has_a_third_platform_which_k8s_emulates(acme: Acme) -> None:
    """`[platforms."linux/arm/v7"] emulation = "allow"`, and a node that emulates it."""
    places = {
        build.platform: (build.placement.node, build.placement.mode)
        for build in acme.prepared.plan.builds
        if build.image == "edge" and build.placement
    }
    assert ("k8s", Mode.EMULATED) == places[ARM7]
    assert ("arm-1", Mode.NATIVE) == places[ARM64]
    assert places[AMD64] in {("amd-1", Mode.NATIVE), ("k8s", Mode.NATIVE)}


def test_db_is_four_images_less_one(acme: Acme) -> None:
    """db-slim15, db-slim16, db-full16; the group `db` names them all."""
    names = ("db-slim15", "db-slim16", "db-full16")
    assert {"db": names} == acme.prepared.loaded.expansion.families
    expected = (BuildArg(name="PG", value="16"), BuildArg(name="FLAVOUR", value="full"))
    assert expected == acme.variant("db-full16").options.args
    assert {"images/db"} == {acme.variant(name).options.context for name in names}


def test_tools_drops_a_label_and_appends_a_tag(acme: Acme) -> None:
    """`unset`: drop what was inherited; `extend`: append to the inherited list."""
    assert () == acme.variant("tools").options.labels
    assert "ghcr.io/acme/tools:edge*" == acme.tags("tools")[-1]
    assert 6 == len(acme.tags("tools"))
    place = acme.image("tools").place("tags", 5)
    assert KeyPlace(file="builds.toml", keys=("images", "tools", "extend", "tags", 0)) == place


def names(folder: Path, *selection: str) -> set[str]:
    """The images of a selection, with all that it needs."""
    return {image.name for image in plan(folder, *selection).prepared.plan.images}


def test_groups_hold_names_and_globs(folder: Path) -> None:
    """`data = ["db*"]`."""
    databases = {"db-slim15", "db-slim16", "db-full16"}
    assert databases == names(folder, "data") == names(folder, "db") == names(folder, "db-*")


def test_default_is_what_a_bare_command_takes(folder: Path) -> None:
    """`default = ["api", "worker", "edge"]`, with what they need."""
    from orchestrator.cli.prepare import Preparation  # noqa: PLC0415 (a bare command has no names at all)

    preparation = Preparation(ProjectOptions(file=folder / "builds.toml", offline=True), {})
    prepared = preparation.plan(preparation.load(), PlanOptions(), destination=Destination.PUSH)
    expected = {"api", "worker", "edge", "base", "runtime", "web-assets"}
    assert expected == {image.name for image in prepared.plan.images}


def test_the_default_backend_is_native(acme: Acme) -> None:
    """`default = "native"`, with three nodes."""
    assert ("native", "qemu") == acme.prepared.plan.backends
    nodes = {node.name: node for node in acme.prepared.nodes["native"]}
    assert ["amd-1", "arm-1", "k8s"] == list(nodes)
    assert (4, 4, 2) == tuple(node.slots for node in nodes.values())
    assert ((AMD64,), (ARM7,)) == (nodes["k8s"].platforms, nodes["k8s"].emulates)


def test_equal_nodes_share_the_images(acme: Acme) -> None:
    """amd-1 and k8s both build for amd64."""
    used = {build.placement.node for build in acme.prepared.plan.builds if build.placement}
    assert {"amd-1", "arm-1", "k8s", "default"} == used


def test_legacy_is_built_by_another_backend(acme: Acme) -> None:
    """`backend = "qemu"`: one image, another backend; naming it allows emulation for it."""
    placements = [build.placement for build in acme.prepared.plan.builds if build.image == "legacy"]
    assert [("qemu", "default"), ("qemu", "default")] == [(place.backend, place.node) for place in placements if place]
    assert 4 == acme.prepared.nodes["qemu"][0].slots


def test_state_is_decoded(acme: Acme) -> None:
    """`read = ["main"]`: which remembered results a run may take; shown now."""
    assert ["main"] == list(acme.prepared.loaded.project.root.state.read)


def test_an_arg_that_looks_like_a_credential_is_an_error(tmp_path: Path) -> None:
    """`secrets-in-args = "error"`: for args that look like credentials."""
    from tests.unit.plan.samples import find_mistakes  # noqa: PLC0415 (the only mistake in this file)

    changed = TEXT.replace('args = { DEBIAN = "{{ vars.debian }}" }', 'args = { API_TOKEN = "abcdef" }')
    found = find_mistakes(write_project(tmp_path, changed, FILES))
    assert any("API_TOKEN" in finding.message for finding in found)
