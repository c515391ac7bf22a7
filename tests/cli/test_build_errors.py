"""How commands that act end where they cannot: exit code, message, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.oci.digest import digest_bytes
from orchestrator.state.summary import RunResult, parse_result, render_result
from orchestrator.testing.registry import FakeRegistry
from tests.cli.conftest import Program, Ran
from tests.cli.fake_docker import FakeDocker
from tests.unit.plan.samples import EMULATED, HEAD, write_project

TEXT = HEAD + EMULATED + "[images.base]\nretries = 0\n[images.app]\n"
FILES = {"base": "FROM scratch\n", "app": "FROM base\n"}


@pytest.fixture
def project(program: Program) -> Program:
    """A project of two images."""
    write_project(program.folder, TEXT, FILES)
    return program


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """A docker that answers as recorded, and builds nothing."""
    fake = FakeDocker(tmp_path_factory.mktemp("docker"))
    monkeypatch.setenv("PATH", fake.path)
    return fake


def told(ran: Ran, code: int, *parts: str) -> None:
    """It ended so, and said so."""
    assert code == ran.code, ran
    for part in parts:
        assert part in ran.err, ran.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("bild",), ("No such command", "orchestrate --help")),
        (("build", "--pusch"), ("No such option", "--push")),
        (("build", "--push", "--load"), ("`--push` and `--load` exclude each other",)),
        (("build", "--jobs", "0"), ("--jobs",)),
        (("build", "bsae"), ("no image or group `bsae`", "did you mean `base`?")),
        (("build", "--platform", "linux/z80"), ("`--platform`", "linux/z80")),
        (("build", "--platform", "linux/s390x"), ("no selected image is built for `linux/s390x`",)),
        (("build", "--var", "go"), ("expected NAME=VALUE",)),
        (("build", "--set", "x"), ("expected `PATTERN.KEY=VALUE`",)),
        (("build", "--set", "nobody.args.A=1"), ("matches no image",)),
        (("build", "--allow", "everything"), ("unknown grant `everything`",)),
        (("build", "--backend", "qemmu"), ("unknown backend `qemmu`", "did you mean `qemu`?")),
        (("build", "--file", "none.toml"), ("none.toml",)),
        (("promote",), ("orchestrate build --stage",)),
        (("promote", "--result", "builds.toml"), ("not a result of a run",)),
    ],
)
def test_a_wrong_command_line_ends_with_two(
    project: Program, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    """And says what was wrong with it; nothing is on stdout."""
    ran = project(*arguments)
    told(ran, 2, *parts)
    assert "" == ran.out


def test_without_a_file_there_is_nothing_to_do(program: Program) -> None:
    """It says where it looked."""
    told(program("build"), 2, "builds.toml")


def test_mistakes_in_the_file_end_with_two(program: Program) -> None:
    """Each with its line."""
    write_project(program.folder, HEAD + "[images.x]\nno_cache = true\n", {})
    told(program("build"), 2, "error[unknown-key]", "builds.toml:8:1", "did you mean `no-cache`?", "nothing was done")


def test_a_blocked_plan_is_not_built(project: Program, docker: FakeDocker) -> None:
    """It says why, and starts no build."""
    write_project(project.folder, HEAD + '[images.x]\nplatforms = ["linux/s390x"]\n', {"x": "FROM scratch\n"})
    told(project("build"), 3, "error[emulation-forbidden]", "the plan is blocked")
    assert not any("build --" in call for call in docker.calls)


def test_a_part_of_an_index_is_not_published(project: Program) -> None:
    """A pull would find no image for the other platform."""
    told(project("build", "--push", "--platform", "linux/amd64"), 3, "a part is never published", "--stage")


def test_without_docker_nothing_is_built(project: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found out before."""
    monkeypatch.setenv("PATH", "/nonexistent")
    told(project("build"), 3, "does not answer", "orchestrate doctor")


