"""`conda-lock.yml` is created, updated and checked: the host's side. The child solves and writes (see `solving`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from isobench.environments.conda import engine, provider
from isobench.environments.specs import Spec, text_of
from isobench.errors import ProvisionError, UsageError
from isobench.record import record
from isobench.system import leftovers
from isobench.system.files import write_atomically


@record(frozen=True, slots=True, kw_only=True)
class Change:
    """The result of locking: a line for each package that changed; the platforms whose lock was out of date."""

    packages: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()


def lock(
    spec: Spec,
    *,
    platforms: Sequence[str] = (),
    update: Sequence[str] = (),
    check: bool = False,
    progress: Callable[[str], None],
) -> Change:
    """Update `conda-lock.yml` to `environment.yml`; if it is up to date, only the packages named in `update` change.

    `update` of "*" updates all. `check` writes nothing and asks no channel.

    Raises:
        ProvisionError: it can't be solved, the channel is unreachable, or the lock can't be written.
    """
    for platform in platforms:
        if not re.fullmatch(r"(linux|osx|win)-[a-z0-9]+", platform):
            raise UsageError(
                f"there is no platform {platform!r}", hint="--platform takes linux-64, linux-aarch64, osx-arm64."
            )
    progress(f"{spec.name}: {'checking' if check else 'locking'} {spec.environment_file}")
    with leftovers.temporary_folder("lock") as folder:
        draft = folder / spec.conda_lock_file.name
        request = {
            "old": str(spec.conda_lock_file) if spec.conda_lock_file.exists() else None,
            "platforms": list(platforms),
            "update": list(update),
            "check": check,
            "output": str(draft),
        }
        answer = _ask("lock", spec, request, Path(folder), lambda text: progress(f"{spec.name}: {text}"))
        if draft.exists():
            try:
                write_atomically(spec.conda_lock_file, draft.read_text(encoding="utf-8"))
            except OSError as error:
                raise ProvisionError(
                    f"{spec.conda_lock_file} can't be written: {error.strerror}",
                    hint="Copy the environment to a folder that you can write to, and lock it there.",
                ) from None
    return Change(packages=tuple(answer["changed"]), stale=tuple(answer["stale"]))


def pip_part(spec: Spec) -> list[str]:
    """The requirements that `environment.yml` has under `pip:`."""
    text = text_of(spec.environment_file)
    if not re.search(r"^\s*-\s*pip\s*:", text, re.MULTILINE):
        return []  # it need not be read by conda-lock
    with leftovers.temporary_folder("lock") as folder:
        found: list[str] = _ask("read-spec", spec, {}, folder, lambda _text: None)["pip"]
    return found


def _ask(
    action: str, spec: Spec, request: Mapping[str, object], folder: Path, progress: Callable[[str], None]
) -> dict[str, list[str]]:
    try:
        return engine.ask(
            action,
            {**provider.request(), "environment_file": str(spec.environment_file), **request},
            log_file=folder / "rattler.log",
            progress=progress,
        )
    except engine.EngineError as error:
        raise error.as_provision_error(
            f"the conda packages of {spec.name} can't be locked",
            relock=spec.relock,
            spec=str(spec.environment_file),
            keep_log=False,
        ) from None
