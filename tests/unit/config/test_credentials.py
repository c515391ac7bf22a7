"""What counts as a credential, by its name and inside of a URL; and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.credentials import hide_userinfo, is_credential, looks_like_credential


@pytest.mark.parametrize(
    "name",
    [
        "NPM_TOKEN", "PASSWORD", "dbPassword", "API_KEY", "SECRET", "aws-secret-access-key", "APIKEY",
        "SSH_PRIVATE_KEY", "GIT_AUTH", "GITHUB_PAT", "pat", "AWS_CREDS", "cred", "PGPASSWORD", "MYSQLPASSWORD",
        "pgpasswd", "GITHUBTOKEN", "CLIENTSECRET", "netrc", ".netrc", "KUBECONFIG", "kubeConfig", "CI_KUBE_CONFIG",
        ".dockerconfigjson", "DOCKER_CONFIG_JSON", "account_key", "STORAGE_KEY", "session_token", "secret_access_key",
    ],
)  # fmt: skip
def test_names_of_credentials(name: str) -> None:
    """By their words, by how these end, and by the files that hold nothing else."""
    assert looks_like_credential(name)


@pytest.mark.parametrize(
    "name",
    [
        "KEY", "CACHE_KEY", "PASSWORD_FILE", "TOKEN_URL", "AUTHOR", "VERSION", "secrets", "secrets-in-args", "PWD", "",
        "PATH", "PATTERN", "COMPATIBLE", "dispatch", "credits", "CREDENTIALS_FILE", "TOKENIZER", "secretary",
        "passwordless", "config", "KUBE_VERSION", "DOCKER_CONFIG", "tokenless", "password-stdin", "NETRC_PATH",
    ],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    """Words decide, not letters; and a place, a size or a switch is not the credential."""
    assert not looks_like_credential(name)


def test_an_image_may_be_called_like_a_credential() -> None:
    """Names of images are no keys of values."""
    assert is_credential(("images", "token-service", "context")) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pw@host/x.git", "https://***@host/x.git"),
        ("https://ghp_0123@github.com/x.git#main", "https://***@github.com/x.git#main"),
        ("HTTPS://a:b@h", "HTTPS://***@h"),
        ("https://a:p@ss@h/x", "https://***@h/x"),
        ("https://a:p#s?s@h/x", "https://***@h/x"),
        ("https://:pw@h", "https://***@h"),
        ("ssh://git:pw@h/x", "ssh://***@h/x"),
        ("A=postgres://app:pw@db/x B=redis://:pw@db", "A=postgres://***@db/x B=redis://***@db"),
        ("`https://a:b@h`: no", "`https://***@h`: no"),
    ],
)
def test_user_information_of_urls_is_hidden(text: str, expected: str) -> None:
    """Name and password, or the token that stands for both; broken URLs too."""
    assert expected == hide_userinfo(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://host/x@v1", "https://host/a:b@c", "https://host:8443/x.git#main", "mail a@b.example",
        "ssh://git@github.com/x.git", "git@github.com:acme/x.git", "docker-image://busybox@sha256:0123",
        "docker-image://repo@<digest of base>", "oci-layout://out@sha256:0123", "https://host and a@b", "image:api",
        "see https://host, or ask a@b",
    ],
)  # fmt: skip
def test_what_is_no_user_information_stays(text: str) -> None:
    """A digest behind `@`, a path with one, and the user of SSH, which is no secret."""
    assert text == hide_userinfo(text)


@given(before=st.text(), after=st.text())
def test_a_password_in_a_url_never_stays(before: str, after: str) -> None:
    """Whatever is around it."""
    assert "hunter2" not in hide_userinfo(f"{before}https://user:hunter2@host/{after}")
