"""From an ONNX file to a TensorRT engine: parse, configure, build. TensorRT-RTX needs no GPU for that.

`trt` is the module of TensorRT (10.x and 11.x), or of TensorRT-RTX, whose interface is nearly the same. Networks are
strongly typed (the only choice in 11.x), so the precision is that of the ONNX file. Where TensorRT returns None or
False, the reason is in its log, so each error shows the log's last errors.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any, NamedTuple

import causes
import protocol
from harness import Refused, stage
from protocol import Ending, Phase

# TensorRT's names of types -> the protocol's.
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "UINT8": "uint8",
    "FP8": "float8_e4m3fn",
}

DOCTOR = "Check whether this TensorRT supports the GPU and its driver: isobench doctor --device nvidia"


class Options(NamedTuple):
    """How an engine is built. `workspace_bytes` 0: TensorRT's own limit, all memory; `optimization` from 0 to 5."""

    workspace_bytes: int = 0
    optimization: int = 3
    tf32: bool = False
    cuda_graph: bool = False


class Built(NamedTuple):
    """A serialized engine, with figures of its build."""

    plan: Any
    build_s: float
    size_bytes: int
    sha256: str
    timing_cache: str
    """Its state before the build: "warm" (it had timings), "cold" (it was empty), "none" (it wasn't used)."""

    def facts(self) -> dict[str, Any]:
        return {
            "build_s": self.build_s,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "timing_cache": self.timing_cache,
        }


