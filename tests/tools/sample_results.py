"""Results to try things on: made up, but of every part that a real one has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sample_blocks import quiet

from isobench import results
from isobench.analysis.correctness import Correctness
from isobench.analysis.intervals import Interval
from isobench.analysis.noise import Verdict
from isobench.analysis.summary import summarize
from isobench.planning.models import TensorSpec
from isobench.planning.settings import Settings
from isobench.results import (
    ColdStart,
    DeviceRecord,
    EnvironmentRecord,
    Failed,
    Measured,
    ModelRecord,
    Provenance,
    Result,
    Run,
    RuntimeRecord,
    Warmup,
)
from isobench.system.facts import Cache, Clock, Cpu, Git, Host, Hypervisor, Kernel, Memory, Python
from isobench.workers import protocol

HOST = Host(
    hostname="one",
    cpu=Cpu(
        model="A CPU",
        vendor="A maker",
        family="6",
        model_number="143",
        stepping="8",
        microcode=None,
        flags=("avx2", "fma"),
        logical_cores=4,
        physical_cores=4,
        sockets=1,
        smt="off",
        caches=(Cache(level=1, type="Data", size="32K"),),
        max_mhz=None,
        now_mhz=2000.0,
        driver="intel_pstate",
        governors=("performance",),
        turbo=False,
    ),
    memory=Memory(total_bytes=16 << 30, available_bytes=8 << 30, swap_bytes=0, limit_bytes=None),
    kernel=Kernel(release="6.1.0", version="#1 SMP", machine="x86_64"),
    os="Debian GNU/Linux 12 (bookworm)",
    glibc="glibc 2.36",
    hypervisor=Hypervisor(present=False, type=None, vendor=None, product=None),
    container=None,
    affinity=(0, 1, 2, 3),
    cpu_quota=None,
    load_average=(0.0, 0.0, 0.0),
    transparent_hugepages="madvise",
    address_space_randomization=2,
    clock=Clock(name="clock_gettime(CLOCK_MONOTONIC)", source="tsc", resolution_s=1e-9, cost_s=5e-8),
    python=Python(version="3.11.7", executable="/usr/bin/python3"),
    isobench="0.1.0",
    command=("isobench", "run"),
    environment={},
)
"""A quiet machine, on which nothing disturbs."""

BLOCK = quiet(4, started_s=1.0, wall_s=0.02, cpu_own_s=0.04, cpu_others_s=0.001, involuntary_switches=1, minor_faults=2)


def measured(mean_ms: float, *, ok: bool = True, reasons: tuple[str, ...] = (), set_aside_s: float = 0.0) -> Measured:
    status = "clean" if ok and not reasons else "noisy" if ok else "invalid"
    latency = summarize([round(mean_ms * 1e6)] * 4)
    interval = Interval(low=0.9 * latency.median_s, high=1.1 * latency.median_s)
    return Measured(
        latency=latency,
        latency_all=replace(summarize([round(mean_ms * 2e6)] * 6)) if set_aside_s else latency,
        intervals=dict.fromkeys(("mean_s", "median_s", "p90_s", "p99_s"), interval),
        noise_floor=0.03,
        floor_source="assumed",
        set_aside_s=set_aside_s,
        clean_share=0.75 if set_aside_s else 1.0,
        verdict=Verdict(status=status, reasons=reasons),
        correctness=Correctness(
            ok=ok, worst_absolute=1e-6, worst_relative=1e-7, cosine=1.0, tensors=(), reasons=() if ok else reasons
        ),
        runs=(
            Run(
                started_at="2026-01-01T00:00:00.000+00:00",
                cold_start=ColdStart(import_s=0.1, load_s=0.2, compile_s=None, first_inference_s=0.01),
                warmup=Warmup(iterations=15, wall_s=0.1, settled=True, curve=((6, 0.005), (11, 0.004))),
                timer_s=1e-7,
                group=1,
                blocks=(BLOCK,),
                used=(True,),
                median_s=latency.median_s,
                threads={"requested": 2, "runtime": 2, "process": 3},
                peak_memory_bytes=1 << 20,
                samples_file=f"run-1/{protocol.SAMPLES_FILE}",
            ),
        ),
        facts={"onnxruntime": "1.0"},
        stats={},
    )


def make(runtime: str = "ort", outcome: Measured | Failed | None = None, **changes: Any) -> Result:
    result = Result(
        id=f"20260101T000000-net-{runtime}-0001",
        isobench="0.1.0",
        started_at="2026-01-01T00:00:00.000+00:00",
        ended_at="2026-01-01T00:00:01.000+00:00",
        command=("isobench", "run"),
        model=ModelRecord(
            name="net",
            path="/models/net.py",
            source_sha256="0" * 64,
            script_args=("--n=1",),
            labels={"task": ("nlp",)},
            hash="12ab34cd",
            class_name="Net",
            parameters=11_689_512,
            signature="(float32[1, 3])",
            inputs=(TensorSpec(name="args.0", dtype="float32", shape=(1, 3)),),
            git=Git(commit="c" * 40, branch="main", dirty=True),
        ),
        runtime=RuntimeRecord(name=runtime, label=runtime, version="1.0", arguments={"spinning": True}),
        device=DeviceRecord(device="x86", name="A CPU"),
        environment=EnvironmentRecord(
            name="ort",
            provider="venv",
            identity="a" * 64,
            lock_sha256="b" * 64,
            lock_file="/locks/ort",
            python="3.11.7",
            packages=("numpy==2.4.6",),
        ),
        settings=Settings(threads=2),
        outcome=outcome or measured(4.0),
        provenance=Provenance(host=HOST),
    )
    return replace(result, **changes)


def save(result: Result, folder: Path) -> Path:
    run_dir = folder / "run"
    run_dir.mkdir(exist_ok=True)
    (run_dir / protocol.LOG_FILE).write_text("a log\n")
    (run_dir / protocol.SAMPLES_FILE).write_bytes((4_000_000).to_bytes(8, "little") * BLOCK.samples)
    return results.save(result, run_dirs=[run_dir], root=folder / "results")
