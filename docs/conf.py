"""Settings of Sphinx; nothing here needs the network or the package."""

from __future__ import annotations

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "orchestrate"
release = version = _PROJECT["version"]
project_copyright = "the authors of orchestrate"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"orchestrate {release}"
myst_heading_anchors = 3
nitpicky = True
smartquotes = False  # options start with two hyphens
