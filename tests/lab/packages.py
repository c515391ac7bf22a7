"""The lab's programs: Debian packages, downloaded once and unpacked into a cache, never installed.

Debian's stable releases have an engine that is too old (no buildx, or one below the minimum), so engine, command line
and `crane` come from a newer suite of the mirror that this machine uses anyway. They need no library but libc.
The rest comes from one stable suite, whatever this machine runs, so that the lab is the same everywhere.
What is in the cache stays as it is; to get newer packages, remove the folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.failure import LabUnavailable
from tests.lab.made_once import made_once

ENGINE_SUITE = "forky"
ENGINE_PACKAGES = ("docker.io", "docker-cli", "docker-buildx", "containerd", "crane")
STABLE_SUITE = "bookworm"
STABLE_PACKAGES = ("runc", "docker-registry", "qemu-user-static", "openssl", "busybox-static")
FOREIGN = {"arm64": "arm64", "arm": "armhf"}  # architecture as Go names it -> as Debian names it
EMULATORS = {"arm64": "aarch64", "arm": "arm"}  # -> as QEMU names it
_LAYOUT = "1"  # raise it when the cache's folders change their meaning
_SKIPPED_SETTINGS = ("APT::Update::", "DPkg::", "Dir", "APT::Architectures", "binary::")


@dataclass(frozen=True)
class Programs:
    """The unpacked packages: `root` for this machine, `foreign/<architecture>` for others."""

    folder: Path

    @property
    def root(self) -> Path:
        """The unpacked packages of this machine's own architecture."""
        return self.folder / "root"

    @property
    def search_path(self) -> str:
        """`PATH` for the engine: ours first, then the system's (`mount`, `mkfs`, ...)."""
        own = (self.root / "usr/sbin", self.root / "usr/bin")
        return ":".join((*map(str, own), "/usr/sbin", "/usr/bin", "/sbin", "/bin"))

    @property
    def buildx(self) -> Path:
        """The buildx plugin; it also runs on its own."""
        return self.root / "usr/libexec/docker/cli-plugins/docker-buildx"

    def program(self, name: str) -> Path:
        """The path of a program by its name.

        Raises:
            FileNotFoundError: the unpacked packages have no such program.
        """
        found = shutil.which(name, path=":".join(str(self.root / part) for part in ("usr/sbin", "usr/bin", "bin")))
        if found is None:
            raise FileNotFoundError(name)
        return Path(found)

    def busybox(self, architecture: str) -> Path:
        """The static busybox of `amd64`, `arm64` or `arm`."""
        root = self.root if architecture == "amd64" else self.folder / "foreign" / architecture
        return root / "bin/busybox"

    def emulator(self, architecture: str) -> Path:
        """The static QEMU that runs programs of `architecture` here."""
        return self.root / f"usr/bin/qemu-{EMULATORS[architecture]}-static"


def cache_folder() -> Path:
    """Where downloads are kept: `ORCHESTRATE_LAB_CACHE`, else a folder of the user's cache."""
    own = os.environ.get("ORCHESTRATE_LAB_CACHE")
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base).absolute() / "orchestrate-lab"


