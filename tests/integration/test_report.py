"""The report in a browser: drawn, usable, loading nothing, and deaf to what hostile texts would have it do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from orchestrator.api.events import Event
from orchestrator.ui.report.fold import fold_report
from orchestrator.ui.report.logs import FindLog
from orchestrator.ui.report.page import render_page
from tests.integration.conftest import MakeWorkspace, end_processes
from tests.integration.workspace import MARK
from tests.lab import Lab
from tests.lab.availability import available
from tests.lab.browser import Browser
from tests.unit.ui.report.journals import HOSTILE, hostile_events, hostile_log, made_log, run_events

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "pictured"
[version]
value = "1.0.0"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}"]
[images.good]
[images.broken]
[images.child]
[images.other]
"""
FILES = {
    "builds.toml": PROJECT,
    "good/Dockerfile": "FROM %BASE%\nRUN echo good\n",
    "broken/Dockerfile": "FROM good\n"
    "RUN echo '<img src=x onerror=alert(1)>'; for i in 1 2 3; do echo line $i; done; exit 7\n",
    "child/Dockerfile": "FROM broken\nRUN echo child\n",
    "other/Dockerfile": "FROM good\nRUN echo other\n",
}
STATES = (
    "Object.fromEntries([...document.querySelectorAll('.node')].map((node) =>"
    "[node.querySelector('.name').textContent, node.querySelector('.letter-text').textContent]))"
)
RAN = (
    "JSON.parse(document.querySelector('#data').textContent).steps"
    ".filter(({start, kind}) => start >= 0 && kind !== 'gate').length"
)
TURNING = set("\x1b\u202e\u2066\u200f")
IMAGE = "<img src=http://127.0.0.1:1/x onerror=window.harmed=1>"
SCALE = "Number(document.querySelector('#scene').getAttribute('transform').match(/scale\\(([^)]*)/)[1])"
FOCUSED = "document.activeElement.getAttribute('aria-label')"
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))))"
ROWS = "document.querySelectorAll('#rows tr').length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages that the browser can open."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Browser]:
    """Chromium; where one can be had, failing to start it is an error, never a skip."""
    reason = available()
    if reason is not None:
        pytest.skip(f"no browser: {reason}")
    with Browser(folder) as started:
        yield started


@pytest.fixture(scope="module")
def put(folder: Path) -> Callable[[str, Iterable[Event], FindLog], str]:
    """Writes the report of a run that never happened; gives its name."""

    def write(name: str, events: Iterable[Event], find_log: FindLog) -> str:
        (folder / name).write_bytes(render_page(fold_report(events, find_log)))
        return name

    return write


@pytest.fixture(scope="module")
def large(put: Callable[[str, Iterable[Event], FindLog], str]) -> str:
    """A run of 500 images on four nodes."""
    return put("large.html", run_events(500), made_log)


def check_quiet(page: Browser, name: str) -> None:
    """Nothing was complained about, and nothing was asked for but the page itself."""
    assert [] == page.complaints()
    assert [f"file:///tmp/pages/{name}"] == page.requests()
    assert 0 == page.run("performance.getEntriesByType('resource').length")


def test_a_run_in_which_an_image_failed(
    make_workspace: MakeWorkspace, browser: Browser, folder: Path, lab: Lab
) -> None:
    """Built for real: the failure stands first, with what the build printed, and every image has its letter."""
    workspace = make_workspace(FILES)
    built = workspace.run("build", "--push", f"--report={folder / 'real.html'}")
    assert (4, True) == (built.exit_code, f"report: {folder / 'real.html'}\n" in built.stderr)
    again = workspace.succeed("report", f"--output={folder / 'again.html'}")
    assert f"{folder / 'again.html'}\n" == again.stdout
    assert (folder / "real.html").read_bytes() == (folder / "again.html").read_bytes()
    del lab
    with browser.page("real.html") as page:
        assert {"good": "B", "broken": "F", "child": "S", "other": "B"} == page.run(STATES)
        failure = str(page.run("document.querySelector('.failure').innerText"))
        assert "solve:broken" in failure
        assert "<img src=x onerror=alert(1)>\nline 1\nline 2\nline 3" in failure
        page.click(".failure button")
        assert "broken" == page.run("document.querySelector('#detail h2').textContent")
        assert "line 3" in str(page.run("document.querySelector('#detail .log').textContent"))
        assert "✗ a build failed" == page.run("document.querySelector('#outcome').textContent")
        sizes = page.run_list("[...document.querySelectorAll('#rows tr')].map((row) => row.children[5].textContent)")
        assert ["MB", "", "MB", ""] == [size.rpartition(" ")[2] for size in sizes]
        check_quiet(page, "real.html")


