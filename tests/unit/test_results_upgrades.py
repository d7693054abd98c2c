"""Results that an earlier isobench stored can still be read."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ending_words import WORDS
from sample_results import HOST, make, measured

from isobench import results
from isobench.errors import ResultError
from isobench.failures import Ending
from isobench.planning.settings import Settings
from isobench.results import SCHEMA, Failed, Provenance

SAMPLES = Path(__file__).parents[1] / "samples" / "results"


def stored(tmp_path: Path, sample: str, **outcome: Any) -> Path:
    value = json.loads((SAMPLES / sample).read_text())
    value["outcome"] |= outcome
    file = tmp_path / "result.json"
    file.write_text(json.dumps(value))
    return file


def test_a_measured_result_of_schema_2_reads_as_one_of_today() -> None:
    loaded = results.load(str(SAMPLES / "schema-2-measured.json"))
    worker = {"pid": 77, "python": "3.11.7", "environment": {}, "distributions": ["numpy==2.4.6"]}
    expected = make(
        "ort",
        replace(measured(4.0), facts={"onnxruntime": "1.0", "timing": "host"}),
        provenance=Provenance(host=HOST, worker=worker),
    )
    assert loaded == expected
    assert loaded.schema == SCHEMA


def test_iterations_of_schema_2_are_a_number_only_where_the_user_gave_one() -> None:
    assert results.load(str(SAMPLES / "schema-2-measured.json")).settings == Settings(threads=2, iterations=None)
    assert results.load(str(SAMPLES / "schema-2-exactly.json")).settings == Settings(threads=2, iterations=500)


@pytest.mark.parametrize(("word", "kind", "cause"), WORDS)
def test_kinds_of_failures_of_schema_2_have_a_place_in_todays_list(
    tmp_path: Path, word: str, kind: Ending, cause: str
) -> None:
    outcome = results.load(str(stored(tmp_path, "schema-2-failed.json", kind=word))).outcome
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.cause, outcome.phase, outcome.exit_code) == (kind, cause, None, 5)


def test_what_was_read_is_written_in_todays_schema() -> None:
    value = json.loads(json.dumps(results.load(str(SAMPLES / "schema-2-failed.json")).to_json()))
    assert value["schema"] == SCHEMA
    assert "exactly" not in value["settings"]
    assert (value["outcome"]["kind"], value["outcome"]["cause"]) == ("exception", "InvalidGraph")
    assert asdict(Provenance()) == value["provenance"]


def test_a_damaged_result_of_schema_2_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"result.outcome.latency must be dict, got int"):
        results.load(str(stored(tmp_path, "schema-2-measured.json", latency=5)))
