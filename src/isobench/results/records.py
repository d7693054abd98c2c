"""The schema of a Result, as frozen records; `docs/result-schema.md` describes each member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Annotated, Any

from isobench.analysis.correctness import Correctness, Outcome
from isobench.analysis.gpu_noise import GpuSummary
from isobench.analysis.input_sets import InputSets
from isobench.analysis.intervals import FIGURES, Interval
from isobench.analysis.noise import Block, Verdict
from isobench.analysis.summary import Summary
from isobench.analysis.warmup import Warmup
from isobench.codec import OPEN
from isobench.constraints import Count, Deviation, OneOf, Positive, PositiveCount, Seconds, Share, Time, shown
from isobench.errors import ResultError
from isobench.failures import NO_FAILURES, Ending, Phase
from isobench.planning.models import InputValues, Step, TensorSpec
from isobench.planning.plan import SweepPlace
from isobench.planning.settings import Settings
from isobench.record import record
from isobench.system.facts import BatchJob, ContainerFacts, Git, Host

SCHEMA = "isobench.result/3"


@record(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """What was measured. `source_sha256` is of the script or the `.onnx` file; `git` is the checkout that holds it.

    `notes` are what a reader of the figures should know about the model, a sentence each. `env` are environment
    variables of the user's own; of secrets, a hash.
    """

    name: str
    path: str
    source_sha256: str
    script_args: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    class_name: str = ""
    hash: str = ""
    parameters: Count | None = None
    signature: str = ""
    inputs: tuple[TensorSpec, ...] = ()
    weights_sha256: str = ""
    build: str = ""
    inputs_sha256: str = ""
    onnx_sha256: str = ""
    onnx_opset: int | None = None
    exporter: str = ""
    reference: str = ""
    deterministic: bool | None = None
    notes: tuple[str, ...] = ()
    git: Git | None = None
    input_values: tuple[InputValues, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    input_sets: tuple[str, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class RuntimeRecord:
    """What measured it: `arguments` are the runtime's own, all of them, defaults included.

    `label` is what the user chose, `ort` or `ort:spinning=false`: reports call the runtime so. `status_stats` are the
    names of those of its stats that are shown with the latency.
    """

    name: str
    label: str
    version: str
    arguments: Mapping[str, Any]
    status_stats: tuple[str, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """Where it was measured: `family[::part[::config]]`, and the device's name by its maker."""

    device: str
    name: str


@record(frozen=True, slots=True, kw_only=True)
class EnvironmentRecord:
    """The environment. `lock_file` is the path of the lock, `lock_sha256` its hash.

    Both are empty for an adopted interpreter, which isn't built from a lock. `conda_lock_sha256` is of the
    `conda-lock.yml` beside it; `conda_packages` are written `name=version=build`. `image` is the container image by its
    digest; `image_packages` are the image's own Python packages, if the environment uses them.
    """

    name: str
    provider: str
    identity: str
    lock_sha256: str
    lock_file: str
    python: str
    packages: tuple[str, ...]
    conda_lock_sha256: str = ""
    conda_packages: tuple[str, ...] = ()
    image: str = ""
    image_packages: tuple[str, ...] = ()

    @property
    def from_lock(self) -> bool:
        return bool(self.lock_sha256)


