"""What a GPU, its driver and an environment require of one another, with made-up GPUs and without a GPU."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from array import array
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from manifests import manifest_of

from isobench import environments
from isobench.cli.main import main
from isobench.errors import UsageError
from isobench.runtimes import registry
from isobench.supervisor.outputs import Measurement, WorkerOutputs
from isobench.system import doctor, nvidia
from isobench.system import nvidia_requirements as requirements
from isobench.system.devices import Device
from isobench.system.nvidia import GpuFacts
from isobench.workers import nvml

H100 = GpuFacts(
    name="NVIDIA H100 80GB HBM3",
    driver="580.65.06",
    cuda="13.0",
    compute_capability="9.0",
    memory_bytes=80 << 30,
    memory_free_bytes=79 << 30,
    ecc=True,
    ecc_errors=0,
    persistence=True,
    mig=False,
    power_limit_w=700.0,
    compute_mode=0,
    processes=(),
)
NVIDIA = Device(family="nvidia")
CUDA_13 = {"nvidia-cuda-runtime": "13.0.96", "tensorrt-cu13": "11.4.0.106", "numpy": "2.3.0"}


def _here(monkeypatch: pytest.MonkeyPatch, *pids: int, **facts: Any) -> None:
    gpu = SimpleNamespace(
        facts=lambda: {**asdict(H100), "uuid": "GPU-ab", **facts},
        processes=lambda: [{"pid": pid, "memory_bytes": None} for pid in pids],
    )
    monkeypatch.setattr(nvml, "visible", lambda: [gpu])
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)


def test_a_gpu_that_fits_meets_all_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch)
    found = [*requirements.of_gpu(nvidia.gpu(NVIDIA)), *requirements.of_packages(H100, CUDA_13, runtime="trt")]
    requirements.check(found)
    assert requirements.listing(found).splitlines() == [
        "ok       GPU              NVIDIA H100 80GB HBM3, compute capability 9.0",
        "ok       driver           580.65.06, for CUDA up to 13.0",
        "ok       memory           79.0 of 80.0 GiB free",
        "ok       other processes  none",
        "ok       persistence      on",
        "ok       ECC              on",
        "ok       power limit      700 W",
        (
            "ok       trt: driver      CUDA 13 (nvidia-cuda-runtime 13.0.96, tensorrt-cu13 11.4.0.106) with driver "
            "580.65.06, for CUDA up to 13.0"
        ),
    ]


def test_what_disturbs_is_noted_with_advice_and_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch, 77, 78, persistence=False, memory_free_bytes=8 << 30, mig=True, ecc_errors=3)
    found = requirements.of_gpu(nvidia.gpu(NVIDIA))
    requirements.check(found)
    text = requirements.listing(found)
    assert "note     other processes  2 on this GPU (pid 77, 78)" in text
    assert "-> sudo nvidia-smi -pm 1" in text
    assert "note     memory           8.0 of 80.0 GiB free" in text
    assert "MIG" in text
    assert "on, 3 uncorrected errors" in text


@pytest.mark.parametrize(
    ("facts", "packages", "message", "hint"),
    [
        (
            {"driver": "570.86.10", "cuda": "12.8"},
            CUDA_13,
            "tensorrt-cu13 11.4.0.106) with driver 570.86.10, for CUDA up to 12.8",
            "driver 580 or later, or packages for an older CUDA",
        ),
        ({}, {"tensorrt-cu14": "12.0"}, "CUDA 14 (tensorrt-cu14 12.0) with driver 580.65.06", "a later driver, or"),
        (
            {"compute_capability": "7.0"},
            CUDA_13,
            "CUDA 13 doesn't support compute capability 7.0",
            "a GPU of compute capability 7.5 or later, or packages for an older CUDA",
        ),
        (
            {},
            {**CUDA_13, "nvidia-cudnn-cu12": "9.1"},
            "trt: versions: CUDA 12 (nvidia-cudnn-cu12 9.1) and CUDA 13",
            "packages for one major version of CUDA",
        ),
        (
            {},
            {"tensorrt-rtx": "1.7.1.116"},
            "TensorRT-RTX builds for 8.0, 8.6, 8.9, 12.0 and later; this is 9.0",
            "-r trt, which builds for this GPU",
        ),
    ],
)
def test_versions_that_do_not_fit_are_refused_with_versions_that_do(
    facts: dict[str, Any], packages: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as raised:
        requirements.check(requirements.of_packages(replace(H100, **facts), packages, runtime="trt"))
    assert message in raised.value.message
    assert hint in raised.value.hint
    assert "MISSING" in raised.value.details


def test_an_old_driver_that_supports_a_new_cuda_by_its_compatibility_package_is_accepted() -> None:
    requirements.check(requirements.of_packages(replace(H100, driver="570.86.10", cuda="13.0"), CUDA_13, runtime="trt"))


@pytest.mark.skipif(nvidia.present(), reason="there is a driver")
def test_a_driver_that_workers_would_not_find_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch)
    facts = nvidia.gpu(NVIDIA)
    assert "libcuda" not in requirements.listing(requirements.of_gpu(facts))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/local/nvidia/lib64")
    text = requirements.listing(requirements.of_gpu(facts))
    assert "note     libcuda.so.1     not found without LD_LIBRARY_PATH, which workers don't inherit" in text
    assert "sudo ldconfig" in text


def test_processes_that_nvml_does_not_list_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch)
    found = requirements.of_gpu(replace(nvidia.gpu(NVIDIA), processes=None))
    assert "note     other processes  unknown: NVML doesn't list them" in requirements.listing(found)


def test_a_gpu_in_prohibited_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch, compute_mode=2)
    with pytest.raises(UsageError, match="compute mode: prohibited") as raised:
        requirements.check(requirements.of_gpu(nvidia.gpu(NVIDIA)))
    assert raised.value.hint == "sudo nvidia-smi -c 0"


def test_a_gpu_in_exclusive_mode_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch, compute_mode=3)
    found = requirements.of_gpu(nvidia.gpu(NVIDIA))
    requirements.check(found)
    [mode] = [one for one in found if one.what == "compute mode"]
    assert (mode.ok, mode.found.partition(":")[0]) == (None, "exclusive")


def test_a_gpu_of_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch)
    assert nvidia.gpu(Device(family="nvidia", part="h100")).driver == "580.65.06"
    assert nvidia.gpu(Device(family="nvidia", part="H100-80GB")).processes == ()
    with pytest.raises(UsageError, match="no device nvidia::a100: the GPU is NVIDIA H100 80GB HBM3"):
        nvidia.gpu(Device(family="nvidia", part="a100"))
    for name, part in (("NVIDIA A100-SXM4-40GB", "a10"), ("NVIDIA L40S", "l4"), ("NVIDIA GeForce RTX 4090", "90")):
        _here(monkeypatch, name=name)
        with pytest.raises(UsageError, match=f"no device nvidia::{part}: "):
            nvidia.gpu(Device(family="nvidia", part=part))
    assert nvidia.gpu(Device(family="nvidia", part="rtx4090")).name == "NVIDIA GeForce RTX 4090"


@pytest.mark.skipif(nvidia.present(), reason="there is a GPU")
def test_without_a_gpu_it_is_refused_at_once_and_doctor_lists_what_is_missing() -> None:
    with pytest.raises(UsageError, match="no device nvidia: no NVIDIA driver") as raised:
        nvidia.gpu(NVIDIA)
    assert "isobench doctor --device nvidia" in raised.value.hint
    done = subprocess.run(
        [sys.executable, "-m", "isobench", "doctor", "--device", "nvidia"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("MISSING  GPU  no NVIDIA driver: libnvidia-ml.so.1 not found\n")
    assert "-> a machine with an NVIDIA GPU and its driver" in done.stdout
    run = subprocess.run(
        [sys.executable, "-m", "isobench", "run", "--device", "nvidia", __file__],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: no device nvidia: no NVIDIA driver")


def test_a_host_without_nvidia_ml_py_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UsageError) as raised:
        nvidia.gpu(NVIDIA)
    found = requirements.no_gpu(raised.value)
    assert (found.ok, found.found) == (False, "the package nvidia-ml-py is not installed")
    assert found.advice == "pip install nvidia-ml-py"


def test_the_first_gpu_is_that_of_cuda_visible_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    class NVMLError(Exception):
        pass

    class NVMLError_NoPermission(NVMLError):  # noqa: N801, N818 - pynvml's name
        pass

    def no_such_gpu(*_: object) -> None:
        raise NVMLError("Not Found")

    def by_index(index: int) -> str:
        if index == 0:
            raise NVMLError_NoPermission("Insufficient Permissions")
        return f"gpu {index - 1}"

    library = SimpleNamespace(
        NVMLError=NVMLError,
        NVMLError_NoPermission=NVMLError_NoPermission,
        nvmlDeviceGetCount=lambda: 3,  # one of them is another job's, and CUDA doesn't count it
        nvmlDeviceGetHandleByIndex=by_index,
        nvmlDeviceGetHandleByUUID=lambda uuid: no_such_gpu() if uuid == b"GPU-gone" else uuid.decode(),
        nvmlDeviceGetDeviceHandleFromMigDeviceHandle=lambda part: f"the whole of {part}",
    )
    monkeypatch.setattr(nvml, "library", lambda: library)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    for names, expected in (
        (None, ["gpu 0", "gpu 1"]),
        ("1,0", ["gpu 1", "gpu 0"]),
        ("GPU-ab,7,0", ["GPU-ab"]),
        ("MIG-cd", ["the whole of MIG-cd"]),
    ):
        if names is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
        assert [gpu._handle for gpu in nvml.visible()] == expected
    none_left = "lists 2 GPUs, but CUDA_VISIBLE_DEVICES= selects none"
    for names, message in (("", none_left), ("GPU-gone", "Not Found")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
        with pytest.raises(nvml.Unavailable, match=message):
            nvml.visible()


def test_every_name_that_is_used_of_nvml_is_in_the_real_package() -> None:
    import pynvml

    names = set(re.findall(r"\b(?:nvml[A-Z]|NVML)\w+", Path(nvml.__file__).read_text(encoding="utf-8")))
    assert len(names) > 20
    assert [name for name in sorted(names) if not hasattr(pynvml, name)] == []


def test_the_runtimes_of_a_gpu_are_classes_of_their_own_and_trt_is_the_default() -> None:
    assert registry.default(NVIDIA) == "trt"
    takes = {name: registry.get(name, NVIDIA) for name in ("trt", "trt-rtx", "ort", "torch-eager", "torch-compiled")}
    assert {name: entry.cls.environment for name, entry in takes.items()} == {
        "trt": "tensorrt",
        "trt-rtx": "tensorrt-rtx",
        "ort": "ort-cuda",
        "torch-eager": "torch-cuda",
        "torch-compiled": "torch-cuda",
    }
    assert registry.get("ort", Device(family="cpu")).cls.environment == "ort"
    for entry in takes.values():
        assert entry.make({"tf32": "yes"}).rt_args["tf32"] is True
        assert entry.make({}).rt_args["tf32"] is False  # one rule for all
        assert entry.cls.interleavable()
    assert takes["torch-compiled"].make({"mode": "max-autotune"}).rt_args == {
        "compiled": True,
        "mode": "max-autotune",
        "backend": "inductor",
        "dynamic": None,
        "fullgraph": False,
        "device": "cuda",
        "tf32": False,
    }
    assert registry.get("trt", Device(family="nvidia", part="h100")).device == Device(family="nvidia", part="h100")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"builds": "0"}, "builds must be from 1 to 20, got 0"),
        ({"optimization": "6"}, "optimization must be from 0 to 5, got 6"),
        ({"workspace": "-1"}, "workspace must be a number of bytes, or 0 for no limit, got -1"),
        ({"precision": "fp16"}, "precision"),
    ],
)
def test_what_tensorrt_does_not_support_is_refused_before_any_work(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        registry.get("trt", NVIDIA).make(arguments)


def _at_work(packages: dict[str, str]) -> Any:
    """trt, about to measure in an environment of these packages."""
    runtime: Any = registry.get("trt", NVIDIA).make({})
    environment = SimpleNamespace(manifest=lambda: manifest_of(packages))
    runtime.context = SimpleNamespace(runtime="trt", device=NVIDIA, environment=environment)
    return runtime


def test_before_each_run_the_environment_is_checked_against_the_gpu_and_its_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _here(monkeypatch, 77)  # another process on the GPU is no reason to refuse
    _at_work(CUDA_13)._setup()
    _here(monkeypatch, driver="570.86.10", cuda="12.8")
    with pytest.raises(UsageError, match="trt: driver: CUDA 13") as raised:
        _at_work(CUDA_13)._setup()
    assert "ok       GPU" in raised.value.details
    _here(monkeypatch, compute_mode=2)
    with pytest.raises(UsageError, match="compute mode: prohibited"):
        _at_work(CUDA_13)._setup()


def test_the_devices_name_is_nvmls() -> None:
    runtime = _at_work({})
    assert runtime.device_name() == ""
    outputs = WorkerOutputs(raw={"facts": {"gpu": {"name": "NVIDIA H100"}}})
    runtime.measurement = Measurement.of(outputs, array("q", [1]), set_aside=True)
    assert runtime.device_name() == "NVIDIA H100"


def test_doctor_lists_the_environments_of_the_gpus_runtimes_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _here(monkeypatch)
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "watch", lambda: doctor.Busy(processes=(), steal_share=0.0))
    monkeypatch.setattr(sys, "argv", ["isobench", "doctor", "--device", "nvidia", "--json"])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    found = {row["what"]: (row["ok"], row["found"], row["advice"]) for row in printed["requirements"]}
    assert found["GPU"][1] == "NVIDIA H100 80GB HBM3, compute capability 9.0"
    assert found["ort: environment"] == (None, "ort-cuda isn't installed yet", "isobench env create ort-cuda")
    if not environments.spec("tensorrt").is_locked:
        assert found["trt: environment"] == (None, "tensorrt isn't locked yet", "isobench env lock tensorrt")
    assert {"trt-rtx: environment", "torch-eager: environment", "torch-compiled: environment"} <= set(found)
    assert isinstance(printed["findings"], list)


def test_the_help_lists_a_runtimes_arguments_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isobench", "benchmark", "-h"])
        with pytest.raises(SystemExit):
            main()
    text = " ".join(capsys.readouterr().out.split())
    assert "nvidia trt (default), ort, torch-eager, torch-compiled, trt-rtx" in text
    assert "torch-eager none torch-eager on nvidia tf32 (bool; default False)" in text
    assert "trt workspace (int; default 0)" in text
