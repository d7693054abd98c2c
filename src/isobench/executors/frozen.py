"""A Case as it was when its task was frozen, and what has changed since then."""

from __future__ import annotations

from collections.abc import Mapping

from isobench.errors import UsageError
from isobench.measuring.case import Case
from isobench.planning.case_key import ENVIRONMENT
from isobench.sweeps.task import PlannedCase, Task
from isobench.system import devices

PLATFORM = "the platform"


def planned(case: Case) -> PlannedCase:
    """The Case with its CaseKey, and what is needed to say later what has changed."""
    return PlannedCase(label=case.label, case_key=str(case.key), parts=_parts(case))


def check(case: Case, task: Task) -> None:
    """Raises:
    UsageError: the Case isn't the one that was frozen; the message says what has changed.
    """
    cases = task.by_architecture.get(devices.architecture(), task.cases)
    frozen = next((one for one in cases if one.label == case.label), None)
    if frozen is None:
        raise UsageError(
            f"the sweep has no case {case.label}, only {', '.join(one.label for one in cases)}: "
            "the models that the script calls have changed since the sweep began",
            hint="Restore the script and resume, or begin another sweep.",
        )
    parts = _parts(case)
    changed = [name for name, value in parts.items() if frozen.parts.get(name, value) != value]
    if PLATFORM in changed:  # each platform has environments of its own
        changed = [name for name in changed if name not in {PLATFORM, ENVIRONMENT}]
    elif not changed and str(case.key) != frozen.case_key:
        changed = ["its settings"]
    if changed:
        raise UsageError(
            f"{case.label} isn't what it was when the sweep began: {_words(changed, frozen.parts, parts)}",
            hint="A sweep doesn't mix two versions. Restore it and resume, or begin another sweep.",
        )


def _parts(case: Case) -> dict[str, str]:
    from isobench.builds.make import RULES
    from isobench.environments.specs import platform_name
    from isobench.version import VERSION

    ours = {"isobench": VERSION, "isobench's rules of builds": str(RULES), PLATFORM: platform_name()}
    return case.key.parts() | ours


def _words(changed: list[str], before: Mapping[str, str], now: Mapping[str, str]) -> str:
    return "; ".join(
        f"{name} changed ({before.get(name) or 'none'}, now {now.get(name) or 'none'})"
        if name in now
        else f"{name} changed"
        for name in changed
    )
