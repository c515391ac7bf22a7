"""Logins: where they are found, to whom they are sent, and that nobody else sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError, RegistryError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.reference import parse_repository
from orchestrator.registry import open_stores
from orchestrator.registry.failure import RequestError
from orchestrator.registry.logins import Login, Logins
from orchestrator.registry.patience import Patience
from orchestrator.registry.secret import Secrets
from orchestrator.testing.registry import AnswerWith, Basic, Bearer, FakeRegistry, Rewrite
from tests.contract.registry_sample import (
    PASSWORD,
    USERS,
    describe,
    encode,
    login_to,
    make_sample,
    opened,
    put_sample,
    repository_of,
    source_of,
    write_config,
)


class Ended(Model):
    """How a credential helper ended."""

    exit_code: int
    stdout: bytes


class Helper:
    """A `Capture` that answers for one credential helper, and keeps what it was asked."""

    def __init__(self, answers: Mapping[str, bytes], *, exit_code: int = 0) -> None:
        self.asked: list[tuple[tuple[str, ...], bytes]] = []
        self._answers = answers
        self._exit_code = exit_code

    def __call__(
        self, argv: tuple[str, ...], *, env: Mapping[str, str], timeout: float, stdin: bytes, limit: int
    ) -> Ended:
        """Answer by the server on stdin."""
        assert timeout > 0
        assert limit > 0
        assert "HOME" in env
        self.asked.append((argv, stdin))
        return Ended(exit_code=self._exit_code, stdout=self._answers.get(stdin.decode(), b""))


@pytest.mark.parametrize("access", [Basic(users=USERS), Bearer(users=USERS)], ids=["basic", "bearer"])
def test_login_from_config(access: Basic | Bearer, tmp_path: Path) -> None:
    """A login of `docker login` lets push and pull, by password and by token."""
    with FakeRegistry(access=access) as registry, opened(login_to(registry, tmp_path)) as stores:
        store = stores.repository(repository_of(registry))
        index = put_sample(store, make_sample())
        store.put_manifest("1.0", index)
        assert index.digest == store.find("1.0")
        stores.ping(registry.host)


def test_tokens_are_kept(tmp_path: Path) -> None:
    """One token for reading and one for writing serve any number of requests."""
    with FakeRegistry(access=Bearer(users=USERS)) as registry, opened(login_to(registry, tmp_path)) as stores:
        store = stores.repository(repository_of(registry))
        index = put_sample(store, make_sample(), make_sample("linux/arm64"))
        for _ in range(5):
            assert index.digest == store.find(index.digest)
        assert registry.count("GET", "/token.*") == 2


def test_token_that_ends_at_once(tmp_path: Path) -> None:
    """A token whose life is over when it comes is used once, and fetched again for the next request."""
    access = Bearer(users=USERS, seconds=0)
    with FakeRegistry(access=access) as registry, opened(login_to(registry, tmp_path)) as stores:
        store = stores.repository(repository_of(registry))
        assert (store.find("1.0"), store.find("1.0")) == (None, None)
        assert registry.count("GET", "/token.*") == 2


def test_token_taken_away(tmp_path: Path) -> None:
    """A 401 in the middle of a token's life fetches one more, also with a body to be sent."""
    with FakeRegistry(access=Bearer(users=USERS)) as registry, opened(login_to(registry, tmp_path)) as stores:
        store = stores.repository(repository_of(registry))
        put_sample(store, make_sample())
        registry.expire_tokens()
        store.put_manifest("1.0", make_sample().manifest)
        assert registry.count("GET", "/token.*") == 2
        assert registry.count("PUT", ".*/manifests/1.0") == 2


def test_threads_share_a_token(tmp_path: Path) -> None:
    """Many threads that need a token at once make one, not many."""
    with FakeRegistry(access=Bearer(users=USERS)) as registry, opened(login_to(registry, tmp_path)) as stores:
        store = stores.repository(repository_of(registry))
        with ThreadPoolExecutor(8) as pool:
            found: list[Digest | None] = list(pool.map(store.find, [f"1.{number}" for number in range(40)]))
        assert found == [None] * 40
        assert registry.count("GET", "/token.*") == 1


def test_mount_asks_for_both_repositories(tmp_path: Path) -> None:
    """The token for a mount may read the one repository and write the other."""
    with FakeRegistry(access=Bearer(users=USERS)) as registry, opened(login_to(registry, tmp_path)) as stores:
        registry.put_blob("acme/base", b"layer")
        target, base = (stores.repository(repository_of(registry, path)) for path in ("acme/api", "acme/base"))
        assert target.mount_blob(describe(b"layer"), base)


