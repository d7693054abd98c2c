"""Element types: arrays of numpy and ml_dtypes to and from tensors of the protocol, and exact conversion between types.

numpy is imported by the functions that need it: it takes a tenth of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isobench.planning.models import InputValues
from isobench.workers import protocol

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

STRING = "string"
BITS = (
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn",
)
"""Types that numpy lacks: ONNX Runtime's users know their bits as unsigned integers."""


def numpy_type(name: str) -> np.dtype[Any]:
    """The type of a protocol's name, of numpy or ml_dtypes; strings are Python objects."""
    import numpy as np

    if name == STRING:
        return np.dtype(object)
    if not hasattr(np, name):
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return found
    return np.dtype(name)


def name_of(array: Array) -> str:
    """The protocol's name of an array's type."""
    return STRING if array.dtype.kind in "OUS" else array.dtype.name


def to_tensor(name: str, array: Array) -> protocol.Tensor:
    """The array as a tensor: C-contiguous and little-endian; a string is its length in 4 bytes and its UTF-8 bytes."""
    import numpy as np

    if name_of(array) == STRING:
        encoded = [_encoded(element) for element in array.reshape(-1).tolist()]
        data = b"".join(len(text).to_bytes(4, "little") + text for text in encoded)
        return protocol.Tensor(name, STRING, array.shape, data)
    plain = np.ascontiguousarray(array)
    if plain.dtype.byteorder == ">":
        plain = plain.astype(plain.dtype.newbyteorder("<"))
    return protocol.Tensor(name, array.dtype.name, array.shape, plain.tobytes())


def to_array(tensor: protocol.Tensor) -> Array:
    """The tensor as an array of its own type; it shares the tensor's memory where it can, and can't be changed then."""
    import numpy as np

    if tensor.dtype != STRING:
        return np.frombuffer(tensor.data, dtype=numpy_type(tensor.dtype)).reshape(tensor.shape)
    texts, place = [], 0
    while place < len(tensor.data):
        end = place + 4 + int.from_bytes(tensor.data[place : place + 4], "little")
        texts.append(tensor.data[place + 4 : end].decode())
        place = end
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array.reshape(tensor.shape)


def converted(array: Array, dtype: str) -> Array:
    """The array in another type, if each value stays exactly the same.

    numpy stores the types that it lacks as unnamed bytes (`|V2`): those are taken for `dtype` if the sizes agree.

    Raises:
        ValueError: a value can't be represented; the message names it.
    """
    import numpy as np

    target, found = numpy_type(dtype), name_of(array)
    if found == dtype:
        return array.astype(target, copy=False) if array.dtype.kind != "S" else _decoded(array)
    if array.dtype.kind == "V" and not _is_of_ml_dtypes(array.dtype):
        if array.dtype.names or array.dtype.itemsize != target.itemsize or not _is_of_ml_dtypes(target):
            raise ValueError(f"numpy's type {array.dtype} doesn't say what its bytes mean")
        return array.view(target)
    if STRING in {found, dtype}:
        raise ValueError("numbers and strings aren't converted into each other")
    if array.dtype.kind == "c" and target.kind != "c":
        raise ValueError("complex numbers aren't converted to real ones")
    if array.dtype.kind == "u" and target.name in BITS:
        raise ValueError(f"it isn't known whether they are values or the bits of {dtype}")
    with np.errstate(all="ignore"):
        given = array.astype(np.float32) if _is_of_ml_dtypes(array.dtype) else array
        made = given.astype(target)
        same = made.astype(given.dtype) == given
        if given.dtype.kind in "iu" and target.kind in "iu":
            same &= (made < 0) == (given < 0)  # -1 and 255 have the same bits
        if given.dtype.kind in "fc" and target.kind not in "iub":
            same |= np.isnan(given)
    if not same.all():
        raise ValueError(f"{given[~same].reshape(-1)[0]} isn't exactly a {dtype}")
    return made


def of_bits(array: Array, dtype: str) -> Array:
    """The array as `dtype`, if that is a type that numpy lacks and the array has its bits as unsigned integers."""
    target = numpy_type(dtype)
    same_size = array.dtype.kind == "u" and array.dtype.itemsize == target.itemsize
    return array.view(target) if same_size and dtype in BITS else array


def values(tensor: protocol.Tensor, rule: str, parameter: str = "") -> InputValues:
    """The record of an input: its smallest and largest finite value; `rule` says where the values come from."""
    import numpy as np

    low = high = None
    if tensor.dtype != STRING and not tensor.dtype.startswith("complex") and tensor.data:
        array = to_array(tensor)
        numbers = array.astype(np.float64) if array.dtype.kind == "V" else array
        if numbers.dtype.kind == "f":
            finite = np.isfinite(numbers)
            if not finite.all():
                rule += f" ({_not_finite(numbers)})"
            numbers = numbers[finite]
        if numbers.size:
            low, high = float(numbers.min()), float(numbers.max())
    return InputValues(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        rule=rule,
        low=low,
        high=high,
        parameter=parameter,
    )


def _not_finite(numbers: Array) -> str:
    import numpy as np

    nan, infinite = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
    return ", ".join([*([f"{nan} NaN"] if nan else []), *([f"{infinite} infinite"] if infinite else [])])


def _is_of_ml_dtypes(dtype: np.dtype[Any]) -> bool:
    return dtype.type.__module__.partition(".")[0] == "ml_dtypes"


def _encoded(element: str | bytes) -> bytes:
    return element if isinstance(element, bytes) else str(element).encode()


def _decoded(array: Array) -> Array:
    import numpy as np

    texts = np.empty(array.size, dtype=object)
    texts[:] = [element.decode() for element in array.reshape(-1).tolist()]
    return texts.reshape(array.shape)
