"""convert-fp16: convert the ONNX file, its inputs and its expected outputs to half precision."""

from __future__ import annotations

from dataclasses import replace

from isobench.builds import Build
from isobench.errors import UsageError
from isobench.tools.base import State, Tool, Work, checked_environment, each_build


class ConvertFp16(Tool):
    """Convert weights, inputs and outputs from float32 to float16 with ONNX Runtime's converter.

    Operators without a float16 form stay in float32, between casts. Outputs are compared with float16's tolerance.
    A runtime on a device without float16 arithmetic, such as ONNX Runtime on x86, adds casts of its own.
    """

    name = "convert-fp16"
    needs = ("models", "onnx")
    alters = True

    def __init__(self) -> None:
        pass

    def check(self, facts: frozenset[str]) -> frozenset[str]:
        if f"altered by {self.name}" in facts:
            raise UsageError("convert-fp16 is given twice: the model is in float16 already", hint="Remove one of them.")
        return super().check(facts)

    def run(self, state: State, work: Work) -> State:
        from isobench.builds.derive import derive

        environment = checked_environment("onnx", work)

        def convert(build: Build) -> Build:
            made = derive(
                build,
                "convert_fp16_worker.py",
                {},
                environment=environment,
                settings=state.settings,
                on_stage=work.stage,
            )
            # An output's spread was found in the model's own arithmetic; float16 has fewer bits.
            spreads = tuple(spread.lowered("float16") for spread in made.spreads)
            return replace(made, reference=f"{build.reference}, rounded to float16", spreads=spreads)

        return each_build(state, work, self.name, convert)
