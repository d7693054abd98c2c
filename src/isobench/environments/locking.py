"""`isobench env lock`: locks the conda packages (`environment.yml`), then the Python packages (`requirements.in`).

Not called `lock`: a module of that name would hide the function `isobench.environments.lock`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isobench.environments.specs import NO_PACKAGES, Spec, normalised, text_of
from isobench.environments.uv import requirements_lock
from isobench.errors import ProvisionError, UsageError
from isobench.system.files import write_atomically


def lock(
    spec: Spec,
    *,
    platforms: Sequence[str],
    update: Sequence[str],
    check: bool,
    upgrade: bool,
    progress: Callable[[str], None],
) -> list[str]:
    """Update both locks to what the files request; what is locked stays unless it is named. Returns a line per change.

    `update` names conda packages or Python packages, `upgrade` means all; `platforms` apply to the conda lock only.
    `check` writes nothing: the lines are what would change.

    Raises:
        UsageError: a package to update isn't in a lock, or platforms are given for an environment without conda.
        ProvisionError: the requirements can't be met, or a lock can't be written.
    """
    has_conda = spec.environment_file.exists()
    if platforms and not has_conda:
        raise UsageError(f"--platform needs an environment.yml, and {spec.name} has none", hint="Leave out --platform.")
    of_conda = _locked_by_conda(spec) & set(update)
    of_python = {normalised(name) for name in update} - of_conda
    if of_python and (unknown := sorted(of_python - spec.locked().keys())):
        raise UsageError(f"{', '.join(unknown)} isn't in a lock of {spec.name}", hint=f"Lock it first: {spec.relock}")
    changes = []
    if has_conda:
        changes += _lock_conda(spec, platforms, ["*"] if upgrade else sorted(of_conda), check, progress)
    if not update or of_python:
        changes += _lock_python(spec, sorted(of_python), check, upgrade, progress)
    return changes


def _lock_conda(
    spec: Spec, platforms: Sequence[str], update: Sequence[str], check: bool, progress: Callable[[str], None]
) -> list[str]:
    from isobench.environments.conda import locking as conda_locks

    change = conda_locks.lock(spec, platforms=platforms, update=update, check=check, progress=progress)
    if check:
        return [f"{platform}: conda-lock.yml is out of date" for platform in change.stale]
    return list(change.packages)


def _lock_python(
    spec: Spec, update: Sequence[str], check: bool, upgrade: bool, progress: Callable[[str], None]
) -> list[str]:
    from isobench.environments.conda import locking as conda_locks

    further = conda_locks.pip_part(spec) if spec.environment_file.exists() else []
    if spec.environment_file.exists() and not further and not spec.requirements_file.exists():
        return _lock_nothing(spec, check)
    changed = requirements_lock.lock(
        spec, check=check, upgrade=upgrade, update=update, further=further, progress=progress
    )
    return [f"{spec.lock_file.name}: versions changed"] if changed else []


def _lock_nothing(spec: Spec, check: bool) -> list[str]:
    if spec.lock_file.exists() and text_of(spec.lock_file) == NO_PACKAGES:
        return []
    if not check:
        try:
            write_atomically(spec.lock_file, NO_PACKAGES)
        except OSError as error:
            raise ProvisionError(
                f"{spec.lock_file} can't be written: {error.strerror}",
                hint="Copy the environment to a folder that you can write to, and lock it there.",
            ) from None
    return [f"{spec.lock_file.name}: no packages"]


def _locked_by_conda(spec: Spec) -> set[str]:
    """The names in `conda-lock.yml`, whose lines are as conda-lock writes them."""
    if not spec.conda_lock_file.exists():
        return set()
    lines = text_of(spec.conda_lock_file).splitlines()
    return {line.removeprefix("- name: ").strip(" '\"") for line in lines if line.startswith("- name: ")}
