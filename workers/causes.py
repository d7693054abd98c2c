"""What an exception means, whoever raised it: memory, disk or device that is missing, an operator that a runtime lacks.

Runtimes raise classes of their own, so that their messages are all there is to go by.
"""

from __future__ import annotations

import errno
import re

from protocol import Ending

_SAID = (
    (
        Ending.OUT_OF_DEVICE_MEMORY,
        # torch, the CUDA runtime and its driver, cuBLAS and cuDNN, ONNX Runtime, TensorRT
        (
            r"CUDA out of memory|HIP out of memory|CUDA error: out of memory|cudaErrorMemoryAllocation"
            r"|CUDA_ERROR_OUT_OF_MEMORY|CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_(\w+_)?ALLOC(ATION)?_FAILED"
            r"|CUDA failure 2: out of memory|Cuda Runtime \(out of memory\)|out of device memory"
        ),
    ),
    (
        Ending.OUT_OF_MEMORY,
        # torch's CPU allocator, C++, the C library, ONNX Runtime
        (
            r"can't allocate memory|not enough memory: you tried to allocate|bad_alloc|Cannot allocate memory"
            r"|Failed to allocate memory"
        ),
    ),
    (Ending.DISK_FULL, r"No space left on device|Disk quota exceeded"),
    (
        Ending.DEVICE_MISSING,
        # torch, the CUDA runtime and its driver
        (
            r"No CUDA GPUs are available|no CUDA-capable device is detected|Found no NVIDIA driver on your system"
            r"|CUDA driver version is insufficient|cudaErrorNoDevice|CUDA_ERROR_NO_DEVICE|cudaErrorInsufficientDriver"
        ),
    ),
)
_OPERATORS = (
    # ONNX Runtime: no kernel for the types, no such operator in its opset, no such domain or operator at all
    r"Could not find an implementation for ([\w.:]+)\(\d+\)",
    r"No Op registered for ([\w.:]+) with domain_version",
    r"Fatal error: ([\w.:\-]+)\(-?\d+\) is not a registered function/op",
    # OpenVINO: its frontend, and its plugins
    r"No conversion rule found for operations: ([\w.:]+)",
    r"OpenVINO does not support the following ONNX operations: ([\w.:]+)",
    r"Unsupported operation of type: ([\w.:]+)",
    # TensorRT's parser
    r"No importer registered for op: ([\w.:]+)",
)


def lacks(error: BaseException) -> Ending | None:
    """What this machine lacks, if the exception says that: memory, space on the disk, a device."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Ending.DISK_FULL
    if type(error).__name__ == "OutOfMemoryError":  # torch's, of an accelerator
        return Ending.OUT_OF_DEVICE_MEMORY
    if isinstance(error, MemoryError):
        return Ending.OUT_OF_MEMORY
    return said(str(error))


def said(text: str) -> Ending | None:
    """The same of a message alone."""
    return next((ending for ending, phrases in _SAID if re.search(phrases, text)), None)


def operator(text: str) -> str:
    """The operator that a runtime's message says it lacks, "" if it says no such thing."""
    found = next(filter(None, (re.search(phrase, text) for phrase in _OPERATORS)), None)
    return found[1] if found else ""


def of_model(text: str) -> tuple[Ending, str]:
    """The kind of a failure to load or convert a model, by the runtime's message, and its cause: an operator, or ""."""
    lacking = operator(text)
    return Ending.UNSUPPORTED_OPERATOR if lacking else Ending.MODEL_ERROR, lacking


def of(error: BaseException, *, importing: bool) -> tuple[Ending, str]:
    """The kind of an exception, and its cause: the operator, else the exception's class."""
    name = type(error).__name__
    ending = lacks(error)
    if ending is not None:
        return ending, name
    if importing and (isinstance(error, ImportError) or "cannot open shared object file" in str(error)):
        return Ending.IMPORT_ERROR, name
    lacking = operator(str(error))
    return (Ending.UNSUPPORTED_OPERATOR, lacking) if lacking else (Ending.EXCEPTION, name)
