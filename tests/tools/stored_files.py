"""An ISOBENCH_HOME with every kind of file that isobench stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import sample_builds
import sample_results
import sample_sweeps

from isobench.analysis.gpu_noise import GpuBlock, summarize_gpu
from isobench.analysis.input_sets import InputSets, SetLatency
from isobench.analysis.intervals import Interval
from isobench.analysis.ratios import Ratio
from isobench.builds import cache
from isobench.failures import Ending
from isobench.planning.models import InputValues, Step, TensorSpec
from isobench.results import Result, Turns, noise_floor
from isobench.sweeps.journal import What
from isobench.workers import protocol


def fill(folder: Path) -> None:
    """Put results, a sweep, a noise floor and a build into ISOBENCH_HOME, which is `folder`."""
    sample_results.save(whole(), folder)
    for number in range(3):
        sample_results.save(sample_results.make(id=f"20260101T00000{number}-net-ort-000{number}"), folder)
    failed = sample_results.make(outcome=sample_results.Failed(kind=Ending.CRASH, message="it crashed"), id="20260102")
    sample_results.save(failed, folder)
    noise_floor.save(noise_floor.Floor(runs=0.02, pairs=0.005, source="measured"))
    tasks = [
        sample_sweeps.task(f"net-{number}", "ort", case_key=f"key-{number}", axes={"batch": number})
        for number in (1, 2)
    ]
    night = sample_sweeps.folder(folder / "sweeps" / "night", *tasks, seed=3)
    sample_sweeps.save(night, tasks[0])
    night.change_options({"partition": "gpu"})
    night.journal.write(What.STARTED)
    night.journal.write(What.RUNNING, task=tasks[0].key)
    night.journal.write(What.ENDED, task=tasks[0].key, results=["20260101T000000-net-1-ort-0000"])
    _build(folder)


def whole() -> Result:
    """A Result with everything that one may have."""
    made = sample_results.measured(4.0)
    gpu = GpuBlock(enqueue_s=1e-5, inferences=4, energy_j=1.0, clock_mhz=1000.0, power_w=70.0, temperature_c=50.0)
    within = Interval(low=0.003, high=0.005)
    outcome = replace(
        made,
        runs=tuple(replace(run, blocks=(replace(run.blocks[0], gpu=gpu),)) for run in made.runs),
        turns=Turns(id="a", place=0, seed=1, order=(((0, 1),),)),
        end_to_end=made.latency,
        gpu=summarize_gpu([gpu]),
        input_sets=InputSets(
            sets=(SetLatency(name="a", median_s=0.004, within=within),),
            ratio=Ratio(value=1.0, within=within),
            depends=None,
        ),
        facts={"gpu": {"driver": "1"}, "unbound_outputs": {"y": "dynamic"}, "timed": "forward"},
        stats={"mean tokens": 3.5},
    )
    plain = sample_results.make(outcome=outcome, id="20260101T000009-all-ort-0009")
    model = replace(
        plain.model,
        input_values=(InputValues(name="x", dtype="float32", shape=(1, 3), rule="zeros", low=0.0, high=1.0),),
        inputs=(TensorSpec(name="x", dtype="float32", shape=(1, None)),),
        env={"A": "b"},
        notes=("a note",),
    )
    place = sample_sweeps.task("net", axes={"batch": 8}).plan.sweep
    return replace(plain, model=model, sweep=place, steps=(Step(tool="convert-fp16", options={"a": [1]}, alters=True),))


def _build(folder: Path) -> None:
    """A build in the cache, and the record that finds it."""
    build = sample_builds.make(Path("/models/net.py"), onnx=False)
    made = folder / "made"
    made.mkdir()
    cache.store(build, made)
    tensor = protocol.Tensor("x", "float32", (1, 3), bytes(12))
    texts = protocol.Tensor("t", "string", (2,), protocol.pack_strings(["a", "b"]))
    protocol.write_tensors(build.inputs_file, [tensor, texts])
    cache.remember("key", [build], [cache.Dependency(path="/models", kind=cache.Kind.ABSENT)])
