"""An executable called `docker` that answers probes as recorded and "builds": images of one small layer, really pushed.

`buildx build` understands what the `qemu` backend says to it, and nothing else. Its images hold nothing but their
name, and no base; what is tested with it is all that happens around a build.
"""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "unit" / "buildkit" / "data"
ANSWERS = {
    ("version", "--format=json"): "version.json",
    ("info", "--format=json"): "info.json",
    ("buildx", "inspect", "default"): "inspect-default.txt",
}


def install(folder: Path) -> Path:
    """Put it into a folder for the `PATH`."""
    script = folder / "docker"
    script.write_text(f"#!{sys.executable} -I\nimport runpy, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                      "from tests.cli.fake_buildx import main\nsys.exit(main(sys.argv[1:]))\n")  # fmt: skip
    script.chmod(0o755)
    return folder


def main(arguments: list[str]) -> int:
    """Answer, or build."""
    if tuple(arguments) in ANSWERS:
        sys.stdout.write((DATA / ANSWERS[tuple(arguments)]).read_text())
        return 0
    if arguments[:2] == ["image", "load"]:
        shutil.copy(arguments[2].partition("=")[2], "loaded.tar")
        return 0
    options = dict(word.removeprefix("--").split("=", 1) for word in arguments if word.startswith("--") and "=" in word)
    return build(options, arguments[-1])


def build(options: dict[str, str], context: str) -> int:
    """Build into a layout, or push."""
    if (Path(context) / "fails").exists():
        sys.stderr.write('ERROR: failed to solve: process "/bin/sh -c x" did not complete successfully: exit code: 1\n')
        return 1
    if (Path(context) / "hangs").exists():
        (Path(context) / "started").touch()
        time.sleep(600)
    from tests.unit.engine.child_builder import write  # noqa: PLC0415 (once the path is set)

    output = dict(field.split("=", 1) for field in options["output"].split(","))
    with tempfile.TemporaryDirectory() as scratch:
        layout = Path(output.get("dest", f"{scratch}/layout"))
        digest = write(layout, context, options["platform"].split(","), lone=False)
        if output["type"] == "image":
            push(layout, output["name"])
    Path(options["metadata-file"]).write_text(json.dumps({"containerimage.digest": digest}))
    return 0


def push(layout: Path, name: str) -> None:
    """Push a layout under a tag: blobs, manifests, the index last."""
    host, _, rest = name.partition("/")
    repository, _, tag = rest.rpartition(":")
    connection = http.client.HTTPConnection(host)
    index = ""
    for path in sorted((layout / "blobs" / "sha256").iterdir(), key=is_manifest):
        content = path.read_bytes()
        described = json.loads(content) if is_manifest(path) else {}
        if "manifests" in described:
            index = path.name
        elif described:
            put(connection, f"/v2/{repository}/manifests/sha256:{path.name}", content, described["mediaType"])
        else:
            location = start(connection, f"/v2/{repository}/blobs/uploads/")
            put(connection, f"{location}digest=sha256:{path.name}", content, "application/octet-stream")
    content = (layout / "blobs" / "sha256" / index).read_bytes()
    put(connection, f"/v2/{repository}/manifests/{tag}", content, json.loads(content)["mediaType"])


def is_manifest(path: Path) -> bool:
    """Whether this is no blob, which a registry wants to have first."""
    return path.read_bytes().startswith(b'{"schemaVersion"')


def start(connection: http.client.HTTPConnection, path: str) -> str:
    """Start an upload; where it goes, ready for a query."""
    connection.request("POST", path)
    response = connection.getresponse()
    response.read()
    parts = urlsplit(response.headers["Location"])
    return f"{parts.path}?{parts.query}{'&' if parts.query else ''}"


def put(connection: http.client.HTTPConnection, path: str, content: bytes, media_type: str) -> None:
    """Put something, or end with what the registry says."""
    connection.request("PUT", path, content, {"Content-Type": media_type})
    response = connection.getresponse()
    body = response.read()
    if response.status >= 300:
        sys.exit(f"ERROR: failed to push: unexpected status: {response.status} {body!r}")