def test_anonymous() -> None:
    """A public repository is read without a login, by an anonymous token."""
    with FakeRegistry(access=Bearer(anonymous=frozenset({"pull"}))) as registry, opened() as stores:
        digest = registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        assert digest == stores.repository(repository_of(registry)).find("1.0")


def test_anonymous_push() -> None:
    """What needs a login says how to log in."""
    with FakeRegistry(access=Bearer(anonymous=frozenset({"pull"}))) as registry, opened() as stores:
        with pytest.raises(RequestError) as caught:
            stores.repository(repository_of(registry)).put_blob(describe(b"x"), source_of(b"x"))
        assert any(f"docker login {registry.host}" in hint for hint in caught.value.hints)
        assert (caught.value.failure.status, caught.value.failure.codes) == (401, ("UNAUTHORIZED",))


@pytest.mark.parametrize("access", [Basic(users=USERS), Bearer(users=USERS)], ids=["basic", "bearer"])
def test_wrong_password(access: Basic | Bearer, tmp_path: Path) -> None:
    """A wrong password fails at once, and is nowhere in the error."""
    wrong = "wrong-password-1"
    with FakeRegistry(access=access) as registry, opened(login_to(registry, tmp_path, wrong)) as stores:
        with pytest.raises(RequestError, match="401") as caught:
            stores.repository(repository_of(registry)).find("1.0")
        assert registry.count(".*", ".*") <= 3
    text = f"{caught.value} {caught.value.hints}"
    assert wrong not in text
    assert encode("ann", wrong) not in text


def test_identity_token(tmp_path: Path) -> None:
    """An identity token is exchanged by POST, and is in no URL."""
    token = "identity-token-of-ann"  # noqa: S105  # of a fake registry
    access = Bearer(identity_tokens=frozenset({token}))
    with FakeRegistry(access=access) as registry:
        entry = {"auth": encode("<token>", ""), "identitytoken": token}
        environment = write_config(tmp_path, {"auths": {registry.host: entry}})
        with opened(environment) as stores:
            assert stores.repository(repository_of(registry)).find("1.0") is None
        assert registry.count("POST", "/token") == 1
        assert not any(token in logged.path for logged in registry.requests)


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_credential_helper(key: str, tmp_path: Path) -> None:
    """A helper is asked for the host on its stdin, once, and its password is used."""
    with FakeRegistry(access=Basic(users=USERS)) as registry:
        helper = Helper({registry.host: json.dumps({"Username": "ann", "Secret": PASSWORD}).encode()})
        environment = write_config(tmp_path, {key: "pass" if key == "credsStore" else {registry.host: "pass"}})
        with open_stores(environment, capture=helper) as stores:
            store = stores.repository(repository_of(registry))
            assert (store.find("1.0"), store.find("2.0")) == (None, None)
    assert [(("docker-credential-pass", "get"), registry.host.encode())] == helper.asked


def test_helper_is_asked_again_after_a_refusal(tmp_path: Path) -> None:
    """A password that has ended is asked for once more: the helpers of clouds make new ones."""
    with FakeRegistry(access=Basic(users=USERS)) as registry:
        answers = {registry.host: b'{"Username":"ann","Secret":"yesterday"}'}
        helper = Helper(answers)
        environment = write_config(tmp_path, {"credsStore": "cloud"})
        with open_stores(environment, capture=helper) as stores:
            store = stores.repository(repository_of(registry))
            with pytest.raises(RequestError, match="401"):
                store.find("1.0")
            answers[registry.host] = json.dumps({"Username": "ann", "Secret": PASSWORD}).encode()
            assert store.find("1.0") is None


@pytest.mark.parametrize(
    ("helper", "told"),
    [
        (Helper({}, exit_code=1), "exit code 1"),
        (None, "was not asked"),
        (Helper({}), "printed no login"),
    ],
    ids=["failed", "none", "garbage"],
)
def test_helper_that_fails(helper: Helper | None, told: str, tmp_path: Path) -> None:
    """A helper that fails is told of when the registry wants a login, and is no trouble where it does not."""
    environment = write_config(tmp_path, {"credsStore": "gone"})
    with FakeRegistry() as registry, open_stores(environment, capture=helper) as stores:
        assert stores.repository(repository_of(registry)).find("1.0") is None
    with (
        FakeRegistry(access=Basic(users=USERS)) as registry,
        open_stores(environment, capture=helper) as stores,
        pytest.raises(RequestError) as caught,
    ):
        stores.repository(repository_of(registry)).find("1.0")
    assert any(told in hint for hint in caught.value.hints)


