"""The workers' conversions between tensors of the protocol and numpy arrays."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import worker_modules


@pytest.fixture(scope="module")
def tensors() -> Any:
    return worker_modules.load("tensors")


@pytest.mark.parametrize("shape", [(), (0,), (2,), (1, 2)])
def test_text_becomes_a_tensor_and_text_again(tensors: Any, shape: tuple[int, ...]) -> None:
    texts = np.empty(shape, dtype=object)
    texts.ravel()[:] = ["Grüße", ""][: texts.size]
    tensor = tensors.from_array("x", texts)
    assert (tensor.dtype, tensor.shape) == ("string", shape)
    again = tensors.to_array(tensor)
    assert again.shape == shape
    assert again.tolist() == texts.tolist()


def test_text_of_every_kind_of_array_is_the_same_tensor(tensors: Any) -> None:
    kinds = (object, "U", "S")
    made = [tensors.from_array("x", np.array(["a", "bc"]).astype(kind)) for kind in kinds]
    assert {tensor.data for tensor in made} == {b"\1\0\0\0a\2\0\0\0bc"}


@pytest.mark.parametrize("dtype", ["int4", "uint4", "int2", "uint2", "float4_e2m1fn"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_elements_of_less_than_a_byte_are_packed_and_unpacked(tensors: Any, dtype: str, count: int) -> None:
    values = np.array([1, -1, 0, -2, 1][:count]).astype(getattr(ml_dtypes, dtype))
    tensor = tensors.protocol.Tensor("x", dtype, (count,), values.tobytes())
    packed = tensors.pack(tensor)
    assert len(packed) == tensors.packed_bytes(dtype, count) < max(count, 1) + 1
    assert tensors.unpack(dtype, packed, count) == tensor.data


def test_the_first_element_of_a_packed_byte_is_the_lowest(tensors: Any) -> None:
    """As ONNX and ONNX Runtime store them."""
    assert tensors.pack(tensors.protocol.Tensor("x", "uint4", (3,), bytes([1, 2, 3]))) == b"\x21\x03"
    assert tensors.pack(tensors.protocol.Tensor("x", "uint2", (3,), bytes([1, 2, 3]))) == b"\x39"
