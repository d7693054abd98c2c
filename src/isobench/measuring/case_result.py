"""The Result of a Case: its outcome, and what is known of the Case, its surroundings and its environment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from isobench.errors import IsobenchError, pass_interrupt
from isobench.failures import NO_FAILURES, Ending, Phase, exit_code
from isobench.version import VERSION

if TYPE_CHECKING:
    from isobench.builds import Build
    from isobench.environments import Environment, Spec
    from isobench.measuring.evaluation import CompletedRun
    from isobench.planning.case_key import CaseKey
    from isobench.planning.models import Model, Step
    from isobench.planning.plan import Plan
    from isobench.results import EnvironmentRecord, Failed, Measured, ModelRecord, Provenance, Result, RuntimeRecord
    from isobench.runtimes.registry import Entry
    from isobench.system.devices import Device


class Subject(Protocol):
    """What a Result needs to know of its Case."""

    plan: Plan
    entry: Entry
    model: Model
    build: Build | None
    steps: tuple[Step, ...]
    environment: Environment | None
    spec: Spec | None

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def device(self) -> Device: ...
    @property
    def key(self) -> CaseKey: ...


class CaseResult:
    """Makes the Result of one Case. What a Result that failed lacks is read when it is made, if it can be.

    `arguments` are those of the runtime, as far as they are known.
    """

    def __init__(self, case: Subject) -> None:
        self._case = case
        self._started = datetime.now(UTC)
        self._provenance: Provenance | None = None
        self._model: ModelRecord | None = None
        self._environment: EnvironmentRecord | None = None
        self.arguments: dict[str, Any] = {}

    def begin(self) -> None:
        """The Case starts now."""
        self._started = datetime.now(UTC)

    def gather(self) -> None:
        """Read what the Result says of the machine, the model and the environment, before anything is timed."""
        from isobench.measuring.case_records import model_record
        from isobench.results import Provenance
        from isobench.system import batch, provenance

        environment, container = self._case.environment, None
        if environment is not None and environment.image:
            from isobench.environments.container import running

            container = running.container_record(environment)
        self._provenance = Provenance(host=provenance.host(), container=container, batch=batch.begun())
        self._model = model_record(self._case.model, self._case.build)
        self._environment = self._environment_record()

    def measured(self, outcome: Measured, last: CompletedRun) -> Result:
        """The Result of a measurement; `last` is its last run."""
        from isobench.system import batch

        assert self._provenance is not None
        process, job = last.measurement.outputs.process, batch.ended(self._provenance.batch)
        self._provenance = replace(self._provenance, worker=process, batch=job)
        return self._result(outcome, version=last.version, device_name=last.device_name)

    def failed(self, error: IsobenchError) -> Result:
        """The Result of a Case that wasn't measured. It can be saved, whatever can't be read for it."""
        from isobench import results

        is_kind = isinstance(error.kind, Ending) and error.kind not in NO_FAILURES  # a plugin may have made it
        kind = error.kind if is_kind else Ending.INTERNAL
        outcome = results.Failed(
            kind=kind,
            phase=error.phase if isinstance(error.phase, Phase) else None,
            cause=str(error.cause),
            message=str(error.message),
            hint=str(error.hint),
            details=str(error.details),
            exit_code=exit_code(kind),
        )
        try:
            result = self._result(outcome)
            results.as_bytes(result)
        except BaseException as another:  # noqa: BLE001 - what it can't have mustn't hide why it failed
            pass_interrupt(another)
            return self._bare(outcome)
        return result

    def _bare(self, outcome: Failed) -> Result:
        """A Result for which nothing is read, and nothing that a plugin says is taken."""
        from isobench.measuring.case_records import bare_model_record
        from isobench.results import RuntimeRecord

        entry = self._case.entry
        runtime = RuntimeRecord(name=entry.name, label=entry.label, version="", arguments={})
        return self._made(outcome, bare_model_record(self._case.model, self._case.name), runtime)

    def _result(self, outcome: Measured | Failed, *, version: str = "", device_name: str = "") -> Result:
        from isobench.measuring.case_records import model_record
        from isobench.results import RuntimeRecord

        case = self._case
        runtime = RuntimeRecord(
            name=case.entry.name,
            label=case.entry.label,
            version=version,
            arguments=self.arguments,
            status_stats=case.entry.status_stats,
        )
        made = self._made(
            outcome, self._model or model_record(case.model, case.build), runtime, device_name=device_name
        )
        return replace(
            made,
            case_key=str(case.key),
            environment=self._environment or self._environment_record(),
            provenance=self._provenance or made.provenance,
        )

    def _environment_record(self) -> EnvironmentRecord | None:
        from isobench.measuring.case_records import environment_record

        environment = self._case.environment
        return environment_record(environment, self._case.spec) if environment is not None else None

    def _made(
        self, outcome: Measured | Failed, model: ModelRecord, runtime: RuntimeRecord, *, device_name: str = ""
    ) -> Result:
        from isobench.measuring.case_records import new_id
        from isobench.results import DeviceRecord, Result

        case = self._case
        return Result(
            id=new_id(self._started, case.name, case.entry.label),
            isobench=VERSION,
            started_at=self._started.isoformat(timespec="milliseconds"),
            ended_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            command=case.plan.command,
            model=model,
            runtime=runtime,
            device=DeviceRecord(device=str(case.device), name=device_name),
            environment=None,
            settings=case.plan.settings,
            outcome=outcome,
            steps=case.steps,
            sweep=case.plan.sweep,
        )