def test_helper_that_is_not_there(tmp_path: Path) -> None:
    """A helper that cannot be started is a login that is not there."""

    def capture(argv: tuple[str, ...], **_: object) -> Ended:
        msg = f"`{argv[0]}` is not installed"
        raise OrchestratorError(msg)

    logins = Logins(write_config(tmp_path, {"credsStore": "desktop"}), Secrets(), capture)
    assert "not installed" in logins.find("ghcr.io").problem


def test_helper_without_this_login(tmp_path: Path) -> None:
    """A helper that has no login for a host leaves it to the file."""
    config = {"credsStore": "pass", "auths": {"ghcr.io": {"auth": encode("ann", PASSWORD)}}}
    answer = b"credentials not found in native keychain\n"
    logins = Logins(write_config(tmp_path, config), Secrets(), Helper({"ghcr.io": answer}, exit_code=1))
    assert Login(username="ann", password=PASSWORD) == logins.find("ghcr.io")


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "", "/x"])
def test_helper_with_a_path(name: str, tmp_path: Path) -> None:
    """A helper is a name, and starts nothing that is not called `docker-credential-…`."""
    helper = Helper({})
    Logins(write_config(tmp_path, {"credsStore": name}), Secrets(), helper).find("ghcr.io")
    assert helper.asked == []


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("http://ghcr.io/some/path", "ghcr.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry.example:5000", "registry.example:5000"),
    ],
)
def test_names_of_a_registry(key: str, registry: str, tmp_path: Path) -> None:
    """A login is found under every name by which Docker has stored it."""
    logins = Logins(write_config(tmp_path, {"auths": {key: {"auth": encode("ann", "x:y")}}}), Secrets(), None)
    assert Login(username="ann", password="x:y") == logins.find(registry)  # noqa: S106  # of nobody


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("ghcr.io", "evil-ghcr.io"),
        ("ghcr.io", "ghcr.io.evil.example"),
        ("ghcr.io", "ghcr.io:5000"),
        ("registry.example:5000", "registry.example"),
        ("https://index.docker.io/v1/", "index.docker.io.evil.example"),
    ],
)
def test_names_of_another_registry(key: str, registry: str, tmp_path: Path) -> None:
    """A login is for its host and port, and for no other."""
    logins = Logins(write_config(tmp_path, {"auths": {key: {"auth": encode("ann", PASSWORD)}}}), Secrets(), None)
    assert Login() == logins.find(registry)


def test_hub_helper_key(tmp_path: Path) -> None:
    """Docker Hub's login is asked of helpers under the name that `docker login` uses."""
    helper = Helper({"https://index.docker.io/v1/": b'{"Username":"<token>","Secret":"refresh"}'})
    logins = Logins(write_config(tmp_path, {"credsStore": "pass"}), Secrets(), helper)
    assert Login(identity_token="refresh") == logins.find("docker.io")  # noqa: S106  # of nobody


def test_configuration_in_the_environment(tmp_path: Path) -> None:
    """`DOCKER_AUTH_CONFIG` goes before the file, `DOCKER_CONFIG` says where that is."""
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"b.example": {"auth": encode("file", "y")}}}))
    environment = {
        "DOCKER_AUTH_CONFIG": json.dumps({"auths": {"a.example": {"auth": encode("env", "x")}}}),
        "DOCKER_CONFIG": str(tmp_path),
    }
    logins = Logins(environment, Secrets(), None)
    assert (logins.find("a.example").username, logins.find("b.example").username) == ("env", "file")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"auths":[]}', "\x00", "[" * 100_000])
def test_broken_configuration(text: str, tmp_path: Path) -> None:
    """A configuration that is none is an error that shows nothing of it."""
    write_config(tmp_path, {})
    (tmp_path / ".docker" / "config.json").write_text(text)
    with pytest.raises(RegistryError, match="no configuration of Docker"):
        Logins({"HOME": str(tmp_path)}, Secrets(), None).find("ghcr.io")


@pytest.mark.parametrize("environment", [{}, {"HOME": "/nonexistent"}, {"HOME": "/dev/null"}])
def test_no_configuration(environment: dict[str, str]) -> None:
    """Without a configuration there is no login."""
    assert Login() == Logins(environment, Secrets(), None).find("ghcr.io")


