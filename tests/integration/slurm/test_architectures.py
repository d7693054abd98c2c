"""Sweeps on nodes of two architectures: n2 is this machine, too, but its kernel or its C library says otherwise."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slurm_world
from slurm_sweeps import QUICK, a_sweep, events, outcomes, tasks, write_onnx

from isobench.environments import Environment, manifest
from isobench.errors import UsageError
from isobench.executors import sweep as engine
from isobench.executors.slurm import records
from isobench.executors.slurm.nodes import Nodes
from isobench.executors.slurm.options import Options
from isobench.failures import Ending
from isobench.results import Failed, Measured
from isobench.sweeps.journal import What

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the other architectures are those of an x86-64"),
]

UNAME = """
#define _GNU_SOURCE
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

int uname(struct utsname *name)
{
    int failed = syscall(SYS_uname, name);
    if (!failed)
        strcpy(name->machine, MACHINE);
    return failed;
}
"""


class Notes:
    """The notes of a sweep's progress."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, what: str) -> None:
        pass

    def stage(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, status: str) -> None:
        pass


@contextmanager
def saying(machine: str, slurm: slurm_world.Slurm, folder: Path) -> Iterator[str]:
    """n2 registers as that machine; the setup of jobs, so that isobench in them agrees."""
    library = folder / f"{machine}.so"
    compiling = ["cc", "-shared", "-fPIC", f'-DMACHINE="{machine}"', "-x", "c", "-o", library, "-"]
    subprocess.run(compiling, input=UNAME, text=True, check=True)
    slurm.restart_node("n2", "env", f"LD_PRELOAD={library}", architecture=machine)
    yield f'if [ "$SLURMD_NODENAME" = n2 ]; then export LD_PRELOAD={library}; fi'
    slurm.restart_node("n2", architecture="x86_64")


@pytest.fixture
def amd64(slurm: slurm_world.Slurm, tmp_path: Path) -> Iterator[str]:
    """n2 is an x86-64 by another name: what is made for it is another environment, and can be used here."""
    with saying("amd64", slurm, tmp_path) as setup:
        yield setup


@pytest.fixture
def aarch64(slurm: slurm_world.Slurm, tmp_path: Path) -> Iterator[str]:
    """n2 is no x86."""
    with saying("aarch64", slurm, tmp_path) as setup:
        yield setup


@pytest.fixture
def i686(slurm: slurm_world.Slurm) -> Iterator[None]:
    """n2 is an i686, for which ONNX Runtime has no wheel."""
    slurm.restart_node("n2", "setarch", "i686", architecture="i686")
    yield
    slurm.restart_node("n2", architecture="x86_64")


def test_each_architecture_gets_its_environments_before_anything_is_measured(
    slurm: slurm_world.Slurm, amd64: str, provisioned: Callable[[str], Environment], home: Path, tmp_path: Path
) -> None:
    assert (slurm.architecture("n1"), slurm.architecture("n2")) == ("x86_64", "amd64")
    ready = provisioned("ort").folder
    (home / "environments").unlink()  # the tests share those in it, and one must be made here
    (home / "environments").mkdir()
    (home / "environments" / ready.name).symlink_to(ready)
    folder = a_sweep(tmp_path / "sweep", tasks(6, write_onnx(tmp_path / "relu.onnx"), **QUICK), setup=amd64)
    progress = Notes()
    measured = [saved.result for saved in engine.run(folder, progress)]
    assert progress.notes[0] == "the nodes are of 2 architectures, amd64 and x86_64: preparing on each"
    made = [manifest.read(file) for file in (home / "environments").glob("*/isobench-environment.json")]
    assert {one.platform for one in made} == {"linux-amd64-glibc", "linux-x86_64-glibc"}
    [prepared] = events(folder, What.PREPARED)
    assert all(one.created_at <= prepared.at for one in made)
    keys = {task.key: task.by_architecture for task in folder.tasks() or ()}
    assert len(measured) == 6
    for result in measured:
        assert isinstance(result.outcome, Measured)
        assert result.sweep
        assert result.provenance.batch
        architecture = slurm.architecture(result.provenance.batch.node)
        assert result.case_key == keys[result.sweep.task][architecture][0].case_key
    assert {result.provenance.batch.node for result in measured if result.provenance.batch} == {"n1", "n2"}
    assert not list((folder.path / records.FOLDER).glob("preparing-*"))


