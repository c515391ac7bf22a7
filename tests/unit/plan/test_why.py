"""Two input manifests, line by line."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.plan.context import EMPTY, Entry, Kind, Listing, record
from orchestrator.plan.inputs import FRONTEND, UNKNOWN, UNREAD, InputManifest
from orchestrator.plan.memory import RememberedPart
from orchestrator.plan.model import Action, PlatformBuild, Reason
from orchestrator.plan.past import Past, find_changes
from orchestrator.plan.why import Change, Line, Why, say_why
from orchestrator.ui.why import render_why, render_why_json
from tests.unit.plan.samples import AMD64

ONE, OTHER = digest_bytes(b"one"), digest_bytes(b"other")
FILE, LINK = Entry(path="a", kind=Kind.FILE, mode=0o644, content=EMPTY), Entry(path="a", kind=Kind.LINK, content="b")
BUILD = PlatformBuild(
    id="app@linux/amd64", image="app", platform=AMD64, wave=1, needs=("base@linux/amd64",), action=Action.BUILD,
    reasons=(Reason(code="new", message="because"),),
)  # fmt: skip


def manifest(**values: object) -> InputManifest:
    """A manifest."""
    return msgspec.structs.replace(InputManifest(platform="linux/amd64", dockerfile=ONE), **values)


def say(old: InputManifest | None, new: InputManifest, listings: tuple[Listing, ...] = ()) -> Why:
    """What is said of a build that was made from one, and would be made from the other."""
    inputs = old.digest if old else None
    past = Past(is_known=old is not None, inputs=inputs, manifest=old)
    if len(listings) > 1:
        past = msgspec.structs.replace(past, changes={"": find_changes(listings[0], listings[1])})
    return say_why(BUILD, new, {each.digest: each for each in listings}, past=past, standing=None, others={})


def others(found: Why) -> list[Line]:
    """The lines that are not the same."""
    return [line for line in found.lines if line.change is not Change.SAME]


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ({"target": "a"}, {"target": "b"},
         [Line(change=Change.CHANGED, kind="target", before="a", after="b")]),
        ({"args": (("A", "1"),)}, {"args": (("B", "2"),)},
         [Line(change=Change.REMOVED, kind="arg", name="A", before="1"),
          Line(change=Change.ADDED, kind="arg", name="B", after="2")]),
        ({"images": (("debian:12", ONE),)}, {"images": (("debian:12", OTHER),)},
         [Line(change=Change.CHANGED, kind="base", name="debian:12", before=ONE, after=OTHER)]),
        ({}, {"secrets": ("npm",), "ssh": ("default",)},
         [Line(change=Change.ADDED, kind="secret", name="npm"), Line(change=Change.ADDED, kind="ssh", name="default")]),
        ({"build_platform": ""}, {"build_platform": "linux/arm64"},
         [Line(change=Change.ADDED, kind="build platform", after="linux/arm64")]),
        ({"options": (("network", "none"),)}, {},
         [Line(change=Change.REMOVED, kind="option", name="network", before="none")]),
        ({"dockerfile": ONE}, {"dockerfile": OTHER},
         [Line(change=Change.CHANGED, kind="dockerfile", before=ONE, after=OTHER)]),
        ({"format": 1}, {"format": 2}, [Line(change=Change.CHANGED, kind="format", before="1", after="2")]),
    ],
)  # fmt: skip
def test_lines(before: dict[str, object], now: dict[str, object], lines: list[Line]) -> None:
    """Each thing that is another one, that came, or that went."""
    assert lines == others(say(manifest(**before), manifest(**now)))


def test_what_nothing_is_remembered_of_is_new() -> None:
    """Every line."""
    assert {Change.ADDED} == {line.change for line in say(None, manifest(args=(("A", "1"),))).lines}


def test_what_stands_is_the_same() -> None:
    """Every line, whatever the last build was."""
    standing = RememberedPart(record=ONE, manifest=OTHER, key="")
    found = say_why(BUILD, manifest(), {}, past=Past(), standing=standing, others={})
    assert ({Change.SAME}, OTHER, ()) == ({line.change for line in found.lines}, found.stands, found.notes)


@pytest.mark.parametrize(
    "values", [("NPM_TOKEN", "hunter2"), ("URL", "https://me:hunter2@host"), ("X", "password=hunter2")]
)
def test_credentials_are_not_shown(values: tuple[str, str]) -> None:
    """By the name of the arg, or inside of its value; that it is another one is."""
    name, secret = values
    found = say(manifest(args=((name, "old" + secret),)), manifest(args=((name, secret),)))
    assert "hunter2" not in render_why((found,), everything=True) + render_why_json((found,))
    assert [(Change.CHANGED, "arg", name)] == [(line.change, line.kind, line.name) for line in others(found)]


def test_an_arg_whose_hidden_value_changed_says_so() -> None:
    """Both look the same."""
    found = say(manifest(args=(("NPM_TOKEN", "a"),)), manifest(args=(("NPM_TOKEN", "b"),)))
    assert "  ~ arg NPM_TOKEN: *** (another value, which is not shown)\n" in render_why((found,), everything=False)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"dockerfile": UNKNOWN}, "it cannot be read here"),
        ({"images": (("a", UNKNOWN),)}, "nobody could tell its digest"),
        ({"images": ((FRONTEND, UNKNOWN),)}, "nobody could tell its digest"),
        ({"images": ((UNREAD, UNKNOWN),)}, "it cannot be read here"),
        ({"parents": (("base", UNKNOWN),)}, "something that it is made from is not known"),
        ({"build_platform": UNKNOWN}, "whether it counts depends on a base that is not known"),
    ],
)
def test_what_is_not_known_says_why(values: dict[str, object], note: str) -> None:
    """And is no change; there is no input digest then."""
    found = say(manifest(), manifest(**values))
    assert [note] == [line.note for line in found.lines if line.change is Change.UNKNOWN]
    assert found.now is None


def test_an_arg_may_be_called_unknown() -> None:
    """Only what is looked up can be not known."""
    assert [] == others(say(manifest(args=(("A", UNKNOWN),)), manifest(args=(("A", UNKNOWN),))))


@pytest.mark.parametrize(
    ("before", "now", "shown"),
    [
        (FILE, msgspec.structs.replace(FILE, mode=0o755), "~ file a: mode 0644 -> mode 0755"),
        (FILE, LINK, "~ file a: sha256:e3b0c44298fc, mode 0644 -> link, to b"),
        (LINK, msgspec.structs.replace(LINK, content="c"), "~ file a: to b -> to c"),
        (FILE, Entry(path="a", kind=Kind.FOLDER, mode=0o755),
         "~ file a: sha256:e3b0c44298fc, mode 0644 -> folder, mode 0755"),
        (Entry(path="a", kind=Kind.DEVICE, mode=0o644, content="1:3"), None, "- file a = device, 1:3, mode 0644"),
        (None, LINK, "+ file a = link, to b"),
    ],
)  # fmt: skip
def test_entries_of_contexts(before: Entry | None, now: Entry | None, shown: str) -> None:
    """What of them is another one."""
    first, second = (Listing(records=(record(entry),) if entry else ()) for entry in (before, now))
    old, new = manifest(contexts=(("", first.digest),)), manifest(contexts=(("", second.digest),))
    text = render_why((say(old, new, (first, second)),), everything=False)
    assert shown == text.splitlines()[1].strip()


def test_a_context_of_which_the_earlier_listing_is_lost_says_so() -> None:
    """Its digests are all that is known."""
    found = say(manifest(contexts=(("", ONE),)), manifest(contexts=(("", OTHER),)))
    assert ["which files is not known: the earlier listing is not kept"] == [line.note for line in others(found)]


def test_a_new_context_is_counted() -> None:
    """Not listed: it may have 100,000 files."""
    there = Listing(records=(record(FILE),))
    (line,) = others(say(manifest(), manifest(contexts=(("", there.digest),)), (there,)))
    assert (Change.ADDED, "1 entry") == (line.change, line.note)


def test_what_is_not_kept_cannot_be_compared() -> None:
    """No line is made up."""
    past = Past(is_known=True, inputs=ONE)
    found = say_why(BUILD, manifest(), {}, past=past, standing=None, others={})
    assert () == found.lines
    assert (f"what it was made from last, {ONE}, is not kept any more, so nothing can be compared",) == found.notes


def test_parents_that_are_built_again_lead_on() -> None:
    """Where their input is another one."""
    past = Past(is_known=True, inputs=ONE, manifest=manifest(parents=(("base", ONE),)))
    now = manifest(parents=(("base", Digest(OTHER)),))
    found = say_why(BUILD, now, {}, past=past, standing=None, others={"base@linux/amd64": Past()})
    assert ("`orchestrate why base@linux/amd64` says what changed there",) == found.notes


def test_hostile_text_moves_no_cursor() -> None:
    """What is kept was written by whoever may push."""
    found = say(manifest(args=(("A\x1b[2J", "\r\n"),)), manifest())
    text = render_why((found,), everything=True)
    assert text.replace("\n", "").isprintable()
