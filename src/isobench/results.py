"""Results: what came of a Case, with everything that is needed to judge it and to repeat it.

`docs/result-schema.md` is this module in prose. A Result is written as soon as its Case has ended, and never changed.
"""

from __future__ import annotations

import shutil
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.correctness import Comparison
from isobench.errors import ResultError
from isobench.models import Settings, Step, TensorSpec
from isobench.statistics import Block, GpuSummary, Interval, Summary, Verdict
from isobench.workers import protocol

SCHEMA = "isobench.result/2"
RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """What was measured. `source_sha256` is of the script or of the `.onnx` file; `git` says where that came from."""

    name: str
    path: str
    source_sha256: str
    script_args: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    class_name: str = ""
    hash: str = ""
    parameters: int | None = None
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
    git: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRecord:
    """What measured it: `arguments` are the runtime's own, all of them, defaults included.

    `status_stats` are the names of those of its stats that it wants to be seen with the latency.
    """

    name: str
    version: str
    arguments: Mapping[str, Any]
    status_stats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """Where: `family[::part[::config]]`, and the device's name as its maker calls it."""

    device: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRecord:
    """In which environment. `lock_file` is where the lock lies that `lock_sha256` is of.

    Both are empty where the environment wasn't built from a lock: an interpreter that was adopted as it is.
    `conda_lock_sha256` is of the `conda-lock.yml` beside it; `conda_packages` are written `name=version=build`. `image`
    is the container image that it ran in, by its digest; `image_packages` are its own Python packages, where they are
    used.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """What comes before a warm inference: seconds. `compile_s` is None where nothing is compiled.

    `start_s` is the interpreter's own start, and that of its container, if it has one.
    """

    import_s: float | None
    load_s: float | None
    compile_s: float | None
    first_inference_s: float | None
    start_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """The untimed iterations, the first included. `settled` is None where their number was fixed beforehand.

    `curve` holds, for each window, the iterations done at its end and its median latency in seconds.
    """

    iterations: int
    wall_s: float
    settled: bool | None
    curve: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One worker process. `used` says of each block whether the figures are of it; `timer_s` is the clock's own cost.

    `samples_file` lies beside `result.json`; a sample is the time of `group` iterations.
    """

    started_at: str
    cold_start: ColdStart
    warmup: Warmup | None
    timer_s: float | None
    group: int
    blocks: tuple[Block, ...]
    used: tuple[bool, ...]
    median_s: float
    threads: Mapping[str, Any]
    peak_memory_bytes: int | None
    samples_file: str

    def threads_asked(self, settings: Settings) -> int:
        """The threads that were asked for: `--threads`, or what the runtime's own arguments say in its place."""
        return int(self.threads.get("requested") or settings.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """How Cases were interleaved: in each round of each run, every Case took one block.

    `id` is common to those that took turns; `place` is this Case's number among them; `order` holds, for each run and
    each round, the places in the order in which they came, drawn from `seed`.
    """

    id: str
    place: int
    seed: int
    order: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A Case that came to a measurement.

    `latency` is of the blocks that are used, `latency_all` of all. `intervals` are 95 % intervals of mean, median, p90
    and p99 in seconds; `noise_floor` is the relative spread of identical runs that they assume, as `floor_source` says.
    On a GPU `latency` is the GPU's own time, `end_to_end` that from host memory to host memory, of the same blocks.
    """

    latency: Summary
    latency_all: Summary
    intervals: Mapping[str, Interval]
    noise_floor: float
    floor_source: str
    set_aside_s: float
    clean_share: float
    verdict: Verdict
    correctness: Comparison
    runs: tuple[Run, ...]
    facts: Mapping[str, Any]
    stats: Mapping[str, Any]
    turns: Turns | None = None
    end_to_end: Summary | None = None
    gpu: GpuSummary | None = None
    status: str = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A Case that came to none. `kind` is a word for programs, the rest is for people."""

    kind: str
    message: str
    hint: str = ""
    details: str = ""
    exit_code: int = 1
    status: str = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One Case's outcome. `steps` are the tools that the model went through, the measuring last."""

    id: str
    isobench: str
    started_at: str
    ended_at: str
    command: tuple[str, ...]
    model: ModelRecord
    runtime: RuntimeRecord
    device: DeviceRecord
    environment: EnvironmentRecord | None
    settings: Settings
    outcome: Measured | Failed
    provenance: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
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
        """Was it measured, with the right outputs?"""
        return isinstance(self.outcome, Measured) and self.outcome.correctness.ok

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def save(result: Result, *, run_dirs: Sequence[Path] = (), root: Path | None = None) -> Path:
    """Write the Result, with the samples and the log of each run beside it; return its folder.

    The run directories are emptied: what is worth keeping is moved.
    """
    folder = (root or paths.results()) / result.id
    folder.mkdir(parents=True)
    for number, run_dir in enumerate(run_dirs, 1):
        kept = folder / run_folder(number)
        kept.mkdir()
        for name in (protocol.SAMPLES_FILE, protocol.END_TO_END_FILE, protocol.LOG_FILE, protocol.OUTPUTS_FILE):
            if (run_dir / name).exists():
                shutil.move(run_dir / name, kept / name)
    protocol.write_json(folder / RESULT_FILE, result.to_json())
    for run_dir in run_dirs:
        shutil.rmtree(run_dir, ignore_errors=True)
    return folder


def run_folder(number: int) -> str:
    """The name of the folder that holds what the run of that number (from 1) left."""
    return f"run-{number}"


def load(name: str, *, root: Path | None = None) -> Result:
    """The Result of an id (or the beginning of one that is like no other), a folder, or a `result.json`.

    Raises:
        ResultError: there is none, there are several, or it's not what the schema says.
    """
    file = _find(name, root or paths.results())
    try:
        value = protocol.read_json(file, SCHEMA)
        result: Result = _decode(Result, value, "result")
    except FileNotFoundError:
        raise ResultError(f"there is no {file}") from None
    except OSError as error:
        raise ResultError(f"{file} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ResultError(f"{file} is no result of this version: {error}") from None
    return result


def load_all(root: Path | None = None) -> Iterator[Result | ResultError]:
    """Every Result, the oldest first; what can't be read comes as the error that says why."""
    for file in files(root or paths.results()):
        try:
            yield load(str(file))
        except ResultError as error:
            yield error


def files(root: Path) -> list[Path]:
    """Every `result.json` in a folder of results, the oldest first."""
    return sorted(root.glob(f"*/{RESULT_FILE}"))


def samples_ns(result: Result, folder: Path) -> list[list[int]]:
    """The raw samples of each run: nanoseconds of `group` iterations each, in their order."""
    assert isinstance(result.outcome, Measured)
    return [protocol.read_samples(folder / run.samples_file) for run in result.outcome.runs]


def folder_of(name: str, *, root: Path | None = None) -> Path:
    """The folder that holds the Result which `load` finds."""
    return _find(name, root or paths.results()).parent


def remove(folder: Path, *, root: Path) -> None:
    """Remove a Result from a folder of results.

    Raises:
        ResultError: it lies elsewhere, or can't be removed.
    """
    if folder.resolve().parent != root.resolve():
        raise ResultError(f"{folder} doesn't lie in {root}", hint="Name the folder of results with --from.")
    try:
        # First what makes it a Result, so that nobody takes half of it for one.
        (folder / RESULT_FILE).unlink()
        shutil.rmtree(folder)
    except OSError as error:
        raise ResultError(f"{folder} can't be removed: {error.strerror}", hint="Look at its owner.") from None


def _find(name: str, root: Path) -> Path:
    path = Path(name)
    if path.suffix == ".json":
        return path
    if (path / RESULT_FILE).exists():
        return path / RESULT_FILE
    found = sorted(root.glob(f"{name}*/{RESULT_FILE}")) if name and "/" not in name else []
    exact = [file for file in found if file.parent.name == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        several = ", ".join(file.parent.name for file in found)
        raise ResultError(f"{name} is the beginning of several results: {several}", hint="Give more of it.")
    raise ResultError(f"there is no result {name!r} in {root}", hint="See them all: isobench list")


def _decode(kind: Any, value: Any, where: str) -> Any:
    """Check `value`, read from JSON, against a type, and build what the type says.

    Raises:
        ValueError: it doesn't fit; the message says where.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _decode_record(kind, value, where)
    if origin in {types.UnionType, typing.Union}:
        return _decode_union(arguments, value, where)
    if origin is tuple:
        return tuple(_decode(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(_typed(list, value, where)))
    if origin is not None and issubclass(origin, Mapping):
        items = _typed(dict, value, where).items()
        return {name: _decode(arguments[1], item, f"{where}.{name}") for name, item in items}
    if kind is float and type(value) is int:
        return float(value)
    return _typed(kind, value, where)


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    given = _typed(dict, value, where)
    hints = typing.get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind)}
    missing = [
        name
        for name, entry in known.items()
        if name not in given and entry.default is MISSING and entry.default_factory is MISSING
    ]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        raise ValueError(
            f"{where}: " + "; ".join(
                f"{what} {', '.join(names)}" for what, names in (("lacks", missing), ("knows no", unknown)) if names
            )
        )
    return kind(**{name: _decode(hints[name], item, f"{where}.{name}") for name, item in given.items()})


def _decode_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    options = [kind for kind in kinds if kind is not types.NoneType]
    if len(options) > 1 and isinstance(value, dict):  # records of several kinds say which they are
        status = value.get("status")
        options = [kind for kind in options if is_dataclass(kind) and status == _default(kind, "status")]
        if not options:
            raise ValueError(f"{where}.status is {status!r}")
    return _decode(options[0], value, where)


def _default(kind: Any, name: str) -> Any:
    return next((entry.default for entry in fields(kind) if entry.name == name), None)


def _typed(kind: type, value: Any, where: str) -> Any:
    # A bool is an int to Python, not to a schema.
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} is {type(value).__name__}, not {kind.__name__}")
    return value
