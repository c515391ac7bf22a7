from __future__ import annotations

import shlex
import subprocess

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.backend import Refusal
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.plan.facts import TagState
from orchestrator.plan.lower import Lowered, lower_plan
from orchestrator.plan.model import Destination, Plan
from orchestrator.ui.plan import Heading, _quote, render_invocations, render_plan
from tests.unit.plan.samples import DIGEST, HEAD, NODE, QEMU, Asked, compile_text

HEADING = Heading(source="git 0123456789ab 1.0, clean", nodes=("backend qemu: default (linux/amd64)",))
TEXT = (
    HEAD
    + """[images.base]
[images.assets]
platforms = ["linux/amd64"]
publish = false
[images.app]
tags = ["1.0", "docker.io/acme/app:1.0", { ref = "latest", moving = true }]
contexts = { assets = { image = "assets", platform = "linux/amd64" } }
test = { run = ["/app", "--say", "two words"] }
[images.far]
platforms = ["linux/s390x"]
needs = ["app"]
"""
)
FILES = {"app": "FROM base\nCOPY --from=assets / /\n"}


STAGED = "results stand under private names until `orchestrate promote`"


def plan(destination: Destination = Destination.PUSH, text: str = TEXT) -> Plan:
    """A plan with everything that can be said of one."""
    tags = {"r.example/acme/app:latest": TagState(digest=DIGEST)}
    return compile_text(text, FILES, Asked(destination=destination, tags=tags))


def shown(of: Plan, *diagnostics: Diagnostic) -> str:
    """Its text."""
    return render_plan(of, HEADING, diagnostics)


def test_a_plan_by_its_text() -> None:
    """What, where, why, and what becomes public; waves, edges with their origin, tags, a summary."""
    found = plan()
    assert (
        shown(found, *found.diagnostics)
        == f"""\
acme: 4 images, 6 platform builds, 3 waves   git 0123456789ab 1.0, clean
this is what `orchestrate build --push` does
backend qemu: default (linux/amd64)

wave 1
  + base    linux/amd64 on default   linux/arm64 on default, emulated
            why   nothing built before is remembered
            tags  1.0; moving: latest
  + assets  linux/amd64 on default
            why   nothing built before is remembered
            tags  none, `publish = false`

wave 2
  + app     linux/amd64 on default   linux/arm64 on default, emulated
            after assets of linux/amd64 (contexts), base (FROM app/Dockerfile:1)
            why   nothing built before is remembered
            test  /app --say 'two words' on linux/amd64, linux/arm64, emulated
            tags  1.0, docker.io/acme/app:1.0; moving: latest (now {DIGEST[7:19]})

wave 3
  ! far     linux/s390x blocked
            after app (needs)
            why   no node may build it
            tags  1.0; moving: latest

public: nothing while there are errors
Plan: stopped by 1 error; 4 images, 1 blocked; 6 platform builds (2 emulated); 7 tags (3 moving).
"""
    )


@pytest.mark.parametrize(
    ("destination", "command", "public"),
    [
        (Destination.STAGE, "orchestrate build --stage", STAGED),
        (Destination.LAYOUT, "orchestrate build", "results stay on this machine"),
        (Destination.LOAD, "orchestrate build --load", "results stay on this machine"),
    ],
)
def test_what_becomes_public_is_said(destination: Destination, command: str, public: str) -> None:
    """Nothing, for all but one destination; tags are not counted then."""
    text = shown(plan(destination))
    assert f"this is what `{command}` does\n" in text
    assert f"public: nothing; {public}\n" in text
    assert "tags  1.0" not in text
    assert "tags (" not in text.splitlines()[-1]


def test_a_guess_has_a_question_mark() -> None:
    """Nobody was asked what the node builds."""
    guess = msgspec.structs.replace(NODE, provisional=True)
    assert "linux/amd64 on default?" in shown(compile_text(HEAD + "[images.a]\n", asked=Asked(nodes=(guess,))))


def test_findings_are_counted() -> None:
    """They themselves go to stderr."""
    warning = Diagnostic(code="w", message="w", severity=Severity.WARNING)
    assert shown(plan(), warning, warning).endswith("; 2 warnings.\n")


def test_notes_follow_the_nodes() -> None:
    """What was granted, and other things that were declared."""
    text = render_plan(plan(), msgspec.structs.replace(HEADING, notes=("granted: network.host",)), ())
    assert "backend qemu: default (linux/amd64)\ngranted: network.host\n" in text


