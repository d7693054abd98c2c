"""Plugins: packages that bring runtimes, tools and sequences (`discovery`), and the files of a new one (`template`)."""

from __future__ import annotations

from isobench.plugins.discovery import (
    GROUP,
    KEYS,
    OWN,
    Plugin,
    announced,
    envs,
    forget,
    loaded,
    worker_file,
)

__all__ = ["GROUP", "KEYS", "OWN", "Plugin", "announced", "envs", "forget", "loaded", "worker_file"]
