"""Parse and build an ONNX file by the worker's own code: build.py WORKERS ONNX_FILE CACHE_FILE INPUTS_FILE.

Prints JSON: what was built, and what came of loading it, which a machine without a GPU can't.
"""

import json
import sys

workers, onnx_file, cache_file, inputs_file = sys.argv[1:]
sys.path.insert(0, workers)

import protocol  # noqa: E402 - the path comes first
import trt_engine  # noqa: E402
from harness import Refused  # noqa: E402

trt = trt_engine.library()
log = trt_engine.logger(trt)
given = {tensor.name: tensor for tensor in protocol.read_tensors(inputs_file)}
options = trt_engine.Options(1 << 28, 2, tf32=True, cuda_graph=True)
reported = {"library": trt_engine.name_of(trt), "builds": []}
try:
    for cache in (trt_engine.read_cache(""), trt_engine.read_cache(cache_file), b"of another version"):
        network = trt_engine.Network(trt, log, onnx_file)
        config = network.configuration(options, given, cache)
        reported["workspace"] = config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE)
        reported["optimization"] = config.builder_optimization_level
        reported["tf32"] = config.get_flag(trt.BuilderFlag.TF32)
        reported["capturable"] = config.get_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        built = network.built(config)
        trt_engine.store_cache(cache_file, config)
        reported["builds"].append(built.facts())
    trt_engine.deserialized(trt, log, built.plan)
except Refused as error:
    reported["refused"] = {"kind": error.kind, "message": error.message, "hint": error.hint, "details": error.traceback}
print(json.dumps(reported))
