"""In the child: `environment.yml` is solved by rattler and written as `conda-lock.yml` through conda-lock's own models.

So conda-lock reads it, accepts its content hash, and can install from it. Locked packages stay as they are for as long
as they satisfy the requirements, unless they are named to be updated.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import rattler
from conda_lock.content_hash import backwards_compatible_content_hashes, compute_content_hashes
from conda_lock.lockfile import parse_conda_lock_file, write_conda_lock_file
from conda_lock.lockfile.v1.models import HashModel, LockMeta
from conda_lock.lockfile.v2prelim.models import LockedDependency, Lockfile
from conda_lock.models.lock_spec import LockSpecification, VersionedDependency
from conda_lock.src_parser import make_lock_spec
from conda_lock.virtual_package import FakeRepoData, default_virtual_package_repodata
from rattler import BuildString, Gateway, GenericVirtualPackage, PackageName, RepoDataRecord, Subdir, Version

from isobench.environments.conda import channels
from isobench.environments.conda.events import EventWriter
from isobench.redaction import has_secret

_HEADER = """\
# Made by `isobench env lock` in conda-lock's format, version 1: conda-lock reads it, too. Do not edit it.
"""


class SpecError(Exception):
    """environment.yml can't be used; the message is the reason."""


def read_spec(request: Mapping[str, Any]) -> dict[str, Any]:
    """What environment.yml has besides conda packages: the requirements under `pip:`, and the platforms."""
    content = _yaml(Path(request["environment_file"]))
    pip = [line for part in content["dependencies"] if isinstance(part, dict) for line in part.get("pip") or ()]
    return {"pip": pip, "platforms": list(content.get("platforms") or ())}