@record(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """The time before a warm inference, in seconds. `compile_s` is None where nothing is compiled.

    `start_s` is the start of the interpreter and of its container, if it has one.
    """

    import_s: Seconds | None
    load_s: Seconds | None
    compile_s: Seconds | None
    first_inference_s: Seconds | None
    start_s: float | None = None


@record(frozen=True, slots=True, kw_only=True)
class Run:
    """One worker process. `used` has a flag for each block: do the figures include it? A sample is `group` iterations.

    `timer_s` is the clock's own cost per sample; `samples_file` is relative to the Result's folder.
    """

    started_at: Time
    cold_start: ColdStart
    warmup: Warmup | None
    timer_s: Seconds | None
    group: PositiveCount
    blocks: tuple[Block, ...]
    used: tuple[bool, ...]
    median_s: Positive
    threads: Mapping[str, Any]
    peak_memory_bytes: Count | None
    samples_file: str

    def __post_init__(self) -> None:
        if len(self.used) != len(self.blocks):
            raise ValueError(f"used must have a flag for each of {len(self.blocks)} blocks, got {len(self.used)}")
        if self.blocks and not any(self.used):
            raise ValueError("at least one block must be used")
        requested = self.threads.get("requested")
        if requested is not None and (type(requested) is not int or requested < 0):
            raise ValueError(f"threads.requested must be a whole number, got {shown(requested)}")
        if self.samples_file.startswith("/") or ".." in self.samples_file.split("/") or "\0" in self.samples_file:
            raise ValueError(f"samples_file must be within the result's folder, got {shown(self.samples_file)}")

    def threads_asked(self, settings: Settings) -> int:
        """The requested threads: `--threads`, or the runtime's own argument that overrides it."""
        return int(self.threads.get("requested") or settings.threads)


@record(frozen=True, slots=True, kw_only=True)
class Turns:
    """How Cases were interleaved: each round of each run has one block of every Case.

    `id` is the same for all of them; `place` is this Case's number among them. `order` holds, for each run and round,
    the places in their order, drawn from `seed`.
    """

    id: str
    place: Count
    seed: int
    order: tuple[tuple[tuple[int, ...], ...], ...]


@record(frozen=True, slots=True, kw_only=True)
class Measured:
    """A Case with a measurement.

    `latency` is of the used blocks, `latency_all` of all. `intervals` are 95 % intervals of mean, median, p90 and p99,
    in seconds. They assume that identical runs differ by `noise_floor` (a relative standard deviation, measured or
    assumed as `floor_source` says). On a GPU `latency` is the GPU's own time and `end_to_end` the time from host memory
    to host memory, of the same blocks. `input_sets` compares several sets of inputs, None where there is one.
    """

    latency: Summary
    latency_all: Summary
    intervals: Mapping[str, Interval]
    noise_floor: Deviation
    floor_source: str
    set_aside_s: Seconds
    clean_share: Share
    verdict: Verdict
    correctness: Correctness
    runs: tuple[Run, ...]
    facts: Mapping[str, Any]
    stats: Mapping[str, Any]
    turns: Turns | None = None
    end_to_end: Summary | None = None
    gpu: GpuSummary | None = None
    input_sets: InputSets | None = None
    status: Annotated[str, OneOf("measured")] = "measured"

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("runs must have at least one run")
        missing = [name for name in FIGURES if name not in self.intervals]
        if missing:
            raise ValueError(f"intervals must have {', '.join(missing)}")


@record(frozen=True, slots=True, kw_only=True)
class Failed:
    """A Case without a measurement. `kind` is for programs, `message`, `hint` and `details` are for people.

    `phase` is what the worker was doing, None where none was running. `cause` is an exception's class name, or the word
    of a plugin's worker that is no Ending.
    """

    kind: Ending
    message: str
    hint: str = ""
    details: str = ""
    exit_code: int = 1
    phase: Phase | None = None
    cause: str = ""
    status: Annotated[str, OneOf("failed")] = "failed"

    def __post_init__(self) -> None:
        if self.kind in NO_FAILURES:
            raise ValueError(f"kind must be that of a failure, got {self.kind}")


@record(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Facts about the machine (`host`), the last run's process (`worker`), and the container that it ran in.

    `batch` is the job of a batch system that measured, None outside of any. None and empty where the Case failed before
    they were known.
    """

    host: Host | None = None
    worker: Mapping[str, Any] = field(default_factory=dict)
    container: ContainerFacts | None = None
    batch: BatchJob | None = None

    @property
    def machine(self) -> str:
        """The machine in words, "" where it is unknown: its name (a batch system's own one) and its CPU."""
        if self.host is None:
            return ""
        name = (self.batch.node if self.batch else "") or self.host.hostname
        return f"{name} ({self.host.cpu.model or 'unknown CPU'})"


def ending_of(outputs: str) -> Ending:
    """How a measured Case ended, by the outcome of its outputs."""
    return {Outcome.CORRECT: Ending.OK, Outcome.WRONG: Ending.WRONG_OUTPUTS}.get(Outcome(outputs), Ending.NOT_COMPARED)


@record(frozen=True, slots=True, kw_only=True)
class Result:
    """One Case's outcome. `steps` are the tools that the model went through, the measuring last.

    `case_key` is equal for Results of the same model, measured in the same way (`planning.case_key`); "" in older ones.
    `sweep` is its place in a sweep, None where it was measured by itself.
    """

    id: str
    isobench: str
    started_at: Time
    ended_at: Time
    command: tuple[str, ...]
    model: ModelRecord
    runtime: RuntimeRecord
    device: DeviceRecord
    environment: EnvironmentRecord | None
    settings: Settings
    outcome: Measured | Failed
    provenance: Provenance = field(default_factory=Provenance, metadata=OPEN)
    steps: tuple[Step, ...] = ()
    case_key: str = ""
    sweep: SweepPlace | None = None
    schema: str = SCHEMA

    @property
    def latency(self) -> Summary:
        """The latency's summary, in seconds.

        Raises:
            ResultError: the Case failed.
        """
        if isinstance(self.outcome, Failed):
            raise ResultError(f"{self.id} failed: {self.outcome.message}", hint=self.outcome.hint)
        return self.outcome.latency

    @property
    def altered(self) -> str:
        """What was done to the model before it was measured, in words; "" for the model as it is."""
        return ", ".join(str(step) for step in self.steps if step.alters)

    @property
    def ok(self) -> bool:
        """Was it measured, and were its outputs correct?"""
        return isinstance(self.outcome, Measured) and self.outcome.correctness.ok

    @property
    def ending(self) -> Ending:
        """How it ended, in one word for programs."""
        if isinstance(self.outcome, Failed):
            return self.outcome.kind
        return ending_of(self.outcome.correctness.outcome)

    def to_json(self) -> dict[str, Any]:
        """As `result.json` has it: the members, and `ending`, for programs that read it."""
        return {**asdict(self), "ending": self.ending}
