"""Whatever goes wrong with one case stays with that case: the others are measured, and each is a Result."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx_forms
import plugin_world
import pytest

import isobench
from isobench import api, results
from isobench.environments import Environment
from isobench.failures import Ending
from isobench.results import Failed, Measured, Result
from isobench.runtimes import registry

pytestmark = pytest.mark.integration

PLUGIN = '''
import errno, json, os
from pathlib import Path
from isobench.errors import UsageError
from isobench.runtimes.base import BaseRT
from isobench.runtimes.builtin import OrtRT
from isobench.workers import protocol

ARMED = False

class OwnError(BaseException):
    def __str__(self):
        raise ValueError("no text")

class Good(BaseRT):
    def _setup(self):
        pass

    def _execute(self, output_dir, onnx_file, outputs_file, iterations):
        made = protocol.read_tensors(self.build.expected_file)
        protocol.write_tensors(Path(output_dir) / "outputs.msgpack", made)
        reported = {"schema": protocol.OUTPUTS_SCHEMA, "status": "ok", "latency_s": [0.001] * iterations}
        Path(outputs_file).write_text(json.dumps(reported))

    def mean_latency(self):
        return 1.0

    def throughput(self):
        return 1000.0

    def device_name(self):
        return "this process"

def raises(error, of=Good, name="_execute"):
    """A runtime whose method of this name raises an error once the plan is made."""
    def method(self, *arguments, **named):
        if ARMED:
            raise error
        return getattr(super(made, self), name)(*arguments, **named)
    made = type("Bad", (of,), {name: method})
    return made

class Makes(Good):
    def __init__(self):
        super().__init__()
        if ARMED:
            raise LookupError("no licence any more")

class Requires(Good):
    @classmethod
    def require(cls):
        raise SystemExit(3)

class Environment(Good):
    @classmethod
    def environment_for(cls, model, progress):
        raise RecursionError("deep")

class Closes(Good):
    def close(self):
        raise SystemExit(4)

def reports(value):
    class Reports(Good):
        def throughput(self):
            self.stats.values["value"] = value
            return 1000.0
    return Reports

class Named(Good):
    def device_name(self):
        return b"bytes"

class Arguments(Good):
    def __init__(self):
        super().__init__()
        if ARMED:
            self.rt_args = {"of": {1, 2}}

deep = []
for _ in range(100_000):
    deep = [deep]

def check():
    raise OwnError

full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full")
files = OSError(errno.EMFILE, os.strerror(errno.EMFILE))

odd = UsageError(3, hint=b"h", details=None)
odd.kind, odd.phase, odd.cause = "unheard-of", 1, 2.5

def entry(cls, **more):
    return {"supported_devices": {"x86"}, "RuntimeClass": cls, **more}

implements = {"runtimes": {
    "good": entry(Good),
    "makes": entry(Makes),
    "requires": entry(Requires),
    "checks": entry(Good, requirement_check=check),
    "environment": entry(Environment),
    "starts": entry(raises(files, name="start")),
    "sets-up": entry(raises(MemoryError("no"), name="_setup")),
    "full": entry(raises(full)),
    "own-error": entry(raises(OwnError())),
    "exits": entry(raises(SystemExit(0))),
    "odd": entry(raises(odd)),
    "means": entry(raises(ZeroDivisionError("by nothing"), name="mean_latency")),
    "versions": entry(raises(UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), name="version")),
    "judged": entry(raises(OverflowError("too large"), name="output_tensors")),
    "named": entry(Named),
    "nan": entry(reports(float("nan"))),
    "set": entry(reports({1})),
    "deep": entry(reports(deep)),
    "arguments": entry(Arguments),
    "closes": entry(Closes),
    "turns": entry(OrtRT),
    "turns-starts": entry(raises(files, OrtRT, "start")),
    "turns-sets-up": entry(raises(MemoryError("no"), OrtRT, "_setup")),
    "turns-blocks": entry(raises(SystemExit(1), OrtRT, "take_block")),
    "turns-ends": entry(raises(LookupError("no end"), OrtRT, "finish")),
    "turns-performs": entry(raises(full, OrtRT, "performance")),
    "turns-judged": entry(raises(OverflowError("too large"), OrtRT, "output_tensors")),
    "turns-closes": entry(raises(OwnError(), OrtRT, "close")),
}}
'''
KINDS = {
    "makes": Ending.EXCEPTION,
    "requires": Ending.REQUIREMENT,
    "checks": Ending.REQUIREMENT,
    "environment": Ending.EXCEPTION,
    "starts": Ending.EXCEPTION,
    "sets-up": Ending.OUT_OF_MEMORY,
    "full": Ending.DISK_FULL,
    "own-error": Ending.EXCEPTION,
    "exits": Ending.EXCEPTION,
    "odd": Ending.INTERNAL,
    "means": Ending.EXCEPTION,
    "versions": Ending.EXCEPTION,
    "judged": Ending.EXCEPTION,
    "named": Ending.PROTOCOL,
    "nan": Ending.PROTOCOL,
    "set": Ending.PROTOCOL,
    "deep": Ending.PROTOCOL,
    "arguments": Ending.PROTOCOL,
    "closes": Ending.OK,
    "good": Ending.OK,
}
TURNS = {
    "turns-starts": Ending.EXCEPTION,
    "turns-sets-up": Ending.OUT_OF_MEMORY,
    "turns-blocks": Ending.EXCEPTION,
    "turns-ends": Ending.EXCEPTION,
    "turns-performs": Ending.DISK_FULL,
    "turns-judged": Ending.EXCEPTION,
    "turns-closes": Ending.OK,
    "turns": Ending.OK,
}


@pytest.fixture(autouse=True)
def plugin(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioned: Callable[[str], Environment]
) -> Iterator[None]:
    provisioned("ort")
    plugin_world.install(tmp_path / "site", monkeypatch, PLUGIN)
    registry.forget()
    yield
    registry.forget()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return relu(tmp_path / "relu.onnx")


def relu(file: Path) -> Path:
    return onnx_forms.written(file.parent, onnx_forms.model([onnx_forms.node("Relu")]), file.name)


def measured(of: api.Plan, progress: object = None) -> list[Result]:
    """The Results, each as it was saved; the plugin's errors begin now."""
    importlib.import_module("a_plugin_of_the_tests").ARMED = True
    saved = list(api.measure(of, progress))  # type: ignore[arg-type]
    for one in saved:
        assert one.folder is not None, one.problem
        assert results.load(str(one.folder)).ending is one.result.ending
    return [one.result for one in saved]


