"""Manifests for tests that need no more of an environment than its packages."""

from __future__ import annotations

from collections.abc import Mapping

from isobench.environments.manifest import Contents, Interpreter, Manifest, Package, Python


def manifest_of(versions: Mapping[str, str]) -> Manifest:
    """The manifest of an environment with these packages, version by name."""
    packages = tuple(Package(name=name, version=version, record_sha256="") for name, version in versions.items())
    return Manifest(
        name="mine",
        provider="venv",
        identity="",
        platform="linux-x86_64-glibc",
        lock_sha256="",
        lock_file="",
        pyvenv_cfg={},
        contents=Contents(packages=packages, conda_packages=(), unowned={}, fingerprints={}),
        python=Python(version="3.11.9", implementation="CPython", interpreter=Interpreter(path="/usr/bin/python3.11")),
        tools={},
        created_at="2026-01-01T00:00:00+00:00",
    )
