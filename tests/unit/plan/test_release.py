from __future__ import annotations

import pytest

from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity
from orchestrator.oci.digest import digest_bytes
from orchestrator.plan.facts import TagState
from orchestrator.plan.model import Destination, PlannedTag
from orchestrator.plan.release import ReleaseRules, planned_tags, unknown_tags
from tests.unit.plan.samples import DIGEST, HEAD, Asked, codes, compile_text, expand_text, images_of

TEXT = HEAD + '[images.x]\nversion = "1.4.0"\n'
FIXED = "r.example/acme/x:1.0"
MOVING = "r.example/acme/x:latest"


def judge(
    states: dict[str, TagState], rules: ReleaseRules | None = None, destination: Destination = Destination.PUSH
) -> tuple[tuple[PlannedTag, ...], tuple[Diagnostic, ...]]:
    """The tags of the one image, and what stands in their way."""
    return planned_tags(images_of(TEXT)["x"], states, rules or ReleaseRules(), publishing=destination)


def test_tags_are_planned_with_what_they_point_at() -> None:
    """What is free is free, what nobody was asked about is unknown."""
    tags, found = judge({FIXED: TagState()})
    assert () == found
    assert [("1.0", False, None, ""), ("latest", True, None, "not asked")] == [
        (tag.name, tag.moving, tag.current, tag.unknown) for tag in tags
    ]


def test_a_fixed_tag_that_exists_stops_the_plan() -> None:
    """With its digest; only the user may say that it is to be replaced."""
    _, (finding,) = judge({FIXED: TagState(digest=DIGEST)})
    assert ("tag-exists", Severity.ERROR) == (finding.code, finding.severity)
    assert DIGEST in finding.message
    assert KeyPlace(file="builds.toml", keys=("defaults", "tags", 0)) == finding.place
    assert "where a release was cut off after it, `--resume` finishes that one" in finding.hints
    assert () == judge({FIXED: TagState(digest=DIGEST)}, ReleaseRules(replace_tags=True))[1]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.4.1", ["downgrade"]), ("1.4.0", []), ("1.3.9", []), ("1.4.1-rc.1", ["downgrade"]), ("next", []), (None, [])],
)
def test_a_moving_tag_never_goes_to_a_lower_version(version: str | None, expected: list[str]) -> None:
    """As far as both are semantic versions."""
    states = {MOVING: TagState(digest=DIGEST, version=version)}
    assert expected == codes(judge(states)[1])
    assert () == judge(states, ReleaseRules(allow_downgrade=True))[1]


def test_replacing_fixed_tags_does_not_allow_a_downgrade() -> None:
    """They are two different wishes."""
    states = {MOVING: TagState(digest=DIGEST, version="2.0.0")}
    assert ["downgrade"] == codes(judge(states, ReleaseRules(replace_tags=True))[1])


def test_a_registry_that_does_not_answer_is_one_warning_in_a_plan() -> None:
    """However many tags it is about; a build stops on it."""
    silent = TagState(unknown="no route", hints=("look at the cable",))
    tags, found = judge({FIXED: silent, MOVING: silent})
    assert () == found
    plan = compile_text(TEXT, asked=Asked(tags={FIXED: silent, MOVING: silent}))
    (finding,) = unknown_tags(plan.images)
    assert ("tag-unknown", Severity.WARNING) == (finding.code, finding.severity)
    assert "no route" in finding.message
    assert ["no route"] == list(dict.fromkeys(tag.unknown for tag in tags))
    assert [] == list(unknown_tags(compile_text(TEXT).images))


def test_what_was_staged_may_stand_there_already() -> None:
    """A promotion that was cut off is finished: the tags that stand are no conflict, others are."""
    rules = ReleaseRules(released={"x": DIGEST})
    assert () == judge({FIXED: TagState(digest=DIGEST), MOVING: TagState(digest=DIGEST, version="0.1.0")}, rules)[1]
    assert ["downgrade"] == codes(judge({MOVING: TagState(digest=DIGEST, version="9.0.0")}, rules)[1])
    other = digest_bytes(b"another")
    (finding,) = judge({FIXED: TagState(digest=other)}, rules)[1]
    assert f"this release is `{DIGEST}`" in finding.message
    assert not any("promote" in hint for hint in finding.hints)


@pytest.mark.parametrize("destination", [Destination.LAYOUT, Destination.LOAD, Destination.STAGE])
def test_who_does_not_publish_is_not_stopped(destination: Destination) -> None:
    """A build that nobody will see may have any tags."""
    tags, found = judge({FIXED: TagState(digest=DIGEST)}, destination=destination)
    assert (2, ()) == (len(tags), found)


def test_a_tag_without_a_registry_cannot_be_put() -> None:
    """It says how a registry is named."""
    expansion, _ = expand_text(HEAD.replace('registry = "r.example/acme"', "") + "[images.x]\n", registry=None)
    _, found = planned_tags(expansion.images[0], {}, ReleaseRules(), publishing=Destination.PUSH)
    assert ["no-registry", "no-registry"] == codes(found)
    assert "--registry" in found[0].hints[0]


def test_an_image_that_is_not_published_has_no_tags() -> None:
    """Whatever it declares."""
    image = images_of(HEAD + "[images.x]\npublish = false\n")["x"]
    assert ((), ()) == planned_tags(image, {}, ReleaseRules(), publishing=Destination.PUSH)
