"""The options of the executor `slurm`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from isobench.errors import UsageError
from isobench.executors.slurm import SlurmExecutor
from isobench.executors.slurm.options import Options, table


@pytest.mark.parametrize(
    ("given", "attribute", "value"),
    [
        ({"partition": "gpu"}, "partition", "gpu"),
        ({"time": 90}, "time", 90),
        ({"time": "90"}, "time", 90),
        ({"time": "01:30:00"}, "time", 90),
        ({"time": "00:00:30"}, "time", 1),
        ({"time": "2-01:00"}, "time", 49 * 60),
        ({"exclusive": "no"}, "exclusive", False),
        ({"exclusive": True}, "exclusive", True),
        ({"cpus": "4"}, "exclusive", False),
        ({"cpus": 4, "exclusive": True}, "exclusive", True),
        ({"at-once": "8"}, "at_once", 8),
        ({"at_once": 8}, "at_once", 8),
        ({"memory": "16G"}, "memory", "16G"),
        ({"setup": "module load gcc\nulimit -c 0"}, "setup", ("module load gcc", "ulimit -c 0")),
        ({"setup": ["module load gcc"]}, "setup", ("module load gcc",)),
        ({"poll": "0.5"}, "poll", 0.5),
        ({}, "exclusive", True),
    ],
)
def test_values_of_a_suite_and_text_of_the_command_line_become_options(
    given: dict[str, Any], attribute: str, value: object
) -> None:
    assert getattr(Options.of(given), attribute) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time", "soon"),
        ("time", 0),
        ("cpus", "1.5"),
        ("cpus", True),
        ("exclusive", "perhaps"),
        ("memory", "much"),
        ("poll", 0),
        ("poll", "nan"),
        ("partition", "two\nlines"),
        ("partition", ""),
        ("prepare", "elsewhere"),
        ("setup", [1]),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"--slurm {name} must be .*, got {re.escape(repr(value))}"):
        Options.of({name: value})


def test_an_unknown_option_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match=r"no option 'partitions'; did you mean partition\?") as refused:
        SlurmExecutor({"partitions": "gpu"})
    assert all(name in refused.value.hint for name, _, _ in table())


def test_without_slurm_the_executor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="no sbatch, squeue, scontrol, scancel on PATH"):
        SlurmExecutor({}).check()


def test_the_documentation_has_every_option_with_its_meaning() -> None:
    text = (Path(__file__).parents[2] / "docs" / "slurm.md").read_text(encoding="utf-8")
    rows = text.partition("<!-- options -->")[2].partition("<!-- end -->")[0].splitlines()[3:]
    assert rows == [f"| `{name}` | {kind} | {meaning} |" for name, kind, meaning in table()]
