"""What is secret in a `builds.toml` or on the command line is in nothing that the program prints."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Program
from tests.unit.plan.samples import HEAD, write_project

URL = "https://me:hunter2@h.example/x.git"
TEXT = (
    HEAD
    + f"""[vars]
token = "hunter2"
[images.base]
context = "{URL}"
contexts = {{ lib = "{URL}", own = "https://hunter2@h.example/y.git" }}
args = {{ PROXY = "http://me:hunter2@proxy", TOKEN = "{{{{ vars.token }}}}" }}
labels = {{ source = "{URL}" }}
cache-from = [{{ type = "azblob", name = "n", account_key = "hunter2" }}, {{ type = "gha", token = "hunter2" }}]
cache-to = [{{ type = "s3", secret_access_key = "hunter2", session_token = "hunter2" }}]
test = {{ run = ["/x", "--url={URL}", "--password", "hunter2"] }}
platforms = ["linux/amd64"]
[images.app]
platforms = ["linux/amd64"]
"""
)


@pytest.fixture
def project(program: Program) -> Program:
    """A project with passwords where they can be."""
    write_project(program.folder, TEXT, {"app": "FROM base\nADD https://me:hunter2@h.example/x /x\n"})
    return program


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan",),
        ("plan", "-v"),
        ("plan", "-v", "--oci=out"),
        ("plan", "--format=json"),
        *(("graph", f"--format={style}") for style in ("text", "mermaid", "dot", "json")),
    ],
)
def test_a_plan_shows_no_credential(project: Program, arguments: tuple[str, ...]) -> None:
    """In every form of it, with the findings beside."""
    ran = project(*arguments, "--offline")
    assert 0 == ran.code
    assert "base" in ran.out
    assert "hunter2" not in ran.out + ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "base.contexts.lib=https://me:hunter2@h.example/{{ nobody }}"),
        ("--set", "base.contexts.lib=target:https://me:hunter2@h.example/"),
        ("--set", "base.args.X_TOKEN=hunter2{{"),
        ("--registry", URL),
    ],
    ids=["template", "target", "token", "registry"],
)
def test_a_mistake_shows_no_credential(project: Program, arguments: tuple[str, ...]) -> None:
    """On the command line."""
    ran = project("plan", "--offline", *arguments)
    assert 2 == ran.code
    assert "hunter2" not in ran.out + ran.err


@pytest.mark.parametrize(
    "line",
    [
        f'contexts = {{ lib = "{URL}{{{{" }}',
        f'context = "{URL}"\ndockerfile = "../{URL}"',
        f'shm-size = "{URL}"',
        f'extends = "{URL}"',
        f'tags = ["{URL}"]',
        f'repository = "{URL}"',
        f'needs = ["{URL}"]',
        f'platforms = ["{URL}"]',
        f'platforms = "{URL}"',
        f'"{URL}" = 1',
    ],
)
def test_a_mistake_in_the_file_shows_no_credential(program: Program, line: str) -> None:
    """Neither in its message nor in the line that is shown, on stderr or as JSON."""
    write_project(program.folder, f"{HEAD}[images.x]\n{line}\n", {"x": "FROM scratch\n"})
    ran = program("plan", "--offline", "--format=json")
    assert 2 == ran.code
    assert "error[" in ran.err
    assert "hunter2" not in ran.out + ran.err
