"""Files that appear whole or not at all, and what is left of those that never did."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from orchestrator.state.beneath import Durability, Missing, open_folder, remove_unfinished, write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from orchestrator.state.beneath import Durability, Missing, open_folder, write_whole
def write(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
with open_folder(Path(sys.argv[1]), (), Missing.FAIL) as folder:
    write_whole("result.json", folder, write, Durability.SYNCED)
"""


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    """Its name was not taken; what else is there stays, whatever it is called."""
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert -signal.SIGKILL == ended.returncode
    (left,) = names(tmp_path)
    assert left.endswith(".partial")
    (tmp_path / "own.partial").touch()
    (tmp_path / ".link.0123456789abcdef.partial").symlink_to("own.partial")
    with open_folder(tmp_path, (), Missing.FAIL) as folder:
        remove_unfinished(folder)
    assert [".link.0123456789abcdef.partial", "own.partial"] == names(tmp_path)


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    """Whoever removes what is left does not get in the way of who is at work."""
    with open_folder(tmp_path, (), Missing.FAIL) as folder:

        def write(file: object) -> None:
            del file
            remove_unfinished(folder)
            assert 1 == len(names(tmp_path))

        write_whole("result.json", folder, write, Durability.LAZY)
    assert ["result.json"] == names(tmp_path)
