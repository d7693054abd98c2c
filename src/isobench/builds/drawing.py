"""Draws the inputs of an ONNX file: by the operators that consume them, by name, by type.

Each input has a random stream of its own (numpy's PCG64, seeded by the seed and the input's name), so the same seed
gives the same bytes on every machine. Values that mean structure (sizes, axes, lengths, conditions) don't depend on it.
"""

from __future__ import annotations

import math
import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from isobench.builds import element_types
from isobench.builds.constants import Constants
from isobench.builds.graph_view import KNOWN_ELEMENTS, GraphView
from isobench.builds.input_rules.base import At, Rule, shown
from isobench.builds.input_rules.names import rule_by_name
from isobench.builds.input_rules.table import rule_for
from isobench.builds.input_uses import Use, arrivals, decision, uses_of
from isobench.builds.settled_graph import view
from isobench.errors import ModelError
from isobench.planning.models import TensorSpec
from isobench.record import record
from isobench.workers import protocol

if TYPE_CHECKING:
    import onnx

MOST_SIZES = 64
"""Inputs of more elements aren't taken for sizes or axes."""

MOST_OPERANDS = 50

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")


@record(frozen=True, slots=True, kw_only=True)
class Operand:
    """What an input is to a node that its values arrive at; `role` in words: "indices operand of Gather node_3"."""

    role: str
    operator: str
    node: str


