from __future__ import annotations

import pytest

from orchestrator.registry.pools import find_proxy
from orchestrator.registry.url import Origin, parse_url

PROXY = "http://proxy.example:3128"
HUB = parse_url("https://registry-1.docker.io/").origin


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": "proxy.example:3128"}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "x, .docker.io"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "DOCKER.io"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "registry-1.docker.io:443"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "ker.io,,"}, PROXY),
        ({"HTTPS_PROXY": ""}, None),
    ],
)
def test_proxy(environment: dict[str, str], expected: str | None) -> None:
    """The usual variables are read in either case, `NO_PROXY` names whole parts of a host."""
    assert expected == find_proxy(environment, HUB)


def test_loopback_has_no_proxy() -> None:
    """What is on this machine is never asked through another."""
    origin = Origin(scheme="http", host="127.0.0.1", port=5000)
    assert find_proxy({"HTTP_PROXY": PROXY}, origin) is None
