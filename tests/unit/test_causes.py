"""What an exception of a runtime means: by its class, its number, and what each library says."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from tests.tools import worker_modules

from isobench.failures import Ending

causes: Any = worker_modules.load("causes")


class OutOfMemoryError(RuntimeError):
    """As torch's."""


class _ArrayMemoryError(MemoryError):
    """As numpy's."""


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (MemoryError(), Ending.OUT_OF_MEMORY),
        (_ArrayMemoryError("Unable to allocate 8.00 TiB"), Ending.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 B"), Ending.OUT_OF_MEMORY),
        (RuntimeError("Failed to allocate memory for requested buffer of size 4"), Ending.OUT_OF_MEMORY),
        (RuntimeError("std::bad_alloc"), Ending.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), Ending.OUT_OF_DEVICE_MEMORY),
        (RuntimeError("CUDA error: out of memory"), Ending.OUT_OF_DEVICE_MEMORY),
        (RuntimeError("cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY"), Ending.OUT_OF_DEVICE_MEMORY),
        (RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"), Ending.OUT_OF_DEVICE_MEMORY),
        (RuntimeError("CUDA failure 2: out of memory ; GPU=0"), Ending.OUT_OF_DEVICE_MEMORY),
        (RuntimeError("allocate::31] Error Code 1: Cuda Runtime (out of memory)"), Ending.OUT_OF_DEVICE_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Ending.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Ending.DISK_FULL),
        (RuntimeError("[enforce fail at inline_container.cc:595] . No space left on device"), Ending.DISK_FULL),
        (RuntimeError("No CUDA GPUs are available"), Ending.DEVICE_MISSING),
        (RuntimeError("CUDA failure 100: no CUDA-capable device is detected ; GPU=0"), Ending.DEVICE_MISSING),
        (RuntimeError("the size of tensor a must match"), None),
        (ValueError("memory"), None),
        (OSError(errno.EIO, "Input/output error"), None),
    ],
)
def test_what_the_machine_lacks_is_recognised_by_what_each_library_says(
    error: Exception, ending: Ending | None
) -> None:
    assert causes.lacks(error) == ending


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        (
            "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Erf(13) node with name",
            "Erf",
        ),
        (
            "Load model from m.onnx failed:Fatal error: acme.ops:Magic(-1) is not a registered function/op",
            "acme.ops:Magic",
        ),
        (
            "This is an invalid model. In Node, (...), Error No Op registered for Frobnicate with domain_version of 17",
            "Frobnicate",
        ),
        (
            "Model wasn't fully converted.\nSummary:\n-- No conversion rule found for operations: Optional-17",
            "Optional",
        ),
        ("-- No conversion rule found for operations: acme.ops.Magic, If-1", "acme.ops.Magic"),
        ("In node 0 (importModel): No importer registered for op: NonMaxSuppression2", "NonMaxSuppression2"),
        ("ShapeInferenceError", ""),
    ],
)
def test_the_operator_that_a_runtime_lacks_is_read_from_its_message(text: str, operator: str) -> None:
    assert causes.operator(text) == operator


def test_an_exception_without_a_kind_of_its_own_has_its_class_as_the_cause() -> None:
    assert causes.of(KeyError("x"), importing=True) == (Ending.EXCEPTION, "KeyError")
    assert causes.of(ModuleNotFoundError("no module"), importing=True) == (Ending.IMPORT_ERROR, "ModuleNotFoundError")
    assert causes.of(ModuleNotFoundError("no module"), importing=False) == (Ending.EXCEPTION, "ModuleNotFoundError")
    lacking = causes.of(RuntimeError("No conversion rule found for operations: If-1"), importing=False)
    assert lacking == (Ending.UNSUPPORTED_OPERATOR, "If")
