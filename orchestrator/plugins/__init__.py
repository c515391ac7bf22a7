"""Plugins: how backends are found, and how one that misbehaves is named instead of taking the run down."""

from __future__ import annotations

from orchestrator.plugins.find import BrokenPlugin, Found, check_table, configure, find_backends
from orchestrator.plugins.guard import PluginError

__all__ = ["BrokenPlugin", "Found", "PluginError", "check_table", "configure", "find_backends"]
