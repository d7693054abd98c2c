"""The runtimes for NVIDIA GPUs. All are timed in the same way (`workers/gpu_timing.py`); TF32 is off by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from isobench.errors import UsageError
from isobench.runtimes import custom_ops
from isobench.runtimes.worker_rt import WorkerRT


class OnNvidia(WorkerRT):
    """Checks the GPU before anything runs on it."""

    def _setup(self) -> None:
        """Check that the GPU is usable, and that the environment fits it and its driver.

        Raises:
            UsageError: a check failed; the message lists them.
        """
        from isobench.system import nvidia, nvidia_requirements

        super()._setup()
        context = self._bound()
        packages = self._environment().manifest().versions()
        gpu = nvidia.gpu(context.device)
        fits = nvidia_requirements.of_packages(gpu, packages, runtime=context.runtime)
        nvidia_requirements.check([*nvidia_requirements.of_gpu(gpu), *fits])

    def device_name(self) -> str:
        """The GPU's name from NVML; "" if NVML is unavailable."""
        gpu: dict[str, Any] = self.outputs.get("facts", {}).get("gpu", {})
        return str(gpu.get("name") or "")


class TrtRT(OnNvidia):
    """TensorRT. The precision is that of the ONNX file.

    `workspace` is the memory limit of a layer in bytes (0: no limit), `optimization` the builder's level, from 0
    (fastest build) to 5 (longest search). `timing_cache` stores the builder's timings for this GPU. With `builds` above
    1, the engine is built that many times without the cache, each is timed, and the median one is measured.
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
                raise UsageError(f"{name} must be from {least} to {most}, got {value}")
        if workspace < 0:
            raise UsageError(f"workspace must be a number of bytes, or 0 for no limit, got {workspace}")
        super().__init__(
            workspace=workspace,
            optimization=optimization,
            tf32=tf32,
            cuda_graph=cuda_graph,
            timing_cache=timing_cache,
            builds=builds,
        )


class TrtRtxRT(TrtRT):
    """TensorRT-RTX, which builds without a GPU and compiles its kernels at run time. The arguments are those of trt."""

    environment = "tensorrt-rtx"
    package = "tensorrt-rtx-cu13-bindings"


class OrtCudaRT(OnNvidia):
    """ONNX Runtime's CUDA provider.

    With `cpu_fallback`, nodes that it doesn't support run on the CPU, and the result records it; without, they are an
    error. `custom_op_library` is a shared library with operators that ONNX Runtime doesn't have.
    """

    environment = "ort-cuda"
    worker = "ort_cuda_worker.py"
    package = "onnxruntime-gpu"
    takes_ort_format = True

    def __init__(
        self,
        *,
        graph_optimization: Literal["all", "extended", "basic", "none"] = "all",
        tf32: bool = False,
        cpu_fallback: bool = False,
        custom_op_library: Path | None = None,
    ) -> None:
        super().__init__(
            graph_optimization=graph_optimization,
            tf32=tf32,
            cpu_fallback=cpu_fallback,
            **custom_ops.arguments(custom_op_library),
        )
