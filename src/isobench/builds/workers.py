"""Runs the workers that make builds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.environments import Environment
from isobench.errors import ModelError, WorkerError
from isobench.planning.settings import Settings
from isobench.supervisor import worker_process
from isobench.supervisor.request import Request
from isobench.workers import protocol


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
        ModelError: the worker refused the model; the run directory is removed.
        WorkerError: it crashed, failed or took too long; the run directory stays, and the hint names its log.
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
        ) as process:
            request = Request(arguments=arguments, threads=settings.threads, seed=settings.seed)
            process.go(request, timeout_s=settings.timeout_s)
            return process.finish(on_stage).raw
    except WorkerError as error:
        if not error.refused:
            error.hint = error.hint or f"Full log: {run_dir / protocol.LOG_FILE}"
            raise
        shutil.rmtree(run_dir)
        raise ModelError(
            error.message,
            hint=error.hint,
            details=error.details,
            kind=error.kind,
            phase=error.phase,
            cause=error.cause,
        ) from None
