"""Is an environment still what was installed? Measurements in one that was modified can't be reproduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from isobench.environments import inventory, providers
from isobench.environments.conda import meta
from isobench.environments.manifest import (
    Adopted,
    CondaPackage,
    Contents,
    ImageFacts,
    Manifest,
    Package,
    Python,
)
from isobench.environments.specs import Spec
from isobench.environments.store import Environment, remedy
from isobench.errors import ProvisionError
from isobench.failures import Ending

_SHOWN = 3


def describe(environment: Environment, spec: Spec, tools: Mapping[str, str], activation: Mapping[str, str]) -> Manifest:
    """The manifest of an environment that was just installed: what it holds now is right from now on."""
    provider = providers.get(environment.provider)
    version, implementation = provider.python_release(environment, spec)
    interpreter = provider.interpreter(environment)
    assert interpreter is not None, "its smoke test has just run"
    return manifest(
        environment,
        spec,
        contents(environment),
        python=Python(version=version, implementation=implementation, interpreter=interpreter),
        tools=tools,
        activation=activation,
        container=provider.container_facts(environment.folder),
    )


def manifest(
    environment: Environment,
    spec: Spec,
    contents: Contents,
    *,
    python: Python,
    tools: Mapping[str, str],
    activation: Mapping[str, str],
    container: ImageFacts | None = None,
    adopted: Adopted | None = None,
) -> Manifest:
    """The manifest of an environment with these contents, created now."""
    from datetime import UTC, datetime

    from isobench.environments import specs

    return Manifest(
        name=spec.name,
        provider=environment.provider,
        identity=environment.identity,
        platform=specs.platform_name(),
        lock_sha256=environment.lock_sha256,
        lock_file=str(spec.lock_file) if environment.lock_sha256 else "",
        conda_lock_sha256=environment.conda_lock_sha256,
        pyvenv_cfg=inventory.pyvenv_settings(environment.prefix),
        contents=contents,
        python=python,
        tools=tools,
        activation=activation,
        container=container,
        adopted=adopted,
        created_at=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )


def contents(environment: Environment) -> Contents:
    """What is installed in an environment."""
    of_conda = meta.packages(environment.prefix)
    found = python_packages(environment)
    owned = _owned(environment, found, of_conda)
    return Contents(
        packages=tuple(
            Package(name=package.name, version=package.version, record_sha256=package.record_sha256)
            for package in found.values()
        ),
        conda_packages=tuple(
            CondaPackage(
                name=package.name,
                version=package.version,
                build=package.build,
                url=package.content.get("url", ""),
                record_sha256=package.record_sha256,
            )
            for package in of_conda.values()
        ),
        unowned=inventory.unowned(environment.prefix, _searched(environment), owned),
        fingerprints=_fingerprints(environment),
    )


def python_packages(environment: Environment) -> dict[str, inventory.Package]:
    """The Python packages that uv (or pip) installed. Those that conda packages include are verified with these."""
    found = inventory.packages(environment.site_packages)
    of_conda = {str(environment.prefix / path) for path in meta.owned(meta.packages(environment.prefix))}
    return {name: one for name, one in found.items() if f"{one.dist_info}/METADATA" not in of_conda}


def check(environment: Environment) -> None:
    """Refuse an environment that was modified, in some 10 ms (torch: 60 ms).

    It looks at the lock, the interpreter, the packages with their RECORDs, and at name, size and modification time of
    every file that Python or the loader may read. Where one of these differs, everything is verified in full, so a file
    that was merely touched is no difference.

    Raises:
        ProvisionError: a package was changed, added or removed, or the interpreter is another; the message says which.
    """
    manifest = environment.manifest()
    if _is_of(manifest, environment) and not _looks_modified(environment, manifest):
        return
    problems = verify(environment)
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise ProvisionError(
            f"the {environment.name} environment was modified: {'; '.join(problems[:_SHOWN] + more)}",
            details="\n".join([*problems[_SHOWN:20], f"in {environment.folder}"]),
            hint=remedy(environment),
            kind=Ending.ENVIRONMENT_DRIFT,
        )


def verify(environment: Environment) -> list[str]:
    """Every difference from what was installed, a line each: all files are hashed. [] if there is none."""
    manifest = environment.manifest()
    problems = [] if _is_of(manifest, environment) else ["its manifest belongs to another lock"]
    problems += _interpreter_problems(environment, manifest)
    problems += providers.get(environment.provider).problems(environment, manifest)
    found = python_packages(environment)
    problems += _package_problems(found, manifest.packages)
    for name, lines in sorted(inventory.all_modified(found).items()):
        problems += [f"{found[name]}: {line}" for line in lines]
    of_conda = meta.packages(environment.prefix)
    problems += _package_problems(of_conda, manifest.conda_packages)
    problems += meta.modified(environment.prefix, of_conda)
    then = manifest.contents.unowned
    now = inventory.unowned(environment.prefix, _searched(environment), _owned(environment, found, of_conda))
    problems += [f"{path} was added and belongs to no package" for path in now if path not in then]
    problems += [f"{path} was changed" for path, content in now.items() if then.get(path, content) != content]
    problems += [f"{path} is missing" for path in sorted(then.keys() - now.keys())]
    return problems


def lock_problems(spec: Spec, environment: Environment) -> list[str]:
    """How the Python packages that were installed differ from those in the lock, a line each."""
    found = python_packages(environment)
    locked = providers.get(spec.provider).expected_packages(spec, found)
    return [
        *(f"{name} {version} is locked but not installed" for name, version in locked.items() if name not in found),
        *(f"{package} is installed but not locked" for name, package in found.items() if name not in locked),
        *(
            f"{found[name]} is installed, {version} is locked"
            for name, version in locked.items()
            if name in found and found[name].version != version
        ),
    ]


def _is_of(manifest: Manifest, environment: Environment) -> bool:
    return (manifest.identity, manifest.lock_sha256) == (environment.identity, environment.lock_sha256)


def _watched(environment: Environment) -> dict[str, Path]:
    return providers.get(environment.provider).watched_folders(environment)


def _fingerprints(environment: Environment) -> dict[str, str]:
    return inventory.fingerprints(_watched(environment), environment.site_packages)


def _searched(environment: Environment) -> list[Path]:
    """The folders in which every file must belong to a package."""
    watched = list(_watched(environment).values())
    return watched if meta.is_prefix(environment.prefix) else [*watched, environment.site_packages]


def _owned(
    environment: Environment, found: dict[str, inventory.Package], of_conda: dict[str, meta.CondaPackage]
) -> set[str]:
    return inventory.owned(found.values()) | {f"{environment.prefix}/{path}" for path in meta.owned(of_conda)}


def _looks_modified(environment: Environment, manifest: Manifest) -> bool:
    """Whether names, sizes and times of modification are reason enough to verify everything."""
    if _fingerprints(environment) != manifest.contents.fingerprints:
        return True
    if _interpreter_problems(environment, manifest):
        return True
    found = inventory.packages(environment.site_packages)
    # Of the packages that conda packages include, the fingerprints are enough: their RECORDs don't verify them.
    return any(
        package.name not in found or found[package.name].record_sha256 != package.record_sha256
        for package in manifest.packages
    )


def _package_problems(
    found: Mapping[str, inventory.Package | meta.CondaPackage], installed: Sequence[Package | CondaPackage]
) -> list[str]:
    recorded = {package.name: package for package in installed}
    problems = []
    for name in sorted(found.keys() | recorded.keys()):
        if name not in found:
            problems.append(f"{name} {recorded[name].version} was removed")
        elif name not in recorded:
            problems.append(f"{found[name]} was added")
        elif found[name].version != recorded[name].version:
            problems.append(f"{name} {recorded[name].version} was replaced by {found[name].version}")
        elif found[name].record_sha256 != recorded[name].record_sha256:
            problems.append(f"{found[name]} was reinstalled: its RECORD differs")
    return problems


def _interpreter_problems(environment: Environment, manifest: Manifest) -> list[str]:
    problems = []
    then = manifest.python.interpreter
    now = providers.get(environment.provider).interpreter(environment)
    if now is None:
        problems.append(f"its Python, {then.path}, is missing")
    elif now != then:
        problems.append(f"its Python, {now.path}, was replaced or updated")
    if inventory.pyvenv_settings(environment.prefix) != manifest.pyvenv_cfg:
        problems.append("pyvenv.cfg was changed")
    return problems
