"""Whether a lab can be had on this machine at all."""

from __future__ import annotations

import os
import platform
import shutil
import sys

from tests.lab import kernel, packages


def available() -> str | None:
    """None if a lab can be had here, else the reason why not. Cheap: nothing is downloaded or started."""
    if sys.platform != "linux" or packages.debian_release() is None:
        return "the lab is made of Debian packages: this is not a Debian"
    if platform.machine() != "x86_64":
        return f"the lab is made for x86_64: this machine is `{platform.machine()}`"
    if os.geteuid() != 0:
        return "a real engine needs root"
    if not (kernel.may_have(kernel.CAP_SYS_ADMIN) and kernel.may_have(kernel.CAP_NET_ADMIN)):
        return "a real engine needs the capabilities SYS_ADMIN and NET_ADMIN: this looks like a plain container"
    missing = [name for name in ("apt-get", "apt-config", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        return f"missing: {', '.join(missing)}"
    return None
