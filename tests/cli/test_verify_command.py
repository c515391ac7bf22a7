"""`orchestrate verify`, from the command line to real stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.__main__ import run
from orchestrator.cli.verify import Wanted, render_text, verify_references
from orchestrator.engine.ports import ImageStore
from orchestrator.engine.verify import Depth, verify_image
from orchestrator.errors import VerificationError
from orchestrator.oci.manifest import Manifest
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Reference, Repository, parse_reference, parse_repository
from orchestrator.registry import open_stores
from orchestrator.state.layout import OciLayout
from orchestrator.testing.registry import AnswerWith, FakeRegistry
from tests.unit.oci.images import Built, image, push
from tests.unit.oci.parts import ELF_AMD64, ELF_ARM64, Entry, layer

RUNTIME: dict[str, object] = {"Entrypoint": ["/app/tool"]}
AMD64 = layer(Entry(path="app/tool", content=ELF_AMD64))
ARM64 = layer(Entry(path="app/tool", content=ELF_ARM64))
STRAY = layer(Entry(path="usr/bin/stray", content=ELF_AMD64))


def sound() -> dict[str, Built]:
    """A sound image of two platforms."""
    return {
        "linux/amd64": image("linux/amd64", AMD64, runtime=RUNTIME),
        "linux/arm64": image("linux/arm64", ARM64, runtime=RUNTIME),
    }


def wrong() -> dict[str, Built]:
    """The same with an x86-64 program in the arm64 image, which is not its entrypoint."""
    return {**sound(), "linux/arm64": image("linux/arm64", STRAY, ARM64, runtime=RUNTIME)}


def layout(folder: Path, images: dict[str, Built]) -> Manifest:
    """A layout of these images, tagged `1.0`."""
    return push(OciLayout(folder), images)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login, no configuration, a folder of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.chdir(tmp_path)


def test_sound_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every platform has a line with what was looked at and its digest, and the exit code is 0."""
    images = sound()
    root = layout(tmp_path / "out", images)
    assert run(("verify", "oci:out")) == 0
    assert capsys.readouterr().out.splitlines() == [
        "oci:out",
        f"  index        ok  2 platforms        {root.digest}",
        f"  linux/amd64  ok  1 file, 1 program  {images['linux/amd64'].manifest.digest}",
        f"  linux/arm64  ok  1 file, 1 program  {images['linux/arm64'].manifest.digest}",
    ]


@pytest.mark.parametrize("reference", ["oci:out", "oci:out:1.0", "oci:./out:1.0"])
def test_foreign_program(tmp_path: Path, capsys: pytest.CaptureFixture[str], reference: str) -> None:
    """A foreign program ends with 6 and its path on stdout; what to do stands on stderr."""
    layout(tmp_path / "out", wrong())
    assert run(("verify", reference)) == 6
    captured = capsys.readouterr()
    assert [line.split()[1] for line in captured.out.splitlines()[1:4]] == ["ok", "ok", "FAILED"]
    assert captured.out.splitlines()[4:] == ["  /usr/bin/stray: x86-64 program in a linux/arm64 image"]
    assert "1 of 1 image not as declared" in captured.err
    assert "--ignore" in captured.err


def test_fast(tmp_path: Path) -> None:
    """With `--fast` only the entrypoint is looked at."""
    layout(tmp_path / "out", wrong())
    assert run(("verify", "--fast", "oci:out")) == 0


