"""The measuring loop on a GPU, against a stand-in of the thin CUDA layer that keeps a clock of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isobench import paths

WORKERS = (
    "gpu_timing",
    "cuda_driver",
    "nvml",
    "harness",
    "machine",
    "protocol",
    "timing",
    "resource_limits",
    "trt_engine",
    "trt_worker",
)
SAMPLES = Path(__file__).parents[1] / "samples"
TOOLKIT = Path("/usr/local/cuda/include")


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The workers' modules as a worker sees them: by their bare names."""
    monkeypatch.syspath_prepend(str(paths.WORKERS))
    import importlib

    yield SimpleNamespace(**{name: importlib.import_module(name) for name in WORKERS})
    for name in WORKERS:
        sys.modules.pop(name, None)


class Cuda:
    """A GPU on a made-up clock: work in a stream is done one after the other, each piece for as long as it's said.

    The host's clock goes on by what each call costs it; what it waits for lets it jump there.
    """

    def __init__(self, *, queueing_ns: int, work_ns: int, outside_ns: int = 0) -> None:
        self.now = 1_000_000
        self.done = 0  # when the stream will have come to its end
        self.done_outside = 0
        self.queued = 0
        self._queueing_ns, self._work_ns, self._outside_ns = queueing_ns, work_ns, outside_ns

    def clock(self) -> int:
        return self.now

    def work(self) -> int:
        self.now += self._queueing_ns
        self.queued += 1
        self.done = max(self.now, self.done) + self._work_ns
        self.done_outside = max(self.now, self.done_outside) + self._outside_ns
        return self.queued

    def copy(self) -> None:
        self.done = max(self.now, self.done) + 100_000

    def event(self) -> list[int]:
        return [0]

    def record(self, event: list[int], _stream: object) -> None:
        event[0] = max(self.now, self.done)

    def elapsed_ns(self, start: list[int], end: list[int]) -> int:
        assert end[0] <= self.now, "an event is read before it has happened"
        return end[0] - start[0]

    def synchronize(self, _stream: object) -> None:
        self.now = max(self.now, self.done)

    def synchronize_all(self) -> None:
        self.now = max(self.now, self.done, self.done_outside)


def _block(workers: Any, cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int = 120) -> Any:
    monkeypatch.setattr(workers.gpu_timing, "clock", cuda.clock)
    inference = workers.gpu_timing.Inference(
        cuda, "stream", enqueue=cuda.work, copy_in=cuda.copy, copy_out=lambda _: cuda.copy()
    )
    files = [tmp_path / "device", tmp_path / "end-to-end"]
    samples = inference.samples(*map(str, files))
    block = samples.block(count)
    samples.close()
    return block, *(array("q", file.read_bytes()).tolist() for file in files)


