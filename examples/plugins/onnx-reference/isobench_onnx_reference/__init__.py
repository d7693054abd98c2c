"""A complete runtime: ONNX's reference evaluator, which computes each operator with numpy, in its own environment.

It is the slowest runtime, and the standard's own definition of what a model computes.
"""

from __future__ import annotations

from isobench.runtimes.worker_rt import WorkerRT


class OnnxReferenceRT(WorkerRT):
    """The reference evaluator; with `check_shapes` it compares each tensor's shape with the one in the file."""

    environment = "onnx-reference"
    worker = "onnx_reference_worker.py"
    package = "onnx"

    def __init__(self, *, check_shapes: bool = False) -> None:
        super().__init__(check_shapes=check_shapes)

    def throughput(self) -> float:
        """Inferences per second; also saves a statistic, nodes of the graph per second."""
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
