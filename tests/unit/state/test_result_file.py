"""Where results are written: the project's own file, and whatever else users name."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.state.result_file import open_result, read_result
from orchestrator.state.summary import RunResult, render_result

RESULT = render_result(
    RunResult(
        format_version="1.0", project="p", run="r", destination="push", now="x", exit_code=0, started=0.0, finished=1.0,
        images=(), failures=(),
    )
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that was built before."""
    root = tmp_path / "project"
    (root / ".orchestrate").mkdir(parents=True)
    return root


def write(root: Path, asked: Path | None) -> Path:
    """Write a result; where it went."""
    with open_result(root, asked) as file:
        file.write(RESULT)
    return file.path


def refusal(root: Path, asked: Path | None) -> UsageError:
    """What is said instead, before there is a result."""
    with pytest.raises(UsageError) as caught, open_result(root, asked):
        pass
    return caught.value


def test_a_project_has_a_file_of_its_own(root: Path) -> None:
    """Whatever stood there; and no other file is left."""
    own = root / ".orchestrate/result.json"
    own.write_text("something else")
    assert own == write(root, None)
    assert ([own], RESULT) == (list(own.parent.iterdir()), own.read_bytes())


@pytest.mark.parametrize("asked", [None, ".orchestrate/result.json"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_its_place_is_replaced(root: Path, tmp_path: Path, asked: str | None, *, exists: bool) -> None:
    """Nothing is written through what a repository brings, whether it is named or not."""
    victim = tmp_path / "victim"
    if exists:
        victim.write_text("precious")
    own = root / ".orchestrate/result.json"
    own.symlink_to(victim)
    write(root, root / asked if asked else None)
    assert (False, RESULT) == (own.is_symlink(), own.read_bytes())
    assert exists == victim.exists()
    assert not exists or victim.read_text() == "precious"


def test_a_link_in_the_place_of_its_folder_is_refused(root: Path, tmp_path: Path) -> None:
    """Before there is anything to write."""
    (root / ".orchestrate").rmdir()
    (root / ".orchestrate").symlink_to(tmp_path)
    assert "is a symbolic link" in refusal(root, None).message


def test_a_folder_in_its_place_is_refused(root: Path) -> None:
    """Before there is anything to write."""
    (root / ".orchestrate/result.json").mkdir()
    assert "result.json`: is a directory" in refusal(root, None).message


def test_a_file_that_is_asked_for_is_made_with_its_folder(root: Path, tmp_path: Path) -> None:
    """And nothing but it."""
    path = tmp_path / "deep/er/mine.json"
    assert path == write(root, path)
    assert ([path], RESULT) == (list(path.parent.iterdir()), path.read_bytes())


def test_a_link_that_is_asked_for_is_followed(root: Path, tmp_path: Path) -> None:
    """The user said so."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write(root, tmp_path / "link")
    assert (True, RESULT) == ((tmp_path / "link").is_symlink(), (tmp_path / "target").read_bytes())


@pytest.mark.parametrize("content", [b"", RESULT, RESULT.replace(b'"1.0"', b'"0.9"')])
def test_an_older_result_is_replaced(root: Path, tmp_path: Path, content: bytes) -> None:
    """Of this format or another; so is an empty file, as `mktemp` makes it."""
    (tmp_path / "mine.json").write_bytes(content)
    write(root, tmp_path / "mine.json")
    assert RESULT == (tmp_path / "mine.json").read_bytes()


@pytest.mark.parametrize(
    "content", [b"format = 1\n", b"{}", b"[]", b"\xff", b'{"format_version": "1.0"}', b"[" * 10**5]
)
def test_a_file_that_is_no_result_is_refused(root: Path, tmp_path: Path, content: bytes) -> None:
    """Somebody meant something else, such as `--file`."""
    path = tmp_path / "builds.toml"
    path.write_bytes(content)
    assert f"`{path}` exists, and is no result of a run" == refusal(root, path).message
    assert content == path.read_bytes()


def test_a_file_that_cannot_be_read_is_refused(root: Path, tmp_path: Path) -> None:
    """As is a folder."""
    assert f"`{tmp_path}`: is a directory" == refusal(root, tmp_path).message


def test_a_folder_that_cannot_be_made_is_refused(root: Path, tmp_path: Path) -> None:
    """It is tried, before there is anything to write."""
    (tmp_path / "file").touch()
    assert "not a directory" in refusal(root, tmp_path / "file/result.json").message
    assert refusal(root, Path("/proc/self/result.json")).message.startswith("`/proc")


def test_a_pipe_without_a_reader_is_refused(root: Path, tmp_path: Path) -> None:
    """Nobody waits for one to come."""
    os.mkfifo(tmp_path / "pipe")
    error = refusal(root, tmp_path / "pipe")
    assert f"`{tmp_path}/pipe` is a pipe that nobody reads" == error.message
    assert "first" in error.hints[0]


def test_a_pipe_with_a_reader_is_written_to(root: Path, tmp_path: Path) -> None:
    """Its reader sees one stream, however long the run lasted and however slowly it reads."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    read: list[bytes] = []

    def drain() -> None:
        with os.fdopen(reader, "rb") as stream:
            read.append(stream.read())

    content = RESULT * 1000
    with open_result(root, pipe) as file:
        thread = threading.Thread(target=drain)
        thread.start()
        file.write(content)
    thread.join()
    assert [content] == read


def test_a_reader_that_went_away_is_told(root: Path, tmp_path: Path) -> None:
    """The result is lost, and that is an error."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with open_result(root, pipe) as file:
        os.close(reader)
        with pytest.raises(UsageError, match="pipe`: broken pipe"):
            file.write(RESULT)


def test_a_device_is_written_to(root: Path) -> None:
    """It is not replaced; one that is full is told."""
    assert Path("/dev/null") == write(root, Path("/dev/null"))
    with (
        open_result(root, Path("/dev/full")) as file,
        pytest.raises(UsageError, match=os.strerror(errno.ENOSPC).lower()),
    ):
        file.write(RESULT)
    assert Path("/dev/full").is_char_device()


def test_results_are_read(root: Path, tmp_path: Path) -> None:
    """The project's own, or the one that is named, by a link too."""
    (root / ".orchestrate/result.json").write_bytes(b"own")
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert (b"own", b"mine") == (read_result(root, None), read_result(root, tmp_path / "link"))


def test_a_link_in_the_place_of_the_own_result_is_not_read(root: Path, tmp_path: Path) -> None:
    """A repository does not choose what is read."""
    (tmp_path / "secret").write_bytes(RESULT)
    (root / ".orchestrate/result.json").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        read_result(root, None)


def test_a_pipe_is_no_result_to_read(root: Path, tmp_path: Path) -> None:
    """What is read is written again afterwards; nobody waits for a writer."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_result(root, tmp_path / "pipe")
