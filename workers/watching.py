"""Watches the modules that a script makes and calls: which models it calls, and what it does with them otherwise."""

from __future__ import annotations

import functools
import itertools
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import torch

import describe
import pytrees
import script_errors
from observed import Observed, is_internal
from surroundings import Surroundings

MOST_SHAPES = 16
"""Calls of one model that differ (in shapes, types, numbers) and become cases of their own."""
MOST_STEPS = 2
"""The same within a method of the model itself, such as `generate`: its first call, and its first step after that."""
MOST_NUMBERS = 4
"""Calls that differ in plain numbers alone, such as a time step."""

_HERE = os.path.dirname(os.path.abspath(__file__))
_TORCH = os.path.dirname(os.path.abspath(torch.__file__))
_PREPARING = tuple(os.path.join(_TORCH, *part) for part in (("nn", "utils", "parametri"), ("ao", "quantization")))


class Unmeasured:
    """What isn't measured, and why: for messages."""

    def __init__(self) -> None:
        self._shapes: dict[int, tuple[str, set[int]]] = {}
        self._numbers: dict[tuple[int, int], set[int]] = {}
        self.errors: dict[str, BaseException] = {}
        self.unreal: dict[str, None] = {}

    def leave_out_shape(self, signature: _Signature, method: str) -> None:
        """Another shape of the model isn't measured; `method` of the model itself made the call, if any did."""
        self._shapes.setdefault(signature.module, (method, set()))[1].add(signature.shape)

    def leave_out_number(self, signature: _Signature) -> None:
        """A call with another number isn't measured."""
        self._numbers.setdefault((signature.module, signature.shape), set()).add(signature.numbers)

    def has_many_numbers(self, signature: _Signature) -> bool:
        """Is the model called with so many numbers in this shape that only the first call counts?"""
        return (signature.module, signature.shape) in self._numbers

    def notes(self, model: Observed, signature: _Signature) -> list[str]:
        """Notes for the model's results."""
        notes = []
        method, shapes = self._shapes.get(signature.module, ("", set()))
        if shapes and method:
            notes.append(f"{model.name} is called with further shapes by {method}: the first {MOST_STEPS} are measured")
        elif shapes:
            notes.append(
                f"{model.name} is called with {len(shapes)} further shapes: the first {MOST_SHAPES} are measured"
            )
        if self.has_many_numbers(signature):
            notes.append(f"{model.name} is called with many numbers: only the first call is measured")
        return notes


class _Signature(NamedTuple):
    """What makes a call a case of its own: two calls with equal signatures are one case.

    `module` is the module's id; `shape` and `numbers` are hashes, of what the call's arguments and the model look like
    and of the plain numbers among the arguments. Parts of models (`depth` above 0) have one case each.
    """

    module: int
    depth: int
    shape: int = 0
    numbers: int = 0

    @classmethod
    def of(cls, module: torch.nn.Module, args: Any, kwargs: Any, depth: int) -> _Signature:
        if depth:
            return cls(id(module), depth)
        facts = describe.facts_of_call(args, kwargs).items()
        shape = (
            tuple((name, "" if _is_number(text) else text) for name, text in facts),
            tuple((id(part), part.training) for part in module.modules()),
            tuple((id(parameter), parameter.dtype) for parameter in module.parameters()),
            Surroundings.now().text(),
        )
        return cls(id(module), depth, hash(shape), hash(tuple(text for _, text in facts if _is_number(text))))


