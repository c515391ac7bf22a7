"""The registries of one run: who is logged in where, over which connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from orchestrator.errors import RegistryError
from orchestrator.oci.reference import Repository
from orchestrator.registry.auth import Account, Authorizer, Clock
from orchestrator.registry.client import OnPut, RepositoryStore
from orchestrator.registry.logins import Capture, Logins
from orchestrator.registry.patience import Patience
from orchestrator.registry.pools import Certificates, Pools
from orchestrator.registry.secret import Secrets
from orchestrator.registry.session import Call, Session
from orchestrator.registry.transport import Transport
from orchestrator.registry.url import Url, find_origin


class RegistryStores:
    """Opens repositories; one pool, one login and one set of tokens for each registry. `Stores` of the engine's ports.

    Made by `open_stores`; closing it closes the connections and ends pauses between tries.
    """

    def __init__(
        self, environment: Mapping[str, str], *, insecure: frozenset[str], capture: Capture | None,
        patience: Patience, pause: Callable[[float], None] | None, on_put: OnPut | None,
    ) -> None:  # fmt: skip
        self._insecure = insecure
        self._patience = patience
        self._on_put = on_put
        self._closed = threading.Event()
        self._pause = pause or self._wait
        self._secrets = Secrets()
        self._clock = Clock(monotonic=time.monotonic, epoch=time.time)
        self._logins = Logins(environment, self._secrets, capture)
        self._certificates = Certificates(environment)
        self._pools = Pools(environment, self._secrets, patience)
        self._transport = Transport(self._pools)
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def repository(self, repository: Repository) -> RepositoryStore:
        """The store of a repository; nothing is asked yet."""
        return RepositoryStore(repository, self._find_session(repository.registry), self._on_put)

    def ping(self, registry: str) -> None:
        """Ask whether a registry answers and takes the login there is for it.

        Raises:
            RegistryError: it does not.
        """
        session = self._find_session(registry)
        session.ask(Call(method="GET", url=Url(origin=session.account.origin, path="/v2/")))

    def close(self) -> None:
        """Close connections that are not in use, and wake up whoever waits to try again."""
        self._closed.set()
        self._pools.close()

    def abort(self) -> None:
        """Close all connections, those in use too: whoever waits for an answer gets an error."""
        self._closed.set()
        self._pools.abort()

    def _find_session(self, registry: str) -> Session:
        with self._lock:
            if registry not in self._sessions:
                self._sessions[registry] = self._open_session(registry)
            return self._sessions[registry]

    def _open_session(self, registry: str) -> Session:
        secured = frozenset({registry} if self._certificates.find(registry) else ())
        account = Account(registry=registry, origin=find_origin(registry, insecure=self._insecure, secured=secured))
        authorizer = Authorizer(account, self._logins, self._transport, self._secrets, self._clock)
        return Session(
            account,
            authorizer,
            self._transport,
            self._secrets,
            patience=self._patience,
            pause=self._pause,
            clock=self._clock,
        )

    def _wait(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            msg = "the connections to registries were closed"
            raise RegistryError(msg)