def test_errors_that_block_no_image_stop_the_plan_too() -> None:
    """Such as a tag that exists: nothing is built, so nothing is to build."""
    warning = Diagnostic(code="w", message="w", severity=Severity.WARNING)
    error = Diagnostic(code="e", message="e")
    last = shown(plan(text=HEAD + "[images.a]\n"), error, error, warning).splitlines()[-1]
    assert "Plan: stopped by 2 errors; 1 image; 2 platform builds (1 emulated); 2 tags (1 moving); 1 warning." == last


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("[images.a]\n[images.b]\ntags = []\n", "verify 2 images, then tag 1 image; no tag moves if anything fails"),
        (
            "[images.a]\ntags = ['1', 'docker.io/acme/a:1']\n",
            "verify 1 image, copy to 1 other place, then tag 1 image; no tag moves if anything fails",
        ),
        ("[images.a]\ntags = []\n", "verify 1 image; there is no tag to put"),
        ("[images.a]\npublish = false\n", "verify 1 image; there is no tag to put"),
    ],
)
def test_only_images_with_tags_are_tagged(text: str, public: str) -> None:
    """An image may have none, and one that is not published has none that counts."""
    assert f"public: push under private names, {public}\n" in shown(plan(text=HEAD + text))


def test_an_empty_plan_has_a_text() -> None:
    """It says that there is nothing."""
    empty = Plan(
        project="x", destination=Destination.LAYOUT, run="", images=(), builds=(), steps=(), diagnostics=()
    )  # fmt: skip
    assert shown(empty).endswith("Plan: 0 to build, 0 blocked; 0 platform builds.\n")


def test_control_characters_are_escaped() -> None:
    """A test command may hold anything."""
    text = HEAD + '[images.a]\ntest = { run = ["\\u001b[2J"] }\n'
    assert "\x1b" not in shown(plan(text=text))


def test_moving_tags_alone_need_no_fixed_ones() -> None:
    """The line begins with them."""
    text = HEAD + '[images.a]\ntags = [{ ref = "edge", moving = true }]\n'
    assert "tags  moving: edge\n" in shown(plan(text=text))


def commands(of: Plan) -> str:
    """What `-v` adds."""
    return render_invocations(of, lower_plan(of, {"qemu": QEMU}, {"qemu": (NODE,)}))


def test_every_child_is_shown_argv_for_argv() -> None:
    """As one could paste it, but for what only the run can know; and why an image needs two solves."""
    text = HEAD + '[images.a]\nargs = { A = "b c" }\non."linux/arm64".args = { B = "$x" }\n'
    found = commands(compile_text(text))
    assert found.startswith("\ncommands\n  solve:a@linux/amd64   (its platforms differ in `args`)\n")
    assert (
        "    BUILDX_METADATA_PROVENANCE=disabled docker buildx build '--builder=<builder of default>' "
        "--progress=rawjson --platform=linux/arm64 --file=a/Dockerfile '--build-arg=A=b c' "
        "'--build-arg=B=$x' --provenance=mode=min "
        "--sbom=false '--metadata-file=<path of metadata.json>' "
    ) in found


def test_a_plan_has_no_credentials() -> None:
    """Neither in the commands nor in the test that is declared."""
    text = (
        HEAD
        + """[images.x]
context = "https://me:hunter2@h/x.git"
cache-to = [{ type = "s3", secret_access_key = "hunter2" }]
test = { run = ["/x", "--password=hunter2"] }
"""
    )
    found = plan(text=text)
    assert "test  /x '--password=***' on" in shown(found)
    assert "hunter2" not in shown(found) + commands(found)
    assert "--cache-to=type=s3,secret_access_key=***" in commands(found)
    assert " 'https://***@h/x.git'" in commands(found)


def test_an_answer_of_a_node_has_no_credentials() -> None:
    """It may repeat the address that it was asked at."""
    heading = msgspec.structs.replace(HEADING, nodes=("backend qemu: x (no answer: tcp://me:hunter2@h)",))
    assert "(no answer: tcp://***@h)" in render_plan(plan(), heading, ())


def test_a_refusal_is_shown() -> None:
    """At the solve that it is about."""
    of = plan()
    refused = Lowered(invocations={}, refusals={"solve:app": Refusal(code="c", message="not yet")})
    found = render_invocations(of, refused)
    assert "  solve:app\n    refused: not yet\n" in found


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_a_shown_word_is_that_word_to_a_shell(word: str) -> None:
    """And nothing in it reaches the terminal."""
    shown_word = _quote(word)
    assert shown_word.isprintable()
    if word.isprintable():
        assert [word] == shlex.split(shown_word)


@pytest.mark.parametrize("word", ["a\nb", "\x1b[31m'x'\\", "tab\there", "\U000e0001z", "é\u2028"])
def test_bash_reads_a_word_with_control_characters(word: str) -> None:
    """Just as it was."""
    child = subprocess.run(
        ["bash", "-c", f"printf %s {_quote(word)}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )  # fmt: skip
    assert word == child.stdout.decode()