def test_a_run_that_was_killed(make_workspace: MakeWorkspace, browser: Browser, folder: Path) -> None:
    """What it was doing is unfinished, what it had done is done, and the report says that it never ended."""
    workspace = make_workspace({**FILES, "broken/Dockerfile": "FROM good\nRUN echo begun; sleep 86400\n"})
    with workspace.start("build", "--push", "--verbose") as process:
        assert process.stderr is not None
        seen: set[str] = set()
        for line in iter(process.stderr.readline, ""):
            seen |= {word for word in ("| begun", "verify:other  done") if word in line}
            if len(seen) == 2:
                break
        os.kill(process.pid, signal.SIGKILL)
    end_processes(workspace.environ[MARK])
    workspace.succeed("report", f"--output={folder / 'killed.html'}")
    with browser.page("killed.html") as page:
        assert {"good": "B", "broken": "U", "child": "N", "other": "B"} == page.run(STATES)
        outcome = page.run("document.querySelector('#outcome').textContent")
        assert "✗ has not ended: it was cut off, or still runs" == outcome
        check_quiet(page, "killed.html")
    shutil.rmtree(workspace.root / ".orchestrate")  # a run that was killed cleans nothing up


def test_all_of_500_images_are_drawn(browser: Browser, large: str) -> None:
    """In the graph, in the table, and in time."""
    start = time.monotonic()
    with browser.page(large) as page:
        assert 500 == page.run("document.querySelectorAll('.node').length") == page.run(ROWS)
        sys.stderr.write(f"\n500 images: usable after {time.monotonic() - start:.1f} s\n")
        assert page.run(RAN) == page.run("document.querySelectorAll('.step:not(.lost)').length")
        assert 0 < int(str(page.run("document.querySelectorAll('.step.critical').length")))
        check_quiet(page, large)


def test_what_was_lost_with_a_node_is_drawn(browser: Browser, large: str) -> None:
    """Where it ran in vain, beside where it ran in the end; and each is noted below."""
    with browser.page(large) as page:
        lost = int(str(page.run("document.querySelectorAll('.step.lost').length")))
        assert 0 < lost == page.run("document.querySelectorAll('#note-list li').length")


def test_a_step_says_who_it_waited_for(browser: Browser, large: str) -> None:
    """When the mouse is over it: the need that ended last, and the step that held the slot."""
    waited = (
        "[...document.querySelectorAll('.step')].find((one) => /, until solve:/.test(one.getAttribute('aria-label')))"
    )
    with browser.page(large) as page:
        page.run(f"{waited}.querySelector('.box').dispatchEvent(new PointerEvent('pointerover', {{bubbles: true}}))")
        said = str(page.run("document.querySelector('#timeline-said').textContent"))
        assert re.search(r"waited \S+ for a free slot, until solve:\S+ ended", said)
        assert str(page.run("document.querySelector('.link').getAttribute('d')")).startswith("M")


def test_the_graph_zooms(browser: Browser, large: str) -> None:
    """By button, by key, by wheel once it has been clicked, and back."""
    with browser.page(large) as page:
        scales = [page.run(SCALE)]
        page.click("#graph-in")
        scales.append(page.run(SCALE))
        page.press("+", text="+")
        scales.append(page.run(SCALE))
        page.click("#graph-svg")
        x, y = page.place("#graph-svg")
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
        page.wait(lambda: float(str(page.run(SCALE))) > float(str(scales[2])))
        scales.append(page.run(SCALE))
        assert scales == sorted(scales, key=lambda scale: float(str(scale)))
        page.click("#graph-fit")
        assert scales[0] == page.run(SCALE)


def test_the_graph_is_dragged(browser: Browser, large: str) -> None:
    """And a drag that ends on an image chooses none."""
    where = "document.querySelector('#scene').getAttribute('transform').match(/translate\\(([^)]*)/)[1]"
    with browser.page(large) as page:
        x, y = page.place("#graph-svg")
        before = [float(part) for part in str(page.run(where)).split(",")]
        page.mouse("mousePressed", x, y, button="left", clickCount=1)
        page.mouse("mouseMoved", x + 30, y + 20, button="left", buttons=1)
        page.mouse("mouseReleased", x + 30, y + 20, button="left", clickCount=1)
        after = [float(part) for part in str(page.run(where)).split(",")]
        assert [30, 20] == [round(b - a) for a, b in zip(before, after, strict=True)]
        assert page.run("document.querySelector('#detail').hidden")


