"""Tensors of the protocol as numpy arrays and as values of ONNX Runtime. Never imports `numpy.random`: it is slow."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

import protocol

if TYPE_CHECKING:
    import onnxruntime

# Types that numpy lacks are handled as unsigned integers of the same bits; these are ONNX's numbers of them.
ONNX_NUMBERS = {
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
}
BITS = {1: "uint8", 2: "uint16"}
ORT_NAMES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float8e4m3fn)": "float8_e4m3fn",
    "tensor(float8e4m3fnuz)": "float8_e4m3fnuz",
    "tensor(float8e5m2)": "float8_e5m2",
    "tensor(float8e5m2fnuz)": "float8_e5m2fnuz",
}


def to_array(tensor: protocol.Tensor) -> np.ndarray[Any, Any]:
    """The tensor as an array; its bits as unsigned integers if numpy lacks the type."""
    name = BITS[protocol.DTYPES[tensor.dtype]] if tensor.dtype in ONNX_NUMBERS else tensor.dtype
    array = np.frombuffer(tensor.data, dtype=np.dtype(name).newbyteorder("<")).reshape(tensor.shape)
    return np.ascontiguousarray(array.astype(name, copy=True)).reshape(tensor.shape)


def from_array(name: str, array: np.ndarray[Any, Any], dtype: str = "") -> protocol.Tensor:
    """The array as a tensor of the protocol; `dtype` is given if the array has the bits of a type that numpy lacks."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return protocol.Tensor(name, dtype or array.dtype.name, tuple(array.shape), little.tobytes())


def to_ortvalue(tensor: protocol.Tensor) -> onnxruntime.OrtValue:
    """The tensor as a value of ONNX Runtime, in host memory. Keep a reference to it while it is used.

    (A binding keeps only ONNX Runtime's side alive; the memory belongs to the value's array.)
    """
    from onnxruntime import OrtValue

    array = to_array(tensor)
    if tensor.dtype in ONNX_NUMBERS:
        return OrtValue.ortvalue_from_numpy_with_onnx_type(array, ONNX_NUMBERS[tensor.dtype])
    return OrtValue.ortvalue_from_numpy(array)


def from_ortvalue(name: str, value: onnxruntime.OrtValue) -> protocol.Tensor:
    """A value of ONNX Runtime in host memory as a tensor of the protocol."""
    dtype, shape = dtype_of(value), tuple(value.shape())
    # Not with numpy(), which refuses bfloat16; older versions of ONNX Runtime don't report the size.
    data = ctypes.string_at(value.data_ptr(), protocol.DTYPES[dtype] * math.prod(shape))
    return protocol.Tensor(name, dtype, shape, data)


def dtype_of(value: onnxruntime.OrtValue) -> str:
    """The protocol's name of the type of a value of ONNX Runtime."""
    kind = value.data_type()
    return ORT_NAMES.get(kind) or kind.removeprefix("tensor(").removesuffix(")")
