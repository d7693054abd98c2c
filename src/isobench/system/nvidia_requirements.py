"""What an NVIDIA GPU, its driver and an environment require of one another, as a list with advice. Changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from isobench.errors import UsageError
from isobench.record import record
from isobench.system import process
from isobench.system.nvidia import GpuFacts
from isobench.workers import nvml

DRIVERS = {12: 525, 13: 580}
"""The oldest driver for each major version of CUDA, by NVIDIA's table of compatibility. (An older one works, too, where
NVIDIA's package for forward compatibility is installed; the driver then reports the newer CUDA, and that counts.)"""
CAPABILITIES = {12: (5, 0), 13: (7, 5)}
"""The lowest compute capability that each major version of CUDA still compiles for."""
RTX_CAPABILITIES = ((8, 0), (8, 6), (8, 9), (12, 0))
"""The compute capabilities that TensorRT-RTX builds for by default; from the last one on, all."""
FREE_SHARE = 0.5
"""Less free memory than this share is noted: the model may need what others use."""
PROHIBITED = 2
"""NVML_COMPUTEMODE_PROHIBITED"""
EXCLUSIVE = 3
"""NVML_COMPUTEMODE_EXCLUSIVE_PROCESS"""


@record(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One line of the list: what was checked, what was found, and whether that is good enough.

    `ok` is None where it works, but disturbs or isn't known. `advice` is what to do; "" where nothing needs to be done.
    """

    what: str
    found: str
    ok: bool | None = True
    advice: str = ""

    @property
    def mark(self) -> str:
        return {True: "ok", None: "note", False: "MISSING"}[self.ok]


def of_gpu(gpu: GpuFacts) -> list[Requirement]:
    """What a GPU needs for anything to run on it, and what disturbs a measurement there."""
    name = Requirement(what="GPU", found=f"{gpu.name}, compute capability {gpu.compute_capability or 'unknown'}")
    return [name, _driver(gpu), *_library(), _memory(gpu), *_state(gpu)]


def no_gpu(error: UsageError) -> Requirement:
    """The list where `nvidia.gpu` found none."""
    advice = "a machine with an NVIDIA GPU and its driver (nvidia-smi then shows it)"
    if nvml.MISSING_PACKAGE in error.message:
        advice = "pip install nvidia-ml-py"
    return Requirement(what="GPU", found=error.message.partition(": ")[2], ok=False, advice=advice)


def of_packages(gpu: GpuFacts, packages: Mapping[str, str], *, runtime: str) -> list[Requirement]:
    """Whether an environment's packages (version by name) fit the GPU, its driver and one another."""
    majors = cuda_majors(packages)
    found = []
    for major, names in sorted(majors.items()):
        found += _cuda(gpu, major, _some(names), runtime)
    if len(majors) > 1:
        mixed = " and ".join(f"CUDA {major} ({_some(names)})" for major, names in sorted(majors.items()))
        found.append(
            Requirement(
                what=f"{runtime}: versions", found=mixed, ok=False, advice="packages for one major version of CUDA"
            )
        )
    if any(name.startswith("tensorrt-rtx") for name in packages):
        found += _rtx(gpu, runtime)
    return found


def cuda_majors(packages: Mapping[str, str]) -> dict[int, list[str]]:
    """The major versions of CUDA that packages are for, each with the packages that imply it."""
    majors: dict[int, list[str]] = {}
    for name, version in packages.items():
        for major in (12, 13, 14):
            runtime = name == "nvidia-cuda-runtime" and version.startswith(f"{major}.")
            suffix = name.endswith(f"-cu{major}") or f"-cu{major}-" in name
            if runtime or suffix or f"+cu{major}" in version:
                majors.setdefault(major, []).append(f"{name} {version}")
    return majors


def check(requirements: Sequence[Requirement]) -> None:
    """Raises:
    UsageError: one of them isn't met.
    """
    missing = [one for one in requirements if one.ok is False]
    if missing:
        raise UsageError(
            "; ".join(f"{one.what}: {one.found}" for one in missing),
            details=listing(requirements),
            hint="; ".join(dict.fromkeys(one.advice for one in missing if one.advice)),
        )


def listing(requirements: Iterable[Requirement]) -> str:
    """The list as text: a line for each requirement, and the advice below it."""
    rows = list(requirements)
    width = max((len(row.what) for row in rows), default=0)
    lines = []
    for row in rows:
        lines.append(f"{row.mark:7}  {row.what:{width}}  {row.found}")
        if row.advice:
            lines.append(f"{'':7}  {'':{width}}  -> {row.advice}")
    return "\n".join(lines)


def _driver(gpu: GpuFacts) -> Requirement:
    return Requirement(
        what="driver",
        found=f"{gpu.driver}, for CUDA up to {gpu.cuda}" if gpu.driver else "unknown version",
        ok=True if gpu.driver else None,
    )


def _library() -> Iterator[Requirement]:
    """Workers don't inherit LD_LIBRARY_PATH, which some machines need to find CUDA's driver."""
    if not os.environ.get("LD_LIBRARY_PATH"):
        return
    try:
        process.capture([sys.executable, "-I", "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')"], env={})
    except OSError:
        yield Requirement(
            what="libcuda.so.1",
            found="not found without LD_LIBRARY_PATH, which workers don't inherit",
            ok=None,
            advice="add its folder to a file in /etc/ld.so.conf.d, then: sudo ldconfig",
        )


def _memory(gpu: GpuFacts) -> Requirement:
    free, total = gpu.memory_free_bytes, gpu.memory_bytes
    if not total or free is None:
        return Requirement(what="memory", found="unknown: NVML doesn't report it", ok=None)
    enough = free >= FREE_SHARE * total
    return Requirement(
        what="memory",
        found=f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free",
        ok=True if enough else None,
        advice="" if enough else "stop the processes that use it: nvidia-smi lists them",
    )


def _state(gpu: GpuFacts) -> Iterator[Requirement]:
    """The GPU's settings, and the other processes on it. isobench changes none of them."""
    yield _other_processes(gpu.processes)
    if gpu.persistence is not None:
        yield Requirement(
            what="persistence",
            found="on" if gpu.persistence else "off: the driver is loaded again at each start",
            ok=True if gpu.persistence else None,
            advice="" if gpu.persistence else "sudo nvidia-smi -pm 1",
        )
    if gpu.ecc is not None:
        errors = gpu.ecc_errors or 0
        yield Requirement(
            what="ECC",
            found=("on" if gpu.ecc else "off") + (f", {errors} uncorrected errors" if errors else ""),
            ok=None if errors else True,
            advice="reset the GPU; if the errors return, have it replaced" if errors else "",
        )
    if gpu.mig:
        yield Requirement(
            what="MIG",
            found="on: a partition of a GPU shares its power, memory bandwidth and clocks with other partitions",
            ok=None,
            advice="compare only interleaved measurements (isobench compare)",
        )
    if gpu.compute_mode == PROHIBITED:
        yield Requirement(
            what="compute mode",
            found="prohibited: no process may compute on it",
            ok=False,
            advice="sudo nvidia-smi -c 0",
        )
    if gpu.compute_mode == EXCLUSIVE:
        yield Requirement(
            what="compute mode",
            found="exclusive: only one process at a time, and interleaved workers are several",
            ok=None,
            advice="for isobench compare and --interleave: sudo nvidia-smi -c 0",
        )
    if gpu.power_limit_w:
        yield Requirement(what="power limit", found=f"{gpu.power_limit_w:.0f} W")


def _other_processes(pids: Sequence[int] | None) -> Requirement:
    what = "other processes"
    if pids is None:
        return Requirement(what=what, found="unknown: NVML doesn't list them", ok=None)
    if not pids:
        return Requirement(what=what, found="none")
    return Requirement(
        what=what,
        found=f"{len(pids)} on this GPU (pid {', '.join(map(str, pids))})",
        ok=None,
        advice="wait until they end: blocks that they disturb are set aside",
    )


def _cuda(gpu: GpuFacts, major: int, who: str, runtime: str) -> list[Requirement]:
    found = []
    newest = _number(gpu.cuda)
    if newest is not None:
        enough = newest[0] >= major
        needed = f"driver {DRIVERS[major]} or later" if major in DRIVERS else "a later driver"
        found.append(
            Requirement(
                what=f"{runtime}: driver",
                found=f"CUDA {major} ({who}) with driver {gpu.driver}, for CUDA up to {gpu.cuda}",
                ok=enough,
                advice="" if enough else f"{needed}, or packages for an older CUDA",
            )
        )
    capability = _number(gpu.compute_capability)
    if capability is not None and capability < CAPABILITIES.get(major, (0, 0)):
        least = ".".join(map(str, CAPABILITIES[major]))
        found.append(
            Requirement(
                what=f"{runtime}: GPU",
                found=f"CUDA {major} doesn't support compute capability {gpu.compute_capability}",
                ok=False,
                advice=f"a GPU of compute capability {least} or later, or packages for an older CUDA",
            )
        )
    return found


def _rtx(gpu: GpuFacts, runtime: str) -> list[Requirement]:
    capability = _number(gpu.compute_capability)
    if capability is None:
        return []
    ok = capability in RTX_CAPABILITIES or capability >= RTX_CAPABILITIES[-1]
    known = ", ".join(".".join(map(str, one)) for one in RTX_CAPABILITIES)
    return [
        Requirement(
            what=f"{runtime}: GPU",
            found=f"TensorRT-RTX builds for {known} and later; this is {gpu.compute_capability}",
            ok=ok,
            advice="" if ok else "-r trt, which builds for this GPU",
        )
    ]


def _some(names: Sequence[str]) -> str:
    """The first three; torch alone has fifteen."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + more


def _number(text: str | None) -> tuple[int, ...] | None:
    """A version as numbers; None where it is unknown."""
    parts = (text or "").split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else None
