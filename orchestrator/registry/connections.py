"""Sockets that are open, known so that they can be shut down under whoever waits for them."""

from __future__ import annotations

import socket
import weakref
from contextlib import suppress

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Connections:
    """Makes the pools of one `Pools`; every connection that they open is known here for as long as it lives."""

    def __init__(self) -> None:
        opened: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()

        class Plain(HTTPConnection):
            def connect(self) -> None:
                opened.add(self)
                super().connect()

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                opened.add(self)
                super().connect()

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self._opened = opened
        self.pool_classes: dict[str, type[HTTPConnectionPool]] = {"http": PlainPool, "https": SecurePool}

    def shut_down(self) -> None:
        """Shut every socket down; a thread that reads from one sees the end of it."""
        for connection in tuple(self._opened):
            if connection.sock is not None:
                with suppress(OSError):  # it was closed a moment ago
                    # not the method of TLS sockets, which takes the session away from under the reading thread
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
