"""`--since`, with real git repositories."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping

import pytest

from orchestrator.testing.registry import FakeRegistry
from tests.cli.conftest import Program, Ran
from tests.unit.oci import images
from tests.unit.probe.gitsamples import clone, commit, git, write

HEAD = """format = 1
version = "1.0"
[project]
name = "shop"
registry = "r.example/shop"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}"]
"""
IMAGES = '[images.base]\n[images.api]\nargs.GO = "1.24"\n[images.web]\n[images.last]\nneeds = ["base"]\n'
FILES = {
    "builds.toml": HEAD + IMAGES,
    "base/Dockerfile": "FROM scratch\nCOPY motd /\n",
    "base/motd": "1",
    "api/Dockerfile": "FROM base\nARG GO\nCOPY app /\n",
    "api/app": "1",
    "api/notes": "1",
    "web/Dockerfile": "FROM scratch\nCOPY . /\n",
    "web/.dockerignore": "*.md\n",
    "web/index": "1",
    "web/readme.md": "1",
    "last/Dockerfile": "FROM scratch\n",
    "readme": "1",
}
ALL = ["api", "base", "last", "web"]


@pytest.fixture
def shop(program: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program in a repository of four images: one on another one, one that only comes after it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    commit(program.folder, FILES)
    return program


def since(program: Program, ref: str = "HEAD", *options: str) -> dict[str, str]:
    """What is affected, and why."""
    ran = program("plan", "--offline", "--since", ref, "--format=json", *options)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)["since"]["affected"]
    return {one["image"]: "; ".join(reason["message"] for reason in one["reasons"]) for one in found}


def change(program: Program, files: Mapping[str, str]) -> None:
    """Write files of the project."""
    write(program.folder, files)


def edit(program: Program, old: str, new: str, path: str = "builds.toml") -> None:
    """Replace a text that is there."""
    text = (program.folder / path).read_text()
    assert old in text
    (program.folder / path).write_text(text.replace(old, new))


def warning(program: Program, ref: str = "HEAD") -> str:
    """The warning of a plan in which everything is affected."""
    ran = program("plan", "--offline", "--since", ref)
    assert ran.code == 0
    assert "what was declared at" in ran.out
    return ran.err


def test_nothing_changed(shop: Program) -> None:
    """The plan says so, and nothing is wrong with that."""
    ran = shop("plan", "--offline", "--since", "HEAD")
    sha = git(shop.folder, "rev-parse", "HEAD")[:12]
    assert (0, "") == (ran.code, ran.err)
    assert f"nothing is affected since `HEAD` ({sha})\n" in ran.out
    assert "Plan: 0 to build" in ran.out


def test_a_build_of_nothing_ends_well(shop: Program) -> None:
    """And its result says that it was of no image."""
    ran = shop("build", "--since", "HEAD")
    assert 0 == ran.code
    assert "nothing is affected since `HEAD`" in ran.err
    assert [] == json.loads((shop.folder / ".orchestrate/result.json").read_text())["images"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"readme": "2"}, {}),
        ({"api/app": "2"}, {"api": "files changed: `api/app`"}),
        ({"api/notes": "2"}, {}),
        ({"api/new": "2"}, {}),
        ({"base/motd": "2"}, {"base": "files changed: `base/motd`", "api": "`base` is affected"}),
        ({"web/new/file": "2"}, {"web": "files changed: `web/new/file`"}),
        ({"web/readme.md": "2"}, {}),
        ({"web/.dockerignore": "*.md\n*.txt\n"}, {"web": "files changed: `web/.dockerignore`"}),
        ({"web/Dockerfile.dockerignore": ""}, {"web": "files changed: `web/Dockerfile.dockerignore`"}),
        ({"last/Dockerfile": "FROM scratch\n# x\n"}, {"last": "files changed: `last/Dockerfile`"}),
    ],
)  # fmt: skip
def test_files_that_changed(shop: Program, files: dict[str, str], expected: dict[str, str]) -> None:
    """Affected is who sees them, and what is made from that; committed or not."""
    change(shop, files)
    assert expected == since(shop)
    commit(shop.folder)
    assert expected == since(shop, "HEAD~1")
    assert {} == since(shop)


def test_removed_and_renamed_files(shop: Program) -> None:
    """Both names count."""
    git(shop.folder, "mv", "web/index", "web/start")
    (shop.folder / "base/motd").unlink()
    assert {
        "base": "files changed: `base/motd`",
        "web": "files changed: `web/index`, `web/start`",
        "api": "`base` is affected",
    } == since(shop)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[images.web]", "# a comment\n[images.web]", {}),
        ('args.GO = "1.24"', 'args = { "GO" = "1.24" }', {}),
        ("1.24", "1.25", {"api": "args changed: `GO`"}),
        ("[defaults]", '[defaults]\nargs.A = "1"', dict.fromkeys(ALL, "args changed: `A`")),
        ('version = "1.0"', 'version = "1.1"', dict.fromkeys(ALL, "changed: `tags`, `version`")),
        ("[images.last]", "[images.more]\ncontext = 'web'\n[images.last]", {"more": "it was not declared then"}),
        ("[images.web]\n", "", {}),
        ("[images.web]\n", "[images.web]\ncontexts.base = 'image:base'\n", {"web": "changed: `context base`"}),
        ('needs = ["base"]', "", {}),
    ],
)
def test_declarations_that_changed(shop: Program, old: str, new: str, expected: dict[str, str]) -> None:
    """What means the same changes nothing."""
    edit(shop, old, new)
    found = since(shop)
    found = {name: text.removesuffix("; `base` is affected") for name, text in found.items()}
    found = {name: text.removesuffix(", `what it takes from base`") for name, text in found.items()}
    assert expected == found


def test_templates_may_be_renamed(shop: Program) -> None:
    """Only what they give counts."""
    edit(shop, 'args.GO = "1.24"', 'inherits = ["go"]')
    edit(shop, "[images.base]", '[templates.go]\nargs.GO = "1.24"\n[images.base]')
    assert {} == since(shop)
    commit(shop.folder)
    edit(shop, '"go"', '"golang"')
    edit(shop, "templates.go", "templates.golang")
    assert {} == since(shop)
    edit(shop, "1.24", "1.25")
    assert {"api": "args changed: `GO`"} == since(shop)


def test_options_hold_for_both_sides(shop: Program) -> None:
    """What the command line overrides did not change."""
    edit(shop, "1.24", "1.25")
    assert {} == since(shop, "HEAD", "--set=api.args.GO=2")
    assert {"api": "args changed: `GO`"} == since(shop, "HEAD", "--set=web.args.GO=2")


def test_a_commit_alone_changes_no_version(shop: Program) -> None:
    """What git and time say is the same for both sides."""
    label = "labels.sha = '{{ git.sha }}'\nlabels.time = '{{ now }}'"
    edit(shop, 'tags = ["{{ version }}"]', f"tags = ['{{{{ git.short_sha }}}}']\n{label}")
    commit(shop.folder)
    commit(shop.folder, {"readme": "2"})
    assert {} == since(shop, "HEAD~1")


def test_a_version_file_counts_as_what_is_written(shop: Program) -> None:
    """One that git does not know is the same for both."""
    edit(shop, 'version = "1.0"', 'version = { from = "file:VERSION" }')
    commit(shop.folder, {"VERSION": "1.0\n"})
    change(shop, {"VERSION": "1.1\n"})
    assert dict.fromkeys(ALL, "changed: `tags`, `version`") == {
        name: text.removesuffix("; `base` is affected") for name, text in since(shop).items()
    }
    git(shop.folder, "rm", "--quiet", "--cached", "VERSION")
    commit(shop.folder, {".gitignore": "VERSION\n"})
    change(shop, {"VERSION": "1.2\n"})
    assert {} == since(shop)


def test_a_version_of_git_may_have_been_another_then(shop: Program) -> None:
    """Git is then asked for the tags of both."""
    edit(shop, 'version = "1.0"', 'version = { from = "git-tag", match = "v*" }')
    commit(shop.folder)
    git(shop.folder, "tag", "v1.0")
    edit(shop, 'version = { from = "git-tag", match = "v*" }', 'version = "1.0"')
    assert {} == since(shop)


def test_included_files_may_move(shop: Program) -> None:
    """Globs are those of then, in the tree of then."""
    edit(shop, "format = 1", 'format = 1\ninclude = ["teams/*/builds.toml"]')
    edit(shop, "[images.web]\n", "")
    team = 'format = 1\n[images.web]\ncontext = "../../web"\nplatforms = ["linux/amd64"]\ntags = ["{{ version }}"]\n'
    commit(shop.folder, {"teams/a/builds.toml": team})
    (shop.folder / "teams/a").rename(shop.folder / "teams/b")
    assert {} == since(shop)
    edit(shop, "[images.web]", '[images.web]\nargs.A = "1"', "teams/b/builds.toml")
    assert {"web": "args changed: `A`"} == since(shop)


def test_a_dockerfile_that_git_does_not_know_cannot_be_compared(shop: Program) -> None:
    """That of one image says nothing of the others."""
    commit(shop.folder, {".gitignore": "Made\nout/\n"})
    edit(shop, "[images.web]\n", '[images.web]\ncontext = "out"\ndockerfile = "../Made"\n')
    commit(shop.folder)
    change(shop, {"Made": "FROM scratch\nCOPY a /\n", "out/a": "1", "out/b": "1"})
    assert {"web": "git knows nothing of `Made`, `out/a`"} == since(shop)


def test_locked_bases_that_moved(shop: Program) -> None:
    """Those who take them, and what is made from that."""
    lock = 'format = 1\n[bases."docker.io/library/debian:12"]\ndigest = "sha256:{}"\nplatforms = ["linux/amd64"]\n'
    commit(shop.folder, {"builds.lock": lock.format("a" * 64), "base/Dockerfile": "FROM debian:12\nCOPY motd /\n"})
    assert {} == since(shop)
    change(shop, {"builds.lock": lock.format("b" * 64)})
    assert {
        "base": "`debian:12` moved from aaaaaaaaaaaa to bbbbbbbbbbbb",
        "api": "`base` is affected",
    } == since(shop)


def test_what_a_base_takes_is_not_known_offline(shop: Program) -> None:
    """It may have triggers, so every file of the context counts, and none elsewhere."""
    commit(shop.folder, {"api/Dockerfile": "FROM debian:12\nCOPY app /\n"})
    change(shop, {"api/notes": "2", "base/x": "2"})
    assert {"api": "files changed: `api/notes`"} == since(shop)


def test_what_a_base_takes_is_looked_up(shop: Program) -> None:
    """It has no triggers, so only the files that are copied count."""
    with FakeRegistry() as registry:
        built = images.image("linux/amd64")
        registry.put_blob("debian", built.config)
        registry.put_manifest("debian", "12", built.manifest)
        commit(shop.folder, {"api/Dockerfile": f"FROM {registry.host}/debian:12\nCOPY app /\n"})
        change(shop, {"api/notes": "2"})
        ran = shop("plan", "--since", "HEAD", "--oci=out", "--format=json")
    assert [] == json.loads(ran.out)["since"]["affected"]


def test_files_that_git_ignores_cannot_be_compared(shop: Program) -> None:
    """Nobody knows what they were, so who takes them is affected; a `.dockerignore` ends that."""
    commit(shop.folder, {".gitignore": "*.o\n"})
    change(shop, {"web/a.o": "1", "api/a.o": "1"})
    assert {"web": "git knows nothing of `web/a.o`"} == since(shop)
    commit(shop.folder, {"web/.dockerignore": "*.md\n*.o\n"})
    assert {} == since(shop)


def test_who_takes_the_folder_of_git_is_always_affected(shop: Program) -> None:
    """It differs in every clone."""
    commit(shop.folder, {"web/Dockerfile": "FROM scratch\nCOPY web /\n"})
    edit(shop, "[images.web]\n", '[images.web]\ncontext = "."\ndockerfile = "web/Dockerfile"\n')
    commit(shop.folder)
    assert {} == since(shop)
    commit(shop.folder, {"web/Dockerfile": "FROM scratch\nCOPY . /\n"})
    assert {"web": "git knows nothing of `.git/HEAD`"} == since(shop)
    commit(shop.folder, {".dockerignore": ".git\n"})
    assert {} == since(shop)


def test_an_image_layout_is_a_folder(shop: Program) -> None:
    """All of it, with a tag behind it or without."""
    edit(shop, "[images.web]\n", '[images.web]\ncontexts.x = "oci-layout://store:1"\n')
    commit(shop.folder, {"web/Dockerfile": "FROM scratch\nCOPY --from=x / /\n", "store/index.json": "{}"})
    assert {} == since(shop)
    change(shop, {"store/index.json": "{} "})
    assert {"web": "files changed: `store/index.json`"} == since(shop)


@pytest.mark.parametrize("text", ["[", "x" * (1024 * 1024 + 1), "!\n"])
def test_ignore_rules_that_are_not_certain_leave_nothing_out(shop: Program, text: str) -> None:
    """That they are wrong is told by a plan that needs them."""
    commit(shop.folder, {"web/.dockerignore": text})
    change(shop, {"web/readme.md": "2"})
    assert {"web": "files changed: `web/readme.md`"} == since(shop)


def test_ignore_rules_behind_a_link_leave_nothing_out(shop: Program) -> None:
    """The engine follows it in some places, and not in others."""
    (shop.folder / "web/.dockerignore").rename(shop.folder / "web/rules")
    (shop.folder / "web/.dockerignore").symlink_to("rules")
    commit(shop.folder)
    change(shop, {"web/readme.md": "2"})
    assert {"web": "files changed: `web/readme.md`"} == since(shop)


def test_where_it_builds_is_not_known_yet(shop: Program) -> None:
    """So what any builder would take counts."""
    dockerfile = "FROM scratch\nARG BUILDARCH\nCOPY tool-$BUILDARCH /\n"
    commit(shop.folder, {"web/Dockerfile": dockerfile, **dict.fromkeys(("web/tool-amd64", "web/tool-arm64"), "1")})
    change(shop, {"web/tool-arm64": "2", "web/index": "2"})
    assert {"web": "files changed: `web/tool-arm64`"} == since(shop)


def test_remote_contexts_and_inline_dockerfiles_have_no_files(shop: Program) -> None:
    """What they declare is compared."""
    inline = 'context = "https://example.org/a.git"\ndockerfile-inline = "FROM scratch"\n'
    edit(shop, "[images.web]\n", f"[images.web]\n{inline}")
    edit(shop, "[images.last]\n", '[images.last]\ncontext = "https://example.org/a.git"\n')
    commit(shop.folder)
    change(shop, {"web/index": "2", "web/Dockerfile": "", "last/Dockerfile": ""})
    assert {} == since(shop)
    edit(shop, "FROM scratch", "FROM scratch AS x")
    edit(shop, "example.org/a.git", "example.org/b.git")
    assert {"web": "its Dockerfile changed; changed: `context`", "last": "changed: `context`"} == since(shop)


def test_links_are_followed(shop: Program) -> None:
    """To contexts and Dockerfiles, to where they lead now; and they count themselves."""
    (shop.folder / "www").symlink_to("web")
    edit(shop, "[images.web]\n", '[images.web]\ncontext = "www"\n')
    commit(shop.folder)
    change(shop, {"web/index": "2"})
    assert {"web": "files changed: `web/index`"} == since(shop)
    commit(shop.folder)
    shutil.copytree(shop.folder / "web", shop.folder / "web2")
    commit(shop.folder)
    (shop.folder / "www").unlink()
    (shop.folder / "www").symlink_to("web2")
    assert {"web": "files changed: `www`"} == since(shop)


def test_a_context_outside_of_the_repository_cannot_be_compared(
    shop: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Git knows nothing of it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    write(folder, {"x": "1"})
    edit(shop, "[images.web]\n", f'[images.web]\ncontexts.x = "{folder}"\n')
    commit(shop.folder, {"web/Dockerfile": "FROM scratch\nCOPY --from=x x /\n"})
    assert {"web": f"git knows nothing of `{folder}`"} == since(shop, "HEAD", f"--allow=read={folder}")


def test_a_submodule_affects_who_sees_it(shop: Program, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By its new commit; its Dockerfiles are read as they are now."""
    inner = tmp_path_factory.mktemp("inner") / "x"
    commit(inner, {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "1"})
    git(shop.folder, "submodule", "--quiet", "add", f"file://{inner}", "web/sub")
    edit(shop, "[images.last]\n", '[images.sub]\ncontext = "web/sub"\n[images.last]\n')
    commit(shop.folder)
    assert {} == since(shop)
    commit(shop.folder / "web/sub", {"a": "2"})
    assert dict.fromkeys(("sub", "web"), "files changed: `web/sub`") == since(shop)


