"""`orchestrate why`, reasons and estimates: whole commands, with a registry that is small but real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrator.plan.document import PlanDocument
from orchestrator.testing.registry import AnswerWith, FakeRegistry
from tests.cli.conftest import Program, Ran
from tests.cli.fake_buildx import install
from tests.unit.oci import images
from tests.unit.plan.samples import EMULATED, HEAD, write_project

BODY = EMULATED + "[images.base]\n[images.app]\nargs = { GO = '1.23', NPM_TOKEN_FILE = 'a' }\n"
AMD64, ARM64 = "linux/amd64", "linux/arm64"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def fresh(
    program: Program, registry: FakeRegistry, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Program:
    """A parent on an external image and a child, of which nothing is built yet."""
    move_base(registry, "first")
    files = {"base": f"FROM {registry.host}/debian:12\n", "app": "FROM base\nCOPY src /src\n"}
    write_project(program.folder, (HEAD + BODY).replace("r.example", registry.host), files)
    (program.folder / "app" / "src").mkdir()
    write(program, "app/src/main.py", "one")
    write(program, "app/src/gone.py", "one")
    folder = install(tmp_path_factory.mktemp("bin"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return program


@pytest.fixture
def built(fresh: Program) -> Program:
    """The same, built and verified."""
    ran = fresh("build", "--stage")
    assert 0 == ran.code, ran.err
    return fresh


def move_base(registry: FakeRegistry, salt: str) -> None:
    """Push another external image under the same tag."""
    entries = []
    for platform in (AMD64, ARM64, "linux/arm/v7"):
        image = images.image(platform, runtime={"Cmd": [salt]})
        registry.put_blob("debian", image.config)
        registry.put_manifest("debian", "", image.manifest)
        entries.append(images.entry(platform, image))
    registry.put_manifest("debian", "12", images.index(*entries))


def write(program: Program, path: str, text: str) -> None:
    """Write a file of the project."""
    (program.folder / path).write_text(text, encoding="utf-8")


def edit(program: Program, old: str, new: str) -> None:
    """Change `builds.toml`."""
    path = program.folder / "builds.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def plan(program: Program, *options: str) -> PlanDocument:
    """The plan as JSON."""
    ran = program("plan", "--stage", "--format", "json", *options)
    return msgspec.json.decode(ran.out, type=PlanDocument)


def why(program: Program, *arguments: str) -> list[str]:
    """The lines that `why` prints."""
    ran = program("why", *arguments)
    assert 0 == ran.code, ran.err
    return ran.out.splitlines()


def reasons(program: Program, build: str, *options: str) -> list[tuple[str, tuple[str, ...]]]:
    """The codes and items of a build's reasons."""
    (found,) = [each for each in plan(program, *options).builds if each.id == build]
    return [(reason.code, reason.items) for reason in found.reasons]


def forget(registry: FakeRegistry, names: str) -> None:
    """Whoever asks for private names of these kinds finds none."""
    registry.fail("(GET|HEAD)", rf".*/manifests/({names})-[0-9a-f]{{64}}", AnswerWith(status=404), times=0)


