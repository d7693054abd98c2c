"""Sizes of an ONNX file's inputs: every dynamic dimension fixed, by name or input by input."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from isobench.builds import onnx_wire, size_expressions
from isobench.errors import UsageError
from isobench.planning.models import Model, TensorSpec
from isobench.record import record

if TYPE_CHECKING:
    from isobench.builds.onnx_file import OnnxFile

PLACEHOLDERS = frozenset({"", "?", "*", "-1", "none", "null", "nan", "unk", "unknown", "undefined", "dynamic", "any"})
"""What exporters write in place of a name (in lower case): two dimensions of that name need not be equal."""
_MOST_DIMENSIONS = 64
_MOST_ELEMENTS = 2**56
_EXAMPLE = 8


@record(frozen=True, slots=True, kw_only=True)
class Fixed:
    """How the open sizes are fixed: `named` by the name of a dimension, in all inputs alike; `written` lists the inputs
    whose sizes names can't fix, so that they must be written into the file.
    """

    named: Mapping[str, int]
    written: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was fixed, in a sentence for the reader of a result."""
        ways = [f"{name}={size}" for name, size in self.named.items()]
        ways += [f"in the declaration of {name}" for name in self.written]
        return (f"sizes fixed before the graph is optimized: {', '.join(ways)}",) if ways else ()


