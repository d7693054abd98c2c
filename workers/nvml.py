"""NVIDIA's management library: facts about a GPU, and counters that are read between blocks. Changes no settings.

It is read with nvidia-ml-py (`pynvml`), imported on first use, in workers and in the host. Nothing is polled: energy
and the time at a limit are counters of the GPU, all else is the state at the end of a block. None is what a GPU doesn't
report.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

MISSING_PACKAGE = "the package nvidia-ml-py is not installed"

REASONS = {
    0x1: "idle",
    0x2: "clocks set by an application",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability",
}


class Unavailable(Exception):  # noqa: N818 - a state of the machine
    """There is no GPU, no driver, or no nvidia-ml-py; the message says which."""


class Reading(NamedTuple):
    """Counters and states at one moment."""

    energy_mj: int | None
    slowed_ns: int | None
    capped_ns: int | None
    reasons: int | None
    clock_mhz: int | None
    memory_clock_mhz: int | None
    power_w: float | None
    temperature_c: int | None
    utilization: float | None
    others: int | None
    others_utilization: float | None


class Gpu:
    """One GPU."""

    def __init__(self, handle: Any, library: Any) -> None:
        self._handle = handle
        self._library = library
        self._seen_us = 0

    def facts(self) -> dict[str, Any]:
        """Its model and its settings, as JSON."""
        library = self._library
        memory, ecc = self._ask("nvmlDeviceGetMemoryInfo"), self._ask("nvmlDeviceGetEccMode")
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        mig = self._ask("nvmlDeviceGetMigMode")
        pci = self._ask("nvmlDeviceGetPciInfo")
        return {
            "name": _text(self._ask("nvmlDeviceGetName")),
            "uuid": _text(self._ask("nvmlDeviceGetUUID")),
            "bus_id": _text(pci.busId) if pci else None,
            "driver": driver(library),
            "cuda": cuda(library),
            "compute_capability": ".".join(map(str, capability)) if capability else None,
            "memory_bytes": memory.total if memory else None,
            "memory_free_bytes": memory.free if memory else None,
            "ecc": bool(ecc[0]) if ecc else None,
            "ecc_errors": self._ask("nvmlDeviceGetTotalEccErrors", 1, 0),  # uncorrected, since the driver was loaded
            "persistence": _flag(self._ask("nvmlDeviceGetPersistenceMode")),
            "mig": bool(mig[0]) if mig else None,
            "power_limit_w": _thousandth(self._ask("nvmlDeviceGetEnforcedPowerLimit")),
            "max_clock_mhz": self._ask("nvmlDeviceGetMaxClockInfo", library.NVML_CLOCK_SM),
            "max_memory_clock_mhz": self._ask("nvmlDeviceGetMaxClockInfo", library.NVML_CLOCK_MEM),
            "compute_mode": self._ask("nvmlDeviceGetComputeMode"),
        }

    def processes(self) -> list[dict[str, Any]] | None:
        """The visible processes that compute on it now, each with its pid and its bytes of GPU memory."""
        found = self._ask("nvmlDeviceGetComputeRunningProcesses")
        if found is None:
            return None
        return [{"pid": entry.pid, "memory_bytes": entry.usedGpuMemory} for entry in found]

    def read(self) -> Reading:
        """Read all counters: 100 µs to some milliseconds, so never while something is timed."""
        library = self._library
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if reasons is None:  # the older name of the same
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        rates = self._ask("nvmlDeviceGetUtilizationRates")
        processes = self.processes()
        return Reading(
            energy_mj=self._ask("nvmlDeviceGetTotalEnergyConsumption"),
            slowed_ns=self._violation(library.NVML_PERF_POLICY_THERMAL),
            capped_ns=self._violation(library.NVML_PERF_POLICY_POWER),
            reasons=reasons,
            clock_mhz=self._ask("nvmlDeviceGetClockInfo", library.NVML_CLOCK_SM),
            memory_clock_mhz=self._ask("nvmlDeviceGetClockInfo", library.NVML_CLOCK_MEM),
            power_w=_thousandth(self._ask("nvmlDeviceGetPowerUsage")),
            temperature_c=self._ask("nvmlDeviceGetTemperature", library.NVML_TEMPERATURE_GPU),
            utilization=rates.gpu / 100 if rates else None,
            # One of them is this process, though its pid may differ in a container.
            others=len(processes) - 1 if processes else None,
            others_utilization=self._others_utilization(),
        )

    def between(self, before: Reading, after: Reading) -> dict[str, Any]:
        """What happened between two readings, as JSON: seconds, joules, and the state at the end."""
        energy_mj = _difference(before.energy_mj, after.energy_mj)
        return {
            "energy_j": None if energy_mj is None else energy_mj / 1e3,
            "slowed_s": _seconds(_difference(before.slowed_ns, after.slowed_ns)),
            "capped_s": _seconds(_difference(before.capped_ns, after.capped_ns)),
            # A reason at either end of the block may have held during it.
            "clock_reasons": None if after.reasons is None else (before.reasons or 0) | after.reasons,
            "clock_mhz": after.clock_mhz,
            "memory_clock_mhz": after.memory_clock_mhz,
            "power_w": after.power_w,
            "temperature_c": after.temperature_c,
            "utilization": after.utilization,
            "others": after.others,
            "others_utilization": after.others_utilization,
        }

    def _others_utilization(self) -> float | None:
        """The largest share of the GPU that others used since the last reading; None where it's unknown.

        Others are all but this process and those that the same host has started, which are interleaved with it. If this
        process isn't listed, its pid belongs to another namespace, as in a container.
        """
        library = self._library
        try:
            samples = library.nvmlDeviceGetProcessUtilization(self._handle, self._seen_us)
        except library.NVMLError_NotFound:  # nobody has used it since
            return 0.0
        except library.NVMLError:
            return None
        me, host = os.getpid(), os.getppid()
        most: dict[int, int] = {}
        for sample in samples:
            self._seen_us = max(self._seen_us, sample.timeStamp)
            most[sample.pid] = max(most.get(sample.pid, 0), sample.smUtil)
        if most.pop(me, None) is None:
            return None
        return sum(most[pid] for pid in most if _parent(pid) != host) / 100

    def _violation(self, policy: int) -> int | None:
        """Nanoseconds that a limit has reduced the clocks, since the driver was loaded."""
        found = self._ask("nvmlDeviceGetViolationStatus", policy)
        return None if found is None else int(found.violationTime)

    def _ask(self, function: str, *arguments: Any) -> Any:
        """The library's answer; None where this GPU, or this version of the library, doesn't support the function."""
        try:
            return getattr(self._library, function)(self._handle, *arguments)
        except (self._library.NVMLError, AttributeError):
            return None


def library() -> Any:
    """pynvml, initialized.

    Raises:
        Unavailable: it isn't installed, or there is no driver.
    """
    try:
        import pynvml
    except ModuleNotFoundError:
        raise Unavailable(MISSING_PACKAGE) from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        raise Unavailable("no NVIDIA driver: libnvidia-ml.so.1 not found") from None
    except pynvml.NVMLError as error:
        raise Unavailable(f"the NVIDIA driver can't be used: {error}") from None
    return pynvml


def by_bus_id(bus_id: str) -> Gpu:
    """The GPU at this address of the PCI bus.

    Raises:
        Unavailable: NVML can't access it.
    """
    found = library()
    return Gpu(_asked(found.nvmlDeviceGetHandleByPciBusId, bus_id.encode()), found)


def visible() -> list[Gpu]:
    """The GPUs that CUDA will see, in its order, as CUDA_VISIBLE_DEVICES selects them.

    Raises:
        Unavailable: there are none, or NVML can't access them.
    """
    found = library()
    known = _permitted(found)
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        handles = known
    else:
        handles = []
        for name in (name.strip() for name in names.split(",")):
            if name.isdigit() and int(name) < len(known):
                handles.append(known[int(name)])
            elif name.startswith("GPU-"):
                handles.append(_asked(found.nvmlDeviceGetHandleByUUID, name.encode()))
            elif name.startswith("MIG-"):  # a part reports little; CUDA, too, uses the bus id of the whole GPU
                part = _asked(found.nvmlDeviceGetHandleByUUID, name.encode())
                handles.append(_asked(found.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, part))
            else:  # as in CUDA, an unknown entry ends the list
                break
    if not handles:
        hidden = f", but CUDA_VISIBLE_DEVICES={names} selects none" if names is not None else ""
        raise Unavailable(f"the NVIDIA driver lists {len(known)} GPUs{hidden}")
    return [Gpu(handle, found) for handle in handles]


def _permitted(library: Any) -> list[Any]:
    """The GPUs that this process may use, as CUDA numbers them: NVML also lists those of other jobs."""
    found = []
    for index in range(int(_asked(library.nvmlDeviceGetCount))):
        try:
            found.append(library.nvmlDeviceGetHandleByIndex(index))
        except library.NVMLError_NoPermission:
            continue
        except library.NVMLError as error:
            raise _unasked(error) from None
    return found


def driver(library: Any) -> str | None:
    """The driver's version, "580.65.06"."""
    try:
        return _text(library.nvmlSystemGetDriverVersion())
    except library.NVMLError:
        return None


def cuda(library: Any) -> str | None:
    """The newest version of CUDA that the driver can run, "13.0"."""
    try:
        number = library.nvmlSystemGetCudaDriverVersion()
    except library.NVMLError:
        return None
    return f"{number // 1000}.{number % 1000 // 10}"


def describe(reasons: int) -> str:
    """The reasons for the present clocks, for people."""
    return ", ".join(text for bit, text in REASONS.items() if reasons & bit)


def _parent(pid: int) -> int | None:
    """The pid of a process's parent; None where it can't be read, or the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _asked(function: Callable[..., Any], *arguments: Any) -> Any:
    import pynvml

    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        raise _unasked(error) from None


def _unasked(error: Exception) -> Unavailable:
    return Unavailable(f"NVML can't access the GPU: {error}")


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _thousandth(value: Any) -> float | None:
    return None if value is None else value / 1e3


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, after - before)


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9
