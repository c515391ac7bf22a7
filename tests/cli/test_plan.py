from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import Program
from tests.unit.plan.samples import EMULATED, HEAD, write_project
from tests.unit.plan.test_acme import FILES, IDENTITY, TEXT

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = HEAD + EMULATED + '[images.base]\n[images.app]\n[groups]\nall = ["*"]\n'
SMALL_FILES = {"base": "FROM scratch\n", "app": "FROM base\n"}


def write_acme(folder: Path) -> None:
    """The specification by example, with its folders."""
    write_project(folder, TEXT, FILES)


def write_monorepo(folder: Path) -> None:
    """The example that is built in the lab."""
    shutil.copytree(EXAMPLES / "monorepo", folder, dirs_exist_ok=True)


def commit(folder: Path, tag: str = "v1.4.0") -> None:
    """A repository with a release."""
    for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-qm", "first"), ("tag", tag)):
        subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True)


@pytest.fixture(params=[write_acme, write_monorepo], ids=["acme", "monorepo"])
def example(program: Program, request: pytest.FixtureRequest) -> Program:
    """Each example in a repository of its own."""
    request.param(program.folder)
    commit(program.folder)
    return program


def test_the_document_fits_the_schema_that_is_printed(example: Program) -> None:
    """Both come from the program; the validator does not."""
    schema = json.loads(example("schema", "plan").out)
    ran = example("plan", "--offline", "--format", "json", "*")
    assert 0 == ran.code
    jsonschema.Draft202012Validator(schema).validate(json.loads(ran.out))


def test_the_document_has_what_programs_rely_on(example: Program) -> None:
    """Every key that was promised, at its place."""
    tree = json.loads(example("plan", "--offline", "--format", "json", "*").out)
    assert {"format_version", "images", "builds", "steps", "diagnostics", "summary"} <= set(tree)
    for image in tree["images"]:
        assert {"name", "repository", "action", "platforms", "tags"} <= set(image)
        assert all({"ref", "moving", "current"} <= set(tag) for tag in image["tags"])
    ids = {build["id"] for build in tree["builds"]}
    for build in tree["builds"]:
        assert {"id", "image", "platform", "wave", "needs", "action", "reasons", "placement"} <= set(build)
        assert f"{build['image']}@{build['platform']}" == build["id"]
        assert set(build["needs"]) <= ids
        assert all(reason["code"] for reason in build["reasons"])
        assert {"backend", "node", "mode"} <= set(build["placement"])
    solves = [step for step in tree["steps"] if step["kind"] == "solve"]
    assert solves
    assert all(step["argv"] or step["refusal"] for step in solves)


def test_the_bytes_are_the_same_for_the_same_inputs(example: Program) -> None:
    """The clock is not one of them."""
    arguments = ("plan", "--offline", "--format", "json", "*")
    assert example(*arguments).out == example(*arguments).out


