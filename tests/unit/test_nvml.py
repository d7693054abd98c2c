"""NVML through its real binding, with a fake of the driver's library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[1] / "samples" / "cuda" / "libnvidia-ml.c"
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the loader finds it in."""
    return build(tmp_path_factory.mktemp("driver"))


def build(folder: Path, *options: str) -> Path:
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", *options, "-o", library, SOURCE], check=True)
    return folder


def reported(driver: Path, code: str, **environment: str) -> Any:
    """What the code leaves in `found`, in a process that has the library."""
    code = f"import json\nfrom isobench.workers import nvml\n{code}\nprint(json.dumps(found))"
    variables = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, "LD_LIBRARY_PATH": str(driver), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_facts_of_a_gpu_have_their_units(driver: Path) -> None:
    assert reported(driver, "found = nvml.visible()[0].facts()") == {
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": "GPU-0",
        "bus_id": "00000000:65:00.0",
        "driver": "580.65.06",
        "cuda": "13.1",
        "compute_capability": "9.1",
        "memory_bytes": 85520809984,
        "memory_free_bytes": 85000000000,
        "ecc": True,
        "ecc_errors": 4,
        "persistence": True,
        "mig": False,
        "power_limit_w": 700.0,
        "max_clock_mhz": 1980,
        "max_memory_clock_mhz": 2619,
        "compute_mode": 3,
    }


def test_two_readings_become_the_counters_between_them(driver: Path) -> None:
    code = """
import ctypes, os
gpu = nvml.by_bus_id("0000:65:00.0")
ctypes.c_uint.in_dll(ctypes.CDLL("libnvidia-ml.so.1"), "own_pid").value = os.getpid()
before, after = gpu.read(), gpu.read()
found = [gpu.between(before, after), before.others_utilization, gpu.processes()]
"""
    between, others_before, processes = reported(driver, code)
    assert between == {
        "energy_j": 2.5,
        "slowed_s": 0.007,
        "capped_s": 0.09,
        "clock_reasons": 0x24,
        "clock_mhz": 1755,
        "memory_clock_mhz": 2600,
        "power_w": 412.5,
        "temperature_c": 61,
        "utilization": 0.97,
        "others": 1,
        "others_utilization": 0.0,
    }
    assert others_before == 0.3, "the most that another process used; nothing is newer at the second look"
    assert processes == [{"pid": 4321, "memory_bytes": 1 << 30}, {"pid": 4322, "memory_bytes": None}]


def test_the_use_by_others_is_unknown_if_this_process_is_not_listed(driver: Path) -> None:
    assert reported(driver, "found = nvml.visible()[0].read().others_utilization") is None


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (None, ["NVIDIA H100 80GB HBM3", "NVIDIA A10"]),  # the one that may not be used isn't counted
        ("1,0", ["NVIDIA A10", "NVIDIA H100 80GB HBM3"]),
        ("GPU-2", ["NVIDIA A10"]),
        ("MIG-7", ["NVIDIA H100 80GB HBM3"]),  # the whole that it's a part of
        ("0,7,1", ["NVIDIA H100 80GB HBM3"]),
    ],
)
def test_the_visible_gpus_are_those_of_cuda(driver: Path, names: str | None, found: list[str]) -> None:
    variables = {} if names is None else {"CUDA_VISIBLE_DEVICES": names}
    assert reported(driver, "found = [gpu.facts()['name'] for gpu in nvml.visible()]", **variables) == found


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("nvml.visible()", "the NVIDIA driver lists 2 GPUs, but CUDA_VISIBLE_DEVICES=-1 selects"),
        ("nvml.by_bus_id('0000:99:00.0')", "NVML can't access the GPU: Not Found"),
    ],
)
def test_an_unavailable_gpu_has_a_reason(driver: Path, code: str, message: str) -> None:
    caught = f"try:\n    {code}\nexcept nvml.Unavailable as error:\n    found = str(error)"
    assert reported(driver, caught, CUDA_VISIBLE_DEVICES="-1").startswith(message)


def test_a_gpu_that_answers_nothing_reports_none(driver: Path) -> None:
    code = """
import ctypes, pynvml
gpu = nvml.Gpu(ctypes.cast(101, pynvml.c_nvmlDevice_t), nvml.library())
before = gpu.read()
found = [gpu.facts(), gpu.processes(), before, gpu.between(before, gpu.read())]
"""
    facts, processes, reading, between = reported(driver, code)
    assert {name for name, value in facts.items() if value is not None} == {"driver", "cuda"}
    assert processes is None
    assert set(reading) == set(between.values()) == {None}


def test_an_older_library_reports_what_it_supports(tmp_path: Path) -> None:
    build(tmp_path, "-DOLDER")
    code = "gpu = nvml.visible()[0]; before = gpu.read(); found = gpu.between(before, gpu.read())"
    between = reported(tmp_path, code)
    assert (between["clock_reasons"], between["energy_j"], between["power_w"]) == (0x8, None, 412.5)
