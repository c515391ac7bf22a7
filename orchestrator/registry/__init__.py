"""The only place that opens sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.registry.client import OnPut
    from orchestrator.registry.logins import Capture
    from orchestrator.registry.patience import Patience
    from orchestrator.registry.stores import RegistryStores


def open_stores(
    environment: Mapping[str, str],
    *,
    insecure: tuple[str, ...] = (),
    capture: Capture | None = None,
    patience: Patience | None = None,
    pause: Callable[[float], None] | None = None,
    on_put: OnPut | None = None,
) -> RegistryStores:
    """Open registries with the logins, certificates and proxies that the user set up for Docker.

    A registry is spoken to by https. Plain HTTP is for the hosts in `insecure`, and for loopback hosts, unless
    one is on port 443 or has certificates in Docker's `certs.d`.

    Args:
        environment: where `HOME`, `DOCKER_CONFIG`, `DOCKER_AUTH_CONFIG` and the proxies are looked up.
        insecure: `host` or `host:port` of registries that speak plain HTTP; from the user's own
            configuration, never from a repository.
        capture: runs credential helpers: `process.capture`.
        patience: how long to try.
        pause: waits between tries, unless `close` is to end such pauses.
        on_put: told of every manifest that stands, with the tag or the digest that it was put under; by any thread.

    Returns:
        The stores; to be closed, or used in a `with` statement. Threads may share them.
    """
    from orchestrator.registry.patience import Patience  # noqa: PLC0415  # as below
    from orchestrator.registry.stores import RegistryStores  # noqa: PLC0415  # urllib3, which few commands need

    return RegistryStores(
        environment,
        insecure=frozenset(host.lower() for host in insecure),
        capture=capture,
        patience=patience or Patience(),
        pause=pause,
        on_put=on_put,
    )