def settle(found: OnnxFile, dimensions: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> list[TensorSpec]:
    """The inputs with every size fixed: by the file, by `shapes` (input by input) or by `dimensions` (by name).

    A shape takes precedence over names; a name has in all other inputs the size that one shape gives it.

    Raises:
        UsageError: a size isn't fixed, or an option names nothing in the file, or contradicts it, or two shapes
            contradict each other.
    """
    _refuse_unknown("input", shapes, [spec.name for spec in found.inputs])
    _refuse_unknown("dynamic dimension", dimensions, known_names(found.symbols))
    sizes = {**_of_shapes(found, dimensions, shapes), **dimensions}
    settled = [_settled(spec, found, sizes, shapes.get(spec.name)) for spec in found.inputs]
    if any(None in spec.shape for spec in settled) or found.unranked - set(shapes):
        raise _unsettled(found, sizes, settled, shapes)
    for spec in settled:
        _refuse_huge(spec)
    return settled


def batches_of_one(found: OnnxFile, given: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs that leave nothing open but their first size, which has no name: a batch of one.

    Classical models are exported so. It is assumed only where nothing else is open, and no input's shape is `given`.
    An input of one dimension has no batch.
    """
    dynamic = [spec for spec in found.inputs if None in spec.shape or spec.name in found.unranked]
    batched = {
        spec.name: (1, *(size for size in spec.shape[1:] if size is not None))
        for spec in dynamic
        if len(spec.shape) > 1 and None not in spec.shape[1:] and is_placeholder(found.symbols[spec.name][0])
    }
    return batched if len(batched) == len(dynamic) and not set(batched) & set(given) else {}


def fixed(found: OnnxFile, settled: Sequence[TensorSpec]) -> Fixed:
    """How a runtime is to fix the sizes, so that its graph has no open ones."""
    by_name: dict[str, set[int]] = {}
    for spec, declared in zip(settled, found.inputs, strict=True):
        # One without a rank has no names.
        for size, symbol, own in zip(spec.shape, found.symbols[spec.name], declared.shape, strict=False):
            if own is None and size is not None:
                by_name.setdefault(symbol, set()).add(size)
    named = {name: sizes.pop() for name, sizes in by_name.items() if name and len(sizes) == 1}
    written = [
        spec.name
        for spec in found.inputs
        if spec.name in found.unranked
        or any(
            size is None and symbol not in named
            for size, symbol in zip(spec.shape, found.symbols[spec.name], strict=True)
        )
    ]
    return Fixed(named=named, written=tuple(written))


def fitting(models: Sequence[Model]) -> list[Model]:
    """The models, each with those of the options `--dim` and `--shape` that its file has a use for.

    Raises:
        UsageError: several files were given, and none of them has a dimension or an input of that name.
    """
    files = {model.path: names for model in models if not model.is_script and (names := names_in(model)) is not None}
    if len([model for model in models if not model.is_script]) < 2 or not files:
        return list(models)
    readable = len(files) == len({model.path for model in models if not model.is_script})
    if readable:  # one that can't be read is refused when it is built
        for what, given, place in (
            ("dynamic dimension", models[0].dimensions, 0),
            ("input", models[0].shapes, 1),
        ):
            _refuse_unknown(what, given, sorted({name for names in files.values() for name in names[place]}), "files")
    return [_narrowed(model, *files[model.path]) if model.path in files else model for model in models]


def known_names(symbols: Mapping[str, Sequence[str]]) -> list[str]:
    """Every name that `--dim` may fix: of dimensions, and in the expressions of others."""
    plain = {symbol for row in symbols.values() for symbol in row if symbol}
    return sorted(plain.union(*map(size_expressions.names, plain)))


def names_in(model: Model) -> tuple[list[str], list[str]] | None:
    """The names of dimensions and of inputs of a file; None where it can't be read, which is reported later."""
    try:
        symbols = onnx_wire.input_names(model.path)
    except (OSError, ValueError):
        return None
    return known_names(symbols), list(symbols)


def _narrowed(model: Model, dimensions: Sequence[str], inputs: Sequence[str]) -> Model:
    return replace(
        model,
        dimensions={name: size for name, size in model.dimensions.items() if name in dimensions},
        shapes={name: shape for name, shape in model.shapes.items() if name in inputs},
    )


def _of_shapes(found: OnnxFile, dimensions: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The sizes that shapes give to names; a name that `--dim` fixes may have other sizes in shapes."""
    sizes: dict[str, int] = {}
    origins: dict[str, str] = {}
    for spec in found.inputs:
        given = shapes.get(spec.name)
        if given is None:
            continue
        _check(spec, given, ranked=spec.name not in found.unranked)
        for size, symbol, own in zip(given, found.symbols[spec.name], spec.shape, strict=False):
            if own is not None or is_placeholder(symbol) or symbol in dimensions or size_expressions.names(symbol):
                continue
            if sizes.setdefault(symbol, size) != size:
                raise UsageError(
                    f"dimension {symbol} must have one size, got {sizes[symbol]} in {origins[symbol]} and {size} in "
                    f"{spec.name}",
                    hint=f"If {symbol} stands for two sizes in this file, add {_dim(symbol, sizes[symbol])}.",
                )
            origins.setdefault(symbol, spec.name)
    return sizes


def _check(spec: TensorSpec, given: Sequence[int], *, ranked: bool) -> None:
    """Raises:
    UsageError: the shape contradicts the file.
    """
    if not ranked:
        return
    if len(given) != len(spec.shape):
        raise UsageError(f"--shape {spec.name} must have {len(spec.shape)} dimensions ({spec}), got {len(given)}")
    for place, (size, wanted) in enumerate(zip(given, spec.shape, strict=True)):
        if wanted not in {None, size}:
            raise UsageError(f"--shape {spec.name}: dimension {place} must be {wanted}, as in the file, got {size}")


def _settled(spec: TensorSpec, found: OnnxFile, sizes: Mapping[str, int], given: tuple[int, ...] | None) -> TensorSpec:
    shape: Sequence[int | None] = (
        given
        if given is not None
        else [
            size if size is not None else _size(symbol, sizes)
            for size, symbol in zip(spec.shape, found.symbols[spec.name], strict=True)
        ]
    )
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=tuple(shape))


def _size(symbol: str, sizes: Mapping[str, int]) -> int | None:
    """The size of a dimension: its name's, or its expression's; None where that isn't known yet."""
    names = size_expressions.names(symbol)
    if symbol in sizes or not names or not names <= set(sizes):
        return sizes.get(symbol) if symbol else None
    try:
        return size_expressions.value(symbol, sizes)
    except ValueError as error:
        given = ", ".join(f"{name} = {sizes[name]}" for name in sorted(names))
        raise UsageError(f"the size {symbol} {error}, with {given}") from None


def is_placeholder(symbol: str) -> bool:
    """Does it stand for any size, so that two dimensions of this name need not be equal?"""
    return symbol.strip().lower() in PLACEHOLDERS


def _refuse_huge(spec: TensorSpec) -> None:
    sizes = [size for size in spec.shape if size is not None]
    if len(sizes) > _MOST_DIMENSIONS or math.prod(sizes) > _MOST_ELEMENTS:
        raise UsageError(
            f"input {spec.name} is too large: {len(sizes)} dimensions, {math.prod(sizes):.3g} elements",
            hint=f"An input may have {_MOST_DIMENSIONS} dimensions and as many elements as fit into memory.",
        )


def _unsettled(
    found: OnnxFile, sizes: Mapping[str, int], settled: Sequence[TensorSpec], shapes: Mapping[str, Any]
) -> UsageError:
    """The error for inputs without a fixed size; its hint is the options that fix them."""
    specs = [
        spec
        for spec, known in zip(found.inputs, settled, strict=True)
        if None in known.shape or (spec.name in found.unranked and spec.name not in shapes)
    ]
    names, ways = set(), []
    for spec in specs:
        open_symbols = [
            symbol
            for size, symbol in zip(spec.shape, found.symbols[spec.name], strict=True)
            if size is None and _size(symbol, sizes) is None
        ]
        names |= {name for symbol in open_symbols for name in size_expressions.names(symbol) or {symbol}} - set(sizes)
        if spec.name in found.unranked:
            ways.append(f"--shape {shlex.quote(f'{spec.name}=1,{_EXAMPLE}')}")
        elif any(map(is_placeholder, open_symbols)):
            ways.append(_shape(spec, found.symbols[spec.name], sizes))
    options = [_dim(name, _EXAMPLE) for name in sorted(names) if not is_placeholder(name)]
    shown = "; ".join(_with_symbols(spec, found) for spec in specs)
    return UsageError(
        f"{found.path.name} has inputs without a fixed size: {shown}",
        hint=f"Fix them, for example: {' '.join([*options, *ways])}",
    )


def _shape(spec: TensorSpec, symbols: Sequence[str], sizes: Mapping[str, int]) -> str:
    """An example of a shape, which agrees with the examples of `--dim`."""
    known = [
        size if size is not None else 1 if is_placeholder(symbol) else _example(symbol, sizes)
        for size, symbol in zip(spec.shape, symbols, strict=True)
    ]
    return f"--shape {shlex.quote(spec.name + '=' + ','.join(map(str, known)))}"


def _example(symbol: str, sizes: Mapping[str, int]) -> int:
    examples = {**dict.fromkeys([symbol, *size_expressions.names(symbol)], _EXAMPLE), **sizes}
    if size_expressions.names(symbol) and symbol not in sizes:
        del examples[symbol]
    try:
        size = _size(symbol, examples)
    except UsageError:
        size = None
    return 1 if size is None else size


def _dim(name: str, size: int) -> str:
    return f"--dim {shlex.quote(f'{name}={size}')}"


def _with_symbols(spec: TensorSpec, found: OnnxFile) -> str:
    if spec.name in found.unranked:
        return f"{spec.name}: {spec.dtype} of any rank"
    sizes = [
        str(size) if size is not None else symbol or "?"
        for size, symbol in zip(spec.shape, found.symbols[spec.name], strict=True)
    ]
    return f"{spec.name}: {spec.dtype}[{', '.join(sizes)}]"


def _refuse_unknown(what: str, given: Iterable[str], known: Sequence[str], where: str = "file") -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(
            f"no {what} {' or '.join(map(repr, unknown))}",
            hint=f"The {where} {'has' if where == 'file' else 'have'}: {', '.join(known) or 'none'}.",
        )
