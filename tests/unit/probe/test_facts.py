"""Reading what versions, nodes and tags are made from."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from orchestrator.api import Capabilities, FileOf, Node, Outcome, Probe, Word, WrittenFile
from orchestrator.oci.manifest import OCI_INDEX, ImageIndex, Manifest
from orchestrator.oci.note import render_note
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.facts import TagState
from orchestrator.plan.names import note_tag
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.probe.facts import ask, read_builder, read_nodes, read_tags, read_version_facts
from orchestrator.registry import open_stores
from orchestrator.registry.patience import Patience
from orchestrator.tags.facts import NoGit
from orchestrator.tags.version import parse_rule
from orchestrator.testing.registry import AnswerWith, FakeRegistry
from orchestrator_qemu.backend import QemuBackend

HASTY = Patience(attempts=1, connect_timeout=2.0, read_timeout=2.0)


def index(name: str) -> Manifest:
    """An index like no other."""
    content = msgspec.json.encode(ImageIndex(schema_version=2, manifests=(), annotations={"name": name}))
    return Manifest(media_type=OCI_INDEX, content=content)


def tag(registry: FakeRegistry, name: str) -> Reference:
    """A tag in a repository of the registry."""
    return parse_reference(f"{registry.host}/acme/api:{name}")


def test_tags_are_found_with_the_version_noted_in_moving_ones() -> None:
    """A fixed tag costs a HEAD; of a moving one its note is read as well, and counts for the index that it names."""
    with FakeRegistry() as registry, open_stores({}, patience=HASTY) as stores:
        fixed = registry.put_manifest("acme/api", "1.0.0", index("1.0.0"))
        latest = registry.put_manifest("acme/api", "latest", index("1.2.3"))
        edge = registry.put_manifest("acme/api", "edge", index("edge"))
        registry.put_manifest("acme/api", note_tag("latest"), render_note(latest, "1.2.3"))
        registry.put_manifest("acme/api", note_tag("edge"), render_note(latest, "1.2.3"))
        wanted = {tag(registry, "1.0.0"): False, tag(registry, "latest"): True, tag(registry, "none"): False}
        states = read_tags({**wanted, tag(registry, "edge"): True}, stores.repository)
    assert [
        TagState(digest=fixed),
        TagState(digest=latest, version="1.2.3"),
        TagState(),
    ] == [states[str(reference)] for reference in wanted]
    assert TagState(digest=edge) == states[str(tag(registry, "edge"))]


def test_a_registry_that_is_down_is_asked_about_one_tag() -> None:
    """However many tags a registry has, one request finds out that it fails."""
    with FakeRegistry() as registry, open_stores({}, patience=HASTY) as stores:
        registry.fail(".*", ".*", AnswerWith(status=503), times=0)
        wanted = {tag(registry, f"t{number}"): False for number in range(50)}
        states = read_tags(wanted, stores.repository)
        asked = len(registry.requests)
    assert {True} == {bool(state.unknown) for state in states.values()}
    assert asked <= 2  # a HEAD, and the GET that some registries need instead


def test_files_of_versions_are_read_below_the_root_only(tmp_path: Path) -> None:
    """A file that is not there, not UTF-8, or reached by a link that leads out, is None."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("1.0.0", encoding="utf-8")
    (root / "VERSION").write_text("1.2.3\n", encoding="utf-8")
    (root / "binary").write_bytes(b"\xff\xfe")
    (root / "leak").symlink_to("../secret")
    rules = [parse_rule(source=f"file:{name}") for name in ("VERSION", "binary", "leak", "gone", "../secret")]
    facts = read_version_facts(root, rules, {})
    assert {"VERSION": "1.2.3\n", "binary": None, "leak": None, "gone": None, "../secret": None} == facts.files


def test_only_the_variables_that_versions_name_are_kept(tmp_path: Path) -> None:
    """The environment is not copied into facts."""
    facts = read_version_facts(tmp_path, [parse_rule(source="env:RELEASE")], {"RELEASE": "1.0.0", "TOKEN": "secret"})
    assert {"RELEASE": "1.0.0"} == facts.environment
    assert isinstance(facts.git, NoGit)


