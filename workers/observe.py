"""Runs a user's script, and records which models it calls, with their arguments."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import torch

import describe
import pytrees
import script_compiles
import script_errors
import script_files
import script_main
from harness import Refused, stage
from protocol import FailureKind, Phase

_HERE = os.path.dirname(os.path.abspath(__file__))
_TORCH = os.path.dirname(os.path.abspath(torch.__file__))


class Observed:
    """One model that the script called, with the arguments of the first call."""

    def __init__(self, module: torch.nn.Module, args: Any, kwargs: Any, *, depth: int, parent: Observed | None) -> None:
        self.module = module
        self.args, self.kwargs = pytrees.copied(args), pytrees.copied(kwargs)
        self.depth = depth
        self.parent = parent
        self.invocations = 0
        self.instances = 1
        self.where = ""
        self.name = type(module).__name__
        self.hash = ""

    @property
    def is_case(self) -> bool:
        """Is it a model, and not a loss or an activation that the script called directly?"""
        of_torch = type(self.module).__module__.startswith("torch.nn.")
        return self.depth == 0 and not (of_torch and not any(True for _ in self.module.parameters()))

    def entry(self) -> dict[str, Any]:
        """Its entry in `isobench discover`, as JSON."""
        parameters = list(self.module.parameters())
        kind = type(self.module)
        return {
            "name": self.name,
            "class": f"{kind.__module__}.{kind.__qualname__}".removeprefix("__main__."),
            "hash": self.hash,
            "is_case": self.is_case,
            "depth": self.depth,
            "parent": self.parent.hash if self.parent else None,
            "parameters": sum(parameter.numel() for parameter in parameters),
            "parameter_bytes": sum(parameter.numel() * parameter.element_size() for parameter in parameters),
            "invocations": self.invocations,
            "instances": self.instances,
            "inputs": [
                describe.spec(name, tensor) for name, tensor in pytrees.tensor_leaves_of_call(self.args, self.kwargs)
            ],
            "signature": describe.signature(self.args, self.kwargs),
            "instantiated_at": self.where,
        }


class Observation(NamedTuple):
    """The models in the order of their first call, callers before sub-models, and what the script depends on."""

    models: list[Observed]
    files: script_files.Files


def run_script(
    script: str, script_args: Sequence[str], seed: int, max_depth: int = 0, *, gpus: bool = False
) -> Observation:
    """Run the script as `python script.py ARGS` would, seeded, and observe it.

    Without `gpus` it finds none: many scripts use a GPU if they find one, but builds, expected outputs and timings of
    this process are those of the CPU.

    Raises:
        Refused: it fails, exits, creates no model, or calls none.
    """
    stage(Phase.RUNNING_SCRIPT)
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    watcher, files = _Watcher(script, max_depth), script_files.Files(script, script_args)
    script_main.seed_all(seed)
    with watcher.watching(), files.recording(), script_compiles.eager():
        exit_call = script_main.run(script, script_args)
    models = _merged(watcher.models())
    if not models:
        raise script_errors.nothing_called(script, watcher.created(), exit_call)
    return Observation(models, files)


def cases(observation: Observation) -> list[Observed]:
    """The models that are measured if none is named: those that the script itself calls."""
    called = [model for model in observation.models if model.depth == 0]
    return [model for model in called if model.is_case] or called


def find(observation: Observation, wanted: str) -> Observed:
    """The model whose hash is, or begins with, `wanted`.

    Raises:
        Refused: no model has it, or several do.
    """
    found = [model for model in observation.models if model.hash.startswith(wanted)] if len(wanted) >= 4 else []
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{model.hash} ({model.name})" for model in observation.models)
    what = f"the hash {wanted} is ambiguous" if found else f"the script calls no model with the hash {wanted}"
    hint = f"Its models are: {known}. Sub-models are found with --max-depth N."
    raise Refused(FailureKind.UNKNOWN_HASH, what, hint)


class _Watcher:
    """Replaces `Module.__init__` and `Module.__call__` while the script runs."""

    def __init__(self, script: str, max_depth: int) -> None:
        self._folder = os.path.dirname(os.path.abspath(script))
        self._max_depth = max_depth
        self._stack: list[Observed] = []
        self._observed: dict[int, Observed] = {}
        self._made: list[tuple[weakref.ref[torch.nn.Module], str, str]] = []
        self._where: weakref.WeakKeyDictionary[torch.nn.Module, str] = weakref.WeakKeyDictionary()

    @contextmanager
    def watching(self) -> Iterator[None]:
        init, call = torch.nn.Module.__init__, torch.nn.Module.__call__

        @script_errors.passes_through
        def made(module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            init(module, *args, **kwargs)
            if module not in self._where:
                self._where[module] = where = self._created_at(module)
                self._made.append((weakref.ref(module), type(module).__name__, where))

        @script_errors.passes_through
        def called(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if len(self._stack) > self._max_depth or torch.compiler.is_compiling():
                return call(module, *args, **kwargs)
            self._stack.append(self._note(module, args, kwargs))
            try:
                return call(module, *args, **kwargs)
            finally:
                self._stack.pop()

        torch.nn.Module.__init__, torch.nn.Module.__call__ = made, called
        try:
            yield
        finally:
            torch.nn.Module.__init__, torch.nn.Module.__call__ = init, call

    def models(self) -> list[Observed]:
        return list(self._observed.values())

    def created(self) -> list[tuple[str, str]]:
        """Class and source line of the created models that aren't part of another one."""
        alive = [(module(), name, where) for module, name, where in self._made]
        parts = {id(part) for module, _, _ in alive if module is not None for part in module.children()}
        own = [(name, where) for module, name, where in alive if id(module) not in parts]
        return own or [(name, where) for _, name, where in alive]

    def _note(self, module: torch.nn.Module, args: Any, kwargs: Any) -> Observed:
        # Wrappers are no models of their own: torch.compile has the model as _orig_mod, DataParallel as module.
        target = getattr(module, "_orig_mod", module)
        if isinstance(target, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            target = target.module
        known = self._observed.get(id(target))
        if known is None:
            parent = self._stack[-1] if self._stack else None
            known = Observed(target, args, kwargs, depth=len(self._stack), parent=parent)
            known.where = self._where.get(target, "")
            self._observed[id(target)] = known
        if not self._stack or self._stack[-1] is not known:
            known.invocations += 1
        return known

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


def _merged(models: list[Observed]) -> list[Observed]:
    """Hash the models, merge those with equal hashes, and make names unique."""
    by_hash: dict[str, Observed] = {}
    for model in models:
        model.hash = describe.hash_of(model.module, model.args, model.kwargs)
        first = by_hash.setdefault(model.hash, model)
        if first is not model:
            first.instances += 1
            first.invocations += model.invocations
    seen: dict[str, int] = {}
    for model in by_hash.values():
        seen[model.name] = seen.get(model.name, 0) + 1
        if seen[model.name] > 1:
            model.name = f"{model.name}#{seen[model.name]}"
    return list(by_hash.values())
