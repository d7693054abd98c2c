"""How far a model amplifies rounding: its outputs from weights and inputs that are perturbed in the last place.

Each value moves by whole units in the last place, up or down at random, and the model is evaluated again. How far its
outputs move is what no implementation can avoid, whatever its order of summation (Parker, "Monte Carlo Arithmetic",
1997; Vignes, "A stochastic arithmetic for reliable scientific computation", 1993). The host derives the figures.
Never imports `numpy.random`: it is slow.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import protocol

MANTISSA_BITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}
EXPONENT_BITS = {"float64": 11, "float32": 8, "float16": 5, "bfloat16": 8}
UNIT_BITS = {**MANTISSA_BITS, "int8": 10}
"""The mantissa whose last place is the unit, for each arithmetic; of quantised models, an eighth of a step."""
ULPS = (1, 16, 1, 16)
"""Units of each evaluation. One unit shows the spread; with more, close decisions are taken the other way, too."""
LEAST_EVALUATIONS = 2
LIMIT_S = 3.0
"""No further evaluation begins after this long, once there are `LEAST_EVALUATIONS`."""
LEAST_ELEMENTS = 8
"""Smaller tensors stay as they are: scales of a Resize, bounds, exponents, which decide on shapes and domains."""
WEIGHTS_BYTES = 256 << 20
"""At most as many bytes of weights are perturbed, the smallest tensors first, which lie in all layers."""

_CHUNK = 1 << 20

Buffer: TypeAlias = "bytes | memoryview"
Perturb: TypeAlias = "Callable[[Buffer, str], bytes]"


def narrowest(dtypes: set[str]) -> str:
    """The floating-point type with the shortest mantissa; float32 if there is none that is shorter."""
    known = [name for name in dtypes if name in MANTISSA_BITS]
    return min(known, key=MANTISSA_BITS.__getitem__, default="float32")


def chosen(sizes: list[tuple[str, int]]) -> set[str]:
    """The names of those of the tensors (name and bytes) that are perturbed, within `WEIGHTS_BYTES`."""
    names, total = set(), 0
    for name, size in sorted(sizes, key=lambda entry: entry[1]):
        total += size
        if total > WEIGHTS_BYTES:
            break
        names.add(name)
    return names


def evaluate(
    compute: Callable[[Perturb], list[protocol.Tensor]], folder: str, seed: int, arithmetic: str
) -> list[dict[str, Any]]:
    """Evaluate a model with perturbed values a few times, and write each evaluation's outputs into `folder`.

    `compute(perturb)` returns the outputs; `perturb(data, dtype)` perturbs the bytes of a tensor, in units of the last
    place of `arithmetic`. Returns `{"file", "ulps"}` for each evaluation, or `{"error", "ulps"}` for one that the model
    can't compute.
    """
    made: list[dict[str, Any]] = []
    started = time.perf_counter()
    for number, ulps in enumerate(ULPS):
        if number >= LEAST_EVALUATIONS and time.perf_counter() - started > LIMIT_S:
            break
        generator = random.Random(f"{seed} {number}")  # noqa: S311 - no secret

        def perturb(data: Buffer, dtype: str, ulps: int = ulps, generator: random.Random = generator) -> bytes:
            return perturbed(data, dtype, ulps * units_in(arithmetic, dtype), generator)

        try:
            outputs = compute(perturb)
        except Exception as error:  # noqa: BLE001 - a value beyond a limit of the model's own, or lack of memory
            made.append({"error": f"{type(error).__name__}: {error}", "ulps": ulps})
            continue
        file = os.path.join(folder, f"evaluation-{number}.msgpack")
        protocol.write_tensors(file, outputs)
        made.append({"file": file, "ulps": ulps})
    return made


def units_in(arithmetic: str, dtype: str) -> int:
    """How many units in the last place of `dtype` one unit of a narrower `arithmetic` is; 1 for other types."""
    if dtype not in MANTISSA_BITS:
        return 1
    return 1 << max(0, MANTISSA_BITS[dtype] - UNIT_BITS[arithmetic])


def perturbed(data: Buffer, dtype: str, units: int, generator: random.Random) -> bytes:
    """The bytes of a tensor with each value moved by `units` in the last place, up or down at random.

    Whole numbers stay as they are, since they may be masks, positions or counts; so do values that aren't finite.
    """
    if dtype not in MANTISSA_BITS:
        return bytes(data)
    width = protocol.DTYPES[dtype]
    bits = np.frombuffer(data, dtype=f"<u{width}").copy()
    if len(bits) < LEAST_ELEMENTS:
        return bits.tobytes()
    for first in range(0, len(bits), _CHUNK):
        part = bits[first : first + _CHUNK]
        _move(part, dtype, units, _signs(len(part), generator))
    return bits.tobytes()


def _move(bits: np.ndarray[Any, Any], dtype: str, units: int, up: np.ndarray[Any, Any]) -> None:
    kind = bits.dtype.type
    mantissa, exponents = MANTISSA_BITS[dtype], EXPONENT_BITS[dtype]
    infinite = kind(((1 << exponents) - 1) << mantissa)
    magnitude = bits & kind((1 << (mantissa + exponents)) - 1)
    # Zero, values that aren't finite, and those that would become either.
    unmoved = (magnitude <= units) | (magnitude >= infinite - kind(units))
    unmoved[_whole(magnitude, dtype)] = True
    step = np.where(up, kind(units), kind((1 << (8 * bits.itemsize)) - units))  # unsigned arithmetic wraps around
    step[unmoved] = 0
    bits += step


def _whole(magnitude: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    """The places of whole numbers: no bit of the mantissa stands for less than one."""
    mantissa, kind = MANTISSA_BITS[dtype], magnitude.dtype.type
    one = kind(((1 << (EXPONENT_BITS[dtype] - 1)) - 1) << mantissa)
    places = np.flatnonzero(magnitude >= one)
    large = magnitude[places]
    # The power of two below a value, relative to 1; as many bits fewer stand for less than one.
    below_one = kind(mantissa) - np.minimum((large - one) >> kind(mantissa), kind(mantissa))
    return np.asarray(places[large & ((kind(1) << below_one) - kind(1)) == 0])


def _signs(count: int, generator: random.Random) -> np.ndarray[Any, Any]:
    drawn = generator.getrandbits(8 * (-(-count // 8))).to_bytes(-(-count // 8), "little")
    return np.unpackbits(np.frombuffer(drawn, dtype=np.uint8))[:count].astype(bool)