@pytest.mark.parametrize("auth", ["%%%", "/w==", "bm9jb2xvbg=="])
def test_damaged_auth(auth: str, tmp_path: Path) -> None:
    """An `auth` that is damaged is no traceback."""
    logins = Logins(write_config(tmp_path, {"auths": {"ghcr.io": {"auth": auth}}}), Secrets(), None)
    assert logins.find("ghcr.io").password == ""


@pytest.mark.parametrize("realm", ["http://192.0.2.1/token", "ftp://x/", "", "http://a:b@127.0.0.1/", "//x\x7f"])
def test_realm_without_tls(realm: str, tmp_path: Path) -> None:
    """A password never goes to a realm that would take it unencrypted over the network."""
    access = Bearer(users=USERS, realm=realm or "http:")
    with FakeRegistry(access=access) as registry, opened(login_to(registry, tmp_path)) as stores:
        with pytest.raises(RegistryError, match=r"without TLS|no legal URL"):
            stores.repository(repository_of(registry)).find("1.0")
        assert registry.count("GET", "/token.*") == 0


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"token":""}', b'{"token":"a\\r\\nX: y"}', b'{"token":7}', b"[" * 9999, b" " * 2_000_000]
)
def test_hostile_token(body: bytes, tmp_path: Path) -> None:
    """A token that is none, or that would end the header, is not sent on."""
    with FakeRegistry(access=Bearer(users=USERS)) as registry, opened(login_to(registry, tmp_path)) as stores:
        registry.fail("GET", "/token.*", Rewrite(body=body), times=0)
        with pytest.raises(RegistryError):
            stores.repository(repository_of(registry)).find("1.0")


@pytest.mark.parametrize("header", ["", "Negotiate", "Bearer", "Digest realm=x", '"', "Bearer realm=" + "x" * 20000])
def test_hostile_challenge(header: str, tmp_path: Path) -> None:
    """A challenge that nobody can answer is a refusal."""
    with FakeRegistry() as registry, opened(login_to(registry, tmp_path)) as stores:
        registry.fail("HEAD", ".*", AnswerWith(status=401, headers={"WWW-Authenticate": header}))
        with pytest.raises(RegistryError):
            stores.repository(repository_of(registry)).find("1.0")


def test_secrets_that_a_registry_repeats(tmp_path: Path) -> None:
    """A registry that writes what it was sent into its error does not get it into ours."""
    signed = "https://cdn.example/blob?X-Amz-Signature=abcdef0123"
    with FakeRegistry(access=Bearer(users=USERS)) as registry, opened(login_to(registry, tmp_path)) as stores:
        store = stores.repository(repository_of(registry))
        assert store.find("1.0") is None
        token = registry.requests[-1].headers["authorization"].removeprefix("Bearer ")
        message = f"{token} {PASSWORD} {encode('ann', PASSWORD)} {signed}"
        body = json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode()
        registry.fail("GET", ".*", AnswerWith(status=403, body=body))
        with pytest.raises(RequestError) as caught:
            store.fetch_manifest("1.0")
    text = f"{caught.value} {caught.value.hints} {caught.value.failure}"
    assert "DENIED: *** *** *** https://cdn.example/blob?…" in text
    assert "abcdef0123" not in text


def test_no_login_goes_to_another_registry(tmp_path: Path) -> None:
    """A registry without a login of its own gets nobody else's."""
    with FakeRegistry(access=Basic(users=USERS)) as registry, FakeRegistry(access=Basic(users=USERS)) as other:
        with opened(login_to(registry, tmp_path)) as stores:
            assert stores.repository(repository_of(registry)).find("1.0") is None
            with pytest.raises(RequestError, match="401"):
                stores.repository(repository_of(other)).find("1.0")
        assert not any("authorization" in logged.headers for logged in other.requests)


def test_hub_answers_at_its_own_host() -> None:
    """`docker.io` is asked at registry-1.docker.io; the proxy here is nobody, so nothing leaves."""
    environment = {"HTTPS_PROXY": "http://ann:proxy-password@127.0.0.1:9"}
    with (
        open_stores(environment, patience=Patience(attempts=1)) as stores,
        pytest.raises(RequestError, match=r"https://registry-1\.docker\.io/v2/library/alpine") as caught,
    ):
        stores.repository(parse_repository("alpine")).find("3")
    assert "proxy-password" not in f"{caught.value} {caught.value.hints}"
