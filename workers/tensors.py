"""Tensors of the protocol as numpy arrays and as values of ONNX Runtime. Never imports `numpy.random`: it is slow."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

import protocol

if TYPE_CHECKING:
    import onnxruntime

    Array = np.ndarray[Any, Any]

# Types that numpy lacks are handled as unsigned integers of the same bits; these are ONNX's numbers of them.
ONNX_NUMBERS = {
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
    "uint4": 21,
    "int4": 22,
    "float4_e2m1fn": 23,
    "float8_e8m0fnu": 24,
    "uint2": 25,
    "int2": 26,
}
BITS = {1: "uint8", 2: "uint16"}
# Types of less than a byte, and their bits. A tensor of the protocol has an element a byte; runtimes pack them.
PACKED = {"uint4": 4, "int4": 4, "float4_e2m1fn": 4, "uint2": 2, "int2": 2}
ORT_NAMES = {
    "float": "float32",
    "double": "float64",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float8e8m0": "float8_e8m0fnu",
    "float4e2m1": "float4_e2m1fn",
}


def to_array(tensor: protocol.Tensor) -> Array:
    """The tensor as an array: its bits as unsigned integers if numpy lacks the type, text as an array of objects."""
    if tensor.dtype == protocol.STRING:
        texts = np.empty(tensor.shape, dtype=object)
        texts.ravel()[:] = protocol.unpack_strings(tensor.data)  # of a new array, ravel is a view
        return texts
    name = BITS[protocol.DTYPES[tensor.dtype]] if tensor.dtype in ONNX_NUMBERS else tensor.dtype
    array = np.frombuffer(tensor.data, dtype=np.dtype(name).newbyteorder("<")).reshape(tensor.shape)
    return np.ascontiguousarray(array.astype(name, copy=True)).reshape(tensor.shape)


def from_array(name: str, array: Array, dtype: str = "") -> protocol.Tensor:
    """The array as a tensor of the protocol; `dtype` is given if the array has the bits of a type that numpy lacks."""
    if array.dtype.kind in "OUST":
        texts = [text.decode(errors="surrogateescape") if isinstance(text, bytes) else str(text) for text in array.flat]
        return protocol.Tensor(name, protocol.STRING, tuple(array.shape), protocol.pack_strings(texts))
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return protocol.Tensor(name, dtype or array.dtype.name, tuple(array.shape), little.tobytes())


def pack(tensor: protocol.Tensor) -> bytes:
    """The data as runtimes store it: elements of less than a byte share bytes, the first in the lowest bits."""
    bits = PACKED.get(tensor.dtype)
    if bits is None:
        return tensor.data
    each = 8 // bits
    values = np.frombuffer(tensor.data, dtype=np.uint8) & ((1 << bits) - 1)
    values = np.pad(values, (0, -len(values) % each)).reshape(-1, each)
    shifts = np.arange(each, dtype=np.uint8) * bits
    packed: Array = np.bitwise_or.reduce(values << shifts, axis=1).astype(np.uint8)
    return packed.tobytes()


def unpack(dtype: str, data: bytes, count: int) -> bytes:
    """The data of a tensor of `count` elements, from what `pack` made."""
    bits = PACKED.get(dtype)
    if bits is None:
        return data
    each = 8 // bits
    shifts = np.arange(each, dtype=np.uint8) * bits
    values = (np.frombuffer(data, dtype=np.uint8)[:, None] >> shifts) & ((1 << bits) - 1)
    return values.astype(np.uint8).ravel()[:count].tobytes()


def packed_bytes(dtype: str, count: int) -> int:
    """The bytes that runtimes use for `count` elements."""
    return -(-count * PACKED[dtype] // 8) if dtype in PACKED else count * protocol.DTYPES[dtype]


def to_ortvalue(tensor: protocol.Tensor) -> onnxruntime.OrtValue:
    """The tensor, which isn't text, as a value of ONNX Runtime in host memory. Keep a reference to it while it is used.

    (A binding keeps only ONNX Runtime's side alive; the memory may belong to the value's array.)
    """
    from onnxruntime import OrtValue

    if tensor.dtype in PACKED:
        value = OrtValue.ortvalue_from_shape_and_type(list(tensor.shape), ONNX_NUMBERS[tensor.dtype])
        data = pack(tensor)
        ctypes.memmove(value.data_ptr(), data, len(data))
        return value
    array = to_array(tensor)
    if tensor.dtype in ONNX_NUMBERS:
        return OrtValue.ortvalue_from_numpy_with_onnx_type(array, ONNX_NUMBERS[tensor.dtype])
    return OrtValue.ortvalue_from_numpy(array)


def from_ortvalue(name: str, value: onnxruntime.OrtValue) -> protocol.Tensor:
    """A tensor of ONNX Runtime in host memory as a tensor of the protocol."""
    dtype, shape = dtype_of(value), tuple(value.shape())
    if dtype == protocol.STRING:
        return from_array(name, value.numpy())._replace(shape=shape)
    # Not with numpy(), which refuses bfloat16; older versions of ONNX Runtime don't report the size.
    count = math.prod(shape)
    data = ctypes.string_at(value.data_ptr(), packed_bytes(dtype, count)) if count else b""
    return protocol.Tensor(name, dtype, shape, unpack(dtype, data, count))


def dtype_of(value: onnxruntime.OrtValue) -> str:
    """The protocol's name of the element type of a tensor of ONNX Runtime."""
    return dtype_named(value.data_type())


def dtype_named(kind: str) -> str:
    """The protocol's name of the element type of `kind`, such as `tensor(float)`."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return ORT_NAMES.get(name, name)