@record(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The values of one input; `rule` says in words how they were drawn, such as "standard normal".

    `operands` are what it is used as; the use that decided about the values comes first.
    """

    tensor: protocol.Tensor
    rule: str
    operands: tuple[Operand, ...] = ()


def draw(
    model: onnx.ModelProto | None,
    specs: Sequence[TensorSpec],
    seed: int,
    given: Mapping[str, protocol.Tensor] | None = None,
) -> list[Drawn]:
    """Values for the inputs of `model`, whose settled sizes are `specs`; those that are `given` are left out.

    A tensor `x.0`, `x.1`, ... is an element of the sequence `x`. Without a `model`, names and types decide.

    Raises:
        ModelError: no values are valid (indices of a table without rows), or the type is none that can be drawn.
    """
    arrays = {name: element_types.to_array(tensor) for name, tensor in (given or {}).items()}
    tensors = [_drawable(spec) for spec in specs if spec.name not in arrays]
    if model is None:
        return _Drawing(tensors, seed, None, arrays, {}).all()
    drawing = _Drawing(tensors, seed, view(model, specs, _few(arrays)), arrays, {})
    drawn = drawing.all()
    structure = drawing.structure()
    if not structure:
        return drawn
    # Sizes that were chosen may tell the shapes of tables that other inputs are indices of.
    known = {**arrays, **{name: values for name, (values, _) in structure.items()}}
    return _Drawing(tensors, seed, view(model, specs, _few(known)), arrays, structure).all()


def _drawable(spec: TensorSpec) -> TensorSpec:
    if spec.dtype not in protocol.DTYPES:
        raise ModelError(
            f"input {spec.name} is of type {spec.dtype}, for which no values can be drawn",
            hint="Give its values: --inputs FILE",
        )
    return spec


def _few(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if array.size <= MOST_SIZES and array.dtype.kind in "biuf"}


class _Drawing:
    """Draws inputs in the order in which they need each other: the ends of a Slice need its axes first."""

    def __init__(
        self,
        specs: Sequence[TensorSpec],
        seed: int,
        graph: GraphView | None,
        given: Mapping[str, Any],
        done: Mapping[str, tuple[Any, Drawn]],
    ) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.seed = seed
        self.graph = graph
        self.given = given
        self.constants = Constants(self._value)
        self._done = dict(done)
        self._under_way: set[str] = set()
        self._exact: set[str] = set()

    def all(self) -> list[Drawn]:
        """All inputs, in the order of the specs."""
        return [self._draw(spec)[1] for spec in self.specs.values()]

    def structure(self) -> dict[str, tuple[Any, Drawn]]:
        """The small inputs whose values an operator's rule fixed."""
        return {
            name: entry for name, entry in self._done.items() if name in self._exact and entry[0].size <= MOST_SIZES
        }

    def _value(self, name: str) -> Any:
        """The values of an input, for the rules of others."""
        if name in self.given:
            return self.given[name]
        spec = self.specs.get(name)
        if name in self._under_way:
            self.constants.not_yet()
            return None
        if spec is None or math.prod(size or 0 for size in spec.shape) > KNOWN_ELEMENTS:
            return None
        return self._draw(spec)[0]

    def _draw(self, spec: TensorSpec) -> tuple[Any, Drawn]:
        if spec.name not in self._done:
            uses = self._uses(spec)
            self._under_way.add(spec.name)
            use, rule = self._rule(spec, uses)
            self._under_way.remove(spec.name)
            if rule.structural:
                self._exact.add(spec.name)
            decides = self._decision(spec) if rule.exact is None else None
            values = self._values(spec, rule, self.seed if decides is None else 0)
            named = [use, *[other for other in uses if other is not use]] if use is not None else uses
            drawn = Drawn(
                tensor=element_types.to_tensor(spec.name, values),
                rule=rule.words if decides is None else f"{rule.words}, whatever the seed, as {decides} depends on it",
                operands=tuple(
                    Operand(role=entry.role, operator=entry.node.op_type, node=entry.node.name)
                    for entry in named[:MOST_OPERANDS]
                ),
            )
            self._done[spec.name] = values, drawn
        return self._done[spec.name]

    def _uses(self, spec: TensorSpec) -> list[Use]:
        if self.graph is None:
            return []
        whole = spec.name.rpartition(".")[0]
        element = spec.name not in self.graph.main.inputs and whole in self.graph.main.inputs
        return uses_of(self.graph, whole if element else spec.name, self.constants)

    def _rule(self, spec: TensorSpec, uses: Sequence[Use]) -> tuple[Use | None, Rule]:
        """The rule that decides, and the use that it comes from: of operators, of the name, of the type."""
        rules = [(use, rule) for use in uses if (rule := self._rule_of(spec, use)) is not None]
        for use, rule in rules:
            if rule.empty and 0 not in spec.shape:
                raise _impossible(spec, use, rule)
        for use, rule in rules:
            if rule.exact is not None or rule.make is not None:
                return use, rule
        named = rule_by_name(spec, list(self.specs.values()))
        ranges = [(use, rule) for use, rule in rules if rule.low is not None and rule.high is not None]
        if not ranges:
            return (uses[0] if uses else None), named or rule_by_type(spec)
        use, rule = _narrowest(ranges)
        if named is not None and named.exact is not None and named.exact.size:
            low, high = rule.low or 0, rule.high or 0
            if named.exact.min() >= low and named.exact.max() <= high:
                return use, named
        return use, rule

    def _rule_of(self, spec: TensorSpec, use: Use) -> Rule | None:
        """The rule of one use, as a rule for the input: carried back over the operators on the way."""
        places = known = None
        if use.path:
            found = arrivals(use, tuple(size or 0 for size in spec.shape), self.constants)
            places, known = found or (None, None)
        rule = rule_for(At(use=use, constants=self.constants, known=known))
        if rule is None or not use.path or rule.empty:
            return rule
        if rule.low is not None and rule.high is not None:
            return _shifted(rule, rule.low - use.shift, rule.high - use.shift) if use.shift else rule
        if rule.exact is not None:
            return _carried_back(spec, rule, places)
        return rule

    def _decision(self, spec: TensorSpec) -> str | None:
        """The If or Loop that depends on an input, in words: the seed mustn't choose how much is computed."""
        use = decision(self.graph, spec.name) if self.graph is not None else None
        return None if use is None else use.operator

    def _values(self, spec: TensorSpec, rule: Rule, seed: int) -> Any:
        import numpy as np

        generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(spec.name.encode())]))
        shape = tuple(size or 0 for size in spec.shape)
        if rule.exact is not None:
            values = rule.exact
        elif rule.make is not None:
            values = rule.make(generator, shape)
        elif spec.dtype.startswith(("float", "bfloat", "complex")) and not rule.whole:
            values = generator.uniform(rule.low or 0, rule.high or 0, shape)
        else:
            low = math.ceil(rule.low or 0)
            values = generator.integers(low, max(low, math.floor(rule.high or 0)) + 1, shape)
        return np.array(np.asarray(values).reshape(shape), dtype=element_types.numpy_type(spec.dtype), order="C")