def test_what_was_never_built_is_new(fresh: Program) -> None:
    """Reason `new`."""
    assert [("new", ())] == reasons(fresh, f"app@{AMD64}")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda it: write(it, "app/src/main.py", "two"), [("files_changed", ("src/main.py",))]),
        (lambda it: write(it, "app/Dockerfile", "FROM base\nCOPY src /source\n"), [("dockerfile_changed", ())]),
        (lambda it: edit(it, "GO = '1.23'", "GO = '1.24'"), [("args_changed", ("GO",))]),
        (lambda it: edit(it, "[images.app]", "[images.app]\nlabels = { a = 'b' }"), [("config_changed", ("label a",))]),
        (lambda it: write(it, "base/Dockerfile", f"# new\n{it.folder.joinpath('base/Dockerfile').read_text()}"),
         [("upstream_changed", ("base",))]),
        (lambda it: edit(it, '"linux/arm64"]', '"linux/arm64", "linux/arm/v7"]'), []),
    ],
    ids=["files", "dockerfile", "args", "config", "upstream", "nothing"],
)  # fmt: skip
def test_reasons_of_changes_on_disk(
    built: Program, change: Callable[[Program], None], expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    """Each has a code of its own, and names what changed."""
    change(built)
    assert expected == reasons(built, f"app@{AMD64}")


def test_a_platform_that_is_new_is_the_reason(fresh: Program) -> None:
    """Reason `platform_added`, for it alone."""
    edit(fresh, '"linux/amd64", "linux/arm64"', '"linux/amd64"')
    assert 0 == fresh("build", "--stage").code
    edit(fresh, '"linux/amd64"', '"linux/amd64", "linux/arm64"')
    assert ([], [("platform_added", ())]) == (reasons(fresh, f"app@{AMD64}"), reasons(fresh, f"app@{ARM64}"))


def test_an_external_image_that_moved_is_the_reason(built: Program, registry: FakeRegistry) -> None:
    """Reason `base_moved`, with the old digest and the new one."""
    before = registry.tags("debian")["12"]
    move_base(registry, "second")
    assert [("base_moved", (before, registry.tags("debian")["12"]))] == reasons(built, f"base@{AMD64}")


def test_forcing_is_a_reason(built: Program) -> None:
    """Reason `forced`, of what was asked for; what stands on it is built again with it: `upstream_rebuilt`."""
    assert [("forced", ())] == reasons(built, f"base@{AMD64}", "--force")
    assert [("forced", ())] == reasons(built, f"base@{AMD64}", "--force", "base")


def test_a_parent_that_was_lost_is_the_reason(built: Program, registry: FakeRegistry) -> None:
    """Reasons `missing_in_registry` and, of what stands on it, `upstream_rebuilt`."""
    forget(registry, "in|ok")
    assert [("missing_in_registry", ())] == reasons(built, f"base@{AMD64}")
    assert [("upstream_rebuilt", (f"base@{AMD64}",))] == reasons(built, f"app@{AMD64}")


def test_what_stands_is_said_to_stand(built: Program) -> None:
    """With the image that is taken over; nothing else is said unless somebody asks."""
    headline, rest = why(built, f"app@{AMD64}")
    assert headline.startswith(f"app@{AMD64}: reuse, nothing changed since sha256:")
    assert "  8 lines are the same (`--all` shows them)" == rest
    assert "    arg GO = 1.23" in why(built, f"app@{AMD64}", "--all")


def test_everything_that_is_new_has_a_plus(fresh: Program, registry: FakeRegistry) -> None:
    """Where nothing is remembered."""
    lines = why(fresh, f"base@{ARM64}")
    assert f"base@{ARM64}: build, nothing built before is remembered" == lines[0]
    assert f"  + base {registry.host}/debian:12 = {registry.tags('debian')['12'][:19]}" in lines
    assert {"+"} == {line.strip()[0] for line in lines[1:]}


def test_files_are_compared_line_by_line(built: Program) -> None:
    """Those that changed, came and went, and modes."""
    write(built, "app/src/main.py", "two")
    write(built, "app/src/new.py", "new")
    (built.folder / "app" / "src" / "gone.py").unlink()
    first, *lines = why(built, f"app@{AMD64}")
    assert f"app@{AMD64}: build, files changed: `src/gone.py`, `src/main.py`, `src/new.py`" == first
    assert [
        "  - file src/gone.py = sha256:7692c3ad3540, mode 0644",
        "  ~ file src/main.py: sha256:7692c3ad3540 -> sha256:3fc4ccfe7458",
        "  + file src/new.py = sha256:11507a0e2f5e, mode 0644",
    ] == lines[:3]
    assert lines[3].endswith("lines are the same (`--all` shows them)")


def test_a_mode_that_changed_is_shown_as_one(built: Program) -> None:
    """The content is the same."""
    (built.folder / "app" / "src" / "main.py").chmod(0o755)
    assert "  ~ file src/main.py: mode 0644 -> mode 0755" in why(built, f"app@{AMD64}")


def test_values_have_a_line_each(built: Program) -> None:
    """The earlier one and the later one."""
    edit(built, "GO = '1.23'", "GO = '1.24'")
    lines = why(built, f"app@{AMD64}")
    assert ["  - arg GO = 1.23", "  + arg GO = 1.24"] == [line for line in lines if " arg " in line]


def test_values_of_credentials_are_not_shown(built: Program) -> None:
    """Neither in text nor in JSON; that they changed is."""
    edit(built, "GO = '1.23'", "MY_SETTING = 'https://user:hunter2@example.org/?token=hunter2'")
    for arguments in ((), ("--all",), ("--format", "json")):
        ran = built("why", "app", *arguments)
        assert (0, False, True) == (ran.code, "hunter2" in ran.out, "MY_SETTING" in ran.out)


def test_a_parent_that_changed_leads_on(built: Program) -> None:
    """Its input digests are shown, and the next question."""
    write(built, "base/Dockerfile", f"# new\n{(built.folder / 'base/Dockerfile').read_text()}")
    lines = why(built, f"app@{ARM64}")
    assert f"app@{ARM64}: build, `base` changed" == lines[0]
    assert 1 == sum(line.startswith("  ~ parent base: sha256:") for line in lines)
    assert f"  `orchestrate why base@{ARM64}` says what changed there" in lines


def test_a_parent_that_is_built_again_is_all_that_is_said(built: Program) -> None:
    """What it is made from is the same."""
    path = built.folder / "builds.toml"
    path.write_text(path.read_text(encoding="utf-8") + '[state]\nread = ["main"]\n', encoding="utf-8")
    assert 0 == built("build", "--stage", "--force", "base", "--state-scope=pr-1").code
    lines = why(built, f"app@{AMD64}", "--state-scope=pr-1")
    assert f"app@{AMD64}: build, `base` was built again since" == lines[0]
    assert any(line.startswith("  it would be made from the same as last time, sha256:") for line in lines)
    assert f"  it stood on another build of base@{AMD64} than the one that stands now" in lines


def test_what_is_not_kept_any_more_cannot_be_compared(built: Program, registry: FakeRegistry) -> None:
    """It is said which input that was."""
    forget(registry, "im")
    write(built, "app/src/main.py", "two")
    first, second = why(built, f"app@{AMD64}")
    assert f"app@{AMD64}: build, what it was made from last is not kept any more" == first
    assert second.startswith("  what it was made from last, sha256:")


def test_a_base_that_nobody_knows_is_said(built: Program, registry: FakeRegistry) -> None:
    """Not as a change."""
    registry.fail("(GET|HEAD)", "/v2/debian/manifests/12", AnswerWith(status=404), times=0)
    lines = why(built, f"base@{AMD64}")
    assert f"  ? base {registry.host}/debian:12: not known, nobody could tell its digest" in lines


def test_a_registry_that_does_not_answer_is_an_error(built: Program, registry: FakeRegistry) -> None:
    """With the exit code of registries."""
    registry.fail("GET", r".*/app/manifests/.*", AnswerWith(status=403), times=0)
    registry.fail("HEAD", r".*/app/manifests/.*", AnswerWith(status=403), times=0)
    ran = built("why", "app")
    assert (5, "") == (ran.code, ran.out)
    assert registry.host in ran.err


def test_what_is_kept_and_broken_is_not_believed(built: Program, registry: FakeRegistry) -> None:
    """An artifact of somebody else under the name."""
    (name,) = [tag for tag in registry.tags("acme/app") if tag.startswith("im-")][:1]
    for tag in registry.tags("acme/app"):
        if tag.startswith("im-"):
            registry.put_manifest("acme/app", tag, images.index())
    write(built, "app/src/main.py", "two")
    first, second = why(built, f"app@{AMD64}")
    assert (f"app@{AMD64}: build, what was built before cannot be read", True) == (first, bool(name))
    assert second.startswith("  what was built before cannot be read: ")


def test_offline_there_is_nothing_to_compare_with(built: Program) -> None:
    """Which is a mistake of the command line."""
    ran = built("why", "app", "--offline")
    assert (2, True) == (ran.code, "error: `--offline` asks no registry" in ran.err)


def test_offline_this_machine_remembers_what_it_built_alone(fresh: Program) -> None:
    """And no registry is asked; of an external image nothing is known then."""
    assert 0 == fresh("build").code
    edit(fresh, "GO = '1.23'", "GO = '1.24'")
    lines = why(fresh, f"app@{AMD64}", "--offline")
    assert ["  - arg GO = 1.23", "  + arg GO = 1.24"] == [line for line in lines if " arg " in line]
    assert "  ? parent base: not known, something that it is made from is not known" in lines


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nothing", "there is no image or group `nothing`"),
        ("app@linux/s390x", "`app` is not built for `linux/s390x`"),
        ("app@", "hint: write it as `api@linux/arm64`"),
        ("app@a b/c", "hint: write it as `api@linux/arm64`"),
    ],
)
def test_targets_that_mean_nothing_are_refused(fresh: Program, target: str, said: str) -> None:
    """With what there is."""
    ran = fresh("why", target)
    assert (2, True) == (ran.code, said in ran.err), ran.err


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ((), [f"base@{AMD64}", f"base@{ARM64}", f"app@{AMD64}", f"app@{ARM64}"]),
        (("a*",), [f"app@{AMD64}", f"app@{ARM64}"]),
        ((f"*@{ARM64}",), [f"base@{ARM64}", f"app@{ARM64}"]),
        (("app@*/amd64", "base@linux/aarch64"), [f"base@{ARM64}", f"app@{AMD64}"]),
    ],
)
def test_targets_are_images_and_platforms(fresh: Program, targets: tuple[str, ...], expected: list[str]) -> None:
    """Names, globs, groups, in the order of the plan; what they need is not shown."""
    ran = fresh("why", "--format", "json", *targets)
    assert expected == [build["id"] for build in json.loads(ran.out)["builds"]]


