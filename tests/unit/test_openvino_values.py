"""The ports of OpenVINO that belong to the inputs and outputs of a file, without OpenVINO."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import worker_modules


@pytest.fixture(scope="module")
def values() -> Any:
    return worker_modules.load("openvino_values")


def ports(*names: str) -> list[Any]:
    return [SimpleNamespace(names=set(name.split("/"))) for name in names]


@pytest.mark.parametrize(
    ("there", "names", "places"),
    [
        (["a", "b"], ["a", "b"], [0, 1]),
        (["y", "r"], ["x", "r"], [0, 1]),  # renamed
        (["a", "c"], ["a", "b", "c"], [0, None, 1]),  # dropped
        (["a/inner", "c"], ["b", "a", "c"], [None, 0, 1]),
        ([], ["a"], [None]),
        ([], [], []),
    ],
)
def test_ports_are_matched_by_place_and_by_name(
    values: Any, there: list[str], names: list[str], places: list[int | None]
) -> None:
    assert values.match(ports(*there), names) == places


def test_an_input_that_the_file_does_not_have_is_refused(values: Any) -> None:
    values.check_inputs(ports("a", "b"), [0, 1, None])
    with pytest.raises(Exception, match="OpenVINO has inputs that the file doesn't have: state"):
        values.check_inputs(ports("a", "state"), [0, None])


def test_an_output_that_is_listed_twice_is_returned_once(values: Any) -> None:
    outputs = [{"name": "y", "source": "y"}, {"name": "z", "source": "out.1"}, {"name": "y", "source": "y"}]
    assert values.chosen(outputs, [0, 1, 2]) == [("y", 0), ("out.1", 1)]
    with pytest.raises(Exception, match="OpenVINO has no output z"):
        values.chosen(outputs, [0, None, 0])


def test_the_reason_of_a_failure_is_one_line_without_places_in_the_source_code(values: Any) -> None:
    text = (
        "Exception from src/inference/src/cpp/core.cpp:84:\n"
        "Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:\n"
        "FrontEnd API failed with OpConversionFailure:\nModel wasn't fully converted.\n\n"
    )
    assert values.reason(RuntimeError(text)) == (
        "FrontEnd API failed with OpConversionFailure: Model wasn't fully converted."
    )
    alone = "Exception from src/inference/src/cpp/core.cpp:84:"
    assert values.reason(RuntimeError(alone)) == alone, "better than nothing"
