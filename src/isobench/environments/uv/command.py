"""Running uv: where it is, which of the machine's settings it gets, and its errors."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from isobench.environments.specs import text_of
from isobench.environments.uv import errors, pip_settings
from isobench.errors import ProvisionError
from isobench.redaction import redact_file
from isobench.system import process

if TYPE_CHECKING:
    from isobench.environments.install_context import InstallContext
    from isobench.environments.specs import Spec

# Variables that would make uv work on another environment, or on other packages, than those passed here.
_DROPPED = (
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_WORKING_DIR",
    "UV_CONSTRAINT",
    "UV_BUILD_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_EXCLUDE",
    "UV_VENV_SEED",
    "UV_VENV_RELOCATABLE",
    "UV_NO_VERIFY_HASHES",
    "UV_SKIP_WHEEL_FILENAME_CHECK",
    "UV_NO_INSTALLER_METADATA",
    "UV_ENV_FILE",
    "UV_DIRECTORY",
    "UV_CUSTOM_COMPILE_COMMAND",
    "UV_RESOLUTION",
    "UV_PRERELEASE",
    "UV_TARGET",
    "UV_PREFIX",
)
# uv asks sysconfig, whose table two threads must not fill at once (environments are created in parallel).
_ONE_AT_A_TIME = threading.Lock()
# 2.13.0+cpu satisfies 2.13.0, too, and uv prefers it if an index has it.
_WOULD_TAKE_LOCAL = re.compile(r"^([\w.-]+)==(?=[^\s+]+(?:\s|$))", re.MULTILINE)


class UvError(Exception):
    """uv failed; `output` is what it printed, without secrets."""

    def __init__(self, output: str, log_file: Path) -> None:
        super().__init__(output)
        self.output = output
        self.log_file = log_file

    def as_provision_error(self, what: str, *, relock: str, loosen: str, keep_log: bool = True) -> ProvisionError:
        """The error for the user: `what` failed, why, uv's last lines, and what to do (see `errors.explain`)."""
        why, advice = errors.explain(self.output, relock=relock, loosen=loosen)
        log = f"\nlog: {self.log_file}" if keep_log else ""
        return ProvisionError(f"{what}: {why}", hint=advice, details=self.output + log)


@cache
def binary() -> Path:
    """The uv that was installed with isobench, by its absolute path.

    Raises:
        ProvisionError: it is missing.
    """
    import shutil
    import sys

    try:
        import uv

        with _ONE_AT_A_TIME:
            return Path(uv.find_uv_bin()).absolute()
    except (ImportError, FileNotFoundError):
        beside = Path(sys.executable).with_name("uv")
        found = str(beside) if beside.exists() else shutil.which("uv")
        if found is None:
            raise ProvisionError(
                "uv, which installs the environments, was not found",
                hint="Install isobench again, which depends on it: pip install --force-reinstall isobench",
            ) from None
        return Path(found).absolute()


@cache
def version() -> str:
    """uv's version: "0.9.1"."""
    return process.capture([binary(), "--version"], env=environment()[0]).split()[1]


def environment() -> tuple[dict[str, str], list[str]]:
    """The variables for uv, and the arguments that belong to them: pip's settings, without those of another project."""
    # PYTHON*, too: with PYTHONPYCACHEPREFIX the bytecode would be written to another folder.
    env = {name: value for name, value in os.environ.items() if name not in _DROPPED and not name.startswith("PYTHON")}
    settings, arguments = pip_settings.for_uv(env)
    env.update(settings)
    env.setdefault("UV_PYTHON_DOWNLOADS", "never")
    env.setdefault("UV_LINK_MODE", "copy")  # see installing.py
    env["UV_NO_PROGRESS"] = "1"
    env["NO_COLOR"] = "1"
    env["UV_NO_WRAP"] = "1"  # a long path would be moved to a line of its own, and its message not be recognised
    return env, arguments


def run(
    arguments: Sequence[str | Path],
    *,
    log_file: Path,
    env: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run uv in the root folder, above which no project has settings; `env` overrides the usual variables.

    Raises:
        UvError: it failed.
    """
    variables, further = environment()
    takes_index = arguments[:2] in (["pip", "sync"], ["pip", "install"], ["pip", "compile"])
    argv = [binary(), *arguments, *(further if takes_index else [])]
    start = log_file.stat().st_size if log_file.exists() else 0
    with process.temporary_folder(log_file) as temporary:
        status = process.run_logged(
            argv,
            env=variables | {"TMPDIR": temporary} | (env or {}),
            log_file=log_file,
            cwd=Path("/"),
            pass_fds=pass_fds,
        )
    printed = redact_file(log_file, start)
    if status < 0:
        raise UvError(f"{printed}\nuv was killed by signal {-status}".strip(), log_file)
    if status:
        raise UvError("\n".join(printed.splitlines()[-20:]), log_file)


def run_with_torch(
    arguments: Sequence[str | Path],
    *,
    log_file: Path,
    progress: Callable[[str], None],
    env: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> None:
    """`run`; if no configured index has the locked CPU build of torch, once more with PyTorch's own, which uv knows.

    Raises:
        UvError: it failed; after two attempts, the output is that of both.
    """
    try:
        run(arguments, log_file=log_file, env=env, pass_fds=pass_fds)
    except UvError as error:
        if not re.search(errors.NO_TORCH, error.output) or "UV_TORCH_BACKEND" in os.environ:
            raise
        progress("no configured index has the CPU build of torch: trying PyTorch's own")
        soon = {"UV_HTTP_RETRIES": "1", "UV_HTTP_CONNECT_TIMEOUT": "10"}  # it may be unreachable
        try:
            soon |= env or {}
            run([*arguments, "--torch-backend", "cpu"], log_file=log_file, env=soon, pass_fds=pass_fds)
        except UvError as second:
            raise UvError(f"{error.output}\n{second.output}", log_file) from None


def install_locked(spec: Spec, context: InstallContext, *, command: str) -> None:
    """Install the spec's locked packages for `context.folder/bin/python`: `pip sync`, or `pip install` without solving.

    Raises:
        UvError: it failed.
    """
    exactly = context.folder / "requirements.txt"
    arguments: list[str | Path] = ["pip", command, "--require-hashes", "--compile-bytecode"]
    if command == "install":
        arguments += ["--no-deps", "--break-system-packages", "--requirement"]
    arguments += [exactly, "--python", context.folder / "bin" / "python"]
    variables = {}
    if spec.sdists:
        from isobench.environments.uv import sources

        arguments += sources.arguments(spec)
        variables = sources.variables()
    elif not spec.for_script:
        arguments.append("--no-build")  # a build would install packages that no lock names
    exactly.write_text(_WOULD_TAKE_LOCAL.sub(r"\1===", text_of(spec.lock_file)), encoding="utf-8")
    try:
        run_with_torch(
            arguments,
            log_file=context.log_file,
            env=variables,
            pass_fds=[context.lock],
            progress=context.progress,
        )
    finally:
        exactly.unlink(missing_ok=True)
