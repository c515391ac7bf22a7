"""Tags in other repositories and registries, and the logins and certificates that these ask for."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab, Registry

pytestmark = pytest.mark.integration

PASSWORD = "correct-horse-4711"  # noqa: S105 (of a registry that lives as long as this module)
WRONG = "wrong-battery-0815"
FILES = {
    "builds.toml": """\
format = 1
[project]
name = "spread"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = [
  "{{ version }}",
  "{{ registry }}/mirror/{{ image }}:{{ version }}",
  "%OTHER%/{{ image }}:{{ version }}",
  { ref = "%OTHER%/{{ image }}:latest", moving = true },
]
[platforms."*"]
emulation = "allow"
[images.base]
[images.api]
""",
    "base/Dockerfile": "FROM %BASE%\nRUN uname -m > /arch\n",
    "api/Dockerfile": "FROM base\nRUN echo api > /api\n",
}


@pytest.fixture(scope="module")
def locked(lab: Lab) -> Iterator[Registry]:
    """A registry with a user and a password."""
    started = lab.new_registry(htpasswd={"ci": PASSWORD})
    yield started
    started.close()


@pytest.fixture(scope="module")
def secured(lab: Lab) -> Iterator[Registry]:
    """A registry that speaks TLS, with a certificate that only the lab's own authority vouches for."""
    started = lab.new_registry(tls=True)
    yield started
    started.close()


def logged_in(lab: Lab, folder: Path, host: str, password: str) -> dict[str, str]:
    """The environment of somebody whose `config.json` has this password, and the lab's tools."""
    shutil.copytree(lab.docker_config, folder, symlinks=True, dirs_exist_ok=True)
    auth = base64.b64encode(f"ci:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder)}


def spread(make_workspace: MakeWorkspace, other: str) -> Workspace:
    """A project whose images are also published at `other`."""
    return make_workspace({**FILES, "builds.toml": FILES["builds.toml"].replace("%OTHER%", other)})


@pytest.fixture(scope="module")
def published(
    lab: Lab, locked: Registry, make_workspace: MakeWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """The project, pushed to its own registry and to the one with a password."""
    workspace = spread(make_workspace, f"{locked.host}/team/project")
    workspace.environ |= logged_in(lab, tmp_path_factory.mktemp("login"), locked.host, PASSWORD)
    workspace.succeed("build", "--push")
    return workspace


@pytest.fixture(scope="module")
def theirs(lab: Lab, published: Workspace) -> Registries:
    """Tools with the login of the workspace."""
    return Registries(lab, DOCKER_CONFIG=published.environ["DOCKER_CONFIG"])


@pytest.mark.parametrize("name", ["base", "api"])
def test_copies_have_the_digest_of_the_original(
    name: str, published: Workspace, theirs: Registries, locked: Registry
) -> None:
    """The same bytes stand in the home, in the other repository and in the other registry, platform by platform."""
    own = f"{published.registry}/{name}:1.2.3"
    copies = [
        f"{published.registry}/mirror/{name}:1.2.3",
        f"{locked.host}/team/project/{name}:1.2.3",
        f"{locked.host}/team/project/{name}:latest",
    ]

    assert [published.digest(name)] * 4 == [theirs.digest(reference) for reference in (own, *copies)]
    assert [theirs.index(own).images] * 3 == [theirs.index(reference).images for reference in copies]


def test_copies_are_whole(published: Workspace, theirs: Registries, locked: Registry) -> None:
    """Both platforms can be pulled from the copy, attestations are there, and `verify` reads every layer of it."""
    copy = f"{locked.host}/team/project/api:1.2.3"

    assert ["x86_64", "aarch64"] == [theirs.file(copy, f"linux/{name}", "arch") for name in ("amd64", "arm64")]
    for digest in theirs.index(copy).attestations.values():
        assert digest == theirs.digest(f"{locked.host}/team/project/api@{digest}")
    published.succeed("verify", "--platform=linux/amd64,linux/arm64", copy)


def test_no_password_is_in_any_file_of_the_run(published: Workspace) -> None:
    """Nor is it in the result, which people hand around."""
    files = [path for path in (published.root / ".orchestrate").rglob("*") if path.is_file()]

    assert [] == [path for path in files if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize("password", [WRONG, ""], ids=["wrong", "none"])
def test_a_wrong_password_stops_before_anything_is_built(
    password: str, lab: Lab, locked: Registry, make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Exit 5, the registry named with how to log in, no password anywhere, nothing built and nothing pushed."""
    workspace = spread(make_workspace, f"{locked.host}/team/project")
    login = logged_in(lab, tmp_path / "login", locked.host, password) if password else {}
    refused = workspace.run("build", "--push", **login)

    assert 5 == refused.exit_code, refused.output
    assert "401" in refused.stderr
    assert f"docker login {locked.host}" in refused.stderr
    assert WRONG not in refused.output
    assert base64.b64encode(f"ci:{WRONG}".encode()).decode() not in refused.output
    assert "solve:" not in refused.stderr
    assert [] == registries.tags(f"{workspace.registry}/base")


def test_a_registry_with_a_private_authority_is_trusted_by_certs_d(
    secured: Registry, make_workspace: MakeWorkspace, lab: Lab, tmp_path: Path
) -> None:
    """The certificate in Docker's own `certs.d` is enough; without it the run stops with exit 5 before building."""
    workspace = spread(make_workspace, f"{secured.host}/team")
    refused = workspace.run("build", "--push", **trusting(lab, tmp_path / "strange"))
    assert 5 == refused.exit_code, refused.output
    assert f"certs.d/{secured.host}/ca.crt" in refused.stderr
    assert "solve:" not in refused.stderr

    assert secured.ca is not None
    home = trusting(lab, tmp_path / "friend")
    folder = tmp_path / "friend/.docker/certs.d" / secured.host
    folder.mkdir(parents=True)
    shutil.copy(secured.ca, folder / "ca.crt")
    workspace.succeed("build", "--push", **home)
    theirs = Registries(lab, SSL_CERT_FILE=str(secured.ca))

    assert workspace.digest("api") == theirs.digest(f"{secured.host}/team/api:latest")


def trusting(lab: Lab, home: Path) -> dict[str, str]:
    """The environment of a user with a home of their own, where Docker's client and its `certs.d` are."""
    shutil.copytree(lab.docker_config, home / ".docker", symlinks=True)
    return {"HOME": str(home), "DOCKER_CONFIG": str(home / ".docker")}


def test_plain_http_is_not_spoken_to_strangers(make_workspace: MakeWorkspace) -> None:
    """A registry that is not on this machine is asked by https alone, whatever a `builds.toml` says."""
    workspace = spread(make_workspace, "registry.invalid:5000/team")
    plan = workspace.run("plan", "--push")

    assert "http://registry.invalid" not in plan.output
    assert "https://registry.invalid:5000" in plan.output
    assert os.environ.get("ORCHESTRATE_INSECURE_REGISTRIES") is None