def test_each_runtime_that_fails_is_a_result_and_the_others_are_measured(model: Path) -> None:
    made = measured(api.plan([str(model)], runtimes=[*KINDS], iterations=20))
    assert {one.runtime.name: one.ending for one in made} == KINDS
    outcomes = {one.runtime.name: one.outcome for one in made}
    messages = {name: one.message for name, one in outcomes.items() if isinstance(one, Failed)}
    assert messages["full"] == "full failed: OSError: /full: No space left on device"
    assert messages["own-error"] == "own-error failed: OwnError"
    assert messages["exits"] == "exits failed: SystemExit: 0"
    assert messages["checks"] == "checks isn't available: OwnError"
    assert re.fullmatch(r"what nan reported of relu isn't JSON: Out of range float values .*", messages["nan"])


def test_interleaved_each_that_fails_leaves_the_others_to_their_rounds(model: Path) -> None:
    plan = api.plan([str(model)], runtimes=[*TURNS], interleaved=True, min_time_s=0.02, max_time_s=0.2)
    made = measured(plan)
    assert {one.runtime.name: one.ending for one in made} == TURNS
    places = {name: place for place, name in enumerate(TURNS)}
    turns = {one.runtime.name: one.outcome.turns for one in made if isinstance(one.outcome, Measured)}
    for name, found in turns.items():
        assert found is not None
        assert found.place == places[name]
        last = set(found.order[0][-1])
        assert last >= {places[other] for other in turns}, "they keep their rounds"
        assert places["turns-blocks"] not in last, "its turns ended"


def test_progress_that_fails_ends_nothing(model: Path) -> None:
    class Raises:
        def begin(self, what: str) -> None:
            raise BrokenPipeError(what)

        stage = note = end = begin

    [result] = measured(api.plan([str(model)], runtimes=["good"], iterations=20), Raises())
    assert result.ok


def test_a_result_that_cannot_be_saved_is_returned_with_the_reason(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    plan = api.plan([str(model)], runtimes=["turns"], iterations=20, results=folder)
    folder.rmdir()
    folder.write_text("somebody's file")
    [saved] = list(api.measure(plan))
    assert isinstance(saved.result.outcome, Measured), saved.result.outcome
    assert saved.folder is None
    found = re.fullmatch(r"(\S+) can't be saved in (\S+): .*\. The samples are in (\S+)", saved.problem)
    assert found, saved.problem
    assert (found[1], found[2]) == (saved.result.id, str(folder))
    assert (Path(found[3]) / "samples.bin").stat().st_size > 0


def test_a_model_that_cannot_be_built_does_not_take_others_with_it(model: Path, tmp_path: Path) -> None:
    name = tmp_path / b"caf\xe9.onnx".decode(errors="surrogateescape")
    looped = tmp_path / "looped.onnx"
    plan = api.plan([str(relu(name)), str(relu(looped)), str(model)], runtimes=["good"], iterations=20)
    looped.unlink()
    looped.symlink_to(looped)
    made = measured(plan)
    assert [one.ending for one in made] == [Ending.OK, Ending.MODEL_ERROR, Ending.OK]


def test_a_plan_of_one_case_fails_as_a_result_of_it(model: Path) -> None:
    plan = api.plan([str(model)], runtimes=["own-error"], iterations=20)
    [result] = measured(plan)
    with pytest.raises(isobench.errors.ResultError, match="own-error failed"):
        _ = result.latency