class Watcher:
    """Replaces `Module.__init__`, `Module.__call__` and `Module.train` while the script runs.

    Each thread has its own stack of the models that it is in.
    """

    def __init__(self, script: str, max_depth: int) -> None:
        self._folder = os.path.dirname(os.path.abspath(script))
        self._max_depth = max_depth
        self._local = threading.local()
        self._lock = threading.RLock()
        self._observed: dict[_Signature, Observed] = {}
        self._active: dict[int, torch.nn.Module] = {}
        self._made: list[tuple[weakref.ref[torch.nn.Module], str, str]] = []
        self._where: weakref.WeakKeyDictionary[torch.nn.Module, str] = weakref.WeakKeyDictionary()
        self._mode_chosen: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
        self._numbers = itertools.count()
        self.unmeasured = Unmeasured()

    @contextmanager
    def watching(self) -> Iterator[None]:
        init, call, train = torch.nn.Module.__init__, torch.nn.Module.__call__, torch.nn.Module.train

        @script_errors.passes_through
        def made(module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            init(module, *args, **kwargs)
            with self._lock:
                if module not in self._where:
                    self._where[module] = where = self._created_at(module)
                    self._made.append((weakref.ref(module), type(module).__name__, where))

        @script_errors.passes_through
        def trains(module: torch.nn.Module, mode: bool = True) -> torch.nn.Module:
            self._mode_chosen.add(module)
            return train(module, mode)

        @script_errors.passes_through
        def called(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            stack = self._stack()
            if len(stack) > self._max_depth or not self._is_observable(module, args, kwargs):
                return call(module, *args, **kwargs)
            target = _unwrapped(module)
            if stack and stack[-1].module is target:  # a wrapper calls the model that it wraps
                return call(module, *args, **kwargs)
            return self._observe(target, args, kwargs, functools.partial(call, module, *args, **kwargs))

        torch.nn.Module.__init__, torch.nn.Module.__call__, torch.nn.Module.train = made, called, trains
        try:
            yield
        finally:
            torch.nn.Module.__init__, torch.nn.Module.__call__, torch.nn.Module.train = init, call, train

    def models(self) -> list[Observed]:
        """The observed models. Calls in training mode count only where the same model is never called in eval()."""
        evaluated = {id(model.module) for model in self._observed.values() if not model.training}
        first: dict[_Signature, Observed] = {}
        for signature, model in sorted(self._observed.items(), key=lambda pair: pair[1].number):
            if model.training and id(model.module) in evaluated:
                continue
            key = signature._replace(numbers=0) if self.unmeasured.has_many_numbers(signature) else signature
            known = first.setdefault(key, model)
            if known is model:
                model.notes += self.unmeasured.notes(model, signature)
            else:
                known.invocations += model.invocations
        return list(first.values())

    def created(self) -> list[tuple[str, str]]:
        """Class and source line of the created models that aren't part of another one."""
        alive = [(module(), name, where) for module, name, where in self._made]
        parts = {id(part) for module, _, _ in alive if module is not None for part in module.children()}
        own = [(name, where) for module, name, where in alive if id(module) not in parts]
        return own or [(name, where) for _, name, where in alive]

    def _stack(self) -> list[Observed]:
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        stack: list[Observed] = self._local.stack
        return stack

    def _is_observable(self, module: torch.nn.Module, args: Any, kwargs: Any) -> bool:
        """Is it a call with real tensors, and not one by which PyTorch compiles, traces or prepares a model?"""
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_internal(module):
            return False
        if not self._stack() and _called_by_torch():
            return False
        if not self._stack() and _is_part_of(module, list(self._active.values())):
            return False  # a thread that a model started computes a part of it
        unreal = any(map(_is_unreal, _tensors(module, args, kwargs)))
        if unreal and not self._stack():
            self.unmeasured.unreal[type(module).__name__] = None
        return not unreal

    @script_errors.passes_through
    def _observe(self, module: torch.nn.Module, args: Any, kwargs: Any, call: Callable[[], Any]) -> Any:
        """Call the model, and remember the call unless it raises."""
        stack = self._stack()
        with self._lock:
            key, entry = self._entry(module, args, kwargs)
            self._active[id(entry)] = module
        stack.append(entry)
        try:
            value = call()
        except BaseException as error:
            self.unmeasured.errors.setdefault(type(module).__name__, error)
            raise
        finally:
            stack.pop()
            with self._lock:
                self._active.pop(id(entry), None)
        with self._lock:
            entry.take_state()
            self._observed.setdefault(key, entry).invocations += 1
        return value

    def _entry(self, module: torch.nn.Module, args: Any, kwargs: Any) -> tuple[_Signature, Observed]:
        """The entry of a call like this one, or else a new one; past a limit, that of an earlier call."""
        stack = self._stack()
        signature = _Signature.of(module, args, kwargs, len(stack))
        if signature in self._observed:
            return signature, self._observed[signature]
        outer, own = ("", "") if stack else _caller(module)
        same = [known for known in self._observed if known[:2] == signature[:2]]
        alike = [known for known in same if known.shape == signature.shape]
        if len(alike) >= MOST_NUMBERS:
            self.unmeasured.leave_out_number(signature)
            return alike[0], self._observed[alike[0]]
        if not alike and len({known.shape for known in same}) >= (MOST_STEPS if own else MOST_SHAPES):
            self.unmeasured.leave_out_shape(signature, own)
            return same[0], self._observed[same[0]]
        entry = Observed(module, args, kwargs, depth=len(stack), parent=stack[-1] if stack else None)
        entry.where = self._where.get(module, "")
        entry.mode_chosen = any(part in self._mode_chosen for part in module.modules())
        entry.part_of = outer
        entry.number = next(self._numbers)
        return signature, entry

    def _created_at(self, module: torch.nn.Module) -> str:
        """The line that created the module: in the script's folder, or else the nearest outside of torch."""
        frame: FrameType | None = sys._getframe(2)
        nearest = ""
        while frame is not None:
            file = frame.f_code.co_filename
            own_init = frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is module
            if not own_init and not file.startswith((_TORCH, _HERE, "<")):
                place = f"{os.path.basename(file)}:{frame.f_lineno}"
                if os.path.abspath(file).startswith(self._folder + os.sep):
                    return place
                nearest = nearest or place
            frame = frame.f_back
        return nearest


def _is_number(text: str) -> bool:
    return text.lstrip("-")[:1].isdigit()


def _unwrapped(module: torch.nn.Module) -> torch.nn.Module:
    """The model behind wrappers: torch.compile has it as `_orig_mod`, DataParallel as `module`."""
    target = getattr(module, "_orig_mod", module)
    if isinstance(target, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        target = target.module
    assert isinstance(target, torch.nn.Module)
    return target


def _called_by_torch() -> bool:
    """Is the caller PyTorch's own code for parametrizations or quantisation?"""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_PREPARING)


def _caller(module: torch.nn.Module) -> tuple[str, str]:
    """The methods from which a model is called: of a model that it is part of, and of itself; "" for none.

    The outermost ones count: `Net.forward` for a layer that `net.forward(x)` calls.
    """
    frame: FrameType | None = sys._getframe(2)
    outer = own = ""
    while frame is not None:
        code = frame.f_code
        owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if isinstance(owner, torch.nn.Module) and not code.co_filename.startswith((_TORCH, _HERE)):
            method = f"{type(owner).__name__}.{code.co_name}"
            if owner is module:
                own = method
            elif _is_part_of(module, [owner]):
                outer = method
        frame = frame.f_back
    return outer, own


def _is_part_of(module: torch.nn.Module, models: Iterable[torch.nn.Module]) -> bool:
    return any(model is not module and any(part is module for part in model.modules()) for model in models)


def _tensors(module: torch.nn.Module, args: Any, kwargs: Any) -> Iterator[Any]:
    yield from (leaf for tree in (args, kwargs) for _, leaf in pytrees.leaves("", tree))
    yield next(module.parameters(), None)


def _is_unreal(leaf: Any) -> bool:
    """Does it stand for a tensor: in torch.func (vmap, grad), while a model is traced, or in FakeTensorMode?"""
    if isinstance(leaf, torch.fx.Proxy):
        return True
    if not isinstance(leaf, torch.Tensor):
        return False
    return torch._C._functorch.is_functorch_wrapped_tensor(leaf) or type(leaf).__name__ in {
        "FakeTensor",
        "FunctionalTensor",
    }
