"""The endings of a Case: for each, the exit code of the command line, and what it means.

`Ending` and `Phase` are defined in `workers/protocol.py`, because workers use the same words.
"""

from __future__ import annotations

from isobench.workers.protocol import Ending, Phase

__all__ = [
    "EXIT_CODES",
    "INFRASTRUCTURE",
    "MEANINGS",
    "NO_FAILURES",
    "SLOWER",
    "Ending",
    "Phase",
    "exit_code",
    "kind_and_cause",
]

_EXIT_CODES = {
    0: (Ending.OK, Ending.NOT_COMPARED),
    1: (Ending.INTERNAL,),
    2: (Ending.USAGE,),
    3: (
        Ending.MODEL_ERROR,
        Ending.SCRIPT_ERROR,
        Ending.SCRIPT_EXIT,
        Ending.NO_MODEL,
        Ending.MODEL_NEVER_CALLED,
        Ending.UNKNOWN_HASH,
        Ending.EXPORT_FAILED,
    ),
    4: (Ending.ENVIRONMENT, Ending.ENVIRONMENT_DRIFT),
    6: (Ending.RESULT, Ending.DISK_FULL),
    7: (Ending.WRONG_OUTPUTS,),
    9: (Ending.DEVICE_BUSY,),
    130: (Ending.CANCELLED,),
}
_WORKER_EXIT_CODE = 5
SLOWER = 8
"""The exit code of `isobench compare --fail-if-slower`."""

EXIT_CODES = {
    0: "everything was done, and no outputs are wrong",
    1: "an error in isobench; a sweep isn't finished; `env diff` found a difference, `doctor --device` a missing part",
    2: "the request is invalid, and nothing was done",
    3: "the model or its script can't be read, run or exported",
    4: "an environment is missing, can't be installed, or was changed",
    5: "the worker failed, crashed, or ran out of time or memory",
    6: "a result or the output can't be found, read or written; the disk is full",
    7: "the outputs are wrong",
    8: "slower than `--fail-if-slower` allows",
    9: "another measurement uses the device, and `--wait` or `--no-wait` ended the waiting",
    129: "ended by SIGHUP",
    130: "ended by Ctrl-C (SIGINT)",
    143: "ended by SIGTERM",
}
"""What each exit code of the command line means; README has this table."""

MEANINGS = {
    Ending.OK: "measured, and the outputs are correct",
    Ending.WRONG_OUTPUTS: "measured, but the outputs are wrong",
    Ending.NOT_COMPARED: "measured, but the outputs can't be judged: random, or nothing to compare them with",
    Ending.USAGE: "the request is invalid; nothing was done",
    Ending.MODEL_ERROR: "the model can't be read, run, converted or compared",
    Ending.SCRIPT_ERROR: "the model script raised an exception",
    Ending.SCRIPT_EXIT: "the model script exited before it called a model",
    Ending.NO_MODEL: "the model script creates no torch.nn.Module",
    Ending.MODEL_NEVER_CALLED: "the model script creates a model, but never calls it",
    Ending.UNKNOWN_HASH: "the script calls no model with this hash, or several",
    Ending.EXPORT_FAILED: "the model can't be exported to ONNX",
    Ending.UNSUPPORTED_OPERATOR: "the runtime lacks an operator of the model; `cause` is the operator",
    Ending.ENVIRONMENT: "an environment is missing or can't be installed",
    Ending.ENVIRONMENT_DRIFT: "an environment isn't as it was installed from its lock",
    Ending.CRASH: "the worker process was killed by a signal, or exited without a result",
    Ending.TIMEOUT: "the worker took longer than --timeout",
    Ending.OUT_OF_MEMORY: "the worker or isobench ran out of memory, or the kernel killed it for that",
    Ending.OUT_OF_DEVICE_MEMORY: "the device (a GPU) ran out of memory",
    Ending.DISK_FULL: "no space is left on the disk, or the quota is exhausted",
    Ending.PROTOCOL: "the worker wrote a malformed file, or no measurement",
    Ending.CANCELLED: "it was interrupted: Ctrl-C, SIGTERM or SIGHUP",
    Ending.DEVICE_BUSY: "another measurement uses the device, and this one was not to wait any longer",
    Ending.DEVICE_MISSING: "the device (a GPU) wasn't found, or can't be used",
    Ending.REQUIREMENT: "the runtime's own requirement check failed",
    Ending.REFUSED: "the worker refused the request for a reason that only its message names",
    Ending.BAD_ARGUMENT: "an argument of the runtime has an unsupported value",
    Ending.NO_PROVIDER: "this build of the runtime lacks the requested execution provider",
    Ending.PROVIDER_FALLBACK: "a part of the model would run on another device than the requested one",
    Ending.PRECISION: "the runtime would compute in another precision than the requested one",
    Ending.ASYNCHRONOUS: "the runtime works outside of the timed stream, so its latency would be wrong",
    Ending.NO_COMPILER: "no working C or C++ compiler was found",
    Ending.COMPILE_ERROR: "compiling the model failed",
    Ending.ENGINE_ERROR: "building, loading or capturing the engine failed",
    Ending.IMPORT_ERROR: "the runtime can't be imported in its environment",
    Ending.EXCEPTION: "the runtime raised an exception; `cause` is its class",
    Ending.RESULT: "a result or cached build can't be found, read or written",
    Ending.LOST: "the node that measured was lost, or its job was ended from outside, in every attempt",
    Ending.INTERNAL: "an error in isobench itself, or of this machine that has no kind of its own",
}
"""One line for each kind, for documents and help texts."""

NO_FAILURES = frozenset({Ending.OK, Ending.WRONG_OUTPUTS, Ending.NOT_COMPARED})
"""The endings of a Case that was measured."""

INFRASTRUCTURE = frozenset(
    {
        Ending.ENVIRONMENT,
        Ending.REQUIREMENT,
        Ending.DEVICE_BUSY,
        Ending.DEVICE_MISSING,
        Ending.DISK_FULL,
        Ending.ENVIRONMENT_DRIFT,
        Ending.CANCELLED,
        Ending.NO_COMPILER,
        Ending.RESULT,
        Ending.LOST,
        Ending.INTERNAL,
    }
)
"""Failures that are due to the machine or the network rather than to the model: another try may succeed."""

_CODE_OF = {kind: code for code, kinds in _EXIT_CODES.items() for kind in kinds}
_CLASSES = {
    "IsobenchError": Ending.INTERNAL,
    "UsageError": Ending.USAGE,
    "ModelError": Ending.MODEL_ERROR,
    "ProvisionError": Ending.ENVIRONMENT,
    "ResultError": Ending.RESULT,
    "fallback": Ending.PROVIDER_FALLBACK,
    "no-gpu": Ending.DEVICE_MISSING,
}


def exit_code(kind: Ending) -> int:
    """The exit code of the command line for a Case that ended so."""
    return _CODE_OF.get(kind, _WORKER_EXIT_CODE)


def kind_and_cause(word: str) -> tuple[Ending, str]:
    """The kind that a worker's (or an older result's) word stands for, and the word itself where it's no kind.

    An exception's class name is `exception`; a plugin's own word is `refused`.
    """
    if word in _CLASSES:
        return _CLASSES[word], ""
    try:
        return Ending(word), ""
    except ValueError:
        return Ending.EXCEPTION if word[:1].isupper() else Ending.REFUSED, word