class Asking(QemuBackend):
    """A backend whose probes are children of ours."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        super().__init__("default", slots=1)
        self._argv = argv

    def probes(self) -> tuple[Probe, ...]:
        """One child."""
        return (Probe(name="ask", argv=self._argv, timeout=10.0),)

    def nodes(self, answers: object) -> tuple[Node, ...]:
        """A node that says what was answered."""
        outcome = answers.get("ask") if isinstance(answers, dict) else None
        said = f"{outcome.exit_code} {outcome.stdout.strip()}" if isinstance(outcome, Outcome) else "unasked"
        return (Node(name="n", platforms=(), summary=said),)


def said_by(*argv: str, offline: bool = False) -> str:
    """What a node of a backend with this probe says."""
    backend = ConfiguredBackend(name="b", backend=Asking(argv), capabilities=Capabilities())
    return read_nodes({"b": backend}, {}, root=Path(), offline=offline)["b"][0].summary


def test_probes_are_answered_by_children() -> None:
    """What the child says reaches the backend; a program that is missing is an answer too."""
    assert "0 hello" == said_by(sys.executable, "-c", "print('hello')")
    assert "127 " == said_by("no-such-program-anywhere")


class Finding(Asking):
    """A backend whose node was found by an answer, and says what it is asked then."""

    def nodes(self, answers: object) -> tuple[Node, ...]:
        """A node that is to be asked alone."""
        (node,) = super().nodes(answers)
        alone = answers.get("alone") if isinstance(answers, dict) else None
        if node.summary == "unasked":
            return (node,)
        probe = Probe(name="alone", argv=(sys.executable, "-c", "print('found')"))
        said = alone.stdout.strip() if isinstance(alone, Outcome) else "not asked alone"
        return (Node(name="n", platforms=(), summary=said, probe=probe),)


@pytest.mark.parametrize(("offline", "said"), [(False, "found"), (True, "unasked")])
def test_nodes_that_an_answer_tells_of_are_asked_too(offline: bool, said: str) -> None:  # noqa: FBT001 (a case)
    """After it; and not where nobody is."""
    finding = Finding((sys.executable, "-c", "pass"))
    backend = ConfiguredBackend(name="b", backend=finding, capabilities=Capabilities())
    (node,) = read_nodes({"b": backend}, {}, root=Path(), offline=offline)["b"]
    assert said == node.summary


def test_a_builder_that_is_chosen_can_be_asked_again(tmp_path: Path) -> None:
    """No backend knows of it, so it comes with its question."""
    docker = tmp_path / "docker"
    docker.write_text(
        "#!/bin/sh\n[ $1 = buildx ] || exit 1\n"
        "printf 'Name: %s\\nDriver: remote\\nNodes:\\nName: n\\nStatus: running\\nPlatforms: linux/amd64\\n' $3\n"
    )
    docker.chmod(0o755)
    node = read_builder("far", {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (False, "far") == (node.provisional, node.builder)
    assert Probe(name="inspect", argv=("docker", "buildx", "inspect", "far"), node="far") == node.probe


def test_offline_nobody_is_asked() -> None:
    """Offline the backend has to say what its configuration says."""
    assert "unasked" == said_by(sys.executable, "-c", "raise SystemExit(9)", offline=True)


def written(content: Word) -> Probe:
    """A probe that prints the file that was written for it, and where that is."""
    program = "import os; folder = os.environ['PLACE']; print(folder, open(folder + '/a/b').read(), sep='\\n')"
    file = WrittenFile(name="a/b", content=content)
    return Probe(name="x", argv=(sys.executable, "-c", program), writes=(file,), folder="PLACE")


def test_what_a_probe_writes_is_gone_with_it(tmp_path: Path) -> None:
    """It stands in a folder of its own, with the user's files by their paths."""
    (tmp_path / "ca").touch()
    word = ('{"ca": "', FileOf(given="ca", quoting="json"), '"}')
    outcome = ask(written(word), {"PATH": "/usr/bin"}, tmp_path)
    folder, content = outcome.stdout.splitlines()
    assert f'{{"ca": "{tmp_path}/ca"}}' == content
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("given", "said"), [("env:CA", "environment variable `CA` is not set"), ("missing.pem", "no file `")]
)
def test_a_file_that_is_not_there_is_told(given: str, said: str, tmp_path: Path) -> None:
    """Nobody is asked, since buildx would only say that the node does not answer."""
    outcome = ask(written((FileOf(given=given),)), {"PATH": "/usr/bin"}, tmp_path)
    assert (127, True) == (outcome.exit_code, outcome.stderr.startswith(said))
