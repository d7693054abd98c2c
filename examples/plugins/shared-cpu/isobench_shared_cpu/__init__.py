"""A device with parts and configs, a runtime for it that uses isobench's own worker, and its default sequence.

The device is this machine's processor, shared with others. Its part says what ONNX Runtime's threads do between two
operators: `polite` lets them sleep, `greedy` lets them spin. Its config is the level of graph optimization.
"""

from __future__ import annotations

import os

from isobench.runtimes.builtin import OrtRT
from isobench.tools import Sequence
from isobench.tools.discover import Discover
from isobench.tools.export_pytorch import ExportPytorch
from isobench.tools.optimize_ort import OptimizeOrt


class SharedCpuRT(OrtRT):
    """ONNX Runtime with the settings of the device, and without arguments."""

    hardware = "cpu"

    def __init__(self) -> None:
        super().__init__()

    def _setup(self) -> None:
        assert self.context is not None
        device = self.context.device
        self.rt_args |= {"spinning": device.part == "greedy", "graph_optimization": device.config}

    def device_name(self) -> str:
        assert self.context is not None
        return f"{super().device_name()}, {self.context.device.part}"


def check() -> None:
    """Raises:
    RuntimeError: the processor is not shared.
    """
    if os.environ.get("SHARED_CPU_ALONE"):
        raise RuntimeError("this processor isn't shared (SHARED_CPU_ALONE is set)")


LEAN = Sequence(tools=[Discover(), ExportPytorch(), OptimizeOrt(level="basic")])

implements = {
    "runtimes": {
        "shared-ort": {
            "supported_devices": {"shared-cpu": {"polite": ["all", "basic"], "greedy": ["all"]}},
            "build_required": True,
            "RuntimeClass": SharedCpuRT,
            "default_sequence": LEAN,
            "requirement_check": check,
            "status_stats": ["spinning"],
        }
    },
    "sequences": {"lean": LEAN},
}
