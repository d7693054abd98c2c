"""Settings: every option is declared once, and invalid values are refused in the same words everywhere."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from isobench import api, codec
from isobench.cli.calibrate import calibrate
from isobench.cli.compare import compare
from isobench.cli.run import run
from isobench.errors import UsageError
from isobench.planning import setting_values, settings
from isobench.planning.settings import OPTIONS, Settings
from isobench.runtimes.keywords import keywords
from isobench.tools.benchmark import Benchmark
from isobench.workers import machine

PHASES = "import, script, export, load, compile, warm-up, measure, write"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": 0}, "--threads must be at least 1, got 0"),
        ({"iterations": "5"}, "--iterations must be an integer, got '5'"),
        ({"iterations": True}, "--iterations must be an integer, got True"),
        ({"min_time_s": float("nan")}, "--min-time must be at least 0, got nan"),
        ({"nice": 20}, "--nice must be from -20 to 19, got 20"),
        ({"precision": 2}, "--precision must be from 0.01% to 100%, got 200%"),
        ({"heap": "none"}, "--heap must be steady or default, got 'none'"),
        ({"max_time_s": float("inf")}, "--max-time must be at most 1,000,000,000, got inf"),
        ({"timeout_s": float("nan")}, "--timeout must be at least 0.1, got nan"),
        ({"timeout_s": "compile=nan"}, "--timeout must be at least 0.1, got nan"),
        (
            {"timeout_s": {"compile": True}},
            "--timeout must be a number of seconds, or such as compile=600,measure=60, got True",
        ),
        ({"timeout_s": "sleep=5"}, f"--timeout unknown phase 'sleep': the phases are {PHASES}"),
        ({"timeout_s": "load=5,load=6"}, "--timeout must name each phase once, got 'load=5,load=6'"),
        ({"timeout_s": "soon"}, "--timeout must be a number of seconds, or such as compile=600,measure=60, got 'soon'"),
        ({"memory_limit_bytes": 1024}, "--memory-limit must be from 64MiB to 1024TiB, got 1KiB"),
        ({"memory_limit_bytes": "9999999TiB"}, "--memory-limit must be from 64MiB to 1024TiB, got 1e+07TiB"),
        ({"select": 1}, "--select must be true or false, got 1"),
        ({"cpus": "a"}, "--cpus must be a list of numbers such as 0-3,8, got 'a'"),
        ({"cpus": [100_000, 100_001]}, "--cpus must be among those that this process may use, got 100000-100001"),
    ],
)
def test_an_invalid_value_is_refused_by_the_name_of_its_option(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings.of(**given)
    assert caught.value.message == message


def test_a_number_of_four_hundred_digits_is_refused_by_the_name_of_its_option() -> None:
    with pytest.raises(UsageError) as caught:
        Settings.of(iterations=10**400)
    assert caught.value.message == f"--iterations must be at most 1,000,000,000, got 1{79 * '0'}..."


@pytest.mark.parametrize(
    ("given", "total_s", "phases_s"),
    [
        ("60", 60.0, {}),
        (3e6, 3e6, {}),
        ("compile=600,measure=60", 900.0, {"compile": 600.0, "measure": 60.0}),
        ("30, warm-up=5", 30.0, {"warm-up": 5.0}),
        ({"import": 7}, 900.0, {"import": 7.0}),
    ],
)
def test_a_time_limit_is_for_all_of_the_work_or_for_a_phase(
    given: Any, total_s: float, phases_s: dict[str, float]
) -> None:
    made = Settings.of(timeout_s=given)
    assert (made.timeout_s, made.phase_timeouts_s) == (total_s, phases_s)
    assert codec.decode(Settings, json.loads(json.dumps(codec.encode(made))), "settings") == made


@pytest.mark.parametrize(
    ("text", "expected"), [("4GiB", 4 << 30), ("500M", 500 << 20), ("1.5 gb", 3 << 29), ("70000000", 70_000_000)]
)
def test_a_size_has_a_unit_or_none(text: str, expected: int) -> None:
    assert setting_values.size(text) == expected


@pytest.mark.parametrize("text", ["", "GiB", "4X", "nan", "inf", "1e400", "4 G i B"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size such as 4GiB or 500M"):
        setting_values.size(text)


def test_a_list_of_more_cpus_than_any_machine_has_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="must be a list of numbers such as 0-3,8, got '0-99999999999'"):
        setting_values.number_list("0-99999999999")


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown option 'min_time'") as caught:
        api.plan([__file__], min_time=1.0)
    assert "min_time_s, max_time_s" in caught.value.hint


def test_what_depends_on_the_machine_or_on_other_options_becomes_a_number() -> None:
    made = Settings.of(cpus=machine.cpus()[:1])
    assert (made.threads, made.max_time_s) == (1, settings.MAX_TIME_S)
    assert Settings.of(precision=0.01).max_time_s == settings.MAX_TIME_WITH_PRECISION_S
    assert Settings.of(precision=0.01, max_time_s=5).max_time_s == 5


def test_text_is_read_as_the_command_line_reads_it() -> None:
    cpu = machine.cpus()[0]
    made = Settings.of(cpus=str(cpu), memory_limit_bytes="4GiB", precision="1%", timeout_s="900,compile=60")
    assert (made.cpus, made.memory_limit_bytes, made.precision) == ((cpu,), 4 << 30, 0.01)
    assert (made.timeout_s, made.phase_timeouts_s) == (900.0, {"compile": 60.0})


def test_a_worker_always_gets_a_number_of_iterations() -> None:
    assert Settings(threads=1).worker_iterations == settings.LEAST_ITERATIONS
    assert Settings(threads=1, iterations=7).worker_iterations == 7


def test_every_command_has_the_declared_options() -> None:
    names = {one.name for one in fields(Settings)} - {"phase_timeouts_s"}  # those of --timeout
    assert names == OPTIONS.keys()
    assert names <= {parameter.name for parameter in run.params}
    assert names - {"iterations"} <= {parameter.name for parameter in compare.params}
    assert names - {"iterations", "processes", "precision"} <= {parameter.name for parameter in calibrate.params}
    measuring = {OPTIONS[name].flag for name in names - {*settings.BUILD_OPTIONS}}
    assert measuring <= {f"--{one.name.replace('_', '-')}" for one in keywords(Benchmark)[0]}


def test_commands_with_their_own_defaults_show_and_use_them() -> None:
    for command, own in ((compare, settings.COMPARE_DEFAULTS), (calibrate, settings.CALIBRATE_DEFAULTS)):
        defaults = {parameter.name: parameter for parameter in command.params}
        for name, value in own.items():
            assert defaults[name].default == value
            assert f"[default: {value:g}]" in defaults[name].help  # type: ignore[attr-defined]


def test_the_table_for_the_documentation_has_a_row_for_each_option() -> None:
    table = settings.markdown_table()
    assert table.count("\n") == len(OPTIONS) + 1
    assert "| `--min-time SECONDS` | `min_time_s` | 0.5 | at least 0 |" in table


def test_a_whole_number_of_seconds_is_the_same_setting_after_it_was_stored() -> None:
    given = Settings.of(min_time_s=130, max_time_s=200)
    stored = codec.decode(Settings, json.loads(json.dumps(codec.encode(given))), "settings")
    assert repr(codec.encode(stored)) == repr(codec.encode(given))
