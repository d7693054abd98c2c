"""verify-export: compare the outputs of the ONNX file with those of the model."""

from __future__ import annotations

from isobench.builds import Build
from isobench.environments import Environment
from isobench.errors import ModelError
from isobench.tools.base import State, Tool, Work, checked_environment, each_build
from isobench.workers import protocol


class VerifyExport(Tool):
    """Run each ONNX file with unoptimized ONNX Runtime, and compare its outputs with the expected ones."""

    name = "verify-export"
    needs = ("models", "onnx")

    def __init__(self) -> None:
        pass

    def run(self, state: State, work: Work) -> State:
        environment = checked_environment("ort", work)

        def verified(build: Build) -> Build:
            self._verify(build, environment, state, work)
            return build

        return each_build(state, work, self.name, verified)

    def _verify(self, build: Build, environment: Environment, state: State, work: Work) -> None:
        from isobench.analysis import correctness
        from isobench.builds.workers import run_directory, run_worker

        build.require_onnx()
        assert build.onnx is not None
        build.verify()
        with run_directory(self.name) as run_dir:
            run_dir.mkdir(parents=True)
            found = run_dir / "found.msgpack"
            arguments = {
                "onnx_file": str(build.onnx_file),
                "inputs_file": str(build.inputs_file),
                "expected_file": str(found),
            }
            run_worker(
                "reference_worker.py",
                arguments,
                run_dir / "worker",
                environment,
                state.settings,
                work.stage,
                reads=build.reads,
                writes=[run_dir],
            )
            actual = protocol.read_tensors(found)
        sources = {binding.name: binding.source for binding in build.onnx.outputs}
        actual = [tensor._replace(name=sources[tensor.name]) for tensor in actual]
        expected = correctness.Expected.of(
            protocol.read_tensors(build.expected_file),
            build.spreads,
            protocol.read_tensors(build.unstable_file) if build.unstable_file.exists() else (),
        )
        compared = correctness.compare(expected, actual)
        if not compared.ok:
            raise ModelError(
                f"the outputs of the ONNX file of {build.name} differ from the model's: {compared.reasons[0]}",
                details="\n".join(compared.reasons[1:]),
                hint=f"The ONNX file: {build.onnx_file}",
            )