def library() -> Any:
    """The TensorRT of this environment.

    Raises:
        Refused: it can't be loaded.
    """
    import importlib

    # The package `tensorrt` only re-exports the bindings, and has no wheels for some platforms that they have.
    for name in ("tensorrt", "tensorrt_bindings", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        except Exception as error:  # noqa: BLE001 - loading a native library may raise anything
            raise Refused(Ending.IMPORT_ERROR, f"TensorRT can't be loaded: {error}") from None
    raise Refused(Ending.IMPORT_ERROR, "this environment has no TensorRT")


def name_of(trt: Any) -> str:
    """The name of the library: "tensorrt" or "tensorrt_rtx"."""
    return str(trt.__name__).removesuffix("_bindings")


def logger(trt: Any) -> Any:
    """TensorRT's log: it prints warnings and errors, and collects the latter in `errors`."""

    class Log(trt.ILogger):  # type: ignore[misc] # the class exists only at run time
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in {trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR}:
                self.errors.append(message)
            if severity not in {trt.ILogger.Severity.INFO, trt.ILogger.Severity.VERBOSE}:
                print(f"{severity.name}: {message}", flush=True)  # noqa: T201 - the worker's log

    return Log()


def refusal(what: str, log: Any, hint: str = "") -> Refused:
    """The error for a step of TensorRT that failed, with the last errors of its log."""
    last = [line.strip() for line in log.errors[-5:]]
    message = f"{what}: {last[-1]}" if last else what
    return Refused(causes.said("\n".join(last)) or Ending.ENGINE_ERROR, message, hint, "\n".join(last))


class Network:
    """An ONNX file as TensorRT's network, with the builder and the parser, which must outlive it."""

    def __init__(self, trt: Any, log: Any, onnx_file: str) -> None:
        self.trt = trt
        self.log = log
        try:
            self.builder = trt.Builder(log)
        except TypeError:  # the bindings raise it for a null pointer
            raise refusal("TensorRT can't create a builder", log, DOCTOR) from None
        flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        self.network = self.builder.create_network(0 if flag is None else 1 << int(flag))
        self.parser = trt.OnnxParser(self.network, log)
        self._timings: Any = None
        self._cache = "none"
        stage(Phase.PARSING)
        if not self.parser.parse_from_file(onnx_file):
            raise self._parse_error(os.path.basename(onnx_file))

    def _parse_error(self, name: str) -> Refused:
        """The parser's errors, with the names of the nodes."""
        errors = [self.parser.get_error(index) for index in range(self.parser.num_errors)]
        lines = [described(error) for error in errors]
        first = lines[0] if lines else "it reports no reason"
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        hint = "Another runtime may support these operators: -r ort or -r torch-eager"
        lacking = causes.operator("\n".join(lines)) or next(filter(None, map(_lacking, errors)), "")
        kind = Ending.UNSUPPORTED_OPERATOR if lacking else Ending.MODEL_ERROR
        return Refused(kind, f"TensorRT can't parse {name}: {first}{more}", hint, "\n".join(lines), cause=lacking)

    def configuration(self, options: Options, given: dict[str, protocol.Tensor], cache: bytes | None) -> Any:
        """The configuration of the build. `given` are the inputs; `cache` has timings of earlier builds.

        Raises:
            Refused: the network has an input that isn't one of them.
        """
        trt, config = self.trt, self.builder.create_builder_config()
        if options.workspace_bytes:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
        config.builder_optimization_level = options.optimization
        (config.set_flag if options.tf32 else config.clear_flag)(trt.BuilderFlag.TF32)
        capturable = getattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION", None)  # only in TensorRT-RTX
        if options.cuda_graph and capturable is not None:
            config.set_flag(capturable)
        inputs = [self.network.get_input(index) for index in range(self.network.num_inputs)]
        renamed = [tensor.name for tensor in inputs if tensor.name not in given]
        if renamed:
            raise Refused(
                Ending.MODEL_ERROR,
                f"TensorRT's parser has renamed inputs, which isn't supported yet: {', '.join(renamed)}",
                "It does so where an input is also an output. Use -r ort or -r torch-eager.",
            )
        if any(tensor.is_shape_tensor or -1 in tuple(tensor.shape) for tensor in inputs):
            profile = self.builder.create_optimization_profile()
            for tensor in inputs:
                one = given[tensor.name]
                if tensor.is_shape_tensor:  # its values determine shapes
                    values = memoryview(one.data).cast("q" if one.dtype == "int64" else "i").tolist()
                    profile.set_shape_input(tensor.name, *[values] * 3)
                else:
                    profile.set_shape(tensor.name, *[one.shape] * 3)
            config.add_optimization_profile(profile)
        if cache is not None:
            self._use(config, cache)
        return config

    def _use(self, config: Any, cache: bytes) -> None:
        """Build with the timings of `cache`, if they can be used.

        From timings of another version or GPU, TensorRT creates an empty cache, and reports it only in its log.
        """
        empty = config.create_timing_cache(b"")
        for state, made in (("warm", config.create_timing_cache(cache)), ("cold", empty)):
            worthless = made is None or (state == "warm" and bytes(made.serialize()) == bytes(empty.serialize()))
            if not worthless and config.set_timing_cache(made, False):
                self._timings, self._cache = made, state  # the cache must outlive the build
                return

    def built(self, config: Any) -> Built:
        """Build the engine.

        Raises:
            Refused: TensorRT can't.
        """
        stage(Phase.BUILDING_ENGINE)
        started = time.perf_counter()
        plan = self.builder.build_serialized_network(self.network, config)
        build_s = time.perf_counter() - started
        if plan is None:
            hint = "Try a larger --rt-args workspace::BYTES, or another optimization::LEVEL."
            raise refusal("TensorRT can't build the engine", self.log, hint)
        digest = hashlib.sha256(plan).hexdigest()
        return Built(plan, build_s, int(plan.nbytes), digest, self._cache)


def _lacking(error: Any) -> str:
    """The operator of one of the parser's errors, if that is unsupported."""
    return str(error.node_operator()) if "UNSUPPORTED_NODE" in str(error.code()) else ""


def described(error: Any) -> str:
    """One of the parser's errors: the node, its operator, and the reason."""
    operator, name = error.node_operator(), error.node_name()
    node = f"node {name or error.node()}" + (f" ({operator})" if operator else "")
    return f"{node}: {error.desc()}" if name or operator else str(error.desc())


def deserialized(trt: Any, log: Any, plan: Any) -> tuple[Any, Any, Any]:
    """The runtime, the engine and an execution context of a plan; each needs the one before.

    Raises:
        Refused: TensorRT returned None for one of them.
    """
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise refusal("TensorRT can't load the engine that it built", log, DOCTOR)
    context = engine.create_execution_context(*_specialized(trt, engine))
    if context is None:
        hint = "Check how much of the GPU's memory is free: nvidia-smi"
        raise refusal("TensorRT can't create an execution context for the engine", log, hint)
    return runtime, engine, context


def _specialized(trt: Any, engine: Any) -> tuple[Any, ...]:
    """The configuration of an execution context, which only TensorRT-RTX needs.

    For dynamic shapes, it would start with generic kernels, and replace them with specialized ones at any later time.
    """
    strategies = getattr(trt, "DynamicShapesKernelSpecializationStrategy", None)
    if strategies is None:
        return ()
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
    return (config,)


def dtype_of(engine: Any, name: str) -> str:
    """The protocol's name of a tensor's type.

    Raises:
        Refused: it has none.
    """
    kind = engine.get_tensor_dtype(name).name
    if kind not in DTYPES:
        raise Refused(Ending.MODEL_ERROR, f"the tensor {name} has TensorRT's type {kind}, which isobench can't compare")
    return DTYPES[kind]


def read_cache(path: str) -> bytes | None:
    """The contents of a timing cache; b"" if it doesn't exist yet, None for no cache."""
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def store_cache(path: str, config: Any) -> None:
    """Write the timings, with those of this build. A failure only makes the next build slower."""
    cache = config.get_timing_cache()
    if path and cache is not None:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            protocol.write_bytes(path, bytes(cache.serialize()))
        except OSError as error:
            print(f"can't write the timing cache: {error}", flush=True)  # noqa: T201 - the worker's log
