"""The runtimes on NVIDIA GPUs. All are timed alike (`workers/gpu_timing.py`), and TF32 is off unless it's asked for."""

from __future__ import annotations

from typing import Any, Literal

from isobench.errors import UsageError
from isobench.runtimes.worker_rt import WorkerRT


class OnNvidia(WorkerRT):
    """What has to be so before anything runs on a GPU, and what the GPU is called."""

    def _setup(self) -> None:
        """Can the GPU be used, and does the environment suit it and its driver?

        Raises:
            UsageError: it can't, or it doesn't; the message lists what was looked at.
        """
        from isobench.system import nvidia, nvidia_requirements

        super()._setup()
        context = self._bound()
        packages = self._environment().manifest().versions()
        gpu = nvidia.gpu(context.device)
        fits = nvidia_requirements.of_packages(gpu, packages, runtime=context.runtime)
        nvidia_requirements.check([*nvidia_requirements.of_gpu(gpu), *fits])

    def device_name(self) -> str:
        """The GPU's name, by NVML; "" where that couldn't be asked."""
        gpu: dict[str, Any] = self.outputs.get("facts", {}).get("gpu", {})
        return str(gpu.get("name") or "")


class TrtRT(OnNvidia):
    """TensorRT. The precision is that of the ONNX file.

    `workspace` is the most memory in bytes that a layer may use (0: all there is), `optimization` from 0 (quickly
    built) to 5 (long searched). `timing_cache` keeps what was found out about this GPU; with `builds`, the engine is
    built so many times without, all are tried, and the one in the middle is measured.
    """

    environment = "tensorrt"
    worker = "trt_worker.py"
    package = "tensorrt-cu13-bindings"

    def __init__(
        self,
        *,
        workspace: int = 0,
        optimization: int = 3,
        tf32: bool = False,
        cuda_graph: bool = False,
        timing_cache: bool = True,
        builds: int = 1,
    ) -> None:
        for name, value, least, most in (("optimization", optimization, 0, 5), ("builds", builds, 1, 20)):
            if not least <= value <= most:
                raise UsageError(f"{name} is {value}: it is to be from {least} to {most}")
        if workspace < 0:
            raise UsageError(f"workspace is {workspace}: it is a number of bytes, or 0 for all of the memory")
        super().__init__(
            workspace=workspace,
            optimization=optimization,
            tf32=tf32,
            cuda_graph=cuda_graph,
            timing_cache=timing_cache,
            builds=builds,
        )


class TrtRtxRT(TrtRT):
    """TensorRT-RTX, which builds without a GPU and makes its kernels where it runs. The arguments are those of trt."""

    environment = "tensorrt-rtx"
    package = "tensorrt-rtx-cu13-bindings"


class OrtCudaRT(OnNvidia):
    """ONNX Runtime's CUDA provider.

    With `cpu_fallback`, nodes that it can't run are run on the CPU, and the result says so; without, that's an error.
    """

    environment = "ort-cuda"
    worker = "ort_cuda_worker.py"
    package = "onnxruntime-gpu"

    def __init__(
        self,
        *,
        graph_optimization: Literal["all", "extended", "basic", "none"] = "all",
        tf32: bool = False,
        cpu_fallback: bool = False,
    ) -> None:
        super().__init__(graph_optimization=graph_optimization, tf32=tf32, cpu_fallback=cpu_fallback)
