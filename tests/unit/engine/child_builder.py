"""A program that stands for `buildx build` in tests: writes an OCI layout, or fails in some way.

child_builder.py BEHAVIOUR IMAGE LAYOUT METADATA PLATFORM[,PLATFORM...] [CONTEXT...]
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

OCI = "application/vnd.oci.image."


def main(behaviour: str, image: str, layout: str, metadata: str, platforms: str) -> int:
    """Build, or do what is asked for instead."""
    match behaviour:
        case "fail":
            return fail('process "/bin/sh -c make" did not complete successfully: exit code: 2')
        case "flaky" | "refused" | "always-flaky" if behaviour == "always-flaky" or first_time(image):
            what = {"refused": f"push r.example/{image}"}.get(behaviour, "push")
            return fail(f"failed to {what}: unexpected status: 503 Service Unavailable")
        case "killed" if first_time(image):
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            Path(f"{image}.pid").write_text(str(os.getpid()))
            print('{"logs": [{"vertex": "v", "data": "cmVhZHkK"}]}', file=sys.stderr, flush=True)  # noqa: T201 (as below)
            time.sleep(600)
        case "secret":
            Path(f"{image}.secret").write_text(os.environ["TOKEN"])
        case "too-much":
            Path(metadata).write_text("x" * 10_000)
            return 0
        case "no-metadata":
            return 0
        case _:
            pass
    if image.startswith("test:"):
        return 0
    wanted = platforms.split(",")[:1] if behaviour == "half" else platforms.split(",")
    if layout == "-":
        digest = Path(f"{image}.pushed").read_text()
    else:
        digest = write(Path(layout), image, wanted, lone=behaviour == "lone")
    Path(metadata).write_text(json.dumps({"containerimage.digest": digest}))
    return 0


def fail(message: str) -> int:
    """What buildx prints."""
    print("plain line", file=sys.stderr)  # noqa: T201 (it is a program)
    print(f"ERROR: failed to solve: {message}", file=sys.stderr)  # noqa: T201 (as above)
    return 1


def first_time(image: str) -> bool:
    """Whether this program runs for the first time for this image."""
    mark = Path(f"{image}.tried")
    if mark.exists():
        return False
    mark.touch()
    return True


def write(folder: Path, image: str, platforms: list[str], *, lone: bool) -> str:
    """Write a layout; the digest of its root."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    manifests = [manifest(folder, image, platform) for platform in platforms]
    if lone:
        root = {key: value for key, value in manifests[0].items() if key != "platform"}
    else:
        index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": manifests}
        root = blob(folder, json.dumps(index).encode(), OCI + "index.v1+json")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(root["digest"])


def manifest(folder: Path, image: str, platform: str) -> dict[str, object]:
    """An image of one layer."""
    system, architecture = platform.split("/")[:2]
    layer = blob(folder, f"{image} for {platform}".encode(), OCI + "layer.v1.tar")
    rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
    config = {"os": system, "architecture": architecture, "rootfs": rootfs}
    content = {
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": blob(folder, json.dumps(config).encode(), OCI + "config.v1+json"),
        "layers": [layer],
    }
    described = blob(folder, json.dumps(content).encode(), OCI + "manifest.v1+json")
    return {**described, "platform": {"os": system, "architecture": architecture}}


def blob(folder: Path, content: bytes, media_type: str) -> dict[str, object]:
    """Write a blob; its descriptor."""
    name = hashlib.sha256(content).hexdigest()
    (folder / "blobs" / "sha256" / name).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(content)}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:6]))