def lock(request: Mapping[str, Any], events: EventWriter) -> dict[str, Any]:
    """Solve `environment_file` for `platforms` and write the lock to `output`, with the other platforms of `old`.

    `update` are the names to update ("*": all); `check` solves nothing. The answer: `changed`, a line for each package
    that changed; `stale`, the platforms whose lock was made from another environment.yml.
    """
    file = Path(request["environment_file"])
    content = _yaml(file)
    old = _read(request["old"])
    platforms = request["platforms"] or list(content.get("platforms") or ()) or [request["native"]]
    update = set(request["update"])
    # conda-lock's own defaults, not this machine's: the content hash must be the same on every machine.
    defaults = default_virtual_package_repodata()
    with defaults:
        spec = _specification(file, platforms)
        hashes = compute_content_hashes(spec, defaults)
        stale = [one for one in platforms if not _is_current(old, spec, defaults, one)]
    if request["check"] or not (stale or update):
        return {"changed": [], "stale": stale, "platforms": platforms}
    packages: list[LockedDependency] = []
    for platform in platforms:
        events.write(stage=f"solving for {platform}")
        records = asyncio.run(
            _solve(request, spec, platform, _locked_records(request, old, platform, update), defaults)
        )
        packages += [_locked(record, platform) for record in records]
    fresh = Lockfile(
        package=packages,
        metadata=LockMeta(
            content_hash=hashes, channels=list(spec.channels), platforms=sorted(platforms), sources=[file.name]
        ),
    )
    if old is not None and old.metadata.channels == fresh.metadata.channels:
        others = set(old.metadata.platforms) - set(platforms)
        old.package = [package for package in old.package if package.platform in others]
        fresh = fresh.merge(old)
        fresh.metadata.content_hash = {**fresh.metadata.content_hash, **hashes}
    output = Path(request["output"])
    write_conda_lock_file(fresh, output, metadata_choices=None, include_help_text=False)
    output.write_text(_HEADER + output.read_text(encoding="utf-8"), encoding="utf-8")
    before = _read(request["old"])
    return {
        "changed": _differences(before.package if before else [], parse_conda_lock_file(output).package),
        "stale": stale,
        "platforms": platforms,
    }


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a date that is none
        raise SpecError(f"environment.yml is not YAML\n{error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("dependencies"), list):
        raise SpecError("environment.yml has no list of dependencies")
    addresses = content.get("channels") or []
    if not addresses:
        raise SpecError("environment.yml names no channels")
    if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
        raise SpecError("the channels in environment.yml must be a list of names or addresses")
    for address in addresses:
        if has_secret(address):
            raise SpecError("the address of a channel contains a password or a token, which the lock would reveal")
    return content


def _specification(file: Path, platforms: Sequence[str]) -> LockSpecification:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as no_mapping:
        no_mapping.write("{}")  # conda-lock would fetch a table of names that differ on PyPI; only "pip" is looked up
        no_mapping.flush()
        try:
            return make_lock_spec(src_files=[file], platform_overrides=list(platforms), mapping_url=no_mapping.name)
        except Exception as error:  # noqa: BLE001 - whatever it raises, the file caused it
            raise SpecError(f"conda-lock can't parse environment.yml\n{error}") from None


def _is_current(old: Lockfile | None, spec: LockSpecification, defaults: FakeRepoData, platform: str) -> bool:
    if old is None or platform not in old.metadata.content_hash:
        return False
    return old.metadata.content_hash[platform] in backwards_compatible_content_hashes(spec, defaults, platform)


def _read(file: str | None) -> Lockfile | None:
    if file is None:
        return None
    try:
        return parse_conda_lock_file(Path(file))
    except Exception as error:  # noqa: BLE001 - whatever it raises, the file caused it
        raise channels.LockError(f"damaged\n{error}") from None


def _locked_records(
    request: Mapping[str, Any], old: Lockfile | None, platform: str, update: set[str]
) -> list[RepoDataRecord]:
    """The records of the packages that should stay if they can."""
    if old is None or platform not in old.metadata.platforms or "*" in update:
        return []
    records = channels.locked_records(request["old"], platform)
    unknown = update - {record.name.normalized for record in records}
    if unknown:
        raise SpecError(f"{', '.join(sorted(unknown))} isn't in the lock for {platform}")
    return [record for record in records if record.name.normalized not in update]


async def _solve(
    request: Mapping[str, Any],
    spec: LockSpecification,
    platform: str,
    locked: Sequence[RepoDataRecord],
    defaults: FakeRepoData,
) -> list[RepoDataRecord]:
    native = platform == request["native"]
    gateway = Gateway.from_config(
        channels.config(), cache_dir=channels.cache(request, "repodata"), client=channels.client(request["patience_s"])
    )
    return await rattler.solve(
        [channel.url for channel in spec.channels],
        [_match_spec(dependency) for dependency in spec.dependencies[platform] if dependency.manager == "conda"],
        gateway=gateway,
        platforms=[Subdir(platform), Subdir("noarch")],
        locked_packages=locked,
        virtual_packages=channels.virtual_packages() if native else _assumed(defaults, platform),
    )


def _match_spec(dependency: Any) -> str:
    assert isinstance(dependency, VersionedDependency)
    channel = f"{dependency.conda_channel}::" if dependency.conda_channel else ""
    # To conda, "1.0" means exactly that version; rattler needs it written.
    version = re.sub(r"^(?=\d[\w.!+]*$)", "==", dependency.version) or "*"
    return f"{channel}{dependency.name} {version} {dependency.build or ''}".strip()


def _assumed(defaults: FakeRepoData, platform: str) -> list[GenericVirtualPackage]:
    """The virtual packages that another platform is assumed to have: the newest of conda-lock's defaults."""
    found: dict[str, GenericVirtualPackage] = {}
    for package, platforms in defaults.packages_by_subdir.items():
        version = Version(package.version)
        if platform in platforms and (package.name not in found or version > found[package.name].version):
            found[package.name] = GenericVirtualPackage(PackageName(package.name), version, BuildString(package.build))
    return list(found.values())


def _locked(record: RepoDataRecord, platform: str) -> LockedDependency:
    if not (record.md5 and record.sha256):
        raise SpecError(f"the channel has no MD5 and SHA-256 of {record.file_name}, which the lock needs")
    return LockedDependency(
        name=record.name.normalized,
        version=str(record.version),
        manager="conda",
        platform=platform,
        dependencies=_dependencies(record.depends),
        url=record.url,
        hash=HashModel(md5=record.md5.hex(), sha256=record.sha256.hex()),
        categories={"main"},
    )


def _dependencies(depends: Iterable[str]) -> dict[str, str]:
    """Version by name, as conda-lock writes them: without the build; both versions if a name occurs twice."""
    found: dict[str, str] = {}
    for text in depends:
        name, _, rest = text.partition(" ")
        version = rest.split(" ")[0]
        found[name] = ",".join(filter(None, [found.get(name, ""), version]))
    return found


def _differences(old: Iterable[LockedDependency], new: Iterable[LockedDependency]) -> list[str]:
    before = {(package.platform, package.name): package for package in old}
    after = {(package.platform, package.name): package for package in new}
    lines = []
    for platform, name in sorted(before.keys() | after.keys()):
        was, now = before.get((platform, name)), after.get((platform, name))
        if was is None or now is None or was.url != now.url or was.hash != now.hash:
            lines.append(f"{platform}: {name} {was.version if was else '-'} -> {now.version if now else '-'}")
    return lines
