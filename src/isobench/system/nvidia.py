"""NVIDIA GPUs as the host sees them, through NVML (`workers/nvml.py`), which is loaded only for a GPU."""

from __future__ import annotations

from dataclasses import fields

from isobench.errors import UsageError
from isobench.record import record
from isobench.system.devices import Device
from isobench.workers import nvml


@record(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """What NVML reports of one GPU; None where it doesn't.

    `cuda` is the newest version of CUDA that the driver supports, `compute_mode` NVML's number, `processes` the process
    IDs of those that compute on it.
    """

    name: str
    driver: str | None
    cuda: str | None
    compute_capability: str | None
    memory_bytes: int | None
    memory_free_bytes: int | None
    ecc: bool | None
    ecc_errors: int | None
    persistence: bool | None
    mig: bool | None
    power_limit_w: float | None
    compute_mode: int | None
    processes: tuple[int, ...] | None

    @classmethod
    def of(cls, gpu: nvml.Gpu) -> GpuFacts:
        """Ask NVML."""
        facts, processes = gpu.facts(), gpu.processes()
        known = {one.name: facts[one.name] for one in fields(cls) if one.name in facts}
        pids = None if processes is None else tuple(process["pid"] for process in processes)
        return cls(**{**known, "name": facts["name"] or "an unknown GPU", "processes": pids})


def present() -> bool:
    """Is there a GPU that could be used?"""
    try:
        return bool(nvml.visible())
    except nvml.Unavailable:
        return False


def gpu(device: Device) -> GpuFacts:
    """The GPU that `device` names: the first that CUDA sees.

    Raises:
        UsageError: there is none, or it isn't the one that `device` names.
    """
    try:
        first = nvml.visible()[0]
    except nvml.Unavailable as error:
        raise UsageError(
            f"no device {device}: {error}",
            hint="isobench doctor --device nvidia lists what is missing; without --device, the CPU is measured.",
        ) from None
    facts = GpuFacts.of(first)
    if device.part and not _is_called(facts.name, device.part):
        raise UsageError(
            f"no device {device}: the GPU is {facts.name}",
            hint="CUDA_VISIBLE_DEVICES selects one of several GPUs; --device nvidia takes the first.",
        )
    return facts


def _is_called(name: str, part: str) -> bool:
    """Is `part` made of whole words of a GPU's name? "NVIDIA A100-SXM4" is an a100 and an a100-sxm4, but not an a10."""
    words, wanted = _words(name), "".join(_words(part))
    starts, ends = range(len(words)), range(1, len(words) + 1)
    return any("".join(words[start:end]) == wanted for start in starts for end in ends)


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()
