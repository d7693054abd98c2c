"""NVIDIA GPUs as the host sees them: whether there is one, and whether what is to run on it fits. Nothing is changed.

Asked of NVML (`workers/nvml.py`), which is loaded only where a GPU is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isobench.errors import UsageError
from isobench.system import process
from isobench.system.devices import Device
from isobench.workers import nvml

DRIVERS = {12: 525, 13: 580}
"""The oldest driver that runs all of a major version of CUDA, as NVIDIA's table of compatibility has it (an older one
does, too, where NVIDIA's package for forward compatibility is installed: what it then tells of itself counts)."""
CAPABILITIES = {12: (5, 0), 13: (7, 5)}
"""The least compute capability that a major version of CUDA still makes code for."""
RTX_CAPABILITIES = ((8, 0), (8, 6), (8, 9), (12, 0))
"""What TensorRT-RTX builds its engines for, unless told otherwise; from the last one on, all."""
FREE_SHARE = 0.5
"""With less of a GPU's memory free than this, others keep what a model may need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One line of the list: what was looked at, what was found, and whether that is good enough.

    `ok` None: it works, but it disturbs or isn't known. `advice` says what to do; "" where there is nothing to.
    """

    what: str
    found: str
    ok: bool | None = True
    advice: str = ""

    @property
    def mark(self) -> str:
        return {True: "ok", None: "note", False: "MISSING"}[self.ok]


def present() -> bool:
    """Is there a GPU that could be used?"""
    try:
        return bool(nvml.visible())
    except nvml.Unavailable:
        return False


def gpu(device: Device) -> Mapping[str, Any]:
    """Facts about the GPU that `device` names: the first that CUDA sees.

    Raises:
        UsageError: there is none, or it is another one than `device` says.
    """
    try:
        first = nvml.visible()[0]
    except nvml.Unavailable as error:
        raise UsageError(
            f"{device} can't be measured here: {error}",
            hint="isobench doctor --device nvidia lists what is missing; without --device, it's the CPU.",
        ) from None
    facts = {**first.facts(), "processes": first.processes()}
    if device.part and not _is_called(str(facts["name"]), device.part):
        raise UsageError(
            f"{device} isn't here: the GPU is {facts['name']}",
            hint="CUDA_VISIBLE_DEVICES chooses among several GPUs; --device nvidia takes the first.",
        )
    return facts


def requirements(facts: Mapping[str, Any]) -> list[Requirement]:
    """What a GPU needs for anything to run on it, and what of its state disturbs a measurement."""
    name = Requirement(what="GPU", found=f"{facts['name']}, compute capability {facts['compute_capability']}")
    return [name, _driver(facts), *_library(), _memory(facts), *_state(facts)]


def absent(error: UsageError) -> Requirement:
    """The list where there is no GPU, as `gpu` said it."""
    advice = "a machine with an NVIDIA GPU and its driver (nvidia-smi then shows it)"
    if nvml.MISSING_PACKAGE in error.message:
        advice = "pip install nvidia-ml-py"
    return Requirement(what="GPU", found=error.message.partition(": ")[2], ok=False, advice=advice)


def fits(facts: Mapping[str, Any], packages: Mapping[str, str], *, runtime: str) -> list[Requirement]:
    """Whether what an environment holds (version by name) suits the GPU and its driver, and one the other."""
    majors = cuda_majors(packages)
    found = []
    for major, names in sorted(majors.items()):
        found += _cuda(facts, major, _some(names), runtime)
    if len(majors) > 1:
        mixed = " and ".join(f"CUDA {major} ({_some(names)})" for major, names in sorted(majors.items()))
        found.append(
            Requirement(
                what=f"{runtime}: versions", found=mixed, ok=False, advice="packages for one major version of CUDA"
            )
        )
    if any(name.startswith("tensorrt-rtx") for name in packages):
        found += _rtx(facts, runtime)
    return found


def cuda_majors(packages: Mapping[str, str]) -> dict[int, list[str]]:
    """The major versions of CUDA that packages are for, each with those that say so."""
    majors: dict[int, list[str]] = {}
    for name, version in packages.items():
        for major in (12, 13, 14):
            runtime = name == "nvidia-cuda-runtime" and version.startswith(f"{major}.")
            suffix = name.endswith(f"-cu{major}") or f"-cu{major}-" in name
            if runtime or suffix or f"+cu{major}" in version:
                majors.setdefault(major, []).append(f"{name} {version}")
    return majors


def refuse(requirements: Sequence[Requirement]) -> None:
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
    """The list, for people: a line each, and what to do below it."""
    rows = list(requirements)
    width = max((len(row.what) for row in rows), default=0)
    lines = []
    for row in rows:
        lines.append(f"{row.mark:7}  {row.what:{width}}  {row.found}")
        if row.advice:
            lines.append(f"{'':7}  {'':{width}}  -> {row.advice}")
    return "\n".join(lines)


def _driver(facts: Mapping[str, Any]) -> Requirement:
    driver, cuda = facts["driver"], facts["cuda"]
    return Requirement(
        what="driver",
        found=f"{driver}, for CUDA up to {cuda}" if driver else "its version isn't told",
        ok=True if driver else None,
    )


