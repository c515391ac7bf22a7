"""Password files for registries."""

from __future__ import annotations

import ctypes
import ctypes.util
import secrets
from collections.abc import Mapping
from pathlib import Path

_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def write_htpasswd(path: Path, users: Mapping[str, str]) -> None:
    """Write names and bcrypt hashes, the only kind that the registry takes."""
    path.write_text("".join(f"{name}:{_bcrypt(password)}\n" for name, password in users.items()))


def _bcrypt(password: str) -> str:
    """By libcrypt, which every Debian has: Python's own `crypt` is gone from 3.13 on."""
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = (
        "".join(secrets.choice(_ALPHABET) for _ in range(21)) + "."
    )  # 22 digits for 16 bytes: the last has spare bits
    answer: bytes | None = library.crypt(password.encode(), f"$2y$05${salt}".encode())
    if answer is None or not answer.startswith(b"$2"):
        msg = "libcrypt knows no bcrypt"
        raise OSError(msg)
    return answer.decode()
