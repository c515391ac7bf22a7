"""A plan in outline, as events tell it: enough to draw it, to show how far it is, and to undo what it put."""

from __future__ import annotations

from orchestrator.api.invocation import StepId
from orchestrator.model import Model


class StepOutline(Model):
    """A step.

    Args:
        id: its id.
        kind: what it does: `solve`, `record`, `test`, `assemble`, `verify`, `copy`, `export`, `load`, `gate`,
            `promote`.
        image: whose it is; empty for a gate.
        needs: the steps before it.
        platforms: those that it builds or tests.
        nodes: where it may run, the planned one first; empty where it needs none.
        seconds: how long it took the last time; None where nobody knows.
        dockerfile: what a solve builds, from the root of the project; empty where it stands in `builds.toml`.
    """

    id: StepId
    kind: str
    image: str
    needs: tuple[StepId, ...]
    platforms: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    seconds: float | None = None
    dockerfile: str = ""


class BuildOutline(Model):
    """A platform build: what happens to it and why, and its `digest` where it stands already.

    `mode` is `native`, `emulated`, or empty where it has no place.
    """

    platform: str
    action: str
    reasons: tuple[str, ...] = ()
    mode: str = ""
    inputs: str | None = None
    digest: str | None = None


class ImageOutline(Model):
    """An image: what happens to it, what it needs, its tags, and the digest of its index where that stands.

    `standing` are the tags that point at it already, and are not put again.
    """

    name: str
    action: str
    builds: tuple[BuildOutline, ...]
    needs: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()
    version: str | None = None
    digest: str | None = None


class TagOutline(Model):
    """A tag that is to be put: the digest behind it before (None: there is no such tag), and after.

    `version` is what was noted of a moving one before, `run` the run that is to put it.
    """

    reference: str
    before: str | None
    after: str
    moving: bool = False
    version: str | None = None
    run: str = ""
