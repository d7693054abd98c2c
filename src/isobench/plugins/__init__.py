"""Plugins: packages that provide runtimes, tools and sequences (`discovery`), and a new plugin's files (`template`)."""

from __future__ import annotations

from isobench.plugins.discovery import (
    GROUP,
    KEYS,
    OWN,
    Plugin,
    announced,
    envs,
    executors,
    forget,
    loaded,
    worker_file,
)

__all__ = ["GROUP", "KEYS", "OWN", "Plugin", "announced", "envs", "executors", "forget", "loaded", "worker_file"]
