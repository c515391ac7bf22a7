"""The exported bake file under the real bake: it resolves to our targets, and builds the same images on its own."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from orchestrator.api.solve import BuildArg, BuildOptions
from orchestrator.api.target import Target
from orchestrator.buildkit.bake import MARK, render_bake, target_attributes
from orchestrator.cli.bakefile import Bakefile, make_bakefile
from orchestrator.cli.options import ProjectOptions
from orchestrator.cli.prepare import Preparation
from orchestrator.oci.platform import parse_platform
from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab
from tests.unit.plan.test_acme import FILES as ACME_FILES
from tests.unit.plan.test_acme import TEXT as ACME

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/monorepo"
PUBLISHED = ("base", "runtime", "db-slim15", "db-slim16", "db-full16", "api", "worker", "gateway")
PLATFORMS = ("linux/amd64", "linux/arm64")
PIECES = (
    "${x}", "$${x}", "$", "${", "}", "%{ if true }", "%%{", "%{", "%", "~}", '"', "'", "\\", "\\n", ",", "=", ":", "#",
    "/*", "<<EOF\n", "\n", "\r\n", "\r", "\t", " ", "é", "日本", "\N{GRINNING FACE}", "\N{ZERO WIDTH SPACE}", "\ufeff",
    "\N{LINE SEPARATOR}", "<b>&amp;", "null", "1e3", "[1]", "\x1b[31m",
)  # fmt: skip
_ESCAPED = ("args", "labels", "annotations", "dockerfile-inline", "extra-hosts")
Json: TypeAlias = "str | bool | list[Json] | dict[str, Json]"


class Bake:
    """The lab's `docker buildx bake`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def run(self, folder: Path, *arguments: str) -> str:
        """Run it, and what it says on stdout."""
        argv = ["docker", "buildx", "bake", "--file=docker-bake.json", *arguments]
        done = subprocess.run(argv, cwd=folder, env=self._environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def resolve(self, folder: Path) -> dict[str, dict[str, Json]]:
        """The targets that the file means."""
        found: dict[str, dict[str, Json]] = json.loads(self.run(folder, "--print", "--progress=quiet"))["target"]
        return found


@pytest.fixture(scope="module")
def bake(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bake]:
    """The real one, which prints nothing of a file that uses an agent where there is none."""
    path = tmp_path_factory.mktemp("agent") / "socket"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        yield Bake({**lab.environ, "SSH_AUTH_SOCK": str(path)})


def plain(name: str, value: Json) -> Json:
    """A printed value as it is: `--print` escapes a few attributes (bake/bake.go, MarshalJSON)."""
    if name not in _ESCAPED:
        return value
    match value:
        case str():
            return value.replace("$${", "${").replace("%%{", "%{")
        case list():
            return [plain(name, item) for item in value]
        case dict():
            return {key: plain(name, item) for key, item in value.items()}
        case _:
            return value


def attributes(target: Target) -> dict[str, Json]:
    """The attributes of a target of an exported file, in which everything is known."""
    return dict(json.loads(json.dumps(target_attributes(target))))


def expected(targets: tuple[Target, ...]) -> dict[str, dict[str, Json]]:
    """The attributes of all targets; what bake adds by itself is a default, and the entitlements of parents."""
    found: dict[str, dict[str, Json]] = {}
    granted: dict[str, list[str]] = {}
    for target in targets:
        own = [*target.options.entitlements]
        for context in target.contexts:
            own += granted.get(context.target, [])
        granted[target.name] = [*dict.fromkeys(own)]
        found[target.name] = {"dockerfile": "Dockerfile", **attributes(target)}
        if granted[target.name]:
            found[target.name]["entitlements"] = [*granted[target.name]]
    return found


def assert_same(made: Bakefile, printed: Mapping[str, Mapping[str, Json]]) -> None:
    """Every target, attribute by attribute; bake gives the entitlements of parents in an order of its own."""
    ours = expected(made.targets)
    assert set(ours) == set(printed)
    for name, attributes in ours.items():
        theirs = {attribute: plain(attribute, value) for attribute, value in printed[name].items()}
        assert in_order(attributes) == in_order(theirs), name


def in_order(attributes: dict[str, Json]) -> dict[str, Json]:
    """The attributes with their entitlements sorted."""
    given = attributes.get("entitlements")
    return attributes | ({"entitlements": [*sorted(map(str, given))]} if isinstance(given, list) else {})


def export(folder: Path, *names: str) -> Bakefile:
    """The bake file of a project, made in this process and written."""
    preparation = Preparation(ProjectOptions(file=folder / "builds.toml", offline=True), {})
    made = make_bakefile(preparation.load(), names, preparation.findings)
    (folder / "docker-bake.json").write_text(made.text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def monorepo(make_workspace: MakeWorkspace, base_layout: tuple[str, ...]) -> Workspace:
    """The example as a user has it: a clone, committed and tagged."""
    layout, grant = base_layout
    options = (layout.replace('*.contexts."busybox"', 'base.contexts."busybox:stable"'), grant)
    workspace = make_workspace({}, options=options)
    shutil.copytree(EXAMPLE, workspace.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".orchestrate"))
    workspace.commit("v1.2.3")
    return workspace


def test_bake_resolves_the_monorepo_to_the_same_targets(monorepo: Workspace, bake: Bake) -> None:
    """All nine of the example, and its groups."""
    made = export(monorepo.root, "*")

    assert 9 == len(made.targets)
    assert_same(made, bake.resolve(monorepo.root))
    group = json.loads(bake.run(monorepo.root, "--print", "--progress=quiet", "services", "default"))["group"]
    assert {"targets": ["api", "worker", "gateway"]} == group["services"]
    assert MARK == group["default"]["description"]


def test_bake_resolves_the_specification_to_the_same_targets(make_workspace: MakeWorkspace, bake: Bake) -> None:
    """With platforms that differ, data of one platform, secrets, agents and caches."""
    files = {f"{context}/Dockerfile": text for context, text in ACME_FILES.items()}
    workspace = make_workspace({"builds.toml": ACME, **files})
    made = export(workspace.root, "*")

    assert {"api-linux-amd64", "api-linux-arm64", "legacy"} <= {target.name for target in made.targets}
    assert_same(made, bake.resolve(workspace.root))


def hostile(source: random.Random, *, newlines: bool = True) -> str:
    """A text of pieces that mean something to somebody."""
    pieces = PIECES if newlines else [piece for piece in PIECES if piece.isprintable()]
    return "".join(source.choices(pieces, k=source.randint(1, 6)))


def key(source: random.Random) -> str:
    """A name that args, labels and annotations may have, and no two have."""
    return re.sub(r"[\s=\x00-\x1f\x7f]", "", f"k{source.randrange(10**9)}{hostile(source)}")


def untemplated(source: random.Random) -> str:
    """A text that is no template of ours."""
    return re.sub(r"\{(?=[{%#])", "{ ", hostile(source))


def toml(text: str) -> str:
    """A text as TOML has it."""
    return '"' + "".join(f"\\u{ord(each):04x}" if each in '"\\\x7f' or each < " " else each for each in text) + '"'


def generate(folder: Path, count: int) -> None:
    """Images on ten levels, with texts that try to get out wherever there may be one."""
    source = random.Random(20260102)  # noqa: S311 (texts, no keys)
    tables = [
        "format = 1",
        '[project]\nname = "graph"\nregistry = "r.example/acme"',
        f'[defaults]\nplatforms = {json.dumps(PLATFORMS)}\ntags = ["1.0", {{ ref = "latest", moving = true }}]',
    ]
    for number in range(count):
        name = f"image-{number}"
        parents = sorted({source.randrange(number) for _ in range(source.randint(0, 3))}) if number else []
        values = ", ".join(f"{toml(key(source))} = {{ raw = {toml(hostile(source))} }}" for _ in range(3))
        raws = [f"{{ raw = {toml(hostile(source))} }}" for _ in range(2)]
        inline = "FROM scratch\n" + "".join(f"COPY --from=image-{parent} / /\n" for parent in parents)
        inline += f"# {hostile(source, newlines=False)}\nLABEL x=$HOME${{Y}}\n"
        tables.append(
            f"[images.{name}]\n"
            f'context = "."\ndockerfile-inline = {toml(inline)}\n'
            f"description = {toml(hostile(source))}\n"
            f"args = {{ {values} }}\nlabels = {{ {toml(key(source))} = {raws[0]} }}\n"
            f"annotations = {{ {toml(key(source))} = {raws[1]} }}\n"
            f'secrets = [{{ id = "s{number}", env = "HOME" }}]\n'
            f'cache-from = [{{ type = "registry", ref = "r.example/{number}", x = {toml(untemplated(source))} }}]\n'
            f'extra-hosts = {{ h{number} = "10.0.0.{number % 250}" }}\n'
            f'ulimits = ["nofile={number + 1}:{number + 1}"]\nshm-size = "{number + 1}m"'
        )
    (folder / "builds.toml").write_text("\n\n".join(tables) + "\n", encoding="utf-8")


def test_bake_resolves_two_hundred_hostile_images_to_the_same_targets(tmp_path: Path, bake: Bake) -> None:
    """Whatever stands in their texts; each is linked to its parents."""
    generate(tmp_path, 200)
    made = export(tmp_path)

    assert 200 == len(made.targets)
    assert 150 < sum(bool(context.target) for target in made.targets for context in target.contexts)
    assert_same(made, bake.resolve(tmp_path))


def test_bake_reads_every_text_as_it_is(tmp_path: Path, bake: Bake) -> None:
    """Ten thousand of them, and every character that Unicode does not compose."""
    source = random.Random(7)  # noqa: S311 (texts, no keys)
    texts = [hostile(source) for _ in range(10_000)]
    texts += ["".join(map(chr, (9, code, 13, 36, 36, 123, 97))) for code in range(0x300)]
    args = tuple(BuildArg(name=f"A{number}", value=text) for number, text in enumerate(texts))
    platforms = (parse_platform("linux/amd64"),)
    options = BuildOptions(context=".", dockerfile="Dockerfile", args=args)
    target = Target(name="x", image="x", platforms=platforms, options=options)
    (tmp_path / "docker-bake.json").write_text(render_bake([target], {"default": ("x",)}), encoding="utf-8")

    found = bake.resolve(tmp_path)["x"]["args"]

    assert {arg.name: arg.value for arg in args} == plain("args", found)


def test_bake_builds_the_same_images_on_its_own(
    lab: Lab, monorepo: Workspace, bake: Bake, registries: Registries
) -> None:
    """`bake --push` of the file, without us, and `build --push`: the same files in the same platforms."""
    layout = lab.base_layout()
    option = f'--set=base.contexts."busybox:stable"="oci-layout://{layout}"'
    ours = monorepo.registry
    monorepo.succeed("build", "--push")
    theirs = f"{ours}/bake"
    monorepo.succeed(
        "export", "bake", option, f"--allow=read={layout}", f"--registry={theirs}", "--out=docker-bake.json"
    )

    bake.run(monorepo.root, "--push", f"--allow=fs.read={layout}")

    assert_pushed_alike(lab, registries, ours, theirs)


def files_of(lab: Lab, reference: str, platform: str) -> dict[str, tuple[int, str]]:
    """The files in an image: their modes, and the digests of what is in them."""
    argv = ["crane", "export", "--insecure", f"--platform={platform}", reference, "-"]
    done = subprocess.run(argv, env=lab.environ, capture_output=True, check=True)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            content = file.read() if file else member.linkname.encode()
            found[member.name] = (member.mode, hashlib.sha256(content).hexdigest())
    return found


def assert_pushed_alike(lab: Lab, registries: Registries, ours: str, theirs: str) -> None:
    """The published images have the same platforms, files and attestations; what is not published has no tag."""
    for name in PUBLISHED:
        one, other = (registries.index(f"{registry}/{name}:1.2.3") for registry in (ours, theirs))
        assert set(PLATFORMS) == set(one.images) == set(other.images), name
        assert len(one.attestations) == len(other.attestations), name
        for platform in PLATFORMS:
            here, there = (files_of(lab, f"{registry}/{name}:1.2.3", platform) for registry in (ours, theirs))
            assert here == there, f"{name}@{platform}"
            assert here
    assert [] == registries.tags(f"{theirs}/web-assets")


PARTS = {
    "builds.toml": """format = 1
version = "1.2.3"
[project]
name = "parts"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}"]
[platforms."*"]
emulation = "allow"
[images.tool]
contexts = { "docker.io/library/stuff:latest" = "libs" }
args = { TEXT = { raw = "${x} %{ y } $${z}\\" \\\\" } }
[images.split]
on."linux/arm64".args = { WHO = "arm" }
[images.child]
[images.data]
contexts = { amd = { image = "tool", platform = "linux/amd64" } }
""",
    "libs/stuff.txt": "stuff",
    "tool/Dockerfile": 'FROM %BASE%\nARG TEXT\nRUN uname -m > /machine && printf %s "$TEXT" > /text\n'
    "COPY --from=stuff /stuff.txt /\n",
    "split/Dockerfile": "FROM --platform=$BUILDPLATFORM tool AS native\nFROM tool\nARG WHO=amd\n"
    "COPY --from=native /machine /native\nRUN echo $WHO > /who\n",
    "child/Dockerfile": "FROM split\nRUN cat /who > /child\n",
    "data/Dockerfile": "FROM %BASE%\nCOPY --from=amd /machine /machine\n",
}


def test_bake_builds_images_of_several_targets(
    lab: Lab, make_workspace: MakeWorkspace, bake: Bake, registries: Registries
) -> None:
    """Parts of an image under tags of their own, joined as the warning says; data of one platform; hostile args."""
    workspace = make_workspace(PARTS)
    told = workspace.succeed("export", "bake").stderr
    bake.run(workspace.root, "--push")
    for command in re.findall(r"`(docker buildx imagetools create [^`]*)`", told):
        registries.tool(*command.split())

    found = {
        f"{name}@{platform}": files_of(lab, f"{workspace.registry}/{name}:1.2.3", platform)
        for name in ("tool", "split", "child", "data")
        for platform in PLATFORMS
    }
    ours = f"{workspace.registry}/ours"
    workspace.succeed("build", "--push", f"--registry={ours}")

    assert found == {
        f"{name}@{platform}": files_of(lab, f"{ours}/{name}:1.2.3", platform)
        for name in ("tool", "split", "child", "data")
        for platform in PLATFORMS
    }
    read = [
        registries.file(f"{workspace.registry}/{name}:1.2.3", "linux/arm64", path)
        for name, path in (("tool", "text"), ("child", "child"), ("split", "native"), ("data", "machine"))
    ]
    assert ['${x} %{ y } $${z}" \\', "arm", "x86_64", "x86_64"] == read
