"""Which provider lays an environment down: what the user says, or else the best that this machine can have.

The word comes from `--provider` (ISOBENCH_PROVIDER), or from `provider = "..."` in isobench's `config.toml`, and is
"auto" where nobody says. `auto` takes an environment that is there already. If none is, it takes conda where the
channel of the lock answers within three seconds, and venv where not; a container only where there is no other way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from isobench.environments import config, store
from isobench.environments.container import images
from isobench.environments.specs import CONDA_LOCK_FILE, NO_PACKAGES, Spec
from isobench.environments.store import Environment
from isobench.errors import ProvisionError, UsageError

PROVIDERS = ("auto", "conda", "venv", "container", "adopted")
_PROBE_S = 3.0


def wanted() -> str:
    """The provider that the user asks for.

    Raises:
        UsageError: there is none of that name, or the configuration can't be read.
    """
    value, source = config.value("provider", "ISOBENCH_PROVIDER")
    if value and value not in PROVIDERS:
        raise UsageError(
            f"there is no provider {value!r} ({source})", hint=f"the providers are: {', '.join(PROVIDERS)}"
        )
    return value or "auto"


def provisioned(spec: Spec) -> Environment | None:
    """The spec's environment that is there, of the provider that is asked for, or of the first that has one."""
    asked = wanted()
    return next(filter(None, map(store.find, _candidates(spec) if asked == "auto" else [_of(spec, asked)])), None)


def choose(spec: Spec, *, note: Callable[[str], None]) -> Spec:
    """The spec with its provider; `note` is told in one line which and why where `auto` had to find out.

    Raises:
        UsageError: the provider that is asked for has nothing to go by.
        ProvisionError: an adopted interpreter is asked for, and there is none; or there is no lock.
    """
    asked = "container" if spec.in_container else wanted()
    if asked != "auto":
        return _of(spec, asked)
    for candidate in _candidates(spec):
        if store.find(candidate) is not None:
            return candidate
    if _only_in_an_image(spec):
        return _of(spec, "container")
    if not spec.is_locked:
        raise spec.unlocked()
    if not spec.conda_lock_file.exists():
        return _of(spec, "venv")
    if spec.lock_file.exists() and spec.lock_file.read_bytes() == NO_PACKAGES.encode():
        return _of(spec, "conda")  # a venv would be empty
    refusal = _refusal(spec)
    if refusal:
        note(f"{spec.name}: provider venv, since conda can't be had: {refusal}")
        return _of(spec, "venv")
    note(f"{spec.name}: provider conda, whose channel answers")
    return _of(spec, "conda")


def from_locks(spec: Spec) -> list[Spec]:
    """The spec with each provider that there is a lock, or an image, for."""
    if _only_in_an_image(spec):
        return [_of(spec, "container")]
    if not spec.is_locked:
        return []
    conda = [_of(spec, "conda")] if spec.conda_lock_file.exists() else []
    container = [_of(spec, "container")] if images.is_named(spec.folder) else []
    return [*conda, _of(spec, "venv"), *container]


def _candidates(spec: Spec) -> list[Spec]:
    return [*from_locks(spec), replace(spec, provider="adopted")]


def _only_in_an_image(spec: Spec) -> bool:
    """Whether nothing but `container.toml` says how it's to be made."""
    made_otherwise = (spec.lock_file, spec.requirements_file, spec.conda_lock_file, spec.environment_file)
    return (spec.folder / images.FILE).is_file() and not any(file.exists() for file in made_otherwise)


def _of(spec: Spec, provider: str) -> Spec:
    if provider == "conda" and not spec.conda_lock_file.exists():
        raise UsageError(
            f"the {spec.name} environment has no {CONDA_LOCK_FILE}, which the conda provider lays down",
            hint=f"write {spec.environment_file}, then {spec.relock}; or --provider venv",
        )
    if provider == "adopted" and store.adopted(spec.name) is None:
        raise ProvisionError(
            f"no interpreter was adopted for {spec.name}", hint=f"isobench env adopt {spec.name} PREFIX_OR_PYTHON"
        )
    return replace(spec, provider=provider)


def _refusal(spec: Spec) -> str:
    """Why the channel of the lock can't be used now, "" if it can."""
    import tempfile

    from isobench.environments.conda import engine, errors, provider

    with tempfile.TemporaryDirectory(prefix="isobench-probe-") as folder:
        try:
            engine.ask(
                "probe",
                {**provider.request(), "lock_file": str(spec.conda_lock_file)},
                log_file=Path(folder) / "rattler.log",
                silence_s=_PROBE_S,
                limit_s=_PROBE_S,
            )
        except engine.EngineError as error:
            if error.kind == "timeout":
                return f"its channel didn't answer within {_PROBE_S:g} s"
            why, _ = errors.explain(error.kind, error.message)
            return why
    return ""
