"""Is what is installed still what was laid down? A measurement in an environment changed by hand is worth little."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isobench.environments import inventory
from isobench.environments.conda import meta
from isobench.environments.specs import Spec
from isobench.environments.store import Environment, remedy
from isobench.errors import ProvisionError

_SHOWN = 3
# Documentation and data, which nothing loads; conda's own records, which are compared by themselves.
_NOT_WATCHED = ("include", "share", "man", "pkgs", "envs", "conda-meta")


def describe(environment: Environment, spec: Spec, tools: dict[str, str], activation: dict[str, str]) -> dict[str, Any]:
    """The manifest of an environment that was just laid down. What is in it is taken as right from now on."""
    cfg = _pyvenv(environment.prefix)
    version, implementation = cfg.get("version_info", spec.python), cfg.get("implementation", "")
    further = {}
    if environment.provider == "conda":
        version, implementation = meta.packages(environment.prefix)["python"].version, "CPython"
        further = {"conda_lock_sha256": environment.conda_lock_sha256, "activation": activation}
    if environment.image:
        from isobench.environments.container import provider

        further = {"container": provider.facts(environment.folder)}
    python = {"version": version, "implementation": implementation, **_interpreter(environment)}
    return manifest(environment, spec, contents(environment), python=python, tools=tools, **further)


def manifest(environment: Environment, spec: Spec, contents: dict[str, Any], **further: Any) -> dict[str, Any]:
    """A manifest: what there is to say of every environment, its contents, and what is special to it."""
    from datetime import UTC, datetime

    from isobench.environments import specs, store

    return {
        "schema": store.MANIFEST_SCHEMA,
        "name": spec.name,
        "provider": environment.provider,
        "identity": environment.identity,
        "platform": specs.platform_name(),
        "lock_sha256": environment.lock_sha256,
        "lock_file": str(spec.lock_file) if environment.lock_sha256 else "",
        "pyvenv_cfg": _pyvenv(environment.prefix),
        **contents,
        **further,
        "created_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
    }


def contents(environment: Environment) -> dict[str, Any]:
    """The part of a manifest that says what is installed."""
    theirs = meta.packages(environment.prefix)
    found = layer(environment)
    owned = _owned(environment, found, theirs)
    return {
        "packages": [
            {"name": package.name, "version": package.version, "record_sha256": package.record_sha256}
            for package in found.values()
        ],
        "conda_packages": [
            {
                "name": package.name,
                "version": package.version,
                "build": package.build,
                "url": package.content.get("url", ""),
                "record_sha256": package.record_sha256,
            }
            for package in theirs.values()
        ],
        "unowned": inventory.unowned(environment.prefix, _searched(environment), owned),
        "fingerprints": inventory.fingerprints(_tops(environment), environment.site_packages),
    }


def layer(environment: Environment) -> dict[str, inventory.Package]:
    """The Python packages that uv (or pip) installed. Those that conda brought along are conda's to answer for."""
    found = inventory.packages(environment.site_packages)
    theirs = {str(environment.prefix / path) for path in meta.owned(meta.packages(environment.prefix))}
    return {name: one for name, one in found.items() if f"{one.dist_info}/METADATA" not in theirs}


def check(environment: Environment) -> None:
    """Refuse an environment that isn't what was laid down, in some 10 ms (torch: 60 ms).

    It looks at the lock, the interpreter, the packages with their RECORDs, and at name, size and time of change of
    every file that Python or the loader may read. Where something is conspicuous, all is looked at in full, so
    a file that was merely touched is no drift.

    Raises:
        ProvisionError: a package was changed, added or removed, or the interpreter is another; the message says which.
    """
    manifest = environment.manifest()
    expected = (environment.identity, environment.lock_sha256)
    if (manifest["identity"], manifest["lock_sha256"]) == expected and not _conspicuous(environment, manifest):
        return
    problems = verify(environment)
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        told = "; ".join(problems[:_SHOWN] + more)
        source = "was adopted" if environment.provider == "adopted" else "its lock says"
        raise ProvisionError(
            f"the {environment.name} environment isn't what {source} any more: {told}",
            details="\n".join([*problems[_SHOWN:20], f"in {environment.folder}"]),
            hint=remedy(environment),
        )


def verify(environment: Environment) -> list[str]:
    """Every difference from what was laid down, a line each: all files are hashed. Nothing: []."""
    manifest = environment.manifest()
    problems = []
    if (manifest["identity"], manifest["lock_sha256"]) != (environment.identity, environment.lock_sha256):
        problems.append("its manifest is of another lock")
    problems += _interpreter_problems(environment, manifest) + _image_problems(environment, manifest)
    found = layer(environment)
    problems += _package_problems(found, {package["name"]: package for package in manifest["packages"]})
    for name, lines in sorted(inventory.all_altered(found).items()):
        problems += [f"{found[name]}: {line}" for line in lines]
    theirs = meta.packages(environment.prefix)
    problems += _package_problems(theirs, {one["name"]: one for one in manifest.get("conda_packages", ())})
    problems += meta.altered(environment.prefix, theirs)
    then = manifest["unowned"]
    owned = _owned(environment, found, theirs)
    now = inventory.unowned(environment.prefix, _searched(environment), owned)
    problems += [f"{path} was added and belongs to no package" for path in now if path not in then]
    problems += [f"{path} was changed" for path, content in now.items() if then.get(path, content) != content]
    problems += [f"{path} is missing" for path in sorted(then.keys() - now.keys())]
    return problems


