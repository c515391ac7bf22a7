"""Certificates for registries that speak TLS: an authority and a certificate for the loopback address."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.failure import LabError

_SUBJECT_OPTIONS = """\
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1, DNS:localhost
extendedKeyUsage = serverAuth
"""
_REQUEST_OPTIONS = """\
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
"""


@dataclass(frozen=True)
class Certificate:
    """Files: what clients trust, what the server shows, and its key."""

    authority: Path
    chain: Path
    key: Path


def create_certificate(openssl: Path, folder: Path) -> Certificate:
    """Make a new authority and have it sign a certificate for 127.0.0.1."""
    (folder / "openssl.cnf").write_text(_REQUEST_OPTIONS)
    (folder / "subject.cnf").write_text(_SUBJECT_OPTIONS)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "openssl.cnf")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "subject.cnf", "-days", "30")
    commands = (
        ("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=lab authority", "-days", "30"),
        ("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1"),
        ("x509", "-req", "-in", "server.csr", *signing, "-out", "server.pem"),
    )
    for command in commands:
        done = subprocess.run([str(openssl), *command], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            msg = f"openssl {command[0]} failed:\n{done.stderr}"
            raise LabError(msg)
    return Certificate(folder / "ca.pem", folder / "server.pem", folder / "server.key")
