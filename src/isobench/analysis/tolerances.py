"""How far an output may differ from the expected one: by its type, and by what rounding does to the model."""

from __future__ import annotations

TOLERANCES = {
    "float64": 1e-7,
    "float32": 1e-4,
    "float16": 1e-2,
    "bfloat16": 4e-2,
    "complex64": 1e-4,
    "complex128": 1e-7,
    "float8_e4m3fn": 0.15,
    "float8_e4m3fnuz": 0.15,
    "float8_e5m2": 0.3,
    "float8_e5m2fnuz": 0.3,
    "float8_e8m0fnu": 1.0,
    "float4_e2m1fn": 0.6,
}
"""For each type: an element may differ by tolerance * (|expected| + the output's largest |expected|).

For float32, another order of summation stays well below that (1e-6 to 1e-5 in practice) in a model that doesn't amplify
rounding, and arithmetic that was silently done in bfloat16 or TF32 (8 and 10 bits of mantissa) exceeds it. Integers and
booleans must be equal.
"""
MULTIPLE = 16.0
"""An element may also differ by this multiple of its output's rounding spread, in float32 and float64.

Kernels of these types sum in any order and approximate functions to several units in the last place. The experiment is
in docs/measurement.md: `make bench BENCH=deep_networks`.
"""
NARROW_MULTIPLE = 4.0
"""The same for narrower arithmetic, which kernels sum up in float32 or in whole numbers, and round once."""
STEPS = 1.05
"""An element of a quantised output may differ by one step of its quantisation."""
UNJUDGED = 0.25
"""With a wider tolerance, an output can't be judged: even bfloat16 arithmetic would pass in place of float32."""


def multiple(arithmetic: str) -> float:
    """The multiple of the rounding spread by which an element may differ."""
    return MULTIPLE if arithmetic in {"float32", "float64"} else NARROW_MULTIPLE
