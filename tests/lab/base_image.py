"""A base image for builds: busybox, and nothing that needs a registry to come from.

It is written as OCI blobs by ourselves, always the same bytes, so its digest does not change between runs and the
build cache of one test run is as good as that of another.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.lab.made_once import made_once
from tests.lab.packages import Programs

_CREATED = "2024-01-01T00:00:00Z"
_FOLDERS = ("bin", "sbin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "usr/sbin", "var", "tmp")
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def write_layout(programs: Programs, platforms: Sequence[str]) -> Path:
    """An OCI layout with one index of the given platforms, in the cache; made once.

    Its `index.json` names that one index, tagged `latest`, as buildx's `oci-layout://` without a digest wants it.
    """
    name = "_".join(platform.replace("/", "-") for platform in platforms)
    return made_once(programs.folder / "base" / name, partial(_write, programs, platforms))


def index_digest(layout: Path) -> str:
    """The digest of the index that a layout holds."""
    (descriptor,) = json.loads((layout / "index.json").read_text())["manifests"]
    return str(descriptor["digest"])


def _write(programs: Programs, platforms: Sequence[str], layout: Path) -> None:
    (layout / "blobs/sha256").mkdir(parents=True)
    applets = _applets(programs)
    manifests = [_write_platform(programs, platform, applets, layout) for platform in platforms]
    index = _write_json(layout, _INDEX, {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests})
    tagged = {**index, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    top = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [tagged]}
    (layout / "index.json").write_text(json.dumps(top))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _write_platform(programs: Programs, platform: str, applets: Sequence[str], layout: Path) -> dict[str, object]:
    system, architecture, *variant = platform.split("/")
    described = {"architecture": architecture, "os": system, **({"variant": variant[0]} if variant else {})}
    tar = _layer(programs.busybox(architecture), applets)
    layer = _write_blob(layout, _LAYER, gzip.compress(tar, compresslevel=6, mtime=0))
    config: dict[str, object] = {
        **described,
        "created": _CREATED,
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
        "history": [{"created": _CREATED, "created_by": "busybox"}],
    }
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _write_json(layout, _CONFIG, config),
        "layers": [layer],
    }
    return {**_write_json(layout, _MANIFEST, manifest), "platform": described}


def _applets(programs: Programs) -> list[str]:
    """The names under which busybox is found; asked of ours, since all architectures have the same."""
    listed = subprocess.run([programs.busybox("amd64"), "--list-full"], capture_output=True, text=True, check=True)
    return sorted(set(listed.stdout.split()) - {"bin/busybox"})


def _layer(busybox: Path, applets: Sequence[str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in dict.fromkeys((*_FOLDERS, *(str(Path(applet).parent) for applet in applets))):
            _add(tar, name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755)
        for name, text in _FILES.items():
            _add(tar, name, tarfile.REGTYPE, 0o644, content=text.encode())
        _add(tar, "bin/busybox", tarfile.REGTYPE, 0o755, content=busybox.read_bytes())
        for name in applets:
            _add(tar, name, tarfile.SYMTYPE, 0o777, link="/bin/busybox")
    return content.getvalue()


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, *, content: bytes = b"", link: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
    tar.addfile(entry, io.BytesIO(content))


def _write_json(layout: Path, media_type: str, value: dict[str, object]) -> dict[str, object]:
    return _write_blob(layout, media_type, json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _write_blob(layout: Path, media_type: str, content: bytes) -> dict[str, object]:
    digest = _digest(content)
    (layout / "blobs" / digest.replace(":", "/")).write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
