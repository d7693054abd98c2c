"""In the child: a lock is installed into a prefix. Nothing is solved, and the SHA-256 of every archive is verified.

rattler verifies what it downloads, but not what it reads from `file://`; that is done here. Its package cache is
verified file by file before anything is taken from it, and files are copied, not linked, into the prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote

import rattler
from rattler import MatchSpec, PackageRecord, RepoDataRecord
from rattler.install import InstallerReporter
from rattler.package_cache import PackageCache, ValidationMode

from isobench.environments.conda import channels
from isobench.environments.conda.channels import LockError
from isobench.environments.conda.events import EventWriter
from isobench.system import files


class HashMismatchError(Exception):
    """An archive differs from the one in the lock."""


class MachineError(Exception):
    """The machine lacks something that a locked package needs."""


async def install(request: Mapping[str, Any], events: EventWriter) -> dict[str, Any]:
    """Install the packages of `lock_file` for `platform` into `prefix`; return what was installed."""
    records = channels.locked_records(request["lock_file"], request["platform"])
    _check_lock(records)
    _check_machine(records)
    for record in records:
        _check_local(record, events)
    events.write(stage=f"installing {len(records)} packages")
    await rattler.install(
        records,
        request["prefix"],
        platform=rattler.Subdir(request["platform"]),
        package_cache=PackageCache.new_layered(
            [channels.cache(request, "pkgs")], validation_mode=ValidationMode.full()
        ),
        client=channels.client(),
        config=channels.config(),
        reporter=_Reporter(events),  # type: ignore[abstract]  # the protocol's methods have empty bodies, on purpose
        execute_link_scripts=False,
    )
    return {
        "rattler": version("py-rattler"),
        "packages": [
            {
                "name": record.name.normalized,
                "version": str(record.version),
                "build": str(record.build),
                "url": record.url,
                "sha256": (record.sha256 or b"").hex(),
            }
            for record in sorted(records, key=lambda record: record.name.normalized)
        ],
    }


class _Reporter(InstallerReporter):
    """Reports rattler's progress to the host."""

    def __init__(self, events: EventWriter) -> None:
        self._events = events
        self._megabytes: dict[int, int] = {}

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self._events.write(stage=f"fetching {package_name}")
        return operation

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        if progress >> 20 != self._megabytes.get(download_idx):
            self._megabytes[download_idx] = progress >> 20
            self._events.write()

    def on_link_start(self, operation: int, package_name: str) -> int:
        self._events.write(stage=f"installing {package_name}")
        return operation


def _check_lock(records: Sequence[RepoDataRecord]) -> None:
    """Refuse a lock that no solver wrote: with a name or version that differs from the file's, or a package missing."""
    for record in records:
        stem = f"{record.name.normalized}-{record.version}-{record.build}"
        if unquote(record.file_name).removesuffix(".conda").removesuffix(".tar.bz2") != stem:
            raise LockError(f"inconsistent\n{stem} has the file {record.file_name}")
        if not record.sha256:
            raise LockError(f"inconsistent\n{stem} has no SHA-256")
    try:
        PackageRecord.validate(list(records))
    except Exception as error:  # noqa: BLE001 - rattler has no narrower class
        raise LockError(f"inconsistent\n{error}") from None


def _check_machine(records: Sequence[RepoDataRecord]) -> None:
    """Refuse packages that need more than the machine has: a newer C library, a CUDA driver."""
    have = {
        found.name.normalized: PackageRecord(
            found.name.normalized, str(found.version), found.build_string, 0, "noarch", None, None
        )
        for found in channels.virtual_packages()
    }
    for record in records:
        for text in record.depends:
            if text.startswith("__"):
                spec = MatchSpec(text)
                name = text.split()[0]
                if name not in have or not have[name].matches(spec):
                    there = f"{have[name].version}" if name in have else "none"
                    raise MachineError(f"{record.name.normalized} needs {text}; this machine has {there}")


def _check_local(record: RepoDataRecord, events: EventWriter) -> None:
    path = channels.local_path(record.url)
    if path is None:
        return
    events.write()
    actual = files.sha256(path)
    wanted = (record.sha256 or b"").hex()
    if actual != wanted:
        raise HashMismatchError(f"{path} has the SHA-256 {actual}, the lock has {wanted}")
