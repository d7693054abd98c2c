"""The runtimes of isobench itself, registered in the same way as those of plugins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isobench.errors import UsageError
from isobench.planning.models import Model
from isobench.runtimes import custom_ops
from isobench.runtimes.nvidia import OnNvidia, OrtCudaRT, TrtRT, TrtRtxRT
from isobench.runtimes.worker_rt import WorkerRT
from isobench.system.devices import CPUS, NVIDIA

if TYPE_CHECKING:
    from isobench.environments import Spec
    from isobench.runtimes.base import BaseRT
    from isobench.system.devices import Device


class OrtRT(WorkerRT):
    """ONNX Runtime on the CPU.

    `intra_op_threads` (default: `--threads`) work on one operator; `inter_op_threads` on several at a time, if
    `execution_mode` is parallel. All nodes must run on `execution_provider`. `custom_op_library` is a shared library
    with operators that ONNX Runtime doesn't have; the expected outputs of an `.onnx` file are computed with it, too.
    """

    environment = "ort"
    worker = "ort_worker.py"
    package = "onnxruntime"
    variants = ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-training")
    takes_ort_format = True

    def __init__(
        self,
        *,
        graph_optimization: Literal["all", "extended", "basic", "none"] = "all",
        execution_mode: Literal["sequential", "parallel"] = "sequential",
        intra_op_threads: int | None = None,
        inter_op_threads: int | None = None,
        execution_provider: str = "CPUExecutionProvider",
        spinning: bool = True,
        custom_op_library: Path | None = None,
    ) -> None:
        parallel = execution_mode == "parallel"
        if inter_op_threads is not None and not parallel:
            raise UsageError(
                "ort: inter_op_threads needs execution_mode::parallel, otherwise operators run one after the other",
                hint="Give both, or neither.",
            )
        for name, value, least in (("intra_op", intra_op_threads, 1), ("inter_op", inter_op_threads, 2)):
            if value is not None and value < least:
                raise UsageError(f"ort: {name}_threads must be at least {least}, got {value}")
        super().__init__(
            graph_optimization=graph_optimization,
            execution_mode=execution_mode,
            intra_op_threads=intra_op_threads,
            inter_op_threads=inter_op_threads,
            execution_provider=execution_provider,
            spinning=spinning,
            **custom_ops.arguments(custom_op_library),
        )

    @classmethod
    def on(cls, device: Device) -> type[BaseRT]:
        return OrtCudaRT if device.is_nvidia else cls


class OpenVinoRT(WorkerRT):
    """OpenVINO on the CPU.

    `precision` is that of its arithmetic; with "auto" OpenVINO chooses, bf16 where that is fast. `pinning` binds its
    threads to CPUs, as is OpenVINO's own default.
    """

    environment = "openvino"
    worker = "openvino_worker.py"
    package = "openvino"

    def __init__(self, *, precision: Literal["f32", "bf16", "f16", "auto"] = "f32", pinning: bool = False) -> None:
        super().__init__(precision=precision, pinning=pinning)


class _TorchRT(WorkerRT):
    """The script's module, as the script calls it."""

    environment = "torch"
    worker = "torch_worker.py"
    package = "torch"
    network = True  # the script may load weights
    takes_scripts_only = (
        "it runs the PyTorch module of a script, and an .onnx file contains none "
        "(an ONNX graph can't be converted back to a module)"
    )

    @classmethod
    def environment_for(cls, model: Model, progress: Callable[[str], None]) -> Spec:
        from isobench import environments

        return environments.for_script(model.path, base=cls.environment, progress=progress)


class TorchEagerRT(_TorchRT):
    """PyTorch as the script wrote it."""

    def __init__(self) -> None:
        super().__init__(compiled=False)

    @classmethod
    def on(cls, device: Device) -> type[BaseRT]:
        return TorchEagerCudaRT if device.is_nvidia else cls


class TorchCompiledRT(_TorchRT):
    """PyTorch with `torch.compile`."""

    def __init__(
        self, *, mode: str = "default", backend: str = "inductor", dynamic: bool | None = None, fullgraph: bool = False
    ) -> None:
        super().__init__(compiled=True, mode=mode, backend=backend, dynamic=dynamic, fullgraph=fullgraph)

    @classmethod
    def on(cls, device: Device) -> type[BaseRT]:
        return TorchCompiledCudaRT if device.is_nvidia else cls


class TorchEagerCudaRT(OnNvidia, TorchEagerRT):
    """PyTorch as the script wrote it, moved to the GPU."""

    environment = "torch-cuda"

    def __init__(self, *, tf32: bool = False) -> None:
        super().__init__()
        self.rt_args |= {"device": "cuda", "tf32": tf32}


class TorchCompiledCudaRT(OnNvidia, TorchCompiledRT):
    """PyTorch with `torch.compile`, on the GPU."""

    environment = "torch-cuda"

    def __init__(
        self,
        *,
        mode: str = "default",
        backend: str = "inductor",
        dynamic: bool | None = None,
        fullgraph: bool = False,
        tf32: bool = False,
    ) -> None:
        super().__init__(mode=mode, backend=backend, dynamic=dynamic, fullgraph=fullgraph)
        self.rt_args |= {"device": "cuda", "tf32": tf32}


EVERYWHERE = (*CPUS, NVIDIA)

implements = {
    "runtimes": {
        "ort": {"supported_devices": EVERYWHERE, "build_required": True, "RuntimeClass": OrtRT},
        "torch-eager": {"supported_devices": EVERYWHERE, "build_required": False, "RuntimeClass": TorchEagerRT},
        "torch-compiled": {"supported_devices": EVERYWHERE, "build_required": False, "RuntimeClass": TorchCompiledRT},
        "trt": {"supported_devices": (NVIDIA,), "RuntimeClass": TrtRT, "status_stats": ["builds"]},
        "trt-rtx": {"supported_devices": (NVIDIA,), "RuntimeClass": TrtRtxRT, "status_stats": ["builds"]},
        "openvino": {"supported_devices": CPUS, "build_required": True, "RuntimeClass": OpenVinoRT},
    }
}
