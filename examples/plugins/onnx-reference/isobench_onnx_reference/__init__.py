"""A whole runtime: ONNX's reference evaluator, which computes each operator by numpy, in an environment of its own.

It's the slowest of all, and what the standard itself says that a model computes.
"""

from __future__ import annotations

from isobench.runtimes.worker_rt import WorkerRT


class OnnxReferenceRT(WorkerRT):
    """The reference evaluator; `check_shapes` lets it compare each tensor's shape with what the file says."""

    environment = "onnx-reference"
    worker = "onnx_reference_worker.py"
    package = "onnx"

    def __init__(self, *, check_shapes: bool = False) -> None:
        super().__init__(check_shapes=check_shapes)

    def throughput(self) -> float:
        """As isobench has it, and kept as a figure of its own: nodes of the graph in a second."""
        throughput = super().throughput()
        self.stats.save_model_eval_stat("nodes_per_s", throughput * self.outputs["facts"]["nodes"])
        return throughput


implements = {
    "runtimes": {
        "onnx-reference": {
            "supported_devices": {"cpu", "x86"},
            "build_required": True,
            "RuntimeClass": OnnxReferenceRT,
            "status_stats": ["nodes", "nodes_per_s"],
        }
    }
}
