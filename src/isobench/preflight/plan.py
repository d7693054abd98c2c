"""What one call requests, checked before any work starts: `isobench run`, `isobench.benchmark`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isobench import paths, redaction
from isobench.environments import choice
from isobench.errors import UsageError
from isobench.planning import selection
from isobench.planning.models import Model
from isobench.planning.plan import Plan, seconds_to_wait
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import Settings
from isobench.runtimes import registry
from isobench.runtimes.registry import Entry
from isobench.runtimes.worker_rt import not_interleavable
from isobench.system.devices import Device


def plan(
    models: Sequence[str],
    *,
    runtimes: Sequence[str | RuntimeChoice] = (),
    device: str = "x86",
    rt_args: Mapping[str, Any] | None = None,
    script_args: Sequence[str] = (),
    dimensions: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Sequence[str | Path] = (),
    fill: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    interleaved: bool = False,
    wait: bool | float = True,
    results: Path | None = None,
    **settings: Any,
) -> Plan:
    """Check everything that is requested before any work starts. `settings` are the fields of `Settings`.

    `inputs` are files with the values of inputs (or "NAME=FILE"), `fill` are rules for single ones ({"mask": "ones"}).
    `env` are environment variables for the models' workers.

    Raises:
        UsageError: an unknown runtime, device, provider or option, a value that isn't allowed, or a results folder that
            can't be written.
        ModelError: a model's file doesn't exist, or isn't a model.
    """
    chosen_settings = Settings.of(**settings)
    check_interleaved(chosen_settings, interleaved=interleaved)
    where = registry.device(device)
    choices = [_choice(one) for one in runtimes] or [RuntimeChoice(name=registry.default(where))]
    choices = list({str(one): one for one in choices}.values())
    entries = [runtime(one, where, rt_args or {}, interleaved=interleaved) for one in choices]
    check_gpu(where)
    choice.wanted()
    chosen = selection.select(
        models,
        labels=labels,
        script_args=script_args,
        dimensions=dimensions,
        shapes=shapes,
        inputs=inputs,
        fill=fill,
        env=env,
    )
    chosen = fitting(chosen)
    for entry in entries:
        for model in chosen:
            check_tools(entry, model)
    check_folder(results or paths.results())
    return Plan(
        models=tuple(chosen),
        runtimes=tuple(choices),
        device=device,
        settings=chosen_settings,
        rt_args=dict(rt_args or {}),
        interleaved=interleaved,
        wait_s=seconds_to_wait(wait),
        command=command(),
        results=results,
    )


def runtime(chosen: RuntimeChoice, where: Device, rt_args: Mapping[str, Any], *, interleaved: bool) -> Entry:
    """The runtime on a device; its arguments are allowed.

    Raises:
        UsageError: it is unknown or doesn't support the device; an argument isn't allowed; or it can't be interleaved.
    """
    entry = registry.get(chosen, where)
    entry.make(rt_args)
    if interleaved and not entry.cls.interleavable():
        raise not_interleavable(entry.label)
    return entry


def check_interleaved(settings: Settings, *, interleaved: bool) -> None:
    """Raises:
    UsageError: cases that are interleaved have a number of iterations.
    """
    if interleaved and settings.iterations is not None:
        raise UsageError(
            "interleaved cases are measured for a time, not for a number of iterations",
            hint="Use --min-time, --processes and --precision instead of --iterations.",
        )


def check_gpu(where: Device) -> None:
    """Raises:
    UsageError: the device is a GPU that this machine doesn't have.
    """
    if where.is_nvidia:
        from isobench.system import nvidia

        nvidia.gpu(where)


def check_tools(entry: Entry, model: Model) -> None:
    """Raises:
    UsageError: the tools that prepare models for this runtime don't fit the model.
    """
    if entry.default_sequence is not None:
        entry.default_sequence.preparing(model).check(model)


def fitting(models: list[Model]) -> list[Model]:
    """The models with those dimensions and shapes that each has: of several, not all need to have them."""
    if len(models) < 2 or not (models[0].dimensions or models[0].shapes):
        return models
    from isobench.builds import sizes

    return sizes.fitting(models)


def command() -> tuple[str, ...]:
    """The command line of this process, without secrets."""
    return redaction.words(sys.argv)


def check_folder(results: Path) -> None:
    """Raises:
    UsageError: nothing can be written there.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(results, os.W_OK | os.X_OK) else "permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise UsageError(
            f"results can't be saved in {results}: {reason}",
            hint="Choose another folder with --output, or set ISOBENCH_HOME.",
        )


def _choice(given: str | RuntimeChoice) -> RuntimeChoice:
    return RuntimeChoice.parse(given) if isinstance(given, str) else given