def test_json_has_every_line(built: Program) -> None:
    """With whole digests, and what became of each."""
    write(built, "app/src/main.py", "two")
    (found,) = json.loads(built("why", "--format", "json", f"app@{AMD64}").out)["builds"]
    (line,) = [line for line in found["lines"] if line["change"] != "same"]
    assert {
        "change": "changed", "kind": "file", "name": "src/main.py", "note": "",
        "before": "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "after": "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
    } == line  # fmt: skip
    assert ("build", None, "files_changed") == (found["action"], found["stands"], found["reasons"][0]["code"])
    assert found["input"] != found["last_input"]


def without_times(text: str) -> list[str]:
    """The lines of a plan that say how long it takes."""
    return [line for line in text.splitlines() if line.startswith("time: ")]


def test_a_first_plan_has_no_estimate(fresh: Program) -> None:
    """And says so."""
    assert ["time: no estimate, none of these was built before"] == without_times(fresh("plan", "--stage").out)
    estimate = plan(fresh).estimate
    assert estimate is not None
    assert (None, 4, 4) == (estimate.seconds, estimate.builds, estimate.unknown)


def test_a_plan_takes_as_long_as_the_last_builds(built: Program) -> None:
    """One after the other where they need each other; what is new counts as the others do."""
    write(built, "base/Dockerfile", f"# new\n{(built.folder / 'base/Dockerfile').read_text()}")
    edit(built, "[images.base]", "[images.other]\ncontext = 'base'\n[images.base]")
    (line,) = without_times(built("plan", "--stage").out)
    assert line.startswith("time: about ")
    assert line.endswith("s; critical path: base -> app; 2 of 6 builds have no history")
    estimate = plan(built, "-j", "1").estimate
    assert estimate is not None
    assert ["base", "app"] == [build.partition("@")[0] for build in estimate.critical_path]
    assert (6, 2) == (estimate.builds, estimate.unknown)
    assert estimate.seconds is not None
    assert estimate.seconds > estimate.critical_seconds > 0


