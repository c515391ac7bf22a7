"""Network bridges for the engines' containers, made by ioctl so that no tool has to be installed.

An engine refuses to `RUN` anything without a bridge, and two engines cannot share one.
"""

from __future__ import annotations

import fcntl
import ipaddress
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

POOL = ipaddress.IPv4Network("198.18.0.0/15")  # kept for benchmarks of networks (RFC 2544), so hardly ever in use
_ADD_BRIDGE, _DELETE_BRIDGE = 0x89A0, 0x89A1
_GET_FLAGS, _SET_FLAGS, _SET_ADDRESS, _SET_NETMASK = 0x8913, 0x8914, 0x8916, 0x891C
_UP = 1


def create(name: str) -> None:
    """Make the bridge `name` with an address of a network that nobody else here uses."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as control:
        fcntl.ioctl(control, _ADD_BRIDGE, name.encode() + b"\0")
        for _ in range(100):
            network = random.choice(list(POOL.subnets(new_prefix=24))[1:])  # noqa: S311 - no secret
            if any(used.overlaps(network) for _, used in _routes()):
                continue
            _set_address(control, name, network)
            if not any(used.overlaps(network) for other, used in _routes() if other != name):
                return  # nobody took it while we did
    msg = f"no free network for the bridge {name}"
    raise OSError(msg)


def remove(name: str) -> None:
    """Take the bridge away; that it is gone already is as good."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as control:
        try:
            _set_up(control, name, up=False)
            fcntl.ioctl(control, _DELETE_BRIDGE, name.encode() + b"\0")
        except OSError:
            if name in names():
                raise


def names(prefix: str = "") -> list[str]:
    """The network interfaces whose names start with `prefix`."""
    return [name for _, name in socket.if_nameindex() if name.startswith(prefix)]


def _set_address(control: socket.socket, name: str, network: ipaddress.IPv4Network) -> None:
    for request, address in ((_SET_ADDRESS, network.network_address + 1), (_SET_NETMASK, network.netmask)):
        fcntl.ioctl(control, request, struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, address.packed))
    _set_up(control, name, up=True)


def _set_up(control: socket.socket, name: str, *, up: bool) -> None:
    request = struct.pack("16sH14x", name.encode(), 0)
    (flags,) = struct.unpack("16xH14x", fcntl.ioctl(control, _GET_FLAGS, request))
    flags = flags | _UP if up else flags & ~_UP
    fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH14x", name.encode(), flags))


def _routes() -> Iterator[tuple[str, ipaddress.IPv4Network]]:
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:  # no /proc: nothing to go by, and the pool is an unlikely one
        return
    for fields in map(str.split, lines):
        address, mask = (socket.inet_ntoa(struct.pack("<I", int(fields[index], 16))) for index in (1, 7))
        if mask != "0.0.0.0":  # noqa: S104 - the default route, not an address to listen on
            yield fields[0], ipaddress.IPv4Network(f"{address}/{mask}", strict=False)