def test_ignore(tmp_path: Path) -> None:
    """With `--ignore` a file is data."""
    layout(tmp_path / "out", wrong())
    assert run(("verify", "--ignore", "/usr/bin/st*", "oci:out")) == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--platform", "linux/arm64,linux/amd64"), 0),
        (("--platform", "linux/arm64/v8", "--platform", "linux/amd64"), 0),
        (("--platform", "linux/arm64"), 6),
        (("--platform", "linux/arm64,linux/amd64,linux/s390x"), 6),
        (("--platform", "linux/amd46"), 2),
    ],
)
def test_platforms(tmp_path: Path, options: tuple[str, ...], code: int) -> None:
    """The platforms are exactly those asked for."""
    layout(tmp_path / "out", sound())
    assert code == run(("verify", *options, "oci:out"))


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as JSON, in the order of the command line."""
    layout(tmp_path / "good", sound())
    root = layout(tmp_path / "bad", wrong())
    assert run(("verify", "--format", "json", "oci:good", "oci:bad:1.0")) == 6
    document = json.loads(capsys.readouterr().out)
    assert [(each["reference"], each["ok"]) for each in document["images"]] == [
        ("oci:good", True),
        ("oci:bad:1.0", False),
    ]
    bad = document["images"][1]
    assert (document["ok"], bad["digest"], bad["depth"]) == (False, root.digest, "files")
    assert bad["platforms"][1]["findings"] == [
        {
            "where": "/usr/bin/stray",
            "message": "x86-64 program in a linux/arm64 image",
            "severity": "error",
            "hints": [],
        }
    ]


def test_lone_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A single image has one line, and a note that it is no index."""
    root = layout(tmp_path / "out", sound())
    digest = sound()["linux/arm64"].manifest.digest
    assert run(("verify", f"oci:out@{digest}")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"  linux/arm64  ok  1 file, 1 program  {digest}"
    assert lines[2].startswith("  note: manifest: a single image and no index")
    assert root.digest not in "".join(lines)


@pytest.mark.parametrize("reference", ["oci:nowhere", "ghcr.io/Acme/api", "oci:two"])
def test_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], reference: str) -> None:
    """What is no reference, no layout, or not one image, ends with 2 and a hint."""
    layout(tmp_path / "two", sound())
    OciLayout(tmp_path / "two").put_manifest("2.0", wrong()["linux/arm64"].manifest)
    assert run(("verify", reference)) == 2
    assert "hint: " in capsys.readouterr().err


def test_folder_with_a_colon(tmp_path: Path) -> None:
    """A folder that is there may have a colon in its name."""
    layout(tmp_path / "out:1.0", sound())
    assert run(("verify", "oci:out:1.0")) == 0


def test_missing_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tag that is not there ends with 6, and says what to do."""
    layout(tmp_path / "out", sound())
    assert run(("verify", "oci:out:2.0")) == 6
    captured = capsys.readouterr()
    assert "  2.0: there is no such image in `oci:out`" in captured.out.splitlines()
    assert "orchestrate build --push" in captured.err


def test_registry(capsys: pytest.CaptureFixture[str]) -> None:
    """A registry is verified like a layout."""
    with FakeRegistry() as registry:
        with open_stores({}) as stores:
            push(stores.repository(parse_repository(f"{registry.host}/acme/api")), wrong())
        assert run(("verify", f"{registry.host}/acme/api:1.0")) == 6
        assert run(("verify", "--fast", f"{registry.host}/acme/api:1.0")) == 0
        assert run(("verify", f"{registry.host}/acme/api:2.0")) == 6
    assert "/usr/bin/stray: x86-64 program in a linux/arm64 image" in capsys.readouterr().out


def test_registry_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    """A registry that refuses ends with 5."""
    with FakeRegistry() as registry:
        registry.fail("GET", ".*", AnswerWith(status=403), times=0)
        assert run(("verify", f"{registry.host}/acme/api:1.0")) == 5
    assert registry.host in capsys.readouterr().err


def test_declared_platforms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a project declares for a reference is expected of it, unless platforms are named."""
    store = OciLayout(tmp_path / "out")
    push(store, sound())

    def repositories(repository: Repository) -> ImageStore:
        assert repository == parse_repository("ghcr.io/acme/api")
        return store

    def declared(reference: Reference) -> tuple[Platform, ...] | None:
        assert reference == parse_reference("ghcr.io/acme/api:1.0")
        return (parse_platform("linux/s390x"),)

    wanted = Wanted(depth=Depth.STRUCTURE, declared=declared)
    with pytest.raises(VerificationError):
        verify_references(("ghcr.io/acme/api:1.0",), repositories, wanted, style="text")
    assert "  index: linux/s390x is declared and missing" in capsys.readouterr().out.splitlines()


def test_text_of_a_missing_image(tmp_path: Path) -> None:
    """A reference that leads nowhere has a line, too."""
    report = verify_image(OciLayout(tmp_path / "out"), "1.0")
    assert render_text("oci:out:1.0", report).splitlines()[1] == "  index  FAILED  0 platforms  -"
