"""What holds pages against what is printed is itself no yes-man."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import Command, File, Fragment, Hidden, read_blocks
from tests.docs.running import REGISTRY, environment_of_reader, matches, run_page

PAGE = """\
<!-- run
touch there
-->

```{code-block} text
:caption: a/file.txt

127.0.0.1:5000
```

```console
$ ls there a; cat a/file.txt
...
$ false
$ echo $? \\
  again
1 again
```

```toml
format = 1
```
"""


def test_page_is_read_into_blocks(tmp_path: Path) -> None:
    """Files, hidden commands, commands over several lines and fragments are told apart, with their lines."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)

    assert read_blocks(page) == (
        Hidden(1, "touch there"),
        File(8, "a/file.txt", "text", "127.0.0.1:5000\n"),
        Command(12, "ls there a; cat a/file.txt", ("...",)),
        Command(14, "false", ()),
        Command(15, "echo $? \\\n  again", ("1 again",)),
        Fragment(21, "toml", "format = 1\n"),
    )


def test_page_is_run_in_one_shell(tmp_path: Path) -> None:
    """Files are written, the registry is the one given, and each command sees the code of the one before."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    folder = tmp_path / "folder"
    folder.mkdir()

    ran = run_page(read_blocks(page), folder, environment_of_reader(), "127.0.0.1:6000")

    assert [(0, "127.0.0.1:6000"), (1, ""), (0, "1 again")] == [
        (done.code, done.lines[-1] if done.lines else "") for done in ran
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (("a",), ("a",), True),
        (("a",), ("a", "b"), False),
        (("a", "..."), ("a", "b", "c"), True),
        (("...", "c"), ("a", "b", "c"), True),
        (("...", "b"), ("a", "b", "c"), False),
        (("a … z",), ("a long way to z",), True),
        ((f"{REGISTRY}/api:1.0",), ("127.0.0.1:31337/api:1.0",), True),
        ((f"{REGISTRY}/api:1.0",), ("127.0.0.1:31337/api:1.1",), False),
        ((f"sha256:{'0' * 64}  1.7s",), (f"sha256:{'f' * 64}  12s",), True),
        ((f"sha256:{'0' * 64}",), ("sha256:0000",), False),
    ],
)
def test_output_is_compared(shown: tuple[str, ...], printed: tuple[str, ...], *, same: bool) -> None:
    """Digests, ports and times may differ and lines may be left out where the page says so, nothing else."""
    assert same == matches(shown, printed)
