"""The kinds of failures: for each, the exit code of the command line, and what it means.

`FailureKind` and `Phase` are defined in `workers/protocol.py`, because workers use the same words.
"""

from __future__ import annotations

from isobench.workers.protocol import FailureKind, Phase

__all__ = ["INFRASTRUCTURE", "MEANINGS", "FailureKind", "Phase", "exit_code", "kind_and_cause"]

_EXIT_CODES = {
    1: (FailureKind.INTERNAL,),
    2: (FailureKind.USAGE,),
    3: (
        FailureKind.MODEL_ERROR,
        FailureKind.SCRIPT_ERROR,
        FailureKind.SCRIPT_EXIT,
        FailureKind.NO_MODEL,
        FailureKind.MODEL_NEVER_CALLED,
        FailureKind.UNKNOWN_HASH,
    ),
    4: (FailureKind.ENVIRONMENT,),
    6: (FailureKind.RESULT,),
}
_WORKER_EXIT_CODE = 5

MEANINGS = {
    FailureKind.USAGE: "the request is invalid; nothing was done",
    FailureKind.MODEL_ERROR: "the model can't be read, run, converted or compared",
    FailureKind.SCRIPT_ERROR: "the model script raised an exception",
    FailureKind.SCRIPT_EXIT: "the model script exited before it called a model",
    FailureKind.NO_MODEL: "the model script creates no torch.nn.Module",
    FailureKind.MODEL_NEVER_CALLED: "the model script creates a model, but never calls it",
    FailureKind.UNKNOWN_HASH: "the script calls no model with this hash, or several",
    FailureKind.ENVIRONMENT: "an environment is missing, can't be installed, or differs from its lock",
    FailureKind.CRASH: "the worker process was killed by a signal, or exited without a result",
    FailureKind.TIMEOUT: "the worker took longer than --timeout",
    FailureKind.OUT_OF_MEMORY: "the worker ran out of memory, or was killed by the kernel because the machine did",
    FailureKind.PROTOCOL: "the worker wrote a malformed file, or no measurement",
    FailureKind.REQUIREMENT: "the runtime's own requirement check failed",
    FailureKind.REFUSED: "the worker refused the request for a reason that only its message names",
    FailureKind.BAD_ARGUMENT: "an argument of the runtime has an unsupported value",
    FailureKind.NO_PROVIDER: "this build of the runtime lacks the requested execution provider",
    FailureKind.PROVIDER_FALLBACK: "a part of the model would run on another device than the requested one",
    FailureKind.PRECISION: "the runtime would compute in another precision than the requested one",
    FailureKind.NO_GPU: "no usable GPU was found",
    FailureKind.ASYNCHRONOUS: "the runtime works outside of the timed stream, so its latency would be wrong",
    FailureKind.NO_COMPILER: "no working C or C++ compiler was found",
    FailureKind.COMPILE_ERROR: "compiling the model failed",
    FailureKind.ENGINE_ERROR: "building, loading or capturing the engine failed",
    FailureKind.IMPORT_ERROR: "the runtime can't be imported in its environment",
    FailureKind.EXCEPTION: "the runtime raised an exception; `cause` is its class",
    FailureKind.RESULT: "a result or cached build can't be found, read or written",
    FailureKind.LOST: "the node that measured was lost, or its job was ended from outside, in every attempt",
    FailureKind.INTERNAL: "an error in isobench itself",
}
"""One line for each kind, for documents and help texts."""

INFRASTRUCTURE = frozenset(
    {
        FailureKind.ENVIRONMENT,
        FailureKind.REQUIREMENT,
        FailureKind.NO_GPU,
        FailureKind.NO_COMPILER,
        FailureKind.RESULT,
        FailureKind.LOST,
        FailureKind.INTERNAL,
    }
)
"""Failures that are due to the machine or the network rather than to the model: another try may succeed."""

_CODE_OF = {kind: code for code, kinds in _EXIT_CODES.items() for kind in kinds}
_CLASSES = {
    "IsobenchError": FailureKind.INTERNAL,
    "UsageError": FailureKind.USAGE,
    "ModelError": FailureKind.MODEL_ERROR,
    "ProvisionError": FailureKind.ENVIRONMENT,
    "ResultError": FailureKind.RESULT,
    "fallback": FailureKind.PROVIDER_FALLBACK,
}


def exit_code(kind: FailureKind) -> int:
    """The exit code of the command line for a failure of this kind."""
    return _CODE_OF.get(kind, _WORKER_EXIT_CODE)


def kind_and_cause(word: str) -> tuple[FailureKind, str]:
    """The kind that a worker's (or an older result's) word stands for, and the word itself where it's no kind.

    An exception's class name is `exception`; a plugin's own word is `refused`.
    """
    if word in _CLASSES:
        return _CLASSES[word], ""
    try:
        return FailureKind(word), ""
    except ValueError:
        return FailureKind.EXCEPTION if word[:1].isupper() else FailureKind.REFUSED, word
