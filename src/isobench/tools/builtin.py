"""The tools and sequences of isobench itself, registered in the same way as those of plugins."""

from __future__ import annotations

from isobench.tools.benchmark import Benchmark
from isobench.tools.convert_fp16 import ConvertFp16
from isobench.tools.discover import Discover
from isobench.tools.export_pytorch import ExportPytorch
from isobench.tools.load_onnx import LoadOnnx
from isobench.tools.optimize_ort import OptimizeOrt
from isobench.tools.sequence import Sequence
from isobench.tools.verify_export import VerifyExport

implements = {
    "tools": [Discover, LoadOnnx, ExportPytorch, OptimizeOrt, ConvertFp16, VerifyExport, Benchmark],
    "sequences": {
        "onnx-fp32": Sequence(tools=[Discover(), ExportPytorch()]),
        "optimize-fp32": Sequence(tools=[Discover(), ExportPytorch(), OptimizeOrt()]),
        "optimize-fp16": Sequence(tools=[Discover(), ExportPytorch(), OptimizeOrt(), ConvertFp16()]),
    },
}