def test_forced_builds_have_a_history(built: Program) -> None:
    """It is not asked of them why they are built, only how long that took."""
    estimate = plan(built, "--force").estimate
    assert estimate is not None
    assert 0 == estimate.unknown


def test_what_is_built_again_from_the_same_notes_its_time_anew(built: Program, registry: FakeRegistry) -> None:
    """A build that is forced does; one that finds everything there does not."""
    names = r".*/manifests/im-[0-9a-f]{64}"
    first = registry.count("PUT", names)
    assert 0 == built("build", "--stage").code
    assert (4, 4) == (first, registry.count("PUT", names))
    assert 0 == built("build", "--stage", "--force", "base").code
    assert 6 == registry.count("PUT", names)


@pytest.mark.parametrize("options", [(), ("--offline",)])
def test_where_there_is_nothing_to_say_nothing_is(built: Program, options: tuple[str, ...]) -> None:
    """Nothing is built, or nobody was asked."""
    ran: Ran = built("plan", "--stage", *options)
    assert ([], None) == (without_times(ran.out), plan(built, *options).estimate)


def test_how_long_it_took_is_no_part_of_what_is_published(built: Program, registry: FakeRegistry) -> None:
    """Only artifacts that keep inputs say it; records and indexes are the same bytes whenever they are built."""
    telling = {
        tag.partition("-")[0]
        for name in ("base", "app")
        for tag, digest in registry.tags(f"acme/{name}").items()
        if b"dev.orchestrate.seconds" in registry.manifests(f"acme/{name}")[digest].content
    }
    assert {"im"} == telling
    assert Path(built.folder, ".orchestrate").is_dir()
