"""Values of one input by a rule that the user gave: `--fill mask=ones`."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from isobench.builds import element_types
from isobench.errors import UsageError
from isobench.planning.models import TensorSpec

if TYPE_CHECKING:
    from isobench.builds.element_types import Array

RULES = "zeros, ones, arange, normal, uniform:LOW..HIGH, a number, true, false, or @FILE"


def fill(spec: TensorSpec, rule: str, seed: int) -> Array:
    """The values of the input `spec`, whose sizes are fixed; random ones are the same for the same seed.

    `arange` counts up in C order. `uniform:LOW..HIGH` has both limits for integers; `normal` has mean 0 and standard
    deviation 1. Numbers are rounded to the nearest value of the input's type.

    Raises:
        UsageError: there is no such rule, or it doesn't fit the input's type.
    """
    import numpy as np

    shape = tuple(size for size in spec.shape if size is not None)
    integer = _is_integer(spec.dtype)
    generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(spec.name.encode())]))
    if spec.dtype == element_types.STRING:
        raise _refused(spec, rule, "strings must be given, by --inputs FILE.npz")
    values: Any
    if rule in {"zeros", "ones"}:
        values = np.full(shape, int(rule == "ones"))
    elif rule == "arange":
        values = np.arange(int(np.prod(shape))).reshape(shape)
        if spec.dtype == "bool":
            raise _refused(spec, rule, "bool can't count")
    elif rule == "normal":
        if integer:
            raise _refused(spec, rule, f"{spec.dtype} has no normal distribution: use uniform:LOW..HIGH")
        values = generator.standard_normal(shape)
    elif rule.startswith("uniform:"):
        low, high = _limits(spec, rule)
        values = generator.integers(low, high, shape, endpoint=True) if integer else generator.uniform(low, high, shape)
    else:
        values = np.full(shape, _number(spec, rule))
    return _of_type(values, spec, rule)


def _of_type(values: Array, spec: TensorSpec, rule: str) -> Array:
    if _is_integer(spec.dtype):
        try:
            return element_types.converted(values, spec.dtype)
        except ValueError as error:
            raise _refused(spec, rule, str(error)) from None
    import numpy as np

    with np.errstate(over="ignore"):
        made: Array = values.astype(element_types.numpy_type(spec.dtype))
    lost = np.isfinite(values.astype(np.complex128)) & ~np.isfinite(made.astype(np.complex128))
    if lost.any():
        raise _refused(spec, rule, f"{values[lost].reshape(-1)[0]:g} is too large for {spec.dtype}")
    return made


def _limits(spec: TensorSpec, rule: str) -> tuple[Any, Any]:
    low, dots, high = rule.removeprefix("uniform:").partition("..")
    if not dots:
        raise _refused(spec, rule, "write it uniform:LOW..HIGH")
    first, last = _number(spec, low), _number(spec, high)
    if isinstance(first, complex) or isinstance(last, complex) or not first <= last:
        raise _refused(spec, rule, "LOW must not be above HIGH")
    return first, last


def _number(spec: TensorSpec, text: str) -> Any:
    """The number that `text` is: an int for integers and bool, a float or complex number otherwise."""
    words = {"true": 1, "false": 0} if spec.dtype == "bool" else {}
    if text.lower() in words:
        return words[text.lower()]
    try:
        if _is_integer(spec.dtype):
            whole = re.fullmatch(r"([+-]?\d+)(\.0*)?", text.strip())
            if whole is None:
                float(text)  # is it a number at all?
                raise _refused(spec, text, f"{text} isn't exactly a {spec.dtype}")
            return int(whole[1])
        return complex(text) if spec.dtype.startswith("complex") else float(text)
    except ValueError:
        raise _refused(spec, text, "there is no such rule") from None


def _is_integer(dtype: str) -> bool:
    return dtype.startswith(("int", "uint")) or dtype == "bool"


def _refused(spec: TensorSpec, rule: str, why: str) -> UsageError:
    return UsageError(f"--fill {spec.name}={rule} can't fill {spec}: {why}", hint=f"A rule is {RULES}.")
