"""What NVIDIA's management library tells of a GPU: facts, and counters that are read between blocks. Changes nothing.

By nvidia-ml-py (`pynvml`), which is loaded when a GPU is looked for; inside a worker and in the host alike. Nothing is
polled: energy, and time at a limit, come from the GPU's own counters, the rest is what holds at the block's end.
What a GPU doesn't tell is None.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

MISSING_PACKAGE = "the package nvidia-ml-py isn't installed"

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
    """There is no GPU to ask, or nothing to ask by; the message says which."""


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
    """One GPU, by its place on the PCI bus or by its UUID; a Monitor is one that a worker computes on."""

    def __init__(self, handle: Any, library: Any) -> None:
        self._handle = handle
        self._library = library
        self._seen_us = 0

    def facts(self) -> dict[str, Any]:
        """What it is and how it is set up, as JSON."""
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
        """The processes that compute on it now, as far as they can be seen: pid and bytes of its memory."""
        found = self._ask("nvmlDeviceGetComputeRunningProcesses")
        if found is None:
            return None
        return [{"pid": entry.pid, "memory_bytes": entry.usedGpuMemory} for entry in found]

    def read(self) -> Reading:
        """Look at all counters: some 100 µs to some milliseconds, so never while something is timed."""
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
            # One of them is this process, by whatever number: containers give theirs numbers of their own.
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
            # What held at either end of the block may have held in it.
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
        """The most that others used of the GPU since the last look, as a share; None where it can't be told apart.

        Others are all but this process and those that the same host has started, which take turns with it. Where this
        process isn't among those that are told, it's there by a number of another namespace, as in a container.
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
        """Nanoseconds that a limit has held the clocks down, since the driver was loaded."""
        found = self._ask("nvmlDeviceGetViolationStatus", policy)
        return None if found is None else int(found.violationTime)

    def _ask(self, function: str, *arguments: Any) -> Any:
        """What the library answers; None where this GPU, or this version of the library, doesn't know."""
        try:
            return getattr(self._library, function)(self._handle, *arguments)
        except (self._library.NVMLError, AttributeError):
            return None


def library() -> Any:
    """pynvml, ready to be asked.

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
        raise Unavailable("there is no NVIDIA driver: libnvidia-ml.so.1 isn't found") from None
    except pynvml.NVMLError as error:
        raise Unavailable(f"the NVIDIA driver can't be used: {error}") from None
    return pynvml


def by_bus_id(bus_id: str) -> Gpu:
    """The GPU at that place of the PCI bus.

    Raises:
        Unavailable: it can't be asked.
    """
    found = library()
    return Gpu(_asked(found.nvmlDeviceGetHandleByPciBusId, bus_id.encode()), found)


def visible() -> list[Gpu]:
    """The GPUs that CUDA will see, the first one first, as CUDA_VISIBLE_DEVICES says.

    Raises:
        Unavailable: there are none, or they can't be asked.
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
            elif name.startswith("MIG-"):  # a part tells little; CUDA, too, knows it by the bus id of the whole
                part = _asked(found.nvmlDeviceGetHandleByUUID, name.encode())
                handles.append(_asked(found.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, part))
            else:  # as CUDA does: what isn't there ends the list
                break
    if not handles:
        hidden = f", and CUDA_VISIBLE_DEVICES={names} leaves none of them" if names is not None else ""
        raise Unavailable(f"the NVIDIA driver knows {len(known)} GPUs that may be used here{hidden}")
    return [Gpu(handle, found) for handle in handles]


def _permitted(library: Any) -> list[Any]:
    """The GPUs that this process may use, which are those that CUDA counts: NVML counts those of other jobs, too."""
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
    """Reasons for the clocks, in words."""
    return ", ".join(text for bit, text in REASONS.items() if reasons & bit)


def _parent(pid: int) -> int | None:
    """The process that has started that one; None where it can't be seen, or has ended."""
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
    return Unavailable(f"the GPU can't be asked: {error}")


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
