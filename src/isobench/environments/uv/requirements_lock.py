"""Locks: `requirements.in`, written by a person, resolved to `requirements.txt`, which has the hash of every file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from isobench.environments.specs import Spec, platform_name, text_of
from isobench.environments.uv import command
from isobench.errors import ProvisionError
from isobench.system import leftovers
from isobench.system.files import write_atomically

# The oldest C library that the locks are for; uv resolves for it, on whichever machine it runs.
_PLATFORM = "x86_64-manylinux_2_28"

_PIN = re.compile(r"[A-Za-z0-9][\w.-]*==\d(?:[\w.!+]*\w)?", re.ASCII)
# A whole lock: versions, each with hashes; comments and empty lines.
_SOUND = re.compile(
    rf"(?:{_PIN.pattern}(?:[ \t]+(?:\\\n[ \t]*)?--hash=sha256:[0-9a-f]{{64}})+[ \t]*\n|[ \t]*(?:\#.*)?\n)*", re.ASCII
)


def lock(
    spec: Spec,
    *,
    check: bool,
    upgrade: bool,
    update: Sequence[str] = (),
    further: Sequence[str] = (),
    progress: Callable[[str], None],
) -> bool:
    """Resolve an environment's requirements again; True if a version differs from the lock, or the lock is damaged.

    Locked versions stay as long as they satisfy `requirements.in`, unless `upgrade` or named in `update`; of a damaged
    lock, those that can still be read. `check` writes nothing. `further` are requirements besides those in the file,
    which may then be missing.

    Raises:
        ProvisionError: the requirements can't be met, the index can't be reached, or the lock can't be written.
    """
    progress(f"{spec.name}: resolving {spec.requirements_file}")
    old = text_of(spec.lock_file) if spec.lock_file.exists() else ""
    sound = is_sound(old)
    if not sound:
        progress(f"{spec.name}: the lock is damaged: keeping the versions that can be read")
    with leftovers.temporary_folder("lock") as folder:
        draft = folder / "requirements.txt"
        known = old if sound else "\n".join(_PIN.findall(old))
        draft.write_text("" if upgrade else known, encoding="utf-8")
        options: list[str | Path] = ["--python-platform", _PLATFORM, *(["--upgrade"] if upgrade else [])]
        options += [part for name in update for part in ("--upgrade-package", name)]
        what = f"the requirements of {spec.name} can't be locked"
        wanted = [spec.requirements_file]
        if further:
            listed = Path(folder) / "environment.yml.in"
            listed.write_text("".join(f"{requirement}\n" for requirement in further), encoding="utf-8")
            wanted = [file for file in wanted if file.exists()] + [listed]
        resolve(wanted, draft, spec, options=options, what=what, progress=progress)
        new = draft.read_text(encoding="utf-8")
    changed = not sound or pins(old) != pins(new)
    if not check and new != old:
        try:
            write_atomically(spec.lock_file, new)
        except OSError as error:
            raise ProvisionError(
                f"{spec.lock_file} can't be written: {error.strerror}",
                hint="Copy the environment to a folder that you can write to, and lock it there.",
            ) from None
    return changed


def resolve(
    requirements: list[Path],
    output: Path,
    spec: Spec,
    *,
    options: list[str | Path],
    what: str,
    progress: Callable[[str], None],
    loosen: str = "Loosen one of the versions that uv names.",
) -> None:
    """Let uv resolve requirements for the spec's Python into `output`: with hashes, without URLs and comments.

    `loosen` is the hint for requirements that contradict each other.

    Raises:
        ProvisionError: it failed; the message starts with `what`.
    """
    log_file = output.parent / "uv.log"
    arguments = [
        "pip",
        "compile",
        *requirements,
        "--output-file",
        output,
        "--python-version",
        spec.python,
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--quiet",
        *options,
    ]
    try:
        command.run_with_torch(arguments, log_file=log_file, progress=progress)
    except command.UvError as error:
        raise error.as_provision_error(what, relock=spec.relock, loosen=loosen, keep_log=False) from None
    finally:
        log_file.unlink(missing_ok=True)
    if "://" in output.read_text(encoding="utf-8"):
        raise ProvisionError(
            f"{what}: a requirement is a URL, which a lock must not contain", hint="Name packages and versions only."
        )


def native_options() -> list[str | Path]:
    """The options by which uv resolves for the platform of this machine, or for the oldest compatible one."""
    return ["--python-platform", _PLATFORM] if platform_name() == "linux-x86_64-glibc" else []


def pins(lock_text: str) -> list[str]:
    """The `name==version` lines of a lock, without hashes: two indexes may have different files of one release."""
    return [line.split(" ", 1)[0] for line in lock_text.splitlines() if "==" in line]


def is_sound(lock_text: str) -> bool:
    """Whether every line is that of a lock. (A lock that was cut off between two packages looks sound.)"""
    return _SOUND.fullmatch(lock_text) is not None