def lock_problems(spec: Spec, environment: Environment) -> list[str]:
    """How the packages that were laid down differ from those in the lock, a line each."""
    found = layer(environment)
    built = set(spec.sdists) - found.keys() if spec.provider == "conda" else set()  # they are in conda's layer
    locked = {name: version for name, version in spec.locked().items() if name not in built}
    return [
        *(f"{name} {version} is in the lock and isn't there" for name, version in locked.items() if name not in found),
        *(f"{package} isn't in the lock" for name, package in found.items() if name not in locked),
        *(
            f"{found[name]} is there, the lock says {version}"
            for name, version in locked.items()
            if name in found and found[name].version != version
        ),
    ]


def _tops(environment: Environment) -> dict[str, Path]:
    """The folders besides site-packages whose files count: of a site's own interpreter, none."""
    if environment.provider in {"venv", "container"}:
        return {"bin": environment.prefix / "bin"}
    if not (environment.prefix / meta.FOLDER).is_dir():
        return {}
    folders = [folder for folder in sorted(environment.prefix.iterdir()) if folder.is_dir()]
    return {f"./{folder.name}": folder for folder in folders if folder.name not in _NOT_WATCHED}


def _searched(environment: Environment) -> list[Path]:
    """The folders in which nothing may lie that belongs to no package."""
    tops = list(_tops(environment).values())
    return tops if (environment.prefix / meta.FOLDER).is_dir() else [*tops, environment.site_packages]


def _owned(
    environment: Environment, found: dict[str, inventory.Package], theirs: dict[str, meta.CondaPackage]
) -> set[str]:
    return inventory.owned(found.values()) | {f"{environment.prefix}/{path}" for path in meta.owned(theirs)}


def _conspicuous(environment: Environment, manifest: dict[str, Any]) -> bool:
    """Whether a look at names, sizes and times says that something may be different."""
    if inventory.fingerprints(_tops(environment), environment.site_packages) != manifest["fingerprints"]:
        return True
    if _interpreter_problems(environment, manifest):
        return True
    recorded = {package["name"]: package["record_sha256"] for package in manifest["packages"]}
    found = inventory.packages(environment.site_packages)
    # Of what conda brought along, the fingerprints are enough: its RECORDs are not what it is verified by.
    return any(name not in found or found[name].record_sha256 != sha256 for name, sha256 in recorded.items())


def _package_problems(
    found: Mapping[str, inventory.Package | meta.CondaPackage], recorded: dict[str, dict[str, str]]
) -> list[str]:
    problems = []
    for name in sorted(found.keys() | recorded.keys()):
        if name not in found:
            problems.append(f"{name} {recorded[name]['version']} was removed")
        elif name not in recorded:
            problems.append(f"{found[name]} was added")
        elif found[name].version != recorded[name]["version"]:
            problems.append(f"{name} {recorded[name]['version']} was replaced by {found[name].version}")
        elif found[name].record_sha256 != recorded[name]["record_sha256"]:
            problems.append(f"{found[name]} was installed again: its RECORD is another")
    return problems


def _interpreter_problems(environment: Environment, manifest: dict[str, Any]) -> list[str]:
    problems = []
    then = manifest["python"]
    now = _interpreter(environment)
    if not now:
        problems.append(f"its Python, {then['path']}, is gone")
    elif any(then[key] != value for key, value in now.items()):
        problems.append(f"its Python is another: {now['path']} was replaced or updated")
    if _pyvenv(environment.prefix) != manifest["pyvenv_cfg"]:
        problems.append("pyvenv.cfg was changed")
    return problems


def _interpreter(environment: Environment) -> dict[str, str | int]:
    """Of an image's interpreter only the path is told: its digest says the rest."""
    if environment.image:
        return {"path": os.readlink(environment.python)} if environment.python.is_symlink() else {}  # noqa: PTH115
    return interpreter(environment.python)


def _image_problems(environment: Environment, manifest: dict[str, Any]) -> list[str]:
    """What is the matter with the image; asked in full only, since nothing but its digest says which one is run."""
    if not environment.image:
        return []
    from isobench.environments.container import engine

    found = engine.find().inspect(environment.image)
    if found is None:
        return [f"its image, {environment.image}, is gone"]
    if found["Id"].removeprefix("sha256:") != manifest["container"]["id"].removeprefix("sha256:"):
        return [f"its image is another: {environment.image} has the ID {found['Id']}"]
    return []


def interpreter(python: Path) -> dict[str, str | int]:
    """Path, size and time of change of the file that is really run; {} where it's gone."""
    try:
        path = python.resolve(strict=True)
        status = path.stat()
    except OSError:
        return {}
    return {"path": str(path), "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _pyvenv(folder: Path) -> dict[str, str]:
    """The settings in pyvenv.cfg; {} where it's gone."""
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
