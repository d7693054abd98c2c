"""Runs a user's script, and records which models it calls, with their arguments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import script_compiles
import script_errors
import script_files
import script_main
from harness import Refused, stage
from observed import Observed, name_apart
from protocol import Ending, Phase
from watching import Unmeasured, Watcher


class Observation(NamedTuple):
    """The models in the order of their first call, callers before sub-models, and what the script depends on.

    `methods` are those that the script calls in place of a model: `Net.forward`.
    """

    models: list[Observed]
    files: script_files.Files
    methods: tuple[str, ...] = ()


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
    watcher, files = Watcher(script, max_depth), script_files.Files(script, script_args)
    script_main.seed_all(seed)
    with watcher.watching(), files.recording(), script_compiles.eager():
        exit_call = script_main.run(script, script_args)
    called = watcher.models()
    models = _merged(called)
    if not models:
        raise _never_called_well(script, watcher.unmeasured) or script_errors.nothing_called(
            script, watcher.created(), exit_call
        )
    return Observation(models, files, tuple(dict.fromkeys(model.part_of for model in called if model.part_of)))


def cases(observation: Observation) -> list[Observed]:
    """The models that are measured if none is named: those that the script itself calls.

    Raises:
        Refused: it calls only parts of a model, because it calls the model's methods and not the model.
    """
    found = all_cases(observation)
    if not found:
        raise _only_parts(observation.models)
    return found


def all_cases(observation: Observation) -> list[Observed]:
    """The same; none where the script calls only parts of a model."""
    called = [model for model in observation.models if model.depth == 0 and not model.part_of]
    return [model for model in called if model.is_case] or called


def find_again(observation: Observation, wanted: str, structure: str, place: int) -> Observed:
    """The model that had the hash `wanted` when it was built, or else the one in its place among those alike.

    Attributes that differ from run to run, such as a random name, change the hash; the structure is the same.

    Raises:
        Refused: there is no such model.
    """
    alike = [model for model in observation.models if model.structure == structure]
    if place < len(alike) and not any(model.hash == wanted for model in observation.models):
        return alike[place]
    return find(observation, wanted)


def place_of(observation: Observation, wanted: Observed) -> int:
    """The place of a model among those with the same structure."""
    return [model for model in observation.models if model.structure == wanted.structure].index(wanted)


def notes(observation: Observation) -> list[str]:
    """What users may miss: methods of models that the script calls in place of the models themselves."""
    names = {type(model.module).__name__ for model in all_cases(observation)}
    return [
        f"the script calls {method} directly, which isn't measured: call the model itself, model(x)"
        for method in observation.methods
        if method.partition(".")[0] not in names
    ]


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
    raise Refused(Ending.UNKNOWN_HASH, what, hint)


def _only_parts(models: Sequence[Observed]) -> Refused:
    method = next(model.part_of for model in models if model.part_of)
    name, _, function = method.partition(".")
    parts = ", ".join(f"{model.hash} ({model.name})" for model in models if model.part_of == method)
    if function == "forward":
        what, hint = f"the script calls {method} directly", "Call the model itself: model(x), not model.forward(x)."
    else:
        what = f"the script calls {method}, and never {name} itself, and isobench measures calls of a model"
        hint = f"Call the model itself, model(x), or give {function} a module of its own whose forward it is."
    return Refused(Ending.MODEL_NEVER_CALLED, what, f"{hint} To measure a part, give its hash: {parts}")


def _never_called_well(script: str, unmeasured: Unmeasured) -> Refused | None:
    """The error for a script whose calls all failed, or were made with stand-ins for tensors; None for any other."""
    name = os.path.basename(script)
    if unmeasured.errors:
        model, error = next(iter(unmeasured.errors.items()))
        text = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": ")
        return Refused(
            Ending.MODEL_NEVER_CALLED,
            f"{name} calls {model}, but every call raised an exception: {text}",
            "Call it at least once with inputs that it can compute.",
        )
    if unmeasured.unreal:
        return Refused(
            Ending.MODEL_NEVER_CALLED,
            f"{name} calls {next(iter(unmeasured.unreal))} only inside of torch.func (vmap, grad), FakeTensorMode "
            "or a tracer, where inputs have no values of their own",
            "Call it once with real tensors: model(inputs)",
        )
    return None


def _merged(models: list[Observed]) -> list[Observed]:
    """Merge models with equal hashes, and make names unique."""
    by_hash: dict[str, Observed] = {}
    for model in models:
        first = by_hash.setdefault(model.hash, model)
        if first is not model:
            first.part_of = first.part_of and model.part_of
            first.instances += first.module is not model.module
            first.invocations += model.invocations
    merged = list(by_hash.values())
    name_apart(merged)
    return merged