def test_a_missing_secret_is_named(project: Program, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is built."""
    monkeypatch.delenv("A_TOKEN", raising=False)
    write_project(project.folder, TEXT + 'secrets = [{ id = "t", env = "A_TOKEN" }]\n', FILES)
    told(project("build"), 2, "`A_TOKEN`", "not set", "1 secret missing")
    assert not any("build --" in call for call in docker.calls)


def result_of(project: Program) -> RunResult:
    """What was written down."""
    return parse_result((project.folder / ".orchestrate" / "result.json").read_bytes())


def test_a_build_that_fails_ends_with_four(project: Program, docker: FakeDocker) -> None:
    """With a table, the failure, and a result that programs can read."""
    del docker
    ran = project("build")
    told(ran, 4, "failed: solve:base", "step `solve:base` failed", "mend what failed")
    assert "base   index        failed" in ran.out
    assert {"base": "failed", "app": "skipped"} == {image.name: image.state for image in result_of(project).images}


def test_the_result_may_be_json(project: Program, docker: FakeDocker) -> None:
    """On stdout, and in the file that was asked for."""
    del docker
    ran = project("build", "--format", "json", "--result", "mine.json")
    assert 4 == ran.code
    assert json.loads(ran.out) == json.loads((project.folder / "mine.json").read_text())


def test_a_registry_that_does_not_answer_ends_with_five(project: Program, docker: FakeDocker) -> None:
    """Before anything is built: nobody knows what the tags point at."""
    with FakeRegistry() as registry:
        host = registry.host
    write_project(project.folder, TEXT.replace("r.example", host), FILES)
    told(project("build", "--push"), 5, "a registry does not answer, or refuses to", host)
    assert not any("build --" in call for call in docker.calls)


def test_a_tag_that_exists_blocks_a_release(project: Program, docker: FakeDocker) -> None:
    """With its digest and what to do."""
    from tests.contract.registry_sample import make_index, make_sample  # noqa: PLC0415 (one test needs an index)

    with FakeRegistry() as registry:
        index = make_index(make_sample())
        registry.put_manifest("acme/base", "1.0", index)
        write_project(project.folder, TEXT.replace("r.example", registry.host), FILES)
        told(project("build", "--push"), 3, "error[tag-exists]", index.digest, "--replace-tags")
    assert not any("build --" in call for call in docker.calls)


TAGS = [
    {"ref": f"r.example/acme/base:{name}", "moving": name == "latest", "put": False, "previous": None}
    for name in ("1.0", "latest")
]
BUILT = [
    {"id": f"base@{name}", "platform": name, "state": "built", "seconds": 1.0, "digest": digest_bytes(name.encode()),
     "node": "default", "mode": "native"}
    for name in ("linux/amd64", "linux/arm64")
]  # fmt: skip


def promote(project: Program, **fields: object) -> Ran:
    """Promote what a result says."""
    tree = {
        "format_version": "1.0", "project": "p", "run": "r", "destination": "stage", "now": "2026-01-01T00:00:00+00:00",
        "exit_code": 0, "started": 0.0, "finished": 0.0, "failures": [],
        "images": [{"name": "base", "state": "verified", "digest": digest_bytes(b"x"), "home": "h", "platforms": BUILT,
                    "tags": TAGS}],
        **fields,
    }  # fmt: skip
    path = project.folder / ".orchestrate" / "result.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(tree))
    return project("promote", "--offline")


@pytest.mark.parametrize(
    ("fields", "code", "part"),
    [
        ({"destination": "oci"}, 3, "left nothing in a registry"),
        ({"format_version": "9"}, 2, "format 9"),
        ({"now": "yesterday"}, 2, "no legal time"),
        ({"run": "another"}, 3, "is not what was staged"),
        ({"images": [{"name": "base", "state": "failed", "digest": None, "home": "", "platforms": [], "tags": []}]},
         3, "was not verified"),
    ],
)  # fmt: skip
def test_only_what_was_staged_is_promoted(project: Program, fields: dict[str, object], code: int, part: str) -> None:
    """The result of a run is input like any other."""
    told(promote(project, **fields), code, part)


def test_a_result_survives_being_written(project: Program, docker: FakeDocker, tmp_path: Path) -> None:
    """Read back it is the same."""
    del docker, tmp_path
    project("build")
    content = (project.folder / ".orchestrate" / "result.json").read_bytes()
    assert content == render_result(parse_result(content))


@pytest.mark.parametrize(
    ("secret", "part"),
    [
        ('{ id = "t", src = "none.txt" }', "file `none.txt`"),
        ('{ id = "NO_TOKEN" }', "`NO_TOKEN`"),
    ],
)
def test_a_secret_may_be_a_file_or_be_found_by_its_id(
    project: Program, docker: FakeDocker, secret: str, part: str
) -> None:
    """Where it is missing, that is said."""
    del docker
    write_project(project.folder, TEXT + f"secrets = [{secret}]\n", FILES)
    told(project("build"), 2, part)


def test_a_secret_that_is_there_is_no_finding(project: Program, docker: FakeDocker) -> None:
    """Only the build itself fails then, as this docker builds nothing."""
    del docker
    write_project(project.folder, TEXT + 'secrets = [{ id = "t", src = "token.txt" }]\n', FILES)
    (project.folder / "token.txt").write_text("x")
    assert 4 == project("build").code


def test_a_file_that_is_no_toml_ends_with_two(program: Program) -> None:
    """At its line."""
    (program.folder / "builds.toml").write_text("format = 1\n[project\n")
    told(program("plan"), 2, "builds.toml:2", "1 error")


def test_a_project_without_images_has_nothing_to_build(program: Program) -> None:
    """It says how one is declared."""
    (program.folder / "builds.toml").write_text("format = 1\n")
    told(program("build"), 2, "there is no image to build", "[images.NAME]")


@pytest.mark.parametrize(
    ("arguments", "part"), [(("--help",), "plan"), (("--version",), "orchestrate"), (("plan", "-h"), "--no-deps")]
)
def test_help_is_on_stdout(program: Program, arguments: tuple[str, ...], part: str) -> None:
    """With exit code 0."""
    ran = program(*arguments)
    assert (0, "") == (ran.code, ran.err)
    assert part in ran.out


def test_a_registry_that_cannot_be_one_is_told(project: Program) -> None:
    """Where it was said."""
    told(project("plan", "--registry", "r.example/UPPER"), 2, "error[registry]", "`--registry` `r.example/UPPER`")
