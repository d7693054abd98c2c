"""The runtimes that come with isobench, registered through the same door as any plugin's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isobench.models import Model
from isobench.runtimes.worker_rt import WorkerRT

if TYPE_CHECKING:
    from isobench.environments import Spec


class OrtRT(WorkerRT):
    """ONNX Runtime on the CPU."""

    environment = "ort"
    worker = "ort_worker.py"
    package = "onnxruntime"

    def __init__(self, *, graph_optimization: str = "all", spinning: bool = True) -> None:
        super().__init__(graph_optimization=graph_optimization, spinning=spinning)


class _TorchRT(WorkerRT):
    """The script's own module, in eval() and inference_mode."""

    environment = "torch"
    worker = "torch_worker.py"
    package = "torch"
    takes_scripts_only = (
        "it runs the PyTorch module that a script makes, and an .onnx file holds none "
        "(an ONNX graph can't be turned back into the module)"
    )

    @classmethod
    def environment_for(cls, model: Model, progress: Callable[[str], None]) -> Spec:
        from isobench import environments

        return environments.for_script(model.path, base=cls.environment, progress=progress)


class TorchEagerRT(_TorchRT):
    """PyTorch as the script wrote it."""

    def __init__(self) -> None:
        super().__init__(compiled=False)


class TorchCompiledRT(_TorchRT):
    """PyTorch through `torch.compile`."""

    def __init__(
        self, *, mode: str = "default", backend: str = "inductor", dynamic: bool | None = None, fullgraph: bool = False
    ) -> None:
        super().__init__(compiled=True, mode=mode, backend=backend, dynamic=dynamic, fullgraph=fullgraph)


CPUS = ("x86", "cpu")

implements = {
    "runtimes": {
        "ort": {"supported_devices": CPUS, "build_required": True, "RuntimeClass": OrtRT},
        "torch-eager": {"supported_devices": CPUS, "build_required": False, "RuntimeClass": TorchEagerRT},
        "torch-compiled": {"supported_devices": CPUS, "build_required": False, "RuntimeClass": TorchCompiledRT},
    }
}
