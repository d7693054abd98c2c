"""Tensors of the exchange as numpy arrays and as ONNX Runtime's values. `numpy.random` is never touched: it is slow."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

import protocol

if TYPE_CHECKING:
    import onnxruntime

# Types that numpy doesn't know travel as the unsigned integers of the same bits, under the number ONNX gives them.
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
    """The tensor as an array; of a type that numpy doesn't know, its bits as unsigned integers."""
    name = BITS[protocol.DTYPES[tensor.dtype]] if tensor.dtype in ONNX_NUMBERS else tensor.dtype
    array = np.frombuffer(tensor.data, dtype=np.dtype(name).newbyteorder("<")).reshape(tensor.shape)
    return np.ascontiguousarray(array.astype(name, copy=True)).reshape(tensor.shape)


def from_array(name: str, array: np.ndarray[Any, Any], dtype: str = "") -> protocol.Tensor:
    """The array as a tensor of the exchange; `dtype` where its bits are those of a type that numpy doesn't know."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return protocol.Tensor(name, dtype or array.dtype.name, tuple(array.shape), little.tobytes())


def to_ortvalue(tensor: protocol.Tensor) -> onnxruntime.OrtValue:
    """The tensor as ONNX Runtime's value, in host memory: keep it for as long as that is used.

    (A binding holds on to ONNX Runtime's side of it only; the memory belongs to the value's array.)
    """
    from onnxruntime import OrtValue

    array = to_array(tensor)
    if tensor.dtype in ONNX_NUMBERS:
        return OrtValue.ortvalue_from_numpy_with_onnx_type(array, ONNX_NUMBERS[tensor.dtype])
    return OrtValue.ortvalue_from_numpy(array)


def from_ortvalue(name: str, value: onnxruntime.OrtValue) -> protocol.Tensor:
    """What ONNX Runtime computed, as a tensor of the exchange; it lies in host memory."""
    dtype, shape = dtype_of(value), tuple(value.shape())
    # Not by way of numpy(), which refuses bfloat16; the size by hand, since older ONNX Runtimes don't tell it.
    data = ctypes.string_at(value.data_ptr(), protocol.DTYPES[dtype] * math.prod(shape))
    return protocol.Tensor(name, dtype, shape, data)


def dtype_of(value: onnxruntime.OrtValue) -> str:
    """The exchange's name of the type of an ONNX Runtime's value."""
    kind = value.data_type()
    return ORT_NAMES.get(kind) or kind.removeprefix("tensor(").removesuffix(")")
