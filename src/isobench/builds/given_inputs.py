"""Inputs of the user's own: files (`--inputs`) and rules (`--fill`), fitted to the inputs of a model."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isobench.builds import containers, element_types, filling, input_files
from isobench.builds.input_files import InputSet, Message, RawBytes, Value
from isobench.errors import UsageError
from isobench.planning.models import Model, TensorSpec
from isobench.record import record
from isobench.workers import protocol

if TYPE_CHECKING:
    from isobench.builds.build import Build
    from isobench.builds.element_types import Array
    from isobench.builds.onnx_file import OnnxFile


@record(frozen=True, slots=True, kw_only=True)
class Given:
    """Values of inputs that fit a model, by its own names; `rules` says of each where it comes from.

    An input that isn't a tensor has several tensors, or none: see `containers`.
    `expected` are the outputs that belong to them, None where none were given; `reference` is where these come from.
    """

    tensors: Mapping[str, tuple[protocol.Tensor, ...]] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    expected: tuple[protocol.Tensor, ...] | None = None
    reference: str = ""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of those that are tensors: not of sequences, maps and optionals."""
        return {name: one.shape for name, tensors in self.tensors.items() for one in tensors if one.name == name}


def files(model: Model) -> list[Path]:
    """Every file that the values are read from, absolute: a build depends on them."""
    named = [Path(rule[1:]) for rule in model.fill.values() if rule.startswith("@")]
    return [file.absolute() for path in (*model.inputs, *named) for file in input_files.files_of(path)]


def split(model: Model) -> list[Model]:
    """The model with each set of inputs that it has: a file which holds an input that a set has begins another one.

    Raises:
        UsageError: a file can't be read.
    """
    groups: list[tuple[list[Path], set[str]]] = []
    for path in (one for given in model.inputs for one in input_files.paths_of_sets(given)):
        [found] = input_files.read(path)
        # What has no names begins a set of its own, and ends it.
        names = set(found.named) or {""}
        if not groups or "" in names | groups[-1][1] or names & groups[-1][1]:
            groups.append(([], set()))
        groups[-1][0].append(path)
        groups[-1][1].update(names)
    return [replace(model, inputs=tuple(paths)) for paths, _ in groups] or [model]


def of_onnx(model: Model, found: OnnxFile) -> Given:
    """The values that were given for the inputs of an ONNX file, whose sizes may still be open.

    Raises:
        UsageError: a file can't be read, names an input that the model doesn't have, or its values don't fit.
    """
    if not (model.inputs or model.fill):
        return Given()
    chosen = _one_set(model.inputs)
    names = {spec.name: spec.name for spec in found.inputs}
    sizes = _Sizes(dimensions=model.dimensions, shapes=model.shapes, symbols=found.symbols, unranked=found.unranked)
    tensors, rules = _from_files(model, chosen, found.inputs, names, found.path.name, sizes)
    expected = _expected(chosen, found) if chosen and chosen.expected else None
    reference = f"given: {chosen.source}" if chosen and expected is not None else ""
    return Given(tensors=tensors, rules=rules, expected=expected, reference=reference)


def of_build(model: Model, recorded: Build, seed: int) -> Given:
    """The values that were given for the call of a script's model, which `recorded` has with the script's own values.

    Inputs are named as tensors of the call (`args.0`, `kwargs.mask`) or by the parameters of `forward`.

    Raises:
        UsageError: a file can't be read, names an input that the call doesn't have, or its values don't fit.
    """
    chosen = _one_set(model.inputs)
    if chosen and chosen.expected:
        raise UsageError(
            f"{chosen.source} has expected outputs, which need an .onnx file",
            hint="Remove its output_K.pb: the script's own model computes the expected outputs.",
        )
    names = {one.parameter: one.name for one in recorded.input_values if one.parameter}
    names |= {spec.name: spec.name for spec in recorded.inputs}
    model = replace(model, fill={names.get(name, name): rule for name, rule in model.fill.items()})
    shapes = {spec.name: tuple(size or 0 for size in spec.shape) for spec in recorded.inputs}
    sizes = _Sizes(dimensions={}, shapes=shapes, symbols={name: ("",) * len(shape) for name, shape in shapes.items()})
    tensors, rules = _from_files(model, chosen, recorded.inputs, names, recorded.name, sizes)
    return filled(model, recorded.inputs, Given(tensors=tensors, rules=rules), seed)


def _from_files(
    model: Model,
    chosen: InputSet | None,
    specs: Sequence[TensorSpec],
    names: Mapping[str, str],
    owner: str,
    sizes: _Sizes,
) -> tuple[dict[str, tuple[protocol.Tensor, ...]], dict[str, str]]:
    """The tensors of files that fit `specs`, and the rule of each; `names` has what each input may be called."""
    known = {spec.name: spec for spec in specs}
    tensors: dict[str, tuple[protocol.Tensor, ...]] = {}
    rules: dict[str, str] = {}
    for name, value, source in [*_assigned(chosen, known, names, owner), *_from_fill(model, known, names, owner)]:
        spec = known[name]
        if containers.is_container(spec.dtype):
            parts = containers.parts(spec, value, source)
            tensors[name] = (*tensors.get(name, ()), *parts)
            rules[name] = f"given: {source}"
            continue
        array = _array(value, spec, sizes, source)
        if name in sizes.unranked:
            spec = replace(spec, shape=tuple(array.shape))
        tensor, note = fitted(array, spec, source)
        sizes.check_shape(spec, tensor.shape, source)
        tensors[name], rules[name] = (tensor,), f"given: {source}{note}"
    sizes.check_dimensions(tensors)
    return tensors, rules