def rule_by_type(spec: TensorSpec) -> Rule:
    """The rule for inputs of which only the type is known."""
    import numpy as np

    sizes = tuple(size or 0 for size in spec.shape)
    if spec.dtype.startswith(("float", "bfloat")):
        return Rule(make=lambda generator, shape: generator.standard_normal(shape), words="standard normal")
    if spec.dtype.startswith("complex"):
        return Rule(make=_complex_normal, words="standard normal")
    if spec.dtype == "string":
        return Rule(make=_words, words="words")
    if math.prod(sizes) == 1:  # a single number may be a switch or a count: the seed mustn't choose what is measured
        return Rule(exact=np.ones(sizes, np.int64), words="true" if spec.dtype == "bool" else "1")
    if spec.dtype == "bool":
        return Rule(low=0, high=1, words="true or false")
    high = 255 if spec.dtype == "uint8" else 9
    return Rule(low=0, high=high, words=f"integers from 0 to {high}")


def _complex_normal(generator: Any, shape: tuple[int, ...]) -> Any:
    return generator.standard_normal(shape) + 1j * generator.standard_normal(shape)


def _words(generator: Any, shape: tuple[int, ...]) -> Any:
    import numpy as np

    return np.array(WORDS, dtype=object)[generator.integers(0, len(WORDS), shape)]


def _narrowest(ranges: Sequence[tuple[Use, Rule]]) -> tuple[Use, Rule]:
    """One range within all others, if they have one in common; the words of the one with the lowest maximum."""
    use, rule = min(ranges, key=lambda entry: entry[1].high or 0)
    low = max(entry.low or 0 for _, entry in ranges)
    if low <= (rule.high or 0):
        rule = replace(rule, low=low)
    return use, rule


def _shifted(rule: Rule, low: float, high: float) -> Rule:
    """The range of an operator's input, as a range of values to which something is added on the way."""
    low = max(low, 0) if high >= 0 else low
    return Rule(words=f"{low:g} to {high:g}, which become {rule.words}", low=low, high=high, whole=rule.whole)


def _carried_back(spec: TensorSpec, rule: Rule, places: Any) -> Rule | None:
    """Exact values at an operator, as values of the input whose elements arrive there at `places`."""
    import numpy as np

    sizes = tuple(size or 0 for size in spec.shape)
    wanted = np.asarray(rule.exact)
    if places is None or places.size != wanted.size:
        if len(np.unique(wanted)) == 1:  # the same value everywhere, wherever it comes from
            return Rule(words=rule.words, exact=np.full(sizes, wanted.reshape(-1)[0]), structural=rule.structural)
        return None
    values = np.ones(math.prod(sizes), wanted.dtype)
    taken = places.reshape(-1)
    values[taken[taken >= 0]] = wanted.reshape(-1)[taken >= 0]
    meaning = rule.words.partition(" (")[2]
    words = f"{shown(values)} ({meaning}" if meaning else rule.words
    return Rule(words=words, exact=values.reshape(sizes), structural=rule.structural)


def _impossible(spec: TensorSpec, use: Use, rule: Rule) -> ModelError:
    return ModelError(
        f"no value of input {spec.name} is valid: it holds {rule.words} ({use.role})",
        hint=f"It can only be empty: --shape {shlex.quote(spec.name)}={','.join('0' for _ in spec.shape)}",
    )
