"""Workers that misbehave in hundreds of ways, each with the ending that is right for it; alone, and in turns.

By default a part of them (`make reliability`, or ISOBENCH_TRIALS=all: all of them). What they do is written in
tests/samples/plugins/misbehaving.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
import shared_home
from fuzzing import deadline
from onnx import TensorProto, helper

from isobench import api, paths, results
from isobench.environments import Environment
from isobench.failures import Ending
from isobench.results import Measured, Result
from isobench.runtimes import registry

pytestmark = pytest.mark.integration

PLUGIN = Path(__file__).parents[1] / "samples" / "plugins" / "misbehaving"
WORKERS = PLUGIN / "isobench_misbehaving" / "workers"
ALL = os.environ.get("ISOBENCH_TRIALS") == "all"
LONGEST_S = 120
"""No call may take longer: each Case is over in a second, or after its time limit."""
MOST_GROWTH_BYTES = 600 << 20
"""How much the memory of this process may grow, whatever a worker sends or writes."""
MOST_SAID = 20_000
LIMIT_S = 8.0 if ALL else 3.0
"""The time limit of those that would never end."""
IMPORTING = {
    "raises": ("exception", "RuntimeError: bad import"),
    "missing-module": ("import-error", "No module named 'a_module_that_does_not_exist'"),
    "missing-library": ("import-error", "libnothing-of-the-kind.so.9"),
    "syntax": ("exception", "SyntaxError"),
    "no-python": ("exception", "SyntaxError"),
    "sys-exit-0": ("exception", r"called sys.exit\(0\)"),
    "sys-exit-text": ("exception", r"called sys.exit\('no licence'\)"),
    "exit-0": ("crash", "exited with code 0 and no result while importing"),
    "exit-3": ("crash", "exited with code 3 and no result while importing"),
    "segfault": ("crash", "was killed by SIGSEGV while importing"),
    "abort": ("crash", "was killed by SIGABRT while importing"),
    "sigkill": ("crash", "was killed by SIGKILL while importing"),
    "hang": ("timeout", "--timeout"),
    "memory": ("out-of-memory", "MemoryError"),
    "disk-full": ("disk-full", "No space left on device"),
    "refused": ("refused", "there is no licence"),
    "removes-folder": ("protocol", "its run directory|removed the folder"),
    "request-is-a-folder": ("protocol|exception", "run directory|FileExistsError"),  # by who is quicker
    "does-nothing": ("protocol", "ended without a result"),
    "half-outputs": ("protocol", "malformed outputs"),
    "empty": ("crash", "exited with code 0 and no result"),
}


def registered() -> dict[str, Any]:
    """The ways of the worker, by their names; its modules are imported as the worker imports them."""
    folders = [str(WORKERS), str(paths.WORKERS)]
    sys.path[:0] = folders
    try:
        import ways

        for name in ("before", "events", "files", "late", "running", "tensors_ways"):
            __import__(name)
        return dict(ways.WAYS)
    finally:
        del sys.path[: len(folders)]


WAYS = registered()
ALONE = [*WAYS, *(f"import-{name}" for name in IMPORTING)]


def runtime(name: str) -> str:
    return f"misbehaving-{name}" if name.startswith("import-") else f"misbehaving:how={name}"


def expected(name: str) -> tuple[tuple[str, ...], str, float]:
    """The endings that are right, what is said, and the time limit."""
    if name.startswith("import-"):
        ending, says = IMPORTING[name.removeprefix("import-")]
        return tuple(ending.split("|")), says, LIMIT_S if ending == "timeout" else 30.0
    chosen = WAYS[name]
    return chosen.endings, chosen.says, LIMIT_S if "timeout" in chosen.endings else 30.0


# A part of every kind; of those that only end at their time limit, one.
ENDING = [name for name in ALONE if expected(name)[2] > LIMIT_S]
QUICK = [*ENDING[::19], "hang"]


def parts(names: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """The names in groups of at most so many."""
    return [tuple(names[first : first + most]) for first in range(0, len(names), most)]


# So many misbehave in turns with one that doesn't.
GROUPS = [*parts(ENDING, 8), *parts([name for name in ALONE if name not in ENDING], 3)]
QUICK_GROUPS = parts(ENDING[5::61], 8)


@pytest.fixture(scope="module")
def home_of_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ISOBENCH_HOME for all of these, with the environments: the model is built once."""
    home = tmp_path_factory.mktemp("home")
    shared_home.share(home)
    return home


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy")
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [0.1, 0.2, 0.3, 0.4])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Relu", ["p"], ["y"])]
    file = tmp_path_factory.mktemp("model") / "small.onnx"
    graph = helper.make_graph(nodes, "small", [x], [y], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


@pytest.fixture(autouse=True)
def plugin(
    monkeypatch: pytest.MonkeyPatch, home_of_module: Path, provisioned: Callable[[str], Environment]
) -> Iterator[None]:
    provisioned("ort")
    monkeypatch.setenv("ISOBENCH_HOME", str(home_of_module))
    monkeypatch.syspath_prepend(str(PLUGIN))
    registry.forget()

    with deadline(LONGEST_S):
        yield
    registry.forget()


def measured(model: Path, *runtimes: str, **options: Any) -> list[Result]:
    """Measure, and read each Result as it was saved."""
    plan = api.plan([str(model)], runtimes=runtimes, warmup=12, seed=0, **options)
    saved = list(api.measure(plan))
    return [results.load(str(one.folder)) for one in saved]


def wrong(name: str, result: Result) -> str:
    """How the ending of a Case differs from the right one; "" if it doesn't."""
    endings, says, _ = expected(name)
    outcome = result.outcome
    said = "; ".join(outcome.verdict.reasons) if isinstance(outcome, Measured) else outcome.message
    if result.ending not in endings or not re.search(says, said) or len(said) > MOST_SAID:
        return f"{name}: {result.ending}, expected {' or '.join(endings)}: {said[:MOST_SAID]}"
    return ""


@pytest.mark.parametrize("name", ALONE if ALL else QUICK)
def test_a_worker_that_misbehaves_ends_as_itself(model: Path, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    [result] = measured(model, runtime(name), timeout_s=expected(name)[2], iterations=20)
    assert not wrong(name, result)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MOST_GROWTH_BYTES


@pytest.mark.parametrize("names", GROUPS if ALL else QUICK_GROUPS, ids=" ".join)
def test_in_turns_each_ends_as_itself_and_their_neighbour_is_measured(model: Path, names: Sequence[str]) -> None:
    runtimes = [*map(runtime, names), "misbehaving:how=well"]
    *bad, good = measured(model, *runtimes, timeout_s=expected(names[0])[2], max_time_s=0.2, interleaved=True)
    assert not [problem for one in zip(names, bad, strict=True) if (problem := wrong(*one))]
    assert good.ending is Ending.OK
