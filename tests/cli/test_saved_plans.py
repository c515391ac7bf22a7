"""`plan --out`, `plan --split`, `apply` and `diff`: what they print and refuse, with nobody to ask."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from orchestrator.oci.digest import digest_bytes
from orchestrator.plan.saved import parse_saved
from tests.cli.conftest import Program
from tests.unit.plan.samples import EMULATED, write_project

TEXT = f"""format = 1
[project]
name = "shop"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["1.0"]
{EMULATED}[images.base]
[images.app]
"""
FILES = {"base": "FROM scratch\nCOPY a /\n", "app": "FROM base\n"}


@pytest.fixture
def shop(program: Program) -> Program:
    """The program in a project without a registry: its plans are for layouts."""
    write_project(program.folder, TEXT, FILES)
    (program.folder / "base/a").write_text("one")
    return program


@pytest.fixture
def saved(shop: Program) -> Program:
    """With a saved plan beside it."""
    ran = shop("plan", "--out", "plan.json")
    assert 0 == ran.code, ran.err
    return shop


def test_a_saved_plan_says_how_to_apply_it(shop: Program) -> None:
    """With the digest that is in the file."""
    ran = shop("plan", "--out", "my plan.json")
    digest, _ = parse_saved((shop.folder / "my plan.json").read_bytes())
    assert f"saved: my plan.json, apply it with `orchestrate apply 'my plan.json' --expect {digest}`" in ran.err


def test_the_same_plan_is_saved_as_the_same_file(saved: Program) -> None:
    """But for the time, which templates may use."""
    before = json.loads((saved.folder / "plan.json").read_bytes())
    assert 0 == saved("plan", "--out", "plan.json").code
    after = json.loads((saved.folder / "plan.json").read_bytes())
    for plan in (before, after):
        del plan["digest"], plan["frozen"]["now"]
    assert before == after


def test_parts_are_json(shop: Program) -> None:
    """One a platform and node, with what each waits for."""
    parts = json.loads(shop("plan", "--split").out)
    assert [["base@linux/amd64", "app@linux/amd64"], ["base@linux/arm64", "app@linux/arm64"]] == [
        part["builds"] for part in parts
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("plan", "--out", "x.json", "--offline"), 2, "`--out` and `--offline` exclude each other"),
        (("plan", "--out", "builds.toml"), 2, "`builds.toml` holds something else than a plan"),
        (("plan", "--out", "/dev/null"), 2, "`/dev/null`: not a regular file"),
        (("plan", "--out", "."), 2, "`.`: not a regular file"),
        (("plan", "--out", "no/folder/x.json"), 2, "no such file or directory"),
        (("apply", "none.json"), 2, "`none.json` cannot be read: no such file or directory"),
        (("apply", "builds.toml"), 2, "`builds.toml`: not a saved plan"),
        (("apply", "plan.json", "--expect", "abc"), 2, "`--expect abc`: not a sha256 digest"),
        (("apply", "plan.json", "--expect", "sha256:" + "0" * 64), 3, "nothing was done: this is plan sha256:"),
        (("apply", "plan.json", "--only", "app", "--finish"), 2, "`--only` and `--finish` exclude each other"),
        (("apply", "plan.json", "results"), 2, "`results`: folders with results are for `--finish`"),
        (("apply", "plan.json", "--only", "app"), 2, "parts hand over what they build through a registry"),
        (("apply", "plan.json", "--wait", "soon"), 2, "`--wait soon`: not a duration"),
        (("apply", "plan.json", "--node", "arm"), 2, "`--node arm`: expected NAME=BUILDER"),
        (("apply", "plan.json", "--offline"), 2, "`apply` looks at everything again"),
        (("diff", "plan.json", "builds.toml"), 2, "`builds.toml`: not a plan"),
    ],
)
def test_what_cannot_be_is_refused(saved: Program, arguments: tuple[str, ...], code: int, message: str) -> None:
    """In one line, before anything is done."""
    ran = saved(*arguments)
    assert (code, True) == (ran.code, message in ran.err), ran.err


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("base/a", "one", "two", "`base@linux/amd64`, `base@linux/arm64`: files changed: `a`"),
        ("app/Dockerfile", "FROM base\n", "FROM base\nENV A=1\n", "its Dockerfile changed"),
        ("builds.toml", '"1.0"', '"2.0"', "`app`: tags would be `app:2.0` now, and is `app:1.0` in the plan"),
        ("builds.toml", "[images.app]\n", "", "`app` is not declared any more"),
        ("builds.toml", "[images.app]\n", '[images.app]\nlabels = { a = "b" }\n', "changed: `label a`"),
    ],
)
def test_what_changed_is_named(saved: Program, file: str, old: str, new: str, message: str) -> None:
    """And ends with 3."""
    path = saved.folder / file
    path.write_text(path.read_text().replace(old, new))
    ran = saved("apply", "plan.json")
    assert (3, True) == (ran.code, message in ran.err), ran.err


def test_a_lock_that_came_since_is_named(saved: Program) -> None:
    """What it locks may be something else than what was planned."""
    (saved.folder / "builds.lock").write_text("format = 1\n")
    ran = saved("apply", "plan.json")
    assert (3, True) == (ran.code, "`builds.lock` is another one" in ran.err), ran.err


def test_values_are_said_again_or_vouched_for(shop: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A var of the plan is no var of whoever applies it."""
    path = shop.folder / "builds.toml"
    path.write_text(path.read_text() + 'args = { GO = "{{ vars.go }}" }\n[vars]\ngo = "1"\n')
    assert 0 == shop("plan", "--var", "go=2", "--out", "plan.json").code
    ran = shop("apply", "plan.json")
    assert (3, True) == (ran.code, "var `GO` is `2` in the plan, and not given here" in ran.err), ran.err
    digest, _ = parse_saved((shop.folder / "plan.json").read_bytes())
    for arguments in (("--var", "go=2"), ("--expect", digest)):
        assert "changed since it was planned" not in shop("apply", "plan.json", *arguments).err
    monkeypatch.setenv("ORCHESTRATE_VAR_GO", "2")
    assert "changed since it was planned" not in shop("apply", "plan.json").err


