"""One inference of a session of ONNX Runtime: for the expected outputs, or to be timed."""

from __future__ import annotations

import mmap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnxruntime

import ort_values
import protocol

BOUND = "one run of the session; inputs and outputs lie in host memory, bound before (I/O binding)"
CONVERTED = (
    "one run of the session from and to Python's values (session.run), because I/O binding takes no text, sequences, "
    "maps or optionals as inputs, and no optionals as outputs"
)
RANDOM_OPERATORS = (b"RandomNormal", b"RandomUniform", b"Bernoulli", b"Multinomial")


@dataclass(frozen=True)
class Inference:
    """A session with its inputs, ready to be timed.

    `call()` is one inference; `read_outputs(value)`, given what the last call returned, its outputs as tensors.
    `first_s` are the seconds of the very first inference, `facts` what is timed.
    """

    call: Callable[[], Any]
    read_outputs: Callable[[Any], list[protocol.Tensor]]
    first_s: float
    facts: dict[str, Any]


def fix_sizes(options: onnxruntime.SessionOptions, model: Mapping[str, Any]) -> None:
    """Fix the sizes of the graph's named dimensions: with open ones, ONNX Runtime folds and fuses less."""
    for name, size in model.get("onnx_dimensions", {}).items():
        options.add_free_dimension_override_by_name(name, size)


def values(
    session: onnxruntime.InferenceSession,
    given: Mapping[str, protocol.Tensor],
    bindings: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """The values of the session's inputs, by name: what `session.run` takes.

    `bindings` are the `name` of each input and the `source` of its tensors in `given`; without them, the names are the
    same. What the session doesn't take is left out: ONNX Runtime leaves out an input that nothing uses.
    """
    kinds = {entry.name: entry.type for entry in session.get_inputs()}
    optional = {entry.name: entry.type for entry in session.get_overridable_initializers()}
    if bindings is None:
        named = {**{name: name for name in kinds}, **{name: name for name in optional if name in given}}
    else:
        named = {entry["name"]: entry["source"] for entry in bindings}
    kinds = {**optional, **kinds}
    # The parts of a sequence `x` are `x.0`, `x.1`; an input `x.1` of its own is no part.
    inputs = set(named.values())
    return {
        name: ort_values.to_python(
            kinds[name], source, {key: one for key, one in given.items() if key == source or key not in inputs}
        )
        for name, source in named.items()
        if name in kinds
    }


def evaluate(session: onnxruntime.InferenceSession, inputs: Mapping[str, Any]) -> list[protocol.Tensor]:
    """All outputs of one inference, by their names."""
    kinds = _kinds(session)
    if not _bindable(inputs, kinds):
        made = session._sess.run(list(kinds), dict(inputs), None)
        return _from_python({name: name for name in kinds}, kinds, made)
    binding = _binding(session, inputs)
    for name in kinds:
        binding.bind_output(name)
    session.run_with_iobinding(binding)
    return _read(session, binding, {name: name for name in kinds}, kinds)


def prepare(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, Any],
    outputs: Sequence[Mapping[str, str]],
    onnx_file: str,
) -> Inference:
    """Bind inputs and outputs to fixed memory, so that an iteration is the model and nothing else.

    The sizes of the outputs are known after the very first run; ONNX Runtime then writes into the same memory each
    time. It allocates memory in each run for an output whose size isn't fixed, or that isn't a tensor of numbers.
    """
    kinds = _kinds(session)
    sources = {entry["name"]: entry["source"] for entry in outputs}
    if not _bindable(inputs, kinds):
        return _converted(session, inputs, sources, kinds)
    binding = _binding(session, inputs)
    bound = binding._iobinding
    for name in sources:
        binding.bind_output(name)
    started = time.perf_counter()
    session.run_with_iobinding(binding)
    first_s = time.perf_counter() - started
    unbound = _unbound(session, binding, sources, onnx_file, Counter(entry["name"] for entry in outputs))
    run, device = session._sess.run_with_iobinding, onnxruntime.OrtDevice.make("cpu", 0)._get_c_device()

    # The call that session.run_with_iobinding makes, without the Python around it (a microsecond of a tiny model).
    call = partial(run, bound, None)

    def call_unbound() -> None:
        for name in unbound:
            bound.bind_output(name, device)  # without this, it would run into the memory of the run before
        run(bound, None)

    def read_outputs(_: object) -> list[protocol.Tensor]:
        # The reference keeps `inputs` alive: the binding doesn't own their memory.
        assert inputs is not None
        return _read(session, binding, sources, kinds)

    if not unbound:
        return Inference(call, read_outputs, first_s, {"timed": BOUND})
    timed = f"{BOUND}, except for {', '.join(unbound)}, for which ONNX Runtime allocates memory in each run"
    return Inference(call_unbound, read_outputs, first_s, {"timed": timed, "unbound_outputs": unbound})