@pytest.mark.parametrize("name", ["a\nb", "q\"u'o", os.fsdecode(b"\xff"), "-x", "\x1b[31m"])
def test_hostile_names(shop: Program, name: str) -> None:
    """Seen as any other, and shown without harm."""
    change(shop, {f"web/{name}": "1", f"api/{name}": "1"})
    assert ["web"] == list(since(shop))
    ran = shop("plan", "--offline", "--since", "HEAD")
    assert all(line.isprintable() for line in ran.out.splitlines())
    ran.out.encode()


def test_a_project_in_a_folder_of_the_repository(shop: Program) -> None:
    """Its paths are its own, those of git are not."""
    inner = shop.folder / "infra/images"
    write(inner, {path: text for path, text in FILES.items() if path != "web/.dockerignore"})
    edit(shop, "[images.web]\n", '[images.web]\ncontexts.other = "../../api"\n', "infra/images/builds.toml")
    write(inner, {"web/Dockerfile": "FROM scratch\nCOPY --from=other app /\n"})
    commit(shop.folder)
    nested = Program(inner, shop._monkeypatch, shop._capsys)
    change(shop, {"base/motd": "2", "api/app": "2"})
    assert {"web": "files changed: `api/app`"} == since(nested)
    change(nested, {"base/motd": "2"})
    assert ["base", "web", "api"] == list(since(nested))
    assert {"base", "api"} == set(since(shop))