def filled(model: Model, specs: Sequence[TensorSpec], given: Given, seed: int) -> Given:
    """`given` with the values that rules make (`--fill NAME=RULE`), which take precedence; `specs` have fixed sizes.

    Raises:
        UsageError: a rule isn't one, or doesn't fit the input's type.
    """
    tensors, rules = dict(given.tensors), dict(given.rules)
    for spec in specs:
        rule = model.fill.get(spec.name, "@")
        if not rule.startswith("@"):
            tensors[spec.name] = (element_types.to_tensor(spec.name, filling.fill(spec, rule, seed)),)
            rules[spec.name] = rule
    return replace(given, tensors=tensors, rules=rules)


def fitted(array: Array, spec: TensorSpec, source: str) -> tuple[protocol.Tensor, str]:
    """The array as a tensor of the input `spec`, and a note where it was converted from another type.

    Raises:
        UsageError: its shape is another one, or a value isn't exactly one of the input's type.
    """
    shape = tuple(array.shape)
    fits = len(shape) == len(spec.shape) and all(
        size in {None, given} for size, given in zip(spec.shape, shape, strict=True)
    )
    found = element_types.name_of(array)
    if not fits:
        raise UsageError(
            f"input {spec} got {found}{list(shape)} from {source}",
            hint="It must have the shape that the model declares, or that the script's call had.",
        )
    try:
        made = element_types.converted(array, spec.dtype)
    except ValueError as error:
        raise UsageError(
            f"input {spec} got {found}{list(shape)} from {source}: {error}",
            hint=f"Convert it before: {spec.name}.astype({spec.dtype!r}).",
        ) from None
    note = f" (converted from {found})" if found != spec.dtype and array.dtype.kind != "V" else ""
    return element_types.to_tensor(spec.name, made), note


@record(frozen=True, slots=True, kw_only=True)
class _Sizes:
    """What the command line says about sizes, so that values which contradict it are refused."""

    dimensions: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    symbols: Mapping[str, tuple[str, ...]]
    unranked: frozenset[str] = frozenset()

    def check_shape(self, spec: TensorSpec, shape: tuple[int, ...], source: str) -> None:
        wanted = self.shapes.get(spec.name, shape)
        if wanted != shape:
            raise UsageError(f"--shape {spec.name} is {_text(wanted)}, but {source} has {_text(shape)}")

    def check_dimensions(self, given: Mapping[str, tuple[protocol.Tensor, ...]]) -> None:
        """A dimension of one name may have several sizes: one of them must be that of `--dim`."""
        for symbol, wanted in self.dimensions.items():
            found = {
                tensors[0].shape[place]: name
                for name, tensors in given.items()
                for place, own in enumerate(self.symbols.get(name, ()))
                if own == symbol and tensors and tensors[0].name == name
            }
            if found and wanted not in found:
                size, name = next(iter(found.items()))
                raise UsageError(
                    f"--dim {symbol} is {wanted}, but it is {size} in the values that were given for {name}",
                    hint=f"Omit --dim {shlex.quote(symbol)}: the values fix it.",
                )

    def of(self, spec: TensorSpec) -> tuple[int | None, ...]:
        """The sizes that are known without the values."""
        if spec.name in self.shapes:
            return self.shapes[spec.name]
        if spec.name in self.unranked:
            return (None, None)  # any number of sizes, none of them known
        known = zip(spec.shape, self.symbols[spec.name], strict=True)
        return tuple(size if size is not None else self.dimensions.get(symbol) for size, symbol in known)


def _one_set(paths: Sequence[Path]) -> InputSet | None:
    """The one set of inputs that the files hold together: each of them may hold some of the inputs."""
    sets = [one for path in paths for one in input_files.read(path)]
    if len(sets) < 2:
        return sets[0] if sets else None
    named = {name: value for one in sets for name, value in one.named.items()}
    if len(named) < sum(len(one.named) for one in sets) or any(one.placed or one.single is not None for one in sets):
        listed = ", ".join(one.source for one in sets)
        raise UsageError(
            f"--inputs must be one set of inputs here, got {len(sets)}: {listed}", hint="Give one of them."
        )
    return InputSet(source=" ".join(one.source for one in sets), named=named)


