from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.invocation import DigestOf, Invocation
from orchestrator.api.solve import BuildArg, BuildOptions, Cache, NamedContext, PushOutput, Solve
from orchestrator.buildkit.argv import build_invocation
from orchestrator.oci.platform import parse_platform
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.masked import MaskedCommand, masked_argv, masked_command


def only(word: str) -> str:
    """One word as it is shown."""
    (shown,) = masked_argv((word,))
    return shown


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("https://me:pw@h/x.git", "https://***@h/x.git"),
        ("--build-context=a=https://me:pw@h/x.git", "--build-context=a=https://***@h/x.git"),
        ("--build-arg=NPM_TOKEN=a,b c=d", "--build-arg=NPM_TOKEN=***"),
        ("--build-arg=URL=postgres://me:p,w@db/x", "--build-arg=URL=postgres://***@db/x"),
        ('--build-arg=CONF={"token": "a b"}', '--build-arg=CONF={"token": ***}'),
        ("--label=a.b.password=x", "--label=a.b.password=***"),
        (
            "--cache-to=type=s3,region=r,secret_access_key=a/b+c,session_token=x=,mode=max",
            "--cache-to=type=s3,region=r,secret_access_key=***,session_token=***,mode=max",
        ),
        ('--cache-to=type=gha,"token=a,""b",mode=max', '--cache-to=type=gha,"token=***,mode=max'),
        ("--cache-from=type=azblob,account_key=#x==,name=n", "--cache-from=type=azblob,account_key=***,name=n"),
        ("--password=x", "--password=***"),
        ("-token=x", "-token=***"),
        ("API_KEY=x", "API_KEY=***"),
        ("https://h/x?a=b&token=x&c=d", "https://h/x?a=b&token=***&c=d"),
        ("https://me:pw@h/auth?a=b", "https://***@h/auth?a=b"),
        ("a.example/token=x", "a.example/token=***"),
    ],
)  # fmt: skip
def test_credentials_in_a_word_are_masked(word: str, expected: str) -> None:
    """By the name before `=`, wherever in the word, and in URLs."""
    assert expected == only(word)


@pytest.mark.parametrize(
    "word",
    [
        "docker", "--secret=id=npm_token,env=NPM_TOKEN", "--ssh=deploy-key=/run/agent", "--add-host=auth=10.0.0.1",
        "--build-context=auth=docker-image://r.example/auth@<digest of auth>", "--no-cache", "--target=token",
        "--output=type=image,name=r.example/token-service:run-01,push=true", "--label=title=Auth: tokens",
        "--cache-from=type=registry,ref=r.example/acme/auth:cache", "src/auth", "--build-arg=TOKEN_URL=https://h/x",
        "https://h/x.git#main:token", "--a=b,token=,c", "--metadata-file=<path of metadata.json>", "--", "-", "",
    ],
)  # fmt: skip
def test_other_words_stay_as_they_are(word: str) -> None:
    """Names of images, contexts and secrets are none; and what is shown can be pasted."""
    assert word == only(word)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("login", "--password", "x", "h"), ("login", "--password", "***", "h")),
        (("login", "--password-stdin", "h"), ("login", "--password-stdin", "h")),
        (("x", "--token", "--verbose", "y"), ("x", "--token", "--verbose", "y")),
        (("x", "--secret", "id=a"), ("x", "--secret", "id=a")),
    ],
)
def test_the_value_of_a_flag_may_be_the_next_word(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """But a flag is no value."""
    assert expected == masked_argv(words)


def test_what_buildx_is_given_is_masked() -> None:
    """Every place of a solve that a password can be in; what runs is not touched."""
    wanted = Solve(
        id="solve:x",
        image="x",
        platforms=(parse_platform("linux/amd64"),),
        options=BuildOptions(
            context="https://me:hunter2@h/x.git",
            dockerfile="Dockerfile",
            args=(BuildArg(name="PGPASSWORD", value="hunter2"), BuildArg(name="A", value="ftp://me:hunter2@h")),
            labels=(BuildArg(name="auth", value="hunter2"),),
            cache_from=(Cache(type="gha", attributes=(("token", "hunter2"),)),),
            cache_to=(
                Cache(type="s3", attributes=(("secret_access_key", 'hun,"ter2'), ("session_token", "hunter2"))),
                Cache(type="azblob", attributes=(("account_key", " x '&hunter2"),)),
            ),
        ),
        contexts=(NamedContext(name="lib", value="https://hunter2@h/x.git"),),
        output=PushOutput(reference=parse_reference("r.example/x:1")),
    )
    child = build_invocation(wanted, "default")

    shown = masked_command(child)

    assert "hunter2" in str(child.argv)
    assert "hunter2" not in str(shown)
    assert "ter2" not in str(shown)
    assert len(child.argv) == len(shown.argv)


def test_variables_are_masked_too() -> None:
    """Late values stay in angle brackets."""
    child = Invocation(
        argv=("x", ("--a=", DigestOf(step="s", label="base"))),
        environment=(("X_TOKEN", "y"), ("A", "b=c")),
    )
    expected = MaskedCommand(environment=("X_TOKEN=***", "A=b=c"), argv=("x", "--a=<digest of base>"))
    assert expected == masked_command(child)


@given(st.lists(st.text(max_size=30), max_size=4))
def test_a_command_keeps_its_words(words: list[str]) -> None:
    """As many, and none of them masked into another where there is nothing to hide."""
    shown = masked_argv(tuple(words))
    assert len(words) == len(shown)


def test_names_in_a_masked_value_are_not_looked_at() -> None:
    """Or a word of nothing but names would take minutes."""
    assert "--a=b=token=***" == only("--a=b=" + "token=" * 20_000)
