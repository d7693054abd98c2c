"""PyTorch worker, eager and compiled: runs inside `torch` (on a GPU, `torch-cuda`), or the script's own environment.

It measures the script's own module: it runs the script again, finds the module by its hash, and calls it with the
inputs that every runtime gets.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

import causes
import describe
import script_compiles
import script_model
from harness import Refused, log_tail, measure, request, serve, stage
from protocol import Ending, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from calling import Subject


def _execute(
    output_dir: str,  # noqa: ARG001 - part of every worker's contract
    onnx_file: str,  # noqa: ARG001 - PyTorch runs the module itself
    outputs_file: str,
    iterations: int,
    *,
    compiled: bool = False,
    mode: str = "default",
    backend: str = "inductor",
    dynamic: bool | None = None,
    fullgraph: bool = False,
    device: str = "cpu",
    tf32: bool = False,
) -> None:
    if device == "cuda":
        import torch_cuda  # before the script, which may have modules with the same names
    threads, seed = request()["threads"], request()["seed"]
    torch.set_num_threads(threads)
    started = time.perf_counter()
    subject, args, kwargs = script_model.load_subject()
    module = subject.module
    load_s = time.perf_counter() - started
    # The script may have changed it.
    torch.set_num_threads(threads)
    if device == "cuda":
        torch_cuda.use_tf32(tf32)
    facts: dict[str, Any] = _facts(subject, compiled=compiled)
    if device == "cuda":
        torch_cuda.require_unchanging(subject.calling.renewed)
        stage(Phase.MOVING_TO_GPU)
        started = time.perf_counter()
        module, args, kwargs = torch_cuda.placed(module, args, kwargs)
        load_s += time.perf_counter() - started
    prepared = _Prepared(subject, args, kwargs)
    with subject.entered(device=device):
        called: Callable[..., Any] = module
        if compiled:
            stage(Phase.COMPILING)
            called, compile_facts = _compile(
                module, prepared, mode=mode, backend=backend, dynamic=dynamic, fullgraph=fullgraph
            )
            facts |= compile_facts
        torch.manual_seed(seed)
        reported: dict[str, Any] = {"load_s": load_s, "threads": torch.get_num_threads()}
        if device != "cuda":
            calls = [_call(called, one) for one in (prepared, *_further(subject))]
            measure(
                calls,
                outputs_file,
                iterations,
                outputs=[script_model.read_outputs] * len(calls),
                facts=facts,
                prepare=prepared.renew if subject.calling.renewed else None,
                **reported,
            )
            return
        call = torch_cuda.Call(called, args, kwargs)
        with call as inference:
            facts |= call.all_facts()
            measure(
                inference,
                outputs_file,
                iterations,
                outputs=script_model.read_outputs,
                facts=facts,
                first_s=call.first_s,
                sample_source=inference.samples,
                **reported,
            )


class _Prepared:
    """The arguments of the next call; `renew` sets back what calls change, and makes fresh ones."""

    def __init__(self, subject: Subject, args: Any, kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs
        self._renewal = subject.renewal(args, kwargs)

    def renew(self) -> None:
        if self._renewal is not None:
            self.args, self.kwargs = self._renewal()


def _call(called: Callable[..., Any], prepared: _Prepared) -> Callable[[], Any]:
    return lambda: called(*prepared.args, **prepared.kwargs)


def _further(subject: Subject) -> list[_Prepared]:
    """The calls with further sets of inputs, for a model that doesn't change them or itself."""
    found = [_Prepared(subject, args, kwargs) for args, kwargs in script_model.further_sets(subject)]
    if found and subject.calling.renewed:
        raise Refused(
            Ending.BAD_ARGUMENT,
            f"{len(found) + 1} sets of inputs can't be measured in rotation: each call changes "
            f"{' and '.join(subject.calling.renewed)}",
            "Give one set in each call.",
        )
    return found


def _facts(subject: Subject, *, compiled: bool) -> dict[str, Any]:
    module, calling = subject.module, subject.calling
    context = subject.model.surroundings.text()
    return {
        "torch": torch.__version__,
        "weights_sha256": describe.weights_sha256(module),
        "float32_matmul_precision": _matmul_precision(),
        "mkldnn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "interop_threads": torch.get_num_interop_threads(),
        "compiled": compiled,
        # Without effect here: see script_compiles.
        "script_compiles": script_compiles.found(),
        "timing": "host",
        "training": module.training,
        "context": context,
        "renewed": list(calling.renewed),
        "timed": f"one call of the module in {' and '.join(filter(None, (calling.grad_mode, context)))}; "
        "inputs and outputs lie in host memory",
    }


def _matmul_precision() -> str:
    try:
        return str(torch.get_float32_matmul_precision())
    except RuntimeError:  # the script used newer switches, which this one can't summarize
        return str(torch.backends.mkldnn.matmul.fp32_precision)


def _compile(
    module: torch.nn.Module, prepared: _Prepared, *, mode: str, backend: str, dynamic: bool | None, fullgraph: bool
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Compile by a first call; return the compiled module, the time it took, and the state of the cache, as facts."""
    from torch._dynamo.utils import counters

    if isinstance(module, torch.jit.ScriptModule):
        raise Refused(
            Ending.COMPILE_ERROR,
            "torch.compile doesn't compile TorchScript, which the script's model is",
            "Run it without torch.compile: -r torch-eager",
        )
    script_compiles.prepare(module)
    try:
        compiled = torch.compile(module, mode=mode, backend=backend, dynamic=dynamic, fullgraph=fullgraph)
    except (RuntimeError, ValueError) as error:
        raise Refused(Ending.BAD_ARGUMENT, f"torch.compile refused its arguments: {error}") from None
    prepared.renew()
    started = time.perf_counter()
    try:
        compiled(*prepared.args, **prepared.kwargs)
    except Exception as error:  # noqa: BLE001 - a compiler may raise anything, and the user sees it
        raise _refusal(error) from None
    compile_s = time.perf_counter() - started
    hits, misses = (counters["inductor"][f"fxgraph_cache_{what}"] for what in ("hit", "miss"))
    return compiled, {
        "compile_s": compile_s,
        # Whether compile_s includes compilation, or inductor's cache had the graphs.
        "compile_cache": "warm" if hits and not misses else "cold" if misses else "unknown",
        "compile_cache_hits": hits,
        "compile_cache_misses": misses,
        "graph_breaks": sum(counters["graph_break"].values()),
        "graphs": counters["stats"]["unique_graphs"],
        "mode": mode,
        "backend": backend,
    }


def _refusal(error: Exception) -> Exception:
    import traceback

    if causes.lacks(error):
        return error
    text = "".join(traceback.format_exception_only(error)).strip()
    if any(phrase in text for phrase in ("InvalidCxxCompiler", "No working C++ compiler", "Failed to find C compiler")):
        return Refused(
            Ending.NO_COMPILER,
            "torch.compile needs a C++ compiler, and none was found that works",
            "Install g++ or clang++, or set CXX to one (on a GPU, CC to a C compiler).",
            text,
        )
    if "CalledProcessError" in text:  # the compiler's own messages are in the log
        text += f"\n{log_tail(10)}"
    lines = [line for line in text.splitlines() if line.strip()]
    hint = "Run it without torch.compile: -r torch-eager"
    return Refused(Ending.COMPILE_ERROR, f"torch.compile failed: {lines[0]}", hint, text)


if __name__ == "__main__":
    serve(_execute)
