"""Which provider installs an environment: the one that the user names, or the best that this machine can use.

The name comes from `--provider` (ISOBENCH_PROVIDER), or from `provider = "..."` in isobench's `config.toml`; by default
it is "auto". `auto` takes an environment that is ready. If there is none, it takes the first provider that can install
one now: conda if the channel of the lock answers within three seconds, else venv; a container only if there is no
other way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from isobench.environments import config, providers, store
from isobench.environments.specs import Spec
from isobench.environments.store import Environment
from isobench.errors import UsageError

AUTO = "auto"


def wanted() -> str:
    """The provider that the user requests.

    Raises:
        UsageError: there is none of that name, or the configuration can't be read.
    """
    value, source = config.value("provider", "ISOBENCH_PROVIDER")
    if value and value not in (AUTO, *providers.NAMES):
        raise UsageError(
            f"there is no provider {value!r} ({source})",
            hint=f"The providers are: {', '.join((AUTO, *providers.NAMES))}.",
        )
    return value or AUTO


def provisioned(spec: Spec) -> Environment | None:
    """The spec's environment that is ready, of the requested provider, or of the first that has one."""
    asked = wanted()
    if asked == AUTO:
        return next(ready(spec), None)
    return store.find(_with(spec, asked))


def ready(spec: Spec) -> Iterator[Environment]:
    """The spec's environments that are ready, in the order of the providers."""
    return filter(None, (store.find(replace(spec, provider=name)) for name in providers.NAMES))


def choose(spec: Spec, *, note: Callable[[str], None]) -> Spec:
    """The spec with its provider; `note` receives one line, which and why, where `auto` had to find out.

    Raises:
        UsageError: the requested provider has nothing to install from.
        ProvisionError: no interpreter was adopted, and one is requested; or there is no lock.
    """
    asked = providers.CONTAINER if spec.in_container else wanted()
    if asked != AUTO:
        return _with(spec, asked)
    found = next(ready(spec), None)
    if found is not None:
        return replace(spec, provider=found.provider)
    candidates = _automatic(spec)
    if not candidates:
        raise spec.unlocked()
    *preferred, last = candidates
    refusals: list[str] = []
    for candidate in preferred:
        refusal = providers.get(candidate.provider).unavailable(candidate)
        if not refusal:
            return _noted(candidate, refusals, note)
        refusals.append(refusal)
    return _noted(last, refusals, note) if preferred else last


def installable(spec: Spec) -> list[Spec]:
    """The spec with each provider that has a lock, or an image, to install from."""
    each = [replace(spec, provider=name) for name in providers.NAMES]
    return [one for one in each if providers.get(one.provider).can_install(one)]


def default(spec: Spec) -> Spec | None:
    """The spec with the provider that `auto` takes if no other is available; None if it can't be installed."""
    return next(reversed(_automatic(spec)), None)


def _automatic(spec: Spec) -> list[Spec]:
    return [one for one in installable(spec) if providers.get(one.provider).is_automatic(one)]


def _noted(spec: Spec, refusals: list[str], note: Callable[[str], None]) -> Spec:
    why = f": {'; '.join(refusals)}" if refusals else ""
    note(f"{spec.name}: using provider {spec.provider} ({providers.get(spec.provider).description}){why}")
    return spec


def _with(spec: Spec, provider: str) -> Spec:
    spec = replace(spec, provider=provider)
    providers.get(provider).require(spec)
    return spec
