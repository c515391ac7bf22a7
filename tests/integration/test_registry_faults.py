"""What registries do wrong and get over: the release ends well, and each tag is put once; what lasts is told."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.faulty import ALWAYS, Fault, FaultyRegistry, Sender, Tokens
from tests.integration.gatekeeper import Answer, Verdict
from tests.integration.registries import Registries
from tests.integration.remains import nothing_left
from tests.integration.workspace import Ran, Workspace
from tests.lab import Lab, Registry

pytestmark = pytest.mark.integration

FILES = {
    "builds.toml": """\
format = 1
[project]
name = "patient"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = [
  "{{ version }}",
  "%OTHER%/{{ image }}:{{ version }}",
  { ref = "latest", moving = true },
]
[images.parent]
[images.child]
""",
    "parent/Dockerfile": "FROM %BASE%\nCOPY file /file\nRUN echo parent > /parent\n",
    "child/Dockerfile": "FROM parent\nRUN cat /parent /file > /child\n",
}
NAMES = ("parent", "child")
AMD64 = "linux/amd64"
SENDERS = pytest.mark.parametrize("sender", Sender, ids=lambda sender: sender.value)

SENT = {
    Sender.ORCHESTRATE: (
        r"(?:HEAD|GET) /v2/.+/manifests/sha256:.+",
        r"PUT /v2/.+/manifests/in-.+",
        r"PUT /v2/.+/manifests/1\.2\.3",
        r"POST /v2/.+/blobs/uploads/",
        r"PUT /v2/.+/blobs/uploads/.+",
    ),
    Sender.BUILDKIT: (
        r"(?:HEAD|GET) /v2/.+/manifests/sha256:.+",
        r"POST /v2/.+/blobs/uploads/.*",
        r"(?:PUT|PATCH) /v2/.+/blobs/uploads/.+",
        r"PUT /v2/.+/manifests/run-.+",
    ),
}
"""One of each kind of request that a release consists of."""


@pytest.fixture(scope="module", autouse=True)
def tidy(lab: Lab) -> Iterator[None]:
    """Nothing stays: no process, mount, container or file."""
    with nothing_left(lab):
        yield


@pytest.fixture(scope="module")
def second(lab: Lab) -> Iterator[Registry]:
    """A registry for copies."""
    started = lab.new_registry()
    yield started
    started.close()


@pytest.fixture
def home(lab: Lab) -> Iterator[FaultyRegistry]:
    """In front of the registry where images are built."""
    with FaultyRegistry(lab.registry.host) as started:
        yield started


@pytest.fixture
def other(second: Registry) -> Iterator[FaultyRegistry]:
    """In front of the registry that gets copies."""
    with FaultyRegistry(second.host) as started:
        yield started


@dataclass(frozen=True)
class Release:
    """A parent and a child with a file of some size, each published at two registries that may do wrong."""

    workspace: Workspace
    home: FaultyRegistry
    other: FaultyRegistry
    behind: Mapping[FaultyRegistry, str]
    registries: Registries

    def succeed(self) -> Ran:
        """It ends well: everything is right, as seen past the proxies, and every tag was put exactly once."""
        ran = self.workspace.succeed("build", "--push")
        put = self.home.put + self.other.put
        assert (6, {1}) == (len(put), set(put.values()))
        for name in NAMES:
            tags = self.public(name)
            assert 3 == len(tags)
            assert {self.workspace.digest(name)} == {self.registries.digest(tag) for tag in tags}
            assert {"parent"} == {self.registries.file(tag, AMD64, "parent") for tag in tags}
        text = (self.workspace.root / "parent/file").read_text()
        assert [f"parent\n{text}"] * 3 == [self.registries.file(tag, AMD64, "child") for tag in self.public("child")]
        return ran

    def public(self, name: str) -> list[str]:
        """The public tags of an image that a registry has taken, where it really is."""
        return [
            f"{self.behind[faulty]}{path.removeprefix('/v2').replace('/manifests/', ':')}"
            for faulty in (self.home, self.other)
            for path in faulty.put
            if f"/{name}/manifests/" in path
        ]


@pytest.fixture
def release(
    make_workspace: MakeWorkspace, home: FaultyRegistry, other: FaultyRegistry, lab: Lab, second: Registry
) -> Release:
    """Nothing of it is built yet."""
    place = f"{other.host}/{secrets.token_hex(4)}"
    files = {**FILES, "builds.toml": FILES["builds.toml"].replace("%OTHER%", place)}
    workspace = make_workspace({**files, "parent/file": secrets.token_hex(300_000)}, host=home.host)
    return Release(workspace, home, other, {home: lab.registry.host, other: second.host}, Registries(lab))


def inject(release: Release, sender: Sender, verdict: Verdict | Answer, *, times: float = 1) -> list[Fault]:
    """Let this happen to every kind of request of a sender; the faults that come up."""
    faults = [Fault(sender, pattern, verdict, times) for pattern in SENT[sender]]
    release.home.faults = release.other.faults = faults
    return faults


@SENDERS
@pytest.mark.parametrize(
    "verdict", [Answer(500), Answer(503), Verdict.RESET, Verdict.CUT], ids=["500", "503", "reset", "cut"]
)
def test_what_passes_is_got_over(sender: Sender, verdict: Verdict | Answer, release: Release) -> None:
    """Once for every kind of request: trouble, a reset, and a connection that breaks in the middle of a body."""
    faults = inject(release, sender, verdict)
    release.succeed()
    assert [] == [fault.pattern for fault in faults if not fault.hits]


@SENDERS
def test_a_registry_that_asks_for_a_pause_gets_it(sender: Sender, release: Release) -> None:
    """`429` with `Retry-After`, as the proxy measures it; BuildKit does not wait, and gets over it, too."""
    faults = inject(release, sender, Answer(429, {"Retry-After": "2"}))
    release.succeed()
    assert [] == [fault.pattern for fault in faults if not fault.hits]
    waits = [wait for fault in faults for each in (release.home, release.other) for wait in each.again(fault)]
    assert waits
    if sender is Sender.ORCHESTRATE:
        assert [] == [wait for wait in waits if wait < 2]


def test_a_build_is_begun_again_where_buildkit_has_given_up(release: Release) -> None:
    """Six times in a row is more than it bears, and not more than we do."""
    fault = Fault(Sender.BUILDKIT, r"PUT /v2/.+/manifests/run-.+", Answer(429, {"Retry-After": "1"}), 6)
    release.home.faults = [fault]
    ran = release.succeed()
    assert 6 == len(fault.hits)
    assert "429" in ran.stderr


def test_a_registry_that_takes_no_tag_is_told(release: Release) -> None:
    """Everything is built and verified, and no tag moved: what to do next builds nothing."""
    release.home.faults = [Fault(Sender.ORCHESTRATE, r"PUT /v2/.+/manifests/1\.2\.3", Answer(500), ALWAYS)]
    failed = release.workspace.run("build", "--push")
    assert 5 == failed.exit_code, failed.output
    assert f"failed: promote:parent: `PUT http://{release.home.host}/" in failed.stderr
    assert "answered 500, tried 5 times" in failed.stderr
    assert f"`{release.home.host}` is in trouble or overloaded: run the same command again later" in failed.stderr
    assert "no tag was put" in failed.stderr
    assert [[], []] == [release.public(name) for name in NAMES]

    release.home.faults = []
    release.succeed()


@SENDERS
def test_tokens_that_expire_are_renewed(sender: Sender, release: Release) -> None:
    """Each is good for three requests, and says that it is for minutes."""
    tokens = release.home.tokens = Tokens(uses=3)
    release.succeed()
    assert any(sender.has_sent(asked) for asked in tokens.expired)


@SENDERS
def test_what_was_put_and_is_not_found_at_first_is_asked_for_again(sender: Sender, release: Release) -> None:
    """Registries that are many machines answer `404` for a moment."""
    release.home.late = release.other.late = sender
    release.succeed()
    assert release.home.missed


@SENDERS
def test_what_does_not_pass_is_told(sender: Sender, release: Release) -> None:
    """A registry in trouble for good: exit 5, no tag, the registry named, and what to do."""
    inject(release, sender, Answer(500), times=ALWAYS)
    failed = release.workspace.run("build", "--push", "--set=*.retries=0")

    assert 5 == failed.exit_code, failed.output
    assert [[], []] == [release.public(name) for name in NAMES]
    assert f"{release.home.host}/" in failed.stderr
    assert "500" in failed.stderr
    assert "hint: check the registry with `orchestrate doctor`" in failed.stderr
    assert "Traceback" not in failed.stderr