def test_a_project_that_was_not_there_is_new(shop: Program) -> None:
    """All of it."""
    git(shop.folder, "mv", "builds.toml", "images.toml")
    assert dict.fromkeys(ALL, "it was not declared then") == {
        name: text.removesuffix("; `base` is affected")
        for name, text in since(shop, "HEAD", "--file=images.toml").items()
    }


@pytest.mark.parametrize("text", ["[", "format = 1\nnope = 1\n", HEAD + "[images.x]\n"])
def test_what_was_wrong_then_affects_everything(shop: Program, text: str) -> None:
    """With a warning that says what was wrong."""
    good = (shop.folder / "builds.toml").read_text()
    commit(shop.folder, {"builds.toml": text})
    change(shop, {"builds.toml": good})
    assert "warning[since-unreadable]: what was declared at" in warning(shop)
    assert ALL == sorted(since(shop))


def test_what_is_wrong_now_is_an_error(shop: Program) -> None:
    """As ever."""
    change(shop, {"builds.toml": "["})
    assert 2 == shop("plan", "--offline", "--since", "HEAD").code


def test_names_narrow_what_is_affected(shop: Program) -> None:
    """Parents come along as usual, and what is affected is still said of all."""
    change(shop, {"web/index": "2", "api/app": "2"})
    ran = shop("plan", "--offline", "--since", "HEAD", "api", "--format=json")
    plan = json.loads(ran.out)
    assert ["base", "api"] == [image["name"] for image in plan["images"]]
    assert ["web", "api"] == [one["image"] for one in plan["since"]["affected"]]
    ran = shop("plan", "--offline", "--since", "HEAD", "base")
    assert (0, True) == (ran.code, "nothing that was asked for is affected\n" in ran.out)
    assert 2 == shop("plan", "--offline", "--since", "HEAD", "nope").code