def test_a_plan_needs_no_docker_and_no_git(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what it does not know."""
    write_project(program.folder, SMALL, SMALL_FILES)
    monkeypatch.setenv("PATH", "/nonexistent")
    ran = program("plan", "--stage")
    assert 0 == ran.code
    assert "no git" in ran.out.splitlines()[0]
    assert "?" in ran.out


def test_a_plan_by_its_text(program: Program) -> None:
    """Waves, edges with the line where they are written, tags, what becomes public, a summary."""
    write_project(program.folder, SMALL, SMALL_FILES)
    lines = program("plan", "--offline").out.splitlines()
    assert "acme: 2 images, 4 platform builds, 2 waves   no git".removeprefix("acme") == lines[0].removeprefix(
        program.folder.name
    )
    assert "this is what `orchestrate build --push` does" == lines[1]
    assert "        after base (FROM app/Dockerfile:1)".strip() in [line.strip() for line in lines]
    assert "tags  1.0; moving: latest" in [line.strip() for line in lines]
    assert lines[-2].startswith("public: push under private names, verify 2 images, then tag 2 images;")
    assert lines[-1].startswith("Plan: 2 to build, 0 blocked; 4 platform builds")


def images(program: Program, *arguments: str) -> list[str]:
    """The images of a plan."""
    tree = json.loads(program("plan", "--offline", "--format", "json", *arguments).out)
    return [image["name"] for image in tree["images"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ["base", "app"]),
        (("base",), ["base"]),
        (("app",), ["base", "app"]),
        (("a*",), ["base", "app"]),
        (("*",), ["base", "app"]),
        (("all",), ["base", "app"]),
        (("base", "base"), ["base"]),
        (("base", "--no-deps"), ["base"]),
    ],
)
def test_selections(program: Program, arguments: tuple[str, ...], expected: list[str]) -> None:
    """Names, globs and groups; with what they need, unless told otherwise."""
    write_project(program.folder, SMALL, SMALL_FILES)
    assert expected == images(program, *arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--platform", "linux/arm64"), ["base@linux/arm64", "app@linux/arm64"]),
        (("--platform", "linux/arm64/v8", "base"), ["base@linux/arm64"]),
        (("--platform=linux/amd64,linux/arm64", "base"), ["base@linux/amd64", "base@linux/arm64"]),
        (("--platform=linux/amd64", "--platform=linux/arm64", "base"), ["base@linux/amd64", "base@linux/arm64"]),
    ],
)
def test_platforms_may_be_selected(program: Program, arguments: tuple[str, ...], expected: list[str]) -> None:
    """Repeatable or with commas; the plan is that of what can be done with a part, not of a release."""
    write_project(program.folder, SMALL, SMALL_FILES)
    ran = program("plan", "--offline", "--format", "json", *arguments)
    tree = json.loads(ran.out)
    assert (0, "stage", expected) == (ran.code, tree["destination"], [build["id"] for build in tree["builds"]])


@pytest.mark.parametrize(
    ("flag", "destination"), [("--push", "push"), ("--stage", "stage"), ("--load", "load"), ("--oci=out", "oci")]
)
def test_a_plan_for_each_destination(program: Program, flag: str, destination: str) -> None:
    """As `build` would do with the same flag."""
    write_project(program.folder, SMALL, SMALL_FILES)
    assert destination == json.loads(program("plan", "--offline", "--format=json", flag).out)["destination"]


def test_without_a_registry_a_plan_is_for_this_machine(program: Program) -> None:
    """There is nowhere to push to."""
    write_project(program.folder, SMALL.replace('registry = "r.example/acme"', ""), SMALL_FILES)
    assert "oci" == json.loads(program("plan", "--offline", "--format=json").out)["destination"]


def test_verbose_adds_the_commands(program: Program) -> None:
    """Argv for argv."""
    write_project(program.folder, SMALL, SMALL_FILES)
    plain, verbose = program("plan", "--offline").out, program("plan", "--offline", "-v").out
    assert verbose.startswith(plain)
    assert "docker buildx build '--builder=<builder of default>'" in verbose


def test_verbose_shows_what_is_run_first_and_last(program: Program) -> None:
    """The builders that a run makes of nodes, and forgets at its end."""
    node = '[[backends.native.nodes]]\nname = "amd-1"\nplatforms = ["linux/amd64"]\nendpoint = "tcp://10.0.0.1:1234"\n'
    write_project(program.folder, HEAD + node + '[images.x]\nplatforms = ["linux/amd64"]\n', {"x": "FROM scratch\n"})
    lines = program("plan", "--offline", "-v").out.splitlines()
    first, last = (lines[lines.index(f"  {word}, for backend native") + 1] for word in ("first", "last"))
    assert "docker buildx create '--name=<builder of amd-1>'" in first
    assert "tcp://10.0.0.1:1234" in first
    assert "docker buildx rm" in last


def test_the_exit_code_may_tell_of_work(program: Program) -> None:
    """For scripts that ask."""
    write_project(program.folder, SMALL, SMALL_FILES)
    assert (0, 10) == (program("plan", "--offline").code, program("plan", "--offline", "--detailed-exitcode").code)


def test_a_blocked_plan_is_shown_and_ends_with_three(program: Program) -> None:
    """The findings go to stderr, with the line and a hint."""
    write_project(program.folder, HEAD + '[images.x]\nplatforms = ["linux/s390x"]\n', {"x": "FROM scratch\n"})
    ran = program("plan", "--offline")
    assert 3 == ran.code
    assert "linux/s390x blocked" in ran.out
    assert "error[emulation-forbidden]" in ran.err
    assert "builds.toml:8:13" in ran.err
    assert "hint:" in ran.err


def test_mistakes_are_told_to_programs_too(program: Program) -> None:
    """The document has them, though there is no plan; people read them on stderr."""
    write_project(program.folder, HEAD + "[images.x]\nplatfroms = []\n", {"x": "FROM scratch\n"})
    ran = program("plan", "--format", "json")
    tree = json.loads(ran.out)
    jsonschema.Draft202012Validator(json.loads(program("schema", "plan").out)).validate(tree)
    assert (2, ["unknown-key"], 8) == (
        ran.code, [finding["code"] for finding in tree["diagnostics"]], tree["diagnostics"][0]["line"],
    )  # fmt: skip
    assert "did you mean `platforms`?" in ran.err


def test_all_mistakes_are_told_at_once(program: Program) -> None:
    """Of all stages: a key, a template, a folder, a tag."""
    text = HEAD + '[images.a]\nno_cache = true\n[images.b]\nargs = { A = "{{ nobody }}" }\n[images.c]\n'
    text += '[images.d]\ntags = ["not a tag"]\n'
    write_project(program.folder, text, {"a": "FROM scratch\n", "b": "FROM scratch\n", "d": "FROM scratch\n"})
    ran = program("plan")
    assert 2 == ran.code
    for code in ("unknown-key", "template", "missing-context", "tag"):
        assert f"error[{code}]" in ran.err
    assert "4 errors" in ran.err


def test_a_cycle_is_shown_as_the_path_that_it_is(program: Program) -> None:
    """With its lines."""
    write_project(program.folder, HEAD + "[images.a]\n[images.b]\n", {"a": "FROM b\n", "b": "FROM a\n"})
    ran = program("plan")
    assert 2 == ran.code
    assert "images need each other in a circle: a -> b -> a" in ran.err


def test_a_saved_environment_overrides_the_file(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the command line both."""
    write_project(program.folder, SMALL, SMALL_FILES)
    monkeypatch.setenv("ORCHESTRATE_REGISTRY", "env.example/x")
    monkeypatch.setenv("ORCHESTRATE_SET", "base.args.A=env")

    def first(*arguments: str) -> tuple[str, bool]:
        tree = json.loads(program("plan", "--offline", "--format=json", "base", *arguments).out)
        argv = next(step["argv"][0] for step in tree["steps"] if step["kind"] == "solve")
        return tree["images"][0]["repository"], "--build-arg=A=line" in argv

    assert ("env.example/x/base", False) == first()
    assert ("line.example/x/base", True) == first("--registry=line.example/x", "--set=base.args.A=line")


def test_the_examples_have_a_text(example: Program) -> None:
    """With the version and the commit from git."""
    ran = example("plan", "--offline", "*")
    assert 0 == ran.code
    assert " 1.4.0, clean" in ran.out.splitlines()[0]
    assert ran.out.splitlines()[-1].startswith("Plan: ")


def test_what_was_granted_and_which_state_is_read_is_said(program: Program) -> None:
    """The scopes, and the repository."""
    text = SMALL + '[state]\nread = ["main"]\nrepository = "r.example/state"\n'
    write_project(program.folder, text, SMALL_FILES)
    out = program("plan", "--offline", "--allow=network.host", "--allow=read=/data").out
    assert "granted: network.host, read=/data" in out
    assert "state: reads main" in out
    assert "state: in r.example/state\n" in out


def test_what_is_built_together_is_one_command(program: Program) -> None:
    """Under the first step, of which the others are told."""
    write_project(program.folder, SMALL, SMALL_FILES)
    ran = program("plan", "-v", "--offline", "--backend", "bake")
    assert (0, 1) == (ran.code, ran.out.count("docker buildx bake"))
    assert "    done with solve:" in ran.out


def test_bytes_that_are_no_text_are_told_where_they_were_given(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python hands them on as surrogates, which nothing can print or hash later."""
    write_project(program.folder, HEAD + "[images.a]\n", {"a": "FROM scratch\n"})
    for arguments, source in (
        (("--set", "a.args.A=\udcff"), "`--set`"),
        (("--var", "go=\udcff"), "`--var go`"),
        (("--registry", "\udcff"), "`--registry`"),
    ):
        ran = program("plan", "--offline", *arguments)
        assert (2, True) == (ran.code, f"{source} has bytes that are no UTF-8" in ran.err)
    monkeypatch.setenv("ORCHESTRATE_SET", "a.args.A=\udcff")
    assert "`ORCHESTRATE_SET` has bytes" in program("plan", "--offline").err
