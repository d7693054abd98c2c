"""In the child: rattler's configuration on this machine, the virtual packages, and whether a channel answers.

Mirrors are configured in rattler's own `config.toml`, in `/etc/rattler` and `~/.config/rattler` (and in `isobench`
folders beside these); credentials are in its own store or in `RATTLER_AUTH_FILE`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rattler import GenericVirtualPackage, LockFile, RepoDataRecord, VirtualPackage, VirtualPackageOverrides
from rattler.config import Config
from rattler.networking.client import Client
from rattler.package_streaming import PackageArchive

TOOL = "isobench"


class LockError(Exception):
    """The lock can't be used; the message completes the sentence `the lock is ...`."""


def config() -> Config:
    """rattler's configuration, but without hard links: an edit in one environment would reach all others."""
    return Config.load_from_default_locations(TOOL).merge(Config.from_toml("allow-hard-links = false"))


def client(timeout_s: float | None = None) -> Client:
    """A client with mirrors, proxies and credentials; `timeout_s` limits a whole response, body included."""
    timeout = None if timeout_s is None else max(1, round(timeout_s))
    return Client.from_config(config(), timeout=timeout, user_agent=TOOL, max_retries=2)


def cache(request: Mapping[str, Any], part: str) -> Path:
    """The folder of rattler's cache for `part` ("pkgs", "repodata"): as RATTLER_CACHE_DIR says, or isobench's own."""
    folder = Path(os.environ.get("RATTLER_CACHE_DIR") or request["cache"]) / part
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def virtual_packages() -> list[GenericVirtualPackage]:
    """The virtual packages of this machine (`__glibc`, `__cuda`, ...), with those set by CONDA_OVERRIDE_*."""
    return [found.into_generic() for found in VirtualPackage.detect(VirtualPackageOverrides.from_env())]


def locked_records(lock_file: str, platform: str) -> list[RepoDataRecord]:
    """The packages in a lock for a platform.

    Raises:
        LockError: it can't be parsed, or isn't for the platform.
    """
    try:
        environment = LockFile.from_path(Path(lock_file)).default_environment()
    except Exception as error:  # noqa: BLE001 - rattler raises what its parsers raise
        raise LockError(f"damaged\n{error}") from None
    by_platform = environment.conda_repodata_records() if environment else None
    records = (by_platform or {}).get(platform)
    if not records:
        there = ", ".join(sorted(by_platform or ())) or "no platform"
        raise LockError(f"for {there}, not for {platform}")
    return list(records)


def local_path(url: str) -> Path | None:
    """The path in a `file://` URL; None for any other."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def smallest(records: Sequence[RepoDataRecord]) -> RepoDataRecord:
    """A package that is fetched quickly: those for all platforms are small."""
    return min(records, key=lambda record: (record.subdir != "noarch", record.name.source))


async def probe(request: Mapping[str, Any]) -> dict[str, Any]:
    """Read the metadata of one locked package from the URL in the lock, to see whether its channel answers."""
    record = smallest(locked_records(request["lock_file"], request["platform"]))
    path = local_path(record.url)
    if path is not None:
        path.stat()
    else:
        archive = await PackageArchive.from_url(client(request["patience_s"]), record.url)
        await archive.index_json()
    return {"url": record.url}