def debian_release() -> str | None:
    """The name of this Debian release, empty if it has none (sid); None if this is no Debian."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
    return fields.get("VERSION_CODENAME", "") if fields.get("ID") == "debian" else None


def _folder() -> Path:
    wanted = (_LAYOUT, ENGINE_SUITE, *ENGINE_PACKAGES, STABLE_SUITE, *STABLE_PACKAGES, *FOREIGN)
    return cache_folder() / hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]


def cached() -> bool:
    """Whether everything is in the cache already, so that no mirror is needed."""
    return _folder().is_dir()


def fetch_programs() -> Programs:
    """Make sure that the programs are in the cache, and say where.

    Raises:
        LabUnavailable: the mirror cannot be reached or does not have the packages.
    """
    return Programs(made_once(_folder(), _fill))


def unpack_system(suite: str, packages: tuple[str, ...], made: Path) -> None:
    """Unpack packages of a suite with all that they depend on, as a root file system in which nothing was set up.

    Raises:
        LabUnavailable: the mirror cannot be reached or does not have the packages.
    """
    with tempfile.TemporaryDirectory(prefix="work-", dir=made.parent) as folder:
        work = Path(folder)
        env = _own_lists(work, f"deb [arch=amd64{_keys()}] {_mirror_here()} {suite} main\n")
        (work / "status").touch()  # nothing is installed, so everything is wanted
        options = ("-q", "-y", "--no-install-recommends", "--download-only", f"-oDir::State::status={work}/status")
        _run(["apt-get", *options, "install", *(f"{name}:amd64" for name in packages)], env)
        archives = sorted((work / "cache/archives").glob("*.deb"))
        # what brings `/bin -> usr/bin` comes before what lies behind it
        for deb in sorted(archives, key=lambda path: not path.name.startswith("base-files_")):
            _run(["dpkg-deb", "-x", str(deb), str(made)], {})


def _fill(made: Path) -> None:
    sys.stderr.write("lab: fetching Debian packages into the cache (about 200 MB, once)\n")
    with tempfile.TemporaryDirectory(prefix="work-", dir=made.parent) as work:
        (made / "debs").mkdir()
        _download(Path(work), made / "debs")
    _unpack(made)


def mirror() -> str:
    """The address of the Debian mirror that this machine is set up to use; empty if there is none."""
    shape = "$(RELEASE) $(COMPONENT) $(REPO_URI)"
    # Without release files apt would list nothing where `apt-get update` was never run.
    lines = _run(["apt-get", "indextargets", "--no-release-info", "--format", shape], {}).splitlines()
    targets = [line.split(" ", 2) for line in lines if line.count(" ") == 2]
    usable = [
        (release, uri) for release, component, uri in targets if component == "main" and not set("-/") & set(release)
    ]
    exact = [uri for release, uri in usable if release == debian_release()]
    return next(iter(exact or [uri for _, uri in usable]), "")


def _mirror_here() -> str:
    address = mirror()
    if not address:
        msg = "no mirror of the Debian archive is set up for apt"
        raise LabUnavailable(msg)
    return address


def _own_lists(work: Path, sources: str) -> dict[str, str]:
    """Lists and caches of our own: the system's package state is read, never written. The environment for apt."""
    for name in ("lists/partial", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    (work / "sources.list").write_text(sources)
    (work / "apt.conf").write_text(_settings(work))
    env = {"APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C"}
    _run(["apt-get", "-q", "--error-on=any", "update"], env)
    return env


def _download(work: Path, debs: Path) -> None:
    address, foreign = _mirror_here(), ",".join(FOREIGN.values())
    env = _own_lists(
        work,
        f"deb [arch=amd64{_keys()}] {address} {ENGINE_SUITE} main\n"
        f"deb [arch=amd64,{foreign}{_keys()}] {address} {STABLE_SUITE} main\n",
    )
    wanted = [f"{name}:amd64/{ENGINE_SUITE}" for name in ENGINE_PACKAGES]
    wanted += [f"{name}:amd64/{STABLE_SUITE}" for name in STABLE_PACKAGES]
    wanted += [f"busybox-static:{debian}/{STABLE_SUITE}" for debian in FOREIGN.values()]
    _run(["apt-get", "-q", "download", *wanted], env, debs)


def _keys() -> str:
    """Debian's keys are not always among those that apt trusts for every source."""
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    trusted = any(Path("/etc/apt/trusted.gpg.d").glob("debian-archive-*"))
    return f" signed-by={keyring}" if keyring.exists() and not trusted else ""


def _settings(work: Path) -> str:
    """The machine's apt settings (proxies, time-outs, checks) without its hooks, which would act on the system."""
    dump = _run(["apt-config", "dump"], {}).splitlines()
    kept = [line for line in dump if not line.startswith(_SKIPPED_SETTINGS)]
    architectures = ("amd64", *FOREIGN.values())
    own = [
        *(f'APT::Architectures:: "{name}";' for name in architectures),
        f'Dir::Etc::sourcelist "{work}/sources.list";',
        'Dir::Etc::sourceparts "-";',
        f'Dir::Etc::parts "{work}/lists/partial";',  # an empty folder
        'Dir::Etc::main "/dev/null";',
        f'Dir::State::Lists "{work}/lists";',
        f'Dir::Cache "{work}/cache";',
        'APT::Sandbox::User "root";',  # the cache may be in a folder that only we can enter
        'Acquire::Check-Valid-Until "false";',  # a frozen mirror will do; signatures are checked all the same
        'Acquire::Check-Date "false";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
    ]
    return "\n".join((*kept, *own)) + "\n"


def _unpack(made: Path) -> None:
    for deb in sorted((made / "debs").glob("*.deb")):
        architecture = next((go for go, debian in FOREIGN.items() if deb.stem.endswith(f"_{debian}")), None)
        target = made / "foreign" / architecture if architecture else made / "root"
        target.mkdir(parents=True, exist_ok=True)
        _run(["dpkg-deb", "-x", str(deb), str(target)], {})
    for emulator in (made / "root/usr/bin").glob("qemu-*"):  # 40 of them, 5 MB each
        if emulator.name not in {f"qemu-{name}-static" for name in EMULATORS.values()}:
            emulator.unlink()


def _run(argv: list[str], env: dict[str, str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            argv, env={**os.environ, **env}, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        msg = f"cannot run `{argv[0]}`: {error}"
        raise LabUnavailable(msg) from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        msg = f"`{' '.join(argv[:3])}` failed with {done.returncode}:\n{said}"
        raise LabUnavailable(msg)
    return done.stdout
