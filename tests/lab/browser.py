"""A headless Chromium that no network can be reached from, driven through its DevTools protocol over a pipe.

It is unpacked from Debian packages into the lab's cache and runs in a cell of its own, of which nothing is left.
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

import msgspec

from tests.lab.failure import LabError
from tests.lab.made_once import made_once
from tests.lab.packages import STABLE_SUITE, cache_folder, unpack_system

PACKAGES: Final = ("base-files", "chromium", "fonts-dejavu-core")
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-pipe", "--user-data-dir=/tmp/profile",
)  # fmt: skip
_PROJECT: Final = Path(__file__).resolve().parents[2]
_LOWEST: Final = 10  # descriptors of ours stay clear of 3 and 4, which are Chromium's
_PATIENCE: Final = 120.0  # seconds; only what would never end takes that long

Json: TypeAlias = Mapping[str, object]


def browser_root() -> Path:
    """The root file system that Chromium runs in; downloaded once (about 200 MB).

    Raises:
        LabUnavailable: the mirror cannot be reached or does not have the packages.
    """
    folder = cache_folder() / f"system-{STABLE_SUITE}-{'-'.join(PACKAGES)}"
    return made_once(folder, lambda made: unpack_system(STABLE_SUITE, PACKAGES, made))


class _Request(msgspec.Struct):
    """A request of the protocol's `Network` domain."""

    url: str


class _Asked(msgspec.Struct):
    """The parameters of `Network.requestWillBeSent`."""

    request: _Request


class _Refused(msgspec.Struct, rename="camel"):
    """The parameters of `Network.loadingFailed`."""

    blocked_reason: str = ""


class Browser:
    """One Chromium with one page at a time; `pages` is the folder whose files it can open."""

    def __init__(self, pages: Path) -> None:
        self._pages = pages
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._buffer = b""
        self._session = ""
        self.events: list[Json] = []

    def __enter__(self) -> Self:
        root = browser_root()
        (theirs_in, ours_out), (ours_in, theirs_out) = _pipe(), _pipe()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestrate-browser-"))
        self._log = self._stack.enter_context((self._pages / "chromium.log").open("wb"))
        cell = ["-m", "tests.lab.browser_cell", str(root), str(self._pages), folder, str(theirs_in), str(theirs_out)]
        self._process = subprocess.Popen(
            [sys.executable, *cell, "/usr/lib/chromium/chromium", *_FLAGS, "about:blank"],
            cwd=_PROJECT, pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self._stack.callback(self._end)
        for descriptor in (theirs_in, theirs_out):
            os.close(descriptor)
        self._in, self._out = ours_in, ours_out
        for descriptor in (ours_in, ours_out):
            self._stack.callback(os.close, descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def page(self, name: str, *, width: int = 1400, height: int = 900, scheme: str = "light") -> Iterator[Self]:
        """Open a file of the folder in a page of its own; `events` then holds all that the page caused."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = str(self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        self.events = []
        try:
            for domain in ("Page", "Runtime", "Network", "Log", "Security"):
                self.send(f"{domain}.enable")
            self.send(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
            self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            self.send("Page.navigate", url=f"file:///tmp/pages/{name}")
            self.wait(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events))
            yield self
        finally:
            self._session = ""
            self.send("Target.closeTarget", targetId=target)

    def run(self, expression: str) -> object:
        """The value of an expression of JavaScript in the page, as JSON; a promise is awaited.

        Raises:
            LabError: it threw.
        """
        done = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            msg = f"`{expression}` threw: {done['exceptionDetails']}"
            raise LabError(msg)
        result = done["result"]
        assert isinstance(result, dict)
        return result.get("value")

    def press(self, key: str, *, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else "")

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """Move, press, release or turn the mouse: `mouseMoved`, `mousePressed`, `mouseReleased`, `mouseWheel`."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def run_list(self, expression: str) -> list[str]:
        """The texts that an expression gives."""
        found = self.run(expression)
        assert isinstance(found, list)
        return [str(one) for one in found]

    def place(self, selector: str) -> tuple[float, float]:
        """The middle of the first element that matches, once it has been scrolled to."""
        x, y = self.run_list(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            "one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        return float(x), float(y)

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that matches."""
        x, y = self.place(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def screenshot(self, *, whole: bool = False) -> bytes:
        """A PNG of what can be seen, or of the whole page."""
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        return base64.b64decode(str(data))

    def complaints(self) -> list[Json]:
        """What went to the console, was thrown, or was forbidden by the page's policy."""
        self.run("0")
        wrong = {
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        }
        return [event for event in self.events if event["method"] in wrong]

    def requests(self) -> list[str]:
        """The addresses of all that was asked for, or would have been, had the page's policy allowed it."""
        self.run("0")
        return [msgspec.convert(params, _Asked).request.url for params in self._params("Network.requestWillBeSent")]

    def refusals(self) -> list[str]:
        """Why what was asked for was not loaded: `csp` is the page's own policy."""
        self.run("0")
        return [msgspec.convert(params, _Refused).blocked_reason for params in self._params("Network.loadingFailed")]

    def _params(self, method: str) -> list[object]:
        return [event["params"] for event in self.events if event["method"] == method]

    def send(self, method: str, **params: object) -> Json:
        """Call a method of the protocol; events that come before its answer are kept.

        Raises:
            LabError: it was refused, or Chromium is gone.
        """
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        _write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            msg = f"{method}: {answer['error']}"
            raise LabError(msg)
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds.

        Raises:
            LabError: it never did.
        """
        end = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > end:
                msg = "the page never got there"
                raise LabError(msg)
            self.run("new Promise((done) => setTimeout(done, 20))")

    def _read(self) -> Json:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            if not part:
                said = (self._pages / "chromium.log").read_text(errors="replace")[-2000:]
                msg = f"Chromium has gone:\n{said}"
                raise LabError(msg)
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        answer: Json = json.loads(line)
        return answer


def _pipe() -> tuple[int, int]:
    """A pipe whose ends have numbers that nobody expects anything of."""
    made = []
    for end in os.pipe():
        made.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _LOWEST))
        os.close(end)
    return made[0], made[1]


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
