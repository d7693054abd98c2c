"""Look-ups that the tasks of a sweep share: each environment and build is looked for once, what is missing is noted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from isobench import environments
from isobench.console import Unfailing
from isobench.environments import Environment, Spec
from isobench.errors import IsobenchError, unexpected
from isobench.executors.cases import Cases
from isobench.executors.jobs import BuildJob, EnvironmentJob, Job, Made, SequenceJob
from isobench.failures import Phase
from isobench.planning.models import Model
from isobench.runtimes.registry import Entry
from isobench.tools.base import State, build_environment

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.console import Progress
    from isobench.planning.plan import Plan

_Found = TypeVar("_Found")


class MissingError(IsobenchError):
    """A job must be done first."""


class Lookups:
    """What was found, what failed, and the jobs that are missing."""

    def __init__(self, progress: Progress) -> None:
        self.progress = Unfailing(progress)
        self._found: dict[str, object] = {}
        self._errors: dict[str, IsobenchError] = {}
        self._missing: dict[str, Job] = {}
        self._jobs: dict[str, Job] = {}
        self._at_work: set[str] = set()
        self._ended: set[str] = set()

    def once(self, key: str, look: Callable[[], _Found]) -> _Found:
        """What `look` has returned for this key, or the error that it has raised, the first time.

        Raises:
            IsobenchError: the look-up, or the job that it needed, failed. `MissingError`: that job isn't done yet.
        """
        if key in self._errors:
            raise self._errors[key].with_traceback(None)
        if key not in self._found:
            try:
                self._found[key] = look()
            except MissingError:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, the other tasks go on
                self._errors[key] = unexpected(error, "preparing")
                raise self._errors[key] from None
        found: _Found = self._found[key]  # type: ignore[assignment]
        return found

    def lacks(self, key: str, job: Job) -> IsobenchError:
        """The error of a look-up that needs a job."""
        if key in self._ended:
            return IsobenchError(f"{job.label} succeeded, but nothing is found")
        if key not in self._at_work:
            self._jobs[key] = self._missing.setdefault(key, job)
        return MissingError(f"{job.label} isn't done yet")

    def take(self) -> dict[str, Job]:
        """The jobs to do next, by their keys: environments before builds, as builds need them."""
        missing, self._missing = self._missing, {}
        first: dict[str, Job] = {key: job for key, job in missing.items() if isinstance(job, EnvironmentJob)}
        if not first:
            # A build with an ONNX file is used by the runtimes that need none, too.
            made = {_key_of_build(job) for job in missing.values() if isinstance(job, BuildJob) and job.onnx}
            first = {key: job for key, job in missing.items() if not (_has_no_onnx(job) and _key_of_build(job) in made)}
        self._at_work.update(first)
        return first

    def learn(self, key: str, answer: Made | IsobenchError) -> None:
        """Remember what a job has made, or why it failed. An environment is looked for again."""
        self._at_work.discard(key)
        self._ended.add(key)
        if isinstance(answer, IsobenchError):
            self._errors[key] = answer
            job = self._jobs.get(key)
            if isinstance(job, BuildJob) and job.onnx and answer.phase is Phase.RUNNING_SCRIPT:
                # Not its export failed but the script, which would fail without an export, too, and take as long.
                plain = key_of(replace(job, onnx=False))
                self._errors[plain] = answer
                self._missing.pop(plain, None)
        elif answer.builds:
            self._found[key] = answer


class SharedCases(Cases):
    """Makes the Cases of one task's plan from shared look-ups; nothing is installed or built."""

    def __init__(self, plan: Plan, lookups: Lookups) -> None:
        super().__init__(plan, lookups.progress)
        self._lookups = lookups

    def survey(self, model: Model) -> None:
        """Note the environments that are missing, before the builds are known."""
        for entry in self.entries:
            key = f"survey {entry.label} {self.plan.device} {model.path}"
            case = self.case(entry, model)
            with suppress(IsobenchError):  # its Case will say so
                self._lookups.once(key, partial(case.find_environment, self.ready))

    def ready(self, spec: Spec) -> Environment:
        key = f"environment {spec}"
        return self._lookups.once(key, lambda: self._environment(spec, key))

    def _environment(self, spec: Spec, key: str) -> Environment:
        choose = partial(environments.choose, spec, note=self.progress.note)
        chosen = self._lookups.once(f"choice of {spec}", choose)
        found = environments.find(chosen)
        if found is None:
            raise self._lookups.lacks(key, EnvironmentJob(spec=chosen))
        return found

    def builds(self, state: State, *, onnx: bool) -> tuple[Build, ...]:
        job = BuildJob(model=state.model, settings=state.settings, onnx=onnx)
        key = key_of(job)
        return self._lookups.once(key, lambda: self._cached(job, key)).builds

    def _cached(self, job: BuildJob, key: str) -> Made:
        from isobench import builds

        environment = self.ready(build_environment(job.model, self))
        found = builds.find(job.model, onnx=job.onnx, environment=environment, settings=job.settings)
        if found is None:
            raise self._lookups.lacks(key, job)
        return Made(builds=tuple(found))

    def prepared(self, entry: Entry, model: Model) -> State:
        assert entry.choice is not None
        job = SequenceJob(model=model, settings=self.plan.settings, runtime=entry.choice, device=self.plan.device)
        key = f"{_key_of_build(job)} {entry.label} {self.plan.device}"

        def look() -> Made:
            raise self._lookups.lacks(key, job)

        made = self._lookups.once(key, look)
        return replace(State(model=model, settings=self.plan.settings), builds=made.builds, steps=made.steps)


def _has_no_onnx(job: Job) -> bool:
    return isinstance(job, BuildJob) and not job.onnx


def key_of(job: BuildJob) -> str:
    """By which the look-up of a build is known."""
    return f"{_key_of_build(job)} {job.onnx}"


def _key_of_build(job: Job) -> str:
    """What a build depends on besides the files and an ONNX file."""
    assert not isinstance(job, EnvironmentJob)
    settings = job.settings
    return f"{job.kind} {job.model!r} {settings.seed} {settings.opset} {settings.max_depth}"