def _kinds(session: onnxruntime.InferenceSession) -> dict[str, str]:
    """The type of each output, as ONNX Runtime writes it."""
    return {entry.name: entry.type for entry in session.get_outputs()}


def _bindable(inputs: Mapping[str, Any], kinds: Mapping[str, str]) -> bool:
    # An optional output without a value can't be read from a binding: it crashes.
    return all(isinstance(value, onnxruntime.OrtValue) for value in inputs.values()) and not any(
        kind.startswith("optional(") for kind in kinds.values()
    )


def _binding(session: onnxruntime.InferenceSession, inputs: Mapping[str, Any]) -> Any:
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    return binding


def _unbound(
    session: onnxruntime.InferenceSession,
    binding: Any,
    sources: Mapping[str, str],
    onnx_file: str,
    listed: Mapping[str, int],
) -> dict[str, str]:
    """Bind the outputs to the memory that a first run has allocated; return those that can't be, and why."""
    made = dict(zip(sources, binding.get_outputs(), strict=True))
    reasons, open_sizes = _sizes_that_vary(session, made, listed)
    if open_sizes and _is_random(onnx_file):
        reasons |= dict.fromkeys(open_sizes, "its size may vary from run to run: the model draws random numbers")
    fixed = {name: value for name, value in made.items() if name not in reasons}
    for name, value in fixed.items():
        binding.bind_ortvalue_output(name, value)
    for suspects in (open_sizes, list(fixed)) if open_sizes or reasons else ():
        _rebind(binding, reasons)
        try:
            session.run_with_iobinding(binding)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no common class of their own
            why = f"ONNX Runtime refuses fixed memory for it: {str(error).splitlines()[0]}"
            reasons |= dict.fromkeys((name for name in suspects if name in fixed), why)
        else:
            break
    return reasons


def _sizes_that_vary(
    session: onnxruntime.InferenceSession, made: Mapping[str, Any], listed: Mapping[str, int]
) -> tuple[dict[str, str], list[str]]:
    """The outputs that can't be bound, and why; and those whose declared sizes aren't fixed."""
    declared = {entry.name: entry for entry in session.get_outputs()}
    reasons, open_sizes = {}, []
    for name, value in made.items():
        kind, sizes = declared[name].type, declared[name].shape
        if listed[name] > 1:
            reasons[name] = "the file lists it more than once"
        elif not ort_values.is_tensor(kind):
            reasons[name] = f"it is {kind}, not a tensor of numbers"
        elif contradict(sizes, value.shape()):
            reasons[name] = f"its size is {value.shape()}, not {sizes} as the file declares"
        elif sizes != value.shape():
            open_sizes.append(name)
    return reasons, open_sizes


def contradict(declared: Sequence[int | str | None], real: Sequence[int]) -> bool:
    """Whether declared sizes exclude the real ones. None at all: they are unknown, or it is a scalar."""
    return bool(declared) and (
        len(declared) != len(real)
        or any(isinstance(one, int) and one != other for one, other in zip(declared, real, strict=True))
    )


def _rebind(binding: Any, names: Iterable[str]) -> None:
    for name in names:
        binding.bind_output(name)


def _is_random(onnx_file: str) -> bool:
    """Whether the file has operators that draw random numbers: their names stand in it as they are."""
    with open(onnx_file, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(name) >= 0 for name in RANDOM_OPERATORS)


def _converted(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, Any],
    sources: Mapping[str, str],
    kinds: Mapping[str, str],
) -> Inference:
    """An inference by `session.run`, from and to Python's values."""
    call = partial(session._sess.run, list(sources), dict(inputs), None)
    started = time.perf_counter()
    call()
    first_s = time.perf_counter() - started
    return Inference(call, partial(_from_python, sources, kinds), first_s, {"timed": CONVERTED})


def _from_python(sources: Mapping[str, str], kinds: Mapping[str, str], made: Sequence[Any]) -> list[protocol.Tensor]:
    return [
        tensor
        for (name, source), value in zip(sources.items(), made, strict=True)
        for tensor in ort_values.from_python(source, kinds[name], value)
    ]


def _read(
    session: onnxruntime.InferenceSession, binding: Any, sources: Mapping[str, str], kinds: Mapping[str, str]
) -> list[protocol.Tensor]:
    """The values of the bound outputs, in the order in which they were bound."""
    return [
        tensor
        for (name, source), value in zip(sources.items(), binding.get_outputs(), strict=True)
        for tensor in ort_values.from_ortvalue(source, kinds[name], name, value, session)
    ]
