"""msgspec looks into no type for the first time while threads are at work: that ended with a segmentation fault."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent
ONE_THREAD = {"config", "plugins", "plan"}
"""Packages that work before any thread is started, so that `msgspec.convert` is safe there."""

PROGRAM = """
import sys, threading
from orchestrator.oci.manifest import parse_index
sys.setswitchinterval(1e-6)
content = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
start = threading.Barrier(16)

def parse():
    start.wait()
    parse_index(content)

threads = [threading.Thread(target=parse) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_decoders_are_made_at_import() -> None:
    """`msgspec.json.decode(…, type=…)` makes one when it is called, in whatever thread that is."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name = ast.unparse(node.func)
            late = name == "msgspec.json.decode" and any(keyword.arg == "type" for keyword in node.keywords)
            if late or (name == "msgspec.convert" and parts[0] not in ONE_THREAD):
                found.append(f"{'/'.join(parts)}:{node.lineno}")
    assert [] == found


def test_threads_may_decode_at_once_from_the_start() -> None:
    """Sixteen at the same instant, in a process that has decoded nothing before; several times."""
    for _ in range(10):
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
        assert (0, "") == (done.returncode, done.stderr)
