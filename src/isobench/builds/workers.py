"""Runs the workers that make builds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.environments import Environment
from isobench.errors import ModelError, WorkerError
from isobench.planning.settings import Settings
from isobench.supervisor import worker_process
from isobench.supervisor.request import Request
from isobench.system import leftovers
from isobench.workers import protocol


@contextmanager
def run_directory(name: str) -> Iterator[Path]:
    """A path for a run directory, which isn't created; at the end it is removed, whatever happens."""
    run_dir = paths.new_run(name)
    try:
        yield run_dir
    finally:
        leftovers.remove(run_dir)


def run_worker(
    script: str | Path,
    arguments: Mapping[str, Any],
    run_dir: Path,
    environment: Environment,
    settings: Settings,
    on_stage: Callable[[str], None],
    *,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """Run a worker (of isobench, or by its path) that builds something; return the members of its `outputs.json`.

    `reads` and `writes` are the files and folders that it needs besides its run directory (see `worker_process.start`),
    `env` environment variables of the user's own.

    Raises:
        ModelError: the worker refused the model.
        WorkerError: it crashed, failed or took too long; its log stays, and the hint names it.
    """
    try:
        with worker_process.start(
            environment,
            paths.WORKERS / script,
            run_dir,
            threads=settings.threads,
            reads=reads,
            writes=writes,
            cwd=cwd,
            own_variables=env,
            resources=settings.build_resources,
        ) as process:
            request = Request(arguments=arguments, threads=settings.threads, seed=settings.seed)
            process.go(request, timeout_s=settings.timeout_s, phase_timeouts_s=settings.phase_timeouts_s)
            return process.finish(on_stage).raw
    except WorkerError as error:
        if not error.refused:
            kept = paths.new_run(Path(script).stem).with_suffix(".log")
            with suppress(OSError):
                (run_dir / protocol.LOG_FILE).rename(kept)
                error.hint = error.hint or f"Full log: {kept}"
            raise
        raise ModelError(
            error.message,
            hint=error.hint,
            details=error.details,
            kind=error.kind,
            phase=error.phase,
            cause=error.cause,
        ) from None