def test_a_credential_is_not_saved(shop: Program) -> None:
    """Whoever gets the file would get it, too."""
    path = shop.folder / "builds.toml"
    path.write_text(path.read_text() + 'args = { GO = "{{ vars.npm_token }}" }\n[vars]\nnpm_token = "1"\n')
    ran = shop("plan", "--var", "npm_token=hush", "--out", "plan.json")
    assert (2, True) == (ran.code, "`var NPM_TOKEN` looks like a credential" in ran.err), ran.err
    assert not (shop.folder / "plan.json").exists()


def test_a_link_in_the_place_of_a_plan_is_replaced(saved: Program, tmp_path: Path) -> None:
    """What it leads to stays as it is."""
    other = tmp_path / "other.json"
    (saved.folder / "plan.json").rename(other)
    before = other.read_bytes()
    (saved.folder / "plan.json").symlink_to(other)
    assert 0 == saved("plan", "--out", "plan.json").code
    assert before == other.read_bytes()


def test_two_plans_are_held_against_each_other(saved: Program) -> None:
    """A saved one and one that was printed, as text and as JSON; the exit code says so where it is asked."""
    path = saved.folder / "builds.toml"
    path.write_text(path.read_text().replace('"1.0"', '"2.0"'))
    (saved.folder / "after.json").write_text(saved("plan", "--format", "json").out)
    ran = saved("diff", "plan.json", "after.json", "--detailed-exitcode")
    assert (10, True) == (ran.code, "app\n  - tags: app:1.0\n  + tags: app:2.0" in ran.out), ran.out
    found = json.loads(saved("diff", "plan.json", "after.json", "--format", "json").out)
    assert {"subject": "app", "attribute": "tags", "before": ["app:1.0"], "after": ["app:2.0"]} in found
    ran = saved("diff", "plan.json", "plan.json", "--detailed-exitcode")
    assert (0, "the plans say the same\n") == (ran.code, ran.out)


def test_control_characters_are_not_printed(saved: Program) -> None:
    """A name of a file may hold any."""
    (saved.folder / "base/\x1b[2Jx").write_text("")
    dockerfile = saved.folder / "base/Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("COPY a /", "COPY . /"))
    ran = saved("apply", "plan.json")
    assert (3, True, False) == (ran.code, "changed: " in ran.err, "\x1b" in ran.err), ran.err


def test_one_change_is_told_once(saved: Program) -> None:
    """What follows for steps is not, where it follows from something else."""
    path = saved.folder / "builds.toml"
    path.write_text(path.read_text().replace('"1.0"', '"2.0"'))
    lines = [line for line in saved("apply", "plan.json").err.splitlines() if line.startswith("changed: ")]
    assert ["changed: `base`: tags", "changed: `app`: tags"] == [line.partition(" would")[0] for line in lines]


def test_what_a_plan_says_of_itself_is_held_against_the_project(saved: Program) -> None:
    """Somebody has read it, and decided on it."""
    path = saved.folder / "plan.json"
    fields = json.loads(path.read_bytes())
    fields["plan"]["summary"]["builds"] = 1
    del fields["digest"]
    canonical = msgspec.json.encode(fields, order="sorted")
    path.write_bytes(msgspec.json.encode({"digest": digest_bytes(canonical), **fields}))
    ran = saved("apply", "plan.json")
    assert (3, True) == (ran.code, "says of itself what this project does not give" in ran.err), ran.err


def test_a_blocked_plan_is_not_saved(shop: Program) -> None:
    """It is printed, and nothing stands in the file."""
    path = shop.folder / "builds.toml"
    path.write_text(path.read_text().replace('"allow"', '"forbid"'))
    ran = shop("plan", "--backend", "qemu", "--out", "plan.json")
    assert (3, True) == (ran.code, "nothing was saved: the plan is blocked" in ran.err), ran.err
    assert not (shop.folder / "plan.json").exists()