def _assigned(
    chosen: InputSet | None, specs: Mapping[str, TensorSpec], aliases: Mapping[str, str], model: str
) -> Iterator[tuple[str, Value, str]]:
    """Each input's name, value and source; `aliases` has the name for each of the names that it may be given by."""
    if chosen is None:
        return
    source, names = chosen.source, list(specs)
    listed = f"{model} has the inputs: {_listed(specs, aliases)}."
    parts = {name: containers.owner(name, specs.values()) for name in chosen.named if name not in aliases}
    unknown = [name for name, owner in parts.items() if not owner]
    if unknown:
        raise UsageError(f"{source} has values for {', '.join(unknown)}, which {model} doesn't have", hint=listed)
    if chosen.placed and max(chosen.placed) >= len(names):
        count = max(chosen.placed) + 1
        raise UsageError(f"{source} has values for {count} inputs, but {model} has {len(names)}", hint=listed)
    if chosen.single is not None and len(names) != 1:
        raise UsageError(
            f"{source} holds one input without a name, but {model} has {len(names)}",
            hint=f"{listed} Give --inputs NAME={shlex.quote(source)}.",
        )
    for name, value in chosen.named.items():
        if name in aliases:
            yield aliases[name], value, source
        else:
            yield parts[name], containers.Part(name=name, array=value), source
    yield from ((names[place], value, source) for place, value in sorted(chosen.placed.items()))
    if chosen.single is not None:
        yield names[0], chosen.single, source


def _from_fill(
    model: Model, specs: Mapping[str, TensorSpec], aliases: Mapping[str, str], owner: str
) -> Iterator[tuple[str, Value, str]]:
    """The inputs that are filled from files of their own: NAME=@FILE."""
    unknown = [name for name in model.fill if name not in specs]
    if unknown:
        raise UsageError(
            f"no input {' or '.join(map(repr, unknown))} in {owner}",
            hint=f"It has: {_listed(specs, aliases)}.",
        )
    for name, rule in model.fill.items():
        if rule.startswith("@"):
            path = Path(rule[1:])
            sets = input_files.read(path)
            value = sets[0].single if sets[0].single is not None else _only(sets, path)
            yield name, value, path.name


def _listed(specs: Mapping[str, TensorSpec], aliases: Mapping[str, str]) -> str:
    """The names of the inputs: `x, y`; of a script's call, `args.0 (x), kwargs.mask (mask)`."""
    own = {name: alias for alias, name in aliases.items() if alias != name}
    return ", ".join(f"{name} ({own[name]})" if name in own else name for name in specs) or "none"


def _only(sets: Sequence[InputSet], path: Path) -> Value:
    values = [value for one in sets for value in (*one.named.values(), *one.placed.values())]
    if len(values) != 1:
        raise UsageError(f"{path} must hold one array for one input, got {len(values)}")
    return values[0]


def _array(value: Value, spec: TensorSpec, sizes: _Sizes, source: str) -> Array:
    if isinstance(value, RawBytes):
        return _of_bytes(value.data, spec, sizes.of(spec), source)
    array: Array = _decoded(value, "tensor_type", spec.dtype, source) if isinstance(value, Message) else value
    return array


def _decoded(message: Message, kind: str, dtype: str, source: str) -> Any:
    """What a .pb file contains; the ONNX project's own ones hold bfloat16 as uint16."""
    value = input_files.decoded(message, kind, source)
    return element_types.of_bits(value, dtype) if kind == "tensor_type" else value


def _of_bytes(data: bytes, spec: TensorSpec, shape: Sequence[int | None], source: str) -> Array:
    """Raw bytes as an array; one size that isn't known follows from their number."""
    import math

    import numpy as np

    if spec.dtype == element_types.STRING:
        raise UsageError(f"{source} can't hold the strings of {spec.name}", hint="Give them in a .npz file.")
    kind = element_types.numpy_type(spec.dtype)
    known = math.prod(size for size in shape if size is not None) * kind.itemsize
    if None in shape and (shape.count(None) > 1 or not known or len(data) % known):
        raise UsageError(
            f"the shape of {spec} must be known to read {source}", hint=f"Add --shape {shlex.quote(spec.name)}=N,N,..."
        )
    if None in shape:
        shape = [len(data) // known if size is None else size for size in shape]
    elif len(data) != known:
        raise UsageError(f"{source} must have {known} bytes ({spec.dtype}{list(shape)}), got {len(data)}")
    return np.frombuffer(data, dtype=kind).reshape([size or 0 for size in shape])


def _expected(chosen: InputSet, found: OnnxFile) -> tuple[protocol.Tensor, ...]:
    """The given outputs, by the names of the graph."""
    outputs = found.model.graph.output
    if max(chosen.expected) >= len(outputs):
        count = max(chosen.expected) + 1
        raise UsageError(f"{chosen.source} has {count} outputs, but {found.path.name} has {len(outputs)}")
    tensors: list[protocol.Tensor] = []
    for place, message in sorted(chosen.expected.items()):
        name, kind = outputs[place].name, outputs[place].type.WhichOneof("value") or "tensor_type"
        dtype = next((spec.dtype for spec in found.outputs if spec.name == name), "")
        tensors += containers.flat(name, _decoded(message, kind, dtype, chosen.source))
    return tuple(tensors)


def _text(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape))
