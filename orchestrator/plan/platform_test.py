"""Platform tests: a declared command runs in what was built for a platform, before anything of the image is public.

A test is a build that keeps nothing: one `RUN` on the image, so whatever builds for a platform can test on it. It is no
part of what an image is made from; that it has passed is remembered by a name of the record that it ran in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from orchestrator.api.invocation import DigestOf, Word
from orchestrator.api.solve import BuildOptions, NamedContext, NoOutput, Provenance, Solve
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform
from orchestrator.plan import stepnames
from orchestrator.plan.image import Image, build_id
from orchestrator.plan.memory import Memory
from orchestrator.plan.model import Home, LayoutHome, PlannedPlacement, TestStep

SUBJECT: Final = "subject"
"""How a test calls the image that it runs in."""

_SPECIAL: Final = re.compile(r"""[^ !#-;=-\[\]-~]""")
"""What is written as a JSON escape: all but printable ASCII, of which quotes, backslashes and `<` are, too."""


class Subject(Model):
    """What is to be tested, and how: a platform of an image, where it is kept, and on which node the command runs.

    `record` is its digest where it stands already.
    """

    image: Image
    platform: Platform
    home: Home
    scope: str
    command: tuple[str, ...]
    placement: PlannedPlacement
    record: Digest | None = None


def tested_platforms(image: Image) -> tuple[Platform, ...]:
    """The platforms of this image that are tested, of those that it has here."""
    return tuple(platform for platform in image.platforms if image.test and platform in image.test.platforms)


def open_tests(images: Iterable[Image], memory: Memory) -> frozenset[str]:
    """The platform builds whose declared test is still to be run."""
    return frozenset(
        build_id(image.name, platform)
        for image in images
        if image.name not in memory.images
        for platform in tested_platforms(image)
        if build_id(image.name, platform) not in memory.tested
    )


def make_test(subject: Subject) -> TestStep:
    """The test of one platform, which waits for its record alone."""
    image, platform, placement = subject.image, subject.platform, subject.placement
    build = build_id(image.name, platform)
    step, record = stepnames.test_of(build), stepnames.record_of(build)
    return TestStep(
        id=step,
        image=image.name,
        needs=() if subject.record else (record,),
        record=record,
        platform=platform,
        backend=placement.backend,
        node=placement.node,
        mode=placement.mode,
        home=subject.home,
        scope=subject.scope,
        command=subject.command,
        others=placement.others,
        solve=Solve(
            id=step,
            image=image.name,
            platforms=(platform,),
            options=BuildOptions(
                context=".",
                dockerfile="Dockerfile",
                dockerfile_inline=render_dockerfile(subject.command),
                no_cache=True,
                provenance=Provenance.OFF,
            ),
            output=NoOutput(),
            contexts=(NamedContext(name=SUBJECT, value=_value(subject, record, build)),),
            timeout=image.timeout,
            retries=image.retries,
        ),
    )


def render_dockerfile(command: tuple[str, ...]) -> str:
    """The Dockerfile of a test: the command in its exec form, so that the image needs no shell."""
    words = ", ".join(f'"{_SPECIAL.sub(_escaped, word)}"' for word in command)
    return f"FROM {SUBJECT}\nRUN [{words}]\n"


def _escaped(match: re.Match[str]) -> str:
    """A character as JSON has it, by its UTF-16 units."""
    return "".join(f"\\u{unit}" for unit in re.findall("....", match[0].encode("utf-16-be").hex()))


def _value(subject: Subject, record: str, build: str) -> Word:
    """The record: an index of the one platform, so that BuildKit checks that it is the right one."""
    home = subject.home
    prefix = f"oci-layout://{home.path}@" if isinstance(home, LayoutHome) else f"docker-image://{home.repository}@"
    late = DigestOf(step=record, label=f"the record of {build}")
    return prefix + subject.record if subject.record else (prefix, late)