def test_each_image_says_why(shop: Program) -> None:
    """In one line, above the plan."""
    change(shop, {"base/motd": "2"})
    edit(shop, "1.24", "1.25")
    sha = git(shop.folder, "rev-parse", "HEAD")[:12]
    assert (
        f"since `HEAD` ({sha}): 2 of 4 images are affected\n"
        "  base  files changed: `base/motd`\n"
        "  api   args changed: `GO`; `base` is affected\n"
    ) in shop("plan", "--offline", "--since", "HEAD").out


def test_without_the_option_there_is_nothing_to_say(shop: Program) -> None:
    """Null for programs."""
    assert json.loads(shop("plan", "--offline", "--format=json").out)["since"] is None


def test_a_graph_of_what_is_affected(shop: Program) -> None:
    """With what it needs."""
    change(shop, {"api/app": "2"})
    ran = shop("graph", "--since", "HEAD", "--format=json")
    assert [["base"], ["api"]] == json.loads(ran.out)["waves"]
    assert "  api  files changed: `api/app`" in ran.err


def refused(ran: Ran) -> str:
    """The message of an error."""
    assert (2, "") == (ran.code, ran.out)
    return ran.err


@pytest.mark.parametrize("command", ["plan", "build", "graph"])
@pytest.mark.parametrize("ref", ["nope", "--output=x", "", "0" * 40])
def test_a_name_of_nothing_is_an_error(shop: Program, command: str, ref: str) -> None:
    """Never a plan of nothing."""
    assert "error: `--since" in refused(shop(command, f"--since={ref}", "--offline"))
    assert not (shop.folder / "x").exists()


def test_a_shallow_clone_is_an_error(shop: Program, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With what to do about it."""
    commit(shop.folder, {"api/app": "2"})
    shallow = clone(shop.folder, tmp_path_factory.mktemp("x") / "y", "--depth=1")
    program = Program(shallow, shop._monkeypatch, shop._capsys)
    message = refused(program("plan", "--offline", "--since", "HEAD~1"))
    assert "this clone is shallow" in message
    assert "git fetch --unshallow" in message
    git(shallow, "fetch", "--quiet", "--unshallow")
    assert {"api": "files changed: `api/app`"} == since(program, "HEAD~1")


def test_without_git_is_an_error(program: Program) -> None:
    """There is nothing to compare with."""
    write(program.folder, FILES)
    assert "`--since` cannot ask git: this is no git repository" in refused(
        program("plan", "--offline", "--since", "x")
    )
