"""Sizes of an ONNX file's inputs: every dynamic dimension fixed, by name or input by input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isobench.errors import UsageError
from isobench.planning.models import TensorSpec

if TYPE_CHECKING:
    from isobench.builds.onnx_file import OnnxFile


def settle(found: OnnxFile, dimensions: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> list[TensorSpec]:
    """The inputs with every size fixed: by the file, by `shapes` (input by input) or by `dimensions` (by name).

    Raises:
        UsageError: a size isn't fixed, or an option names nothing in the file, or contradicts it.
    """
    names = {spec.name: spec for spec in found.inputs}
    symbols = sorted({symbol for row in found.symbols.values() for symbol in row if symbol})
    _refuse_unknown("input", shapes, list(names))
    _refuse_unknown("dynamic dimension", dimensions, symbols)
    sizes = dict(dimensions)
    settled, missing = [], []
    for spec in found.inputs:
        given = shapes.get(spec.name)
        if given is not None and len(given) != len(spec.shape):
            raise UsageError(f"--shape {spec.name} must have {len(spec.shape)} dimensions ({spec}), got {len(given)}")
        shape = []
        for place, (size, symbol) in enumerate(zip(spec.shape, found.symbols[spec.name], strict=True)):
            requested = given[place] if given is not None else sizes.get(symbol) if symbol else None
            if size is not None and requested not in {None, size}:
                raise UsageError(
                    f"--shape {spec.name}: dimension {place} must be {size}, as in the file, got {requested}"
                )
            if symbol and given is not None and sizes.setdefault(symbol, given[place]) != given[place]:
                raise UsageError(f"dimension {symbol} must have one size, got {sizes[symbol]} and {given[place]}")
            shape.append(size if size is not None else requested)
        if None in shape:
            missing.append(spec.name)
        settled.append(TensorSpec(name=spec.name, dtype=spec.dtype, shape=tuple(shape)))
    # A later shape may have fixed a name that occurred before.
    settled = [_filled(spec, found.symbols[spec.name], sizes) for spec in settled]
    open_names = [spec.name for spec in settled if None in spec.shape]
    if open_names:
        raise _unsettled(found, sizes, open_names)
    return settled


def _filled(spec: TensorSpec, symbols: Sequence[str], sizes: Mapping[str, int]) -> TensorSpec:
    shape = tuple(
        size if size is not None else sizes.get(symbol) for size, symbol in zip(spec.shape, symbols, strict=True)
    )
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=shape)


def _unsettled(found: OnnxFile, sizes: Mapping[str, int], names: Sequence[str]) -> UsageError:
    """The error for inputs without a fixed size; its hint is the options that fix them."""
    specs = [spec for spec in found.inputs if spec.name in names]
    symbols = sorted({symbol for spec in specs for symbol in found.symbols[spec.name] if symbol} - set(sizes))
    nameless = [
        spec
        for spec in specs
        if any(size is None and not symbol for size, symbol in zip(spec.shape, found.symbols[spec.name], strict=True))
    ]
    ways = [f"--dim {symbol}=8" for symbol in symbols]
    ways += [f"--shape {spec.name}={','.join(str(size or 1) for size in spec.shape)}" for spec in nameless]
    shown = "; ".join(_with_symbols(spec, found.symbols[spec.name]) for spec in specs)
    return UsageError(
        f"{found.path.name} has inputs without a fixed size: {shown}", hint=f"Fix them, for example: {' '.join(ways)}"
    )


def _with_symbols(spec: TensorSpec, symbols: Sequence[str]) -> str:
    sizes = [str(size or symbol or "?") for size, symbol in zip(spec.shape, symbols, strict=True)]
    return f"{spec.name}: {spec.dtype}[{', '.join(sizes)}]"


def _refuse_unknown(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(
            f"no {what} {' or '.join(map(repr, unknown))}", hint=f"The file has: {', '.join(known) or 'none'}."
        )