def test_a_task_goes_to_the_architectures_that_can_prepare_it_and_fails_where_none_can(
    slurm: slurm_world.Slurm, i686: None, provisioned: Callable[[str], Environment], tmp_path: Path
) -> None:
    provisioned("torch")
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('no such data')\n")
    good = tasks(3, write_onnx(tmp_path / "relu.onnx"), **QUICK)
    bad = tasks(1, broken, runtime="torch-eager", **QUICK)
    folder = a_sweep(tmp_path / "sweep", (*bad, *good))
    progress = Notes()
    found = [saved.result for saved in engine.run(folder, progress)]
    [note] = [note for note in progress.notes if "aren't measured on i686" in note]
    assert note.startswith("3 of 4 tasks aren't measured on i686: the ort environment can't be installed")
    assert next(result.sweep.task for result in found if result.sweep) == bad[0].key
    failed, *measured = [result.outcome for result in found]
    assert isinstance(failed, Failed)
    assert failed.kind is Ending.SCRIPT_ERROR
    assert "no such data" in failed.details
    assert all(isinstance(outcome, Measured) for outcome in measured)
    assert [result.provenance.batch.node for result in found if result.provenance.batch] == ["n1"] * 3
    assert len(outcomes(folder)) == 4
    [again] = [one.result for one in engine.run(folder, progress, retry=engine.Retry.FAILED)]  # prepares this one only
    assert again.sweep
    assert (again.sweep.task, again.sweep.attempt) == (bad[0].key, 2)
    assert [set(task.by_architecture) for task in folder.tasks() or ()] == [set()] + [{"x86_64"}] * 3


def test_an_architecture_whose_job_fails_is_left_out(slurm: slurm_world.Slurm, amd64: str, tmp_path: Path) -> None:
    refuses = 'if [ "$SLURMD_NODENAME" = n2 ]; then echo no Python here >&2; exit 3; fi'
    two = tasks(2, write_onnx(tmp_path / "relu.onnx"), **QUICK)
    folder = a_sweep(tmp_path / "sweep", two, setup=f"{amd64}\n{refuses}")
    progress = Notes()
    found = [saved.result for saved in engine.run(folder, progress)]
    [note] = [note for note in progress.notes if note.startswith("nothing will be measured on amd64: ")]
    assert "on n2 ended without a result" in note
    assert "no Python here" in note
    assert [result.provenance.batch.node for result in found if result.provenance.batch] == ["n1", "n1"]


def test_nodes_of_other_architectures_are_excluded_and_those_that_are_down_not_counted(
    slurm: slurm_world.Slurm, i686: None
) -> None:
    nodes = Nodes(Options())
    assert set(nodes.architectures()) == {"i686", "x86_64"}
    assert nodes.excluded(architectures=["i686"]) == ("n1",)
    assert nodes.excluded({"n2"}, architectures=["i686"]) == ("n1",)  # it is the only one
    assert nodes.excluded({"n2"}, architectures=["i686", "x86_64"]) == ("n2",)
    slurm.run("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=test")
    assert nodes.architectures() == ("x86_64",)
    assert Nodes(Options.of({"nodelist": "n2"})).architectures() == ("i686",)
    slurm.run("scontrol", "update", "NodeName=n2", "State=RESUME")


def test_a_sweep_for_x86_avoids_nodes_that_are_none_and_is_refused_where_there_are_no_others(
    slurm: slurm_world.Slurm, aarch64: str, tmp_path: Path
) -> None:
    two = tasks(2, write_onnx(tmp_path / "relu.onnx"), **QUICK)
    progress = Notes()
    found = [one.result for one in engine.run(a_sweep(tmp_path / "sweep", two, setup=aarch64), progress)]
    hint = 'device = "cpu" in the suite is the processor of every node.'
    assert progress.notes[0] == f"nothing will be measured on aarch64: the sweep is for x86. {hint}"
    assert [result.provenance.batch.node for result in found if result.provenance.batch] == ["n1", "n1"]
    assert (Nodes(Options()).excluded(device="x86"), Nodes(Options()).excluded(device="cpu")) == (("n2",), ())
    for prepare in ("here", "node"):
        other = a_sweep(tmp_path / prepare, two, setup=aarch64, nodelist="n2", prepare=prepare)
        with pytest.raises(UsageError, match=r"no device x86: the nodes are aarch64") as refused:
            list(engine.run(other, progress))
        assert refused.value.hint == hint