def test_a_chosen_image_shows_its_log(browser: Browser, large: str) -> None:
    """By the mouse; its search leaves the lines with a word, and marks it."""
    with browser.page(large) as page:
        page.click("#graph-in")
        page.run("document.querySelector('.node.s-failed').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
        log = "document.querySelector('#detail .step-card[open] .log').textContent"
        assert 400 == str(page.run(log)).count("\n")
        page.click("#detail .step-card[open] .log-search")
        page.send("Input.insertText", text="PART 7 OF")
        lines = str(page.run(log)).strip().split("\n")
        assert 0 < len(lines) < 400
        assert all("part 7 of" in line for line in lines)
        assert len(lines) == page.run("document.querySelectorAll('#detail .log mark').length")
        check_quiet(page, large)


def test_the_table_is_filtered(browser: Browser, large: str) -> None:
    """By text, by state, and by both."""
    with browser.page(large) as page:
        page.press("/")
        page.send("Input.insertText", text="arm-1 lib-")
        found = int(str(page.run(ROWS)))
        assert 0 < found < 500
        assert f"{found} of 500 images" == page.run("document.querySelector('#shown').textContent")
        page.click("#state-buttons button")
        assert 0 <= int(str(page.run(ROWS))) < found
        page.run("document.querySelector('#filter').value = ''")
        page.run("document.querySelector('#filter').dispatchEvent(new Event('input'))")
        assert {"failed"} == set(
            page.run_list(
                "[...document.querySelectorAll('#rows td:first-child .badge span')].map((one) => one.textContent)"
            )
        )


@pytest.mark.parametrize(("picture", "key"), [(".node", "ArrowDown"), (".step", "ArrowRight")])
def test_it_is_used_by_keyboard_alone(browser: Browser, large: str, picture: str, key: str) -> None:
    """Arrows go on, zooming moves no focus, Enter goes into the details, and Escape back to where one was."""
    with browser.page(large) as page:
        page.run(f"document.querySelector('{picture}[tabindex=\"0\"]').focus()")
        first = page.run(FOCUSED)
        page.press(key)
        second = page.run(FOCUSED)
        assert first != second
        for zoom in "++-0":
            page.press(zoom, text=zoom)
            assert second == page.run(FOCUSED)
        page.press("Enter")
        page.run(SETTLED)  # the details take room, so that the pictures are drawn again
        assert ["detail", False] == page.run("[document.activeElement.id, document.querySelector('#detail').hidden]")
        page.press("Escape")
        page.run(SETTLED)
        assert [second, True] == [page.run(FOCUSED), page.run("document.querySelector('#detail').hidden")]
        page.press(key)
        assert page.run(FOCUSED) not in {second, None}


def test_zooming_the_timeline_goes_on_and_on(browser: Browser, large: str) -> None:
    """Each key counts, not the first alone; and the step that has the focus stays where it can be seen."""
    width = "Number(document.querySelector('#timeline-svg').getAttribute('width'))"
    seen = (
        "(() => { const bar = document.activeElement.getBoundingClientRect();"
        "const box = document.querySelector('#timeline-scroll').getBoundingClientRect();"
        "return bar.right > box.left && bar.left < box.right; })()"
    )
    with browser.page(large) as page:
        page.run("[...document.querySelectorAll('.step:not(.lost)')].at(-1).focus()")
        widths = [float(str(page.run(width)))]
        for _ in range(4):
            page.press("+", text="+")
            widths.append(float(str(page.run(width))))
            assert page.run(seen)
        assert widths == sorted(set(widths))
        assert 1 == page.run("document.querySelectorAll('.step[tabindex=\"0\"]').length")


def test_the_details_of_a_row_give_the_focus_back(browser: Browser, large: str) -> None:
    """To its name, wherever in the row it was clicked, and after going on to another image."""
    with browser.page(large) as page:
        page.click("#rows tr:nth-child(9) td:last-child")
        assert "detail" == page.run("document.activeElement.id")
        page.click("#detail .near button")
        assert "detail" == page.run("document.activeElement.id")
        page.press("Escape")
        assert page.run("document.activeElement === document.querySelector('#rows tr:nth-child(9) button')")


def test_an_image_that_was_clicked_leaves_the_wheel_to_the_graph(browser: Browser, large: str) -> None:
    """Though the details have the focus."""
    with browser.page(large) as page:
        page.click(".node")
        assert "detail" == page.run("document.activeElement.id")
        page.run(SETTLED)
        before = float(str(page.run(SCALE)))
        x, y = page.place("#graph-svg")
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
        page.wait(lambda: float(str(page.run(SCALE))) > before)


def test_bars_tell_states_without_colours(browser: Browser, large: str) -> None:
    """By how they are filled, and in words when pointed at."""
    fill = "getComputedStyle(document.querySelector('.step.{} .box')).fill"
    with browser.page(large) as page:
        assert 'url("#hatch")' == page.run(fill.format("lost"))
        assert 3 == len({page.run(fill.format(name)) for name in ("s-failed", "s-built", "lost")})
        assert page.run(
            "[...document.querySelectorAll('.step')].every((one) => one.querySelector('title').textContent)"
        )


def test_thin_bars_have_letters_where_they_fit(
    browser: Browser, put: Callable[[str, Iterable[Event], FindLog], str]
) -> None:
    """What needs no node is short: its letter is there once it has been zoomed to."""
    letters = "[...document.querySelectorAll('.step .thin')].map((one) => one.textContent)"
    with browser.page(put("small.html", run_events(8), made_log)) as page:
        assert [] == page.run(letters)
        for _ in range(8):
            page.click("#time-in")
        assert {"D"} == set(page.run_list(letters))


def test_a_digest_is_copied_without_a_clipboard(browser: Browser, large: str) -> None:
    """Pages that browsers do not deem secure have none; where nothing helps, the whole digest is there to select."""
    label = "document.querySelector('#detail .copy').getAttribute('aria-label')"
    with browser.page(large) as page:
        page.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.run("document.addEventListener('copy', (event) => { window.copied = event.target.value; })")
        page.click("#rows tr:nth-child(1) button")
        whole = page.run("document.querySelector('#detail .digest code').title")
        page.click("#detail .copy")
        page.wait(lambda: page.run("window.copied") is not None)
        assert whole == page.run("window.copied")
        page.wait(lambda: str(page.run(label)).startswith("Copied "))
        assert page.run("document.activeElement === document.querySelector('#detail .copy')")
        page.run("document.execCommand = () => false")
        page.click("#detail .copy")
        page.wait(lambda: bool(page.run("document.querySelector('#detail .by-hand') !== null")))
        field = page.run(
            "(({value, selectionStart, selectionEnd}) => value.slice(selectionStart, selectionEnd))"
            "(document.querySelector('#detail .by-hand'))"
        )
        assert whole == field
        check_quiet(page, large)


def test_hostile_texts_are_shown_and_do_nothing(
    browser: Browser, put: Callable[[str, Iterable[Event], FindLog], str]
) -> None:
    """In names, tags, nodes, messages, warnings and logs; with every image open, and every log searched."""
    name = put("hostile.html", hostile_events(), hostile_log)
    with browser.page(name) as page:
        for number in range(len(HOSTILE)):
            page.run(f"document.querySelectorAll('#rows tr')[{number}].click()")
            page.run("document.querySelectorAll('#detail details').forEach((one) => { one.open = true; })")
            page.run("new Promise((done) => setTimeout(done, 0))")
            page.run("document.querySelectorAll('#detail input').forEach((one) => { one.value = '<'; })")
            page.run(
                "document.querySelectorAll('#detail input').forEach((one) => one.dispatchEvent(new Event('input')))"
            )
            shown = str(page.run("document.querySelector('#detail').innerText"))
            assert "<img src=x onerror='window.harmed = 2'>" in shown
            assert not set(shown) & TURNING
        assert page.run("window.harmed") is None
        assert 0 == page.run("document.querySelectorAll('img, iframe, object, a[href^=javascript]').length")
        assert 2 == page.run("document.scripts.length")
        assert not set(str(page.run("document.body.innerText"))) & TURNING
        check_quiet(page, name)


def test_what_gets_in_all_the_same_may_do_nothing(browser: Browser, large: str) -> None:
    """The page's own policy stops scripts, handlers and pictures that somebody would have smuggled in."""
    with browser.page(large) as page:
        page.run(f"document.body.insertAdjacentHTML('beforeend', '{IMAGE}')")
        page.run("smuggled = document.createElement('script')")
        page.run("smuggled.textContent = 'window.harmed = 2'; document.body.append(smuggled)")
        page.wait(lambda: len(page.complaints()) >= 2)
        assert page.run("window.harmed") is None
        page.wait(lambda: bool(page.refusals()))
        assert ["csp"] == page.refusals()


def test_dark_and_light_are_different(browser: Browser, large: str) -> None:
    """As the reader's system wants it; letters tell the states in both."""
    colours = []
    for scheme in ("light", "dark"):
        with browser.page(large, scheme=scheme) as page:
            colours.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