def _library() -> Iterator[Requirement]:
    """Workers see no LD_LIBRARY_PATH, by which some machines have CUDA's driver found."""
    if not os.environ.get("LD_LIBRARY_PATH"):
        return
    try:
        process.capture([sys.executable, "-I", "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')"], env={})
    except OSError:
        yield Requirement(
            what="libcuda.so.1",
            found="isn't found without LD_LIBRARY_PATH, which workers don't see",
            ok=None,
            advice="write its folder into a file in /etc/ld.so.conf.d, then: sudo ldconfig",
        )


def _memory(facts: Mapping[str, Any]) -> Requirement:
    free, total = facts["memory_free_bytes"], facts["memory_bytes"]
    if not total:
        return Requirement(what="memory", found="the GPU doesn't tell", ok=None)
    enough = free >= FREE_SHARE * total
    return Requirement(
        what="memory",
        found=f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free",
        ok=True if enough else None,
        advice="" if enough else "end what uses it: nvidia-smi shows who",
    )


def _state(facts: Mapping[str, Any]) -> Iterator[Requirement]:
    """What is set on the GPU, and who else is there. isobench changes none of it."""
    others = facts["processes"]
    if others is None:
        yield Requirement(what="other processes", found="the GPU doesn't tell", ok=None)
    elif others:
        pids = ", ".join(str(process["pid"]) for process in others)
        yield Requirement(
            what="other processes",
            found=f"{len(others)} on this GPU (pid {pids})",
            ok=None,
            advice="wait until they have ended: what they use of it is seen, and such blocks are set aside",
        )
    else:
        yield Requirement(what="other processes", found="none")
    if facts["persistence"] is not None:
        yield Requirement(
            what="persistence",
            found="on" if facts["persistence"] else "off: the driver is loaded at each start",
            ok=True if facts["persistence"] else None,
            advice="" if facts["persistence"] else "sudo nvidia-smi -pm 1",
        )
    if facts["ecc"] is not None:
        errors = facts["ecc_errors"] or 0
        yield Requirement(
            what="ECC",
            found=("on" if facts["ecc"] else "off") + (f", {errors} uncorrected errors" if errors else ""),
            ok=None if errors else True,
            advice="the GPU needs a reset, or a repair" if errors else "",
        )
    if facts["mig"]:
        yield Requirement(
            what="MIG",
            found="on: this is a part of a GPU, others share power, memory and clocks with",
            ok=None,
            advice="compare only what takes turns (isobench compare)",
        )
    if facts["compute_mode"] == 2:  # NVML_COMPUTEMODE_PROHIBITED
        yield Requirement(
            what="compute mode", found="prohibited: nothing may compute on it", ok=False, advice="sudo nvidia-smi -c 0"
        )
    if facts["compute_mode"] == 3:  # NVML_COMPUTEMODE_EXCLUSIVE_PROCESS
        yield Requirement(
            what="compute mode",
            found="exclusive: one process at a time, and workers that take turns are several",
            ok=None,
            advice="for isobench compare and --interleave: sudo nvidia-smi -c 0",
        )
    if facts["power_limit_w"]:
        yield Requirement(what="power limit", found=f"{facts['power_limit_w']:.0f} W")


def _cuda(facts: Mapping[str, Any], major: int, who: str, runtime: str) -> list[Requirement]:
    found = []
    newest = _number(facts["cuda"])
    if newest is not None:
        enough = newest[0] >= major
        needed = f"driver {DRIVERS[major]} or later" if major in DRIVERS else "a later driver"
        found.append(
            Requirement(
                what=f"{runtime}: driver",
                found=f"CUDA {major} ({who}) with driver {facts['driver']}, for CUDA up to {facts['cuda']}",
                ok=enough,
                advice="" if enough else f"{needed}, or packages for an older CUDA",
            )
        )
    capability = _number(facts["compute_capability"])
    if capability is not None and capability < CAPABILITIES.get(major, (0, 0)):
        least = ".".join(map(str, CAPABILITIES[major]))
        found.append(
            Requirement(
                what=f"{runtime}: GPU",
                found=f"CUDA {major} has no code for compute capability {facts['compute_capability']}",
                ok=False,
                advice=f"a GPU of {least} or later, or packages for an older CUDA",
            )
        )
    return found


def _rtx(facts: Mapping[str, Any], runtime: str) -> list[Requirement]:
    capability = _number(facts["compute_capability"])
    if capability is None:
        return []
    ok = capability in RTX_CAPABILITIES or capability >= RTX_CAPABILITIES[-1]
    known = ", ".join(".".join(map(str, one)) for one in RTX_CAPABILITIES)
    return [
        Requirement(
            what=f"{runtime}: GPU",
            found=f"TensorRT-RTX builds for {known} and later; this is {facts['compute_capability']}",
            ok=ok,
            advice="" if ok else "-r trt, which builds for this GPU",
        )
    ]


def _some(names: Sequence[str]) -> str:
    """The first three; torch alone brings fifteen."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + more


def _number(text: str | None) -> tuple[int, ...] | None:
    """A version as numbers; None where it isn't told."""
    parts = (text or "").split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else None


def _is_called(name: str, part: str) -> bool:
    """Is `part` some of a GPU's name, whole words of it? "NVIDIA A100-SXM4" is an a100 and an a100-sxm4, and no a10."""
    words, wanted = _words(name), "".join(_words(part))
    starts, ends = range(len(words)), range(1, len(words) + 1)
    return any("".join(words[start:end]) == wanted for start in starts for end in ends)


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()