def test_one_block_has_the_gpus_own_time_and_the_end_to_end_time(
    workers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = Cuda(queueing_ns=20_000, work_ns=500_000)
    block, device, end_to_end = _block(workers, cuda, tmp_path, monkeypatch)
    assert device == [500_000] * 120  # the first of each chunk, too: the GPU was busy when it was queued
    # Queueing goes on while the inputs are copied; outputs are copied after the inference.
    assert end_to_end == [100_000 + 500_000 + 100_000] * 120
    assert (block["samples"], block["iterations"]) == (120, 120)
    assert block["gpu"] == {"enqueue_s": 20e-6, "inferences": 120 + 120 + 3}
    assert cuda.queued == block["gpu"]["inferences"]


def test_an_inference_that_is_bound_by_the_host_takes_the_hosts_time(
    workers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, device, _ = _block(workers, Cuda(queueing_ns=50_000, work_ns=10_000), tmp_path, monkeypatch)
    assert set(device) == {50_000}  # the GPU waits for the host, between one event and the next
    assert block["gpu"]["enqueue_s"] == 50e-6


def test_work_outside_of_the_timed_stream_is_refused(
    workers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = Cuda(queueing_ns=20_000, work_ns=1000, outside_ns=2_000_000)
    with pytest.raises(workers.harness.Refused, match=r"outside of the timed stream: .* ms of work remained"):
        _block(workers, cuda, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("in_stream_ns", "leftover_ns", "refused"),
    [
        (1_000_000, 201_000, True),
        (1_000_000, 199_000, False),  # the check itself takes some microseconds
        (5_000_000, 249_000, False),
        (5_000_000, 251_000, True),
    ],
)
def test_small_remainders_of_work_are_allowed(workers: Any, in_stream_ns: int, leftover_ns: int, refused: bool) -> None:
    with pytest.raises(workers.harness.Refused) if refused else nullcontext():
        workers.gpu_timing._check_all_was_timed(in_stream_ns, leftover_ns)


class Copies:
    """Buffers of a GPU that copies nothing before it's waited for."""

    def __init__(self) -> None:
        self.memory: dict[int, bytes] = {}
        self.queue: list[Callable[[], None]] = []

    def page_locked(self, size: int) -> Any:
        return SimpleNamespace(size=size, view=bytearray(size))

    def allocate(self, size: int) -> int:
        self.memory[len(self.memory) + 1] = b"?" * size
        return len(self.memory)

    def copy_in(self, address: int, buffer: Any, _stream: object) -> None:
        self.queue.append(lambda: self.memory.update({address: bytes(buffer.view)}))

    def copy_out(self, buffer: Any, address: int, _stream: object) -> None:
        self.queue.append(lambda: buffer.view.__setitem__(slice(None), self.memory[address]))

    def synchronize(self, _stream: object) -> None:
        for copy in self.queue:
            copy()
        self.queue.clear()


def test_copies_are_waited_for_before_they_are_read(workers: Any) -> None:
    cuda = Copies()
    transfers = workers.gpu_timing.Transfers(cuda, "stream")
    one, other = transfers.add_input(b"abcd"), transfers.add_input(b"ef")
    assert (cuda.memory, cuda.queue) == ({one: b"abcd", other: b"ef"}, [])
    place = transfers.add_output(3)
    assert transfers.outputs() == [b"???"]
    transfers.clear_outputs()
    assert (cuda.memory[place], cuda.queue) == (bytes(3), [])
    cuda.memory[place] = b"xyz"
    assert transfers.outputs() == [b"xyz"]


def test_nvml_readings_become_counters_and_missing_ones_are_none(workers: Any) -> None:
    class NVMLError(Exception):
        pass

    class NVMLError_NotFound(NVMLError):  # noqa: N801, N818 - pynvml's name
        pass

    def unknown(*_: object) -> None:
        raise NVMLError("not supported")

    energy, slowed = iter([1000, 1750]), iter([5_000_000, 9_000_000])
    process = SimpleNamespace(pid=7, usedGpuMemory=1 << 20)
    library = SimpleNamespace(
        NVMLError=NVMLError,
        NVMLError_NotFound=NVMLError_NotFound,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        NVML_TEMPERATURE_GPU=0,
        NVML_PERF_POLICY_POWER=0,
        NVML_PERF_POLICY_THERMAL=1,
        nvmlDeviceGetTotalEnergyConsumption=lambda _: next(energy),
        nvmlDeviceGetViolationStatus=lambda _, policy: (
            SimpleNamespace(violationTime=next(slowed)) if policy else unknown()
        ),
        nvmlDeviceGetCurrentClocksEventReasons=unknown,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: 0x4,
        nvmlDeviceGetClockInfo=lambda _, kind: {1: 1980, 2: 2619}[kind],
        nvmlDeviceGetPowerUsage=lambda _: 412_500,
        nvmlDeviceGetTemperature=unknown,
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=97),
        nvmlDeviceGetComputeRunningProcesses=lambda _: [process, SimpleNamespace(pid=8, usedGpuMemory=None)],
        nvmlDeviceGetProcessUtilization=unknown,
    )
    gpu = workers.nvml.Gpu("handle", library)
    reported = gpu.between(gpu.read(), gpu.read())
    assert reported == {
        "energy_j": 0.75,
        "slowed_s": 0.004,
        "capped_s": None,
        "clock_reasons": 0x4,
        "clock_mhz": 1980,
        "memory_clock_mhz": 2619,
        "power_w": 412.5,
        "temperature_c": None,
        "utilization": 0.97,
        "others": 1,
        "others_utilization": None,
    }
    library.nvmlDeviceGetComputeRunningProcesses = unknown
    energy, slowed = iter([0]), iter([0])
    assert (gpu.processes(), gpu.read().others) == (None, None)
    assert workers.nvml.describe(0x4 | 0x40) == "power cap, heat (hardware)"


def test_only_other_processes_count_as_others(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = []

    def utilization(_: object, since_us: int) -> list[SimpleNamespace]:
        requested.append(since_us)
        return [
            SimpleNamespace(pid=pid, smUtil=percent, timeStamp=time)
            for pid, percent, time in ((me, 90, 10), (stranger, 5, 20), (stranger, 30, 30), (sibling.pid, 80, 30))
        ]

    error = type("NVMLError", (Exception,), {})
    library = SimpleNamespace(
        nvmlDeviceGetProcessUtilization=utilization, NVMLError=error, NVMLError_NotFound=type("N", (error,), {})
    )
    gpu = workers.nvml.Gpu("handle", library)
    me, stranger = os.getpid(), os.getppid()
    with subprocess.Popen(["sleep", "60"]) as sibling:
        # As if the host of both had started this process: it is interleaved with the other.
        monkeypatch.setattr(workers.nvml.os, "getppid", lambda: me)
        assert [gpu._others_utilization() for _ in range(2)] == [0.3, 0.3]
        # In a container, a GPU reports the pids that processes have outside, so this one can't be identified.
        monkeypatch.setattr(workers.nvml.os, "getpid", lambda: 1)
        assert gpu._others_utilization() is None
        sibling.kill()
    assert requested == [0, 30, 30]


def test_the_parsers_errors_name_the_node(workers: Any) -> None:
    def error(name: str, operator: str) -> SimpleNamespace:
        reported = {"node_name": name, "node_operator": operator, "node": 3, "desc": "no importer for it"}
        return SimpleNamespace(**{what: lambda value=value: value for what, value in reported.items()})

    described = workers.trt_engine.described
    assert described(error("/layer/Foo", "Foo")) == "node /layer/Foo (Foo): no importer for it"
    assert described(error("", "Foo")) == "node 3 (Foo): no importer for it"


def test_a_missing_driver_is_reported(workers: Any) -> None:
    with pytest.raises(workers.harness.Refused, match=r"no usable NVIDIA GPU: .*libnothing") as raised:
        workers.cuda_driver.Libcuda("libnothing.so.1")
    assert raised.value.hint == "Check what is missing: isobench doctor --device nvidia"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_ctypes_layer_calls_the_driver_as_its_header_says(workers: Any, tmp_path: Path) -> None:
    """Against a library with the driver's functions that works on host memory; the real header checks that, if here."""
    library = tmp_path / "libcuda.so"
    header = ["-DHEADER", f"-I{TOOLKIT}"] if (TOOLKIT / "cuda.h").exists() else []
    source = SAMPLES / "cuda" / "libcuda.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-Werror", *header, "-o", library, source], check=True)
    cuda = workers.cuda_driver.Libcuda(str(library))
    assert cuda.bus_id() == "0000:65:00.0"
    stream, start, end = cuda.stream(), cuda.event(), cuda.event()
    transfers = workers.gpu_timing.Transfers(cuda, stream)
    address = transfers.add_input(b"abcd")
    assert transfers.add_output(4, address) == address
    transfers.add_output(0)
    assert transfers.outputs() == [b"abcd", b""]
    transfers.clear_outputs()
    assert transfers.outputs() == [bytes(4), b""]
    cuda.record(start, stream)
    replay = cuda.captured(stream, lambda: cuda.record(end, stream))
    replay()
    cuda.synchronize_all()
    assert cuda.elapsed_ns(start, end) == 2_500_000
    with pytest.raises(workers.cuda_driver.CudaError, match=r"cuEventElapsedTime: invalid argument \(1\)"):
        cuda.elapsed_ns(0, 0)


def test_timing_caches_are_named_by_gpu_and_version(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = workers.trt_worker._cache_file
    h100 = {"name": "NVIDIA H100 80GB HBM3", "compute_capability": "9.0"}
    trt = SimpleNamespace(__name__="tensorrt_bindings", __version__="11.4.0.106")
    monkeypatch.setenv("ISOBENCH_CACHE", "/cache")
    assert name(trt, h100) == "/cache/tensorrt-11.4.0.106-NVIDIA-H100-80GB-HBM3-9.0.timings"
    assert name(SimpleNamespace(__name__="tensorrt_rtx", __version__="1.7"), h100) == ""
    monkeypatch.delenv("ISOBENCH_CACHE")
    assert name(trt, h100) == ""


def test_the_middle_one_of_several_builds_is_measured_and_all_are_reported(workers: Any) -> None:
    def engine(work_ns: int) -> SimpleNamespace:
        cuda = Cuda(queueing_ns=1000, work_ns=work_ns)
        return SimpleNamespace(cuda=cuda, stream="stream", enqueue=cuda.work)

    chosen, medians = workers.trt_worker._chosen([engine(work_ns) for work_ns in (300_000, 100_000, 200_000)])
    assert (chosen, medians) == (2, [3e-4, 1e-4, 2e-4])
    assert workers.trt_worker._chosen([engine(1)]) == (0, [None])
    built = [SimpleNamespace(sha256=sha256) for sha256 in ("a", "b", "a")]
    reported = workers.trt_worker._several(built, medians, chosen)
    assert reported == "3, 2 of them unlike: medians 0.3000, 0.1000, 0.2000 ms; number 3 is measured"
