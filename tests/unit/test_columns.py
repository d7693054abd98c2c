"""The columns of the reports: each declared once, printed as its reader expects, and documented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sample_results import make, measured

from isobench.reports import columns, table
from isobench.reports.column import Line
from isobench.reports.columns import CSV, LISTING, RUN_TABLE
from isobench.results import Failed, Result, row


def with_label(label: str) -> Result:
    return replace(make(), runtime=replace(make().runtime, label=label))


def test_each_column_of_the_csv_has_a_name_of_its_own_and_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "result-schema.md").read_text()
    names = [column.name for column in CSV]
    assert len(set(names)) == len(names)
    assert not [name for name in names if f"`{name}`" not in documented]
    assert all(column.about for column in (*CSV, *RUN_TABLE, *LISTING))


def test_each_column_of_a_table_has_a_heading_of_its_own() -> None:
    for shown in (RUN_TABLE, LISTING):
        headings = [column.heading for column in shown]
        assert all(headings)
        assert len(set(headings)) == len(headings)


def test_one_column_prints_a_value_for_people_and_for_programs() -> None:
    line = Line.of(make(outcome=measured(4.0, ok=False)))
    assert (columns.MEAN.cell(line), columns.MEAN.field(line)) == ("4.000", "4")
    assert (columns.OUTPUTS.cell(line), columns.OUTPUTS.field(line)) == ("WRONG", "wrong")


def test_what_does_not_apply_is_a_dash_in_tables_and_empty_in_the_csv() -> None:
    line = Line.of(make(outcome=Failed(kind="crash", message="it crashed")))
    assert (columns.MEAN.cell(line), columns.MEAN.field(line)) == ("-", "")
    assert (columns.ERROR.field(line), columns.VERDICT_OR_FAILURE.cell(line)) == ("crash", "failed: crash")


def test_tables_and_their_notes_call_a_runtime_as_the_user_chose_it() -> None:
    noisy = replace(with_label("ort:spinning=false"), outcome=measured(4.0, reasons=("others used the machine",)))
    text = table.run_table([noisy, make()])
    assert "ort:spinning=false" in text.splitlines()[5]
    assert "ort:spinning=false: noisy: others used the machine" in text
    assert "ort:spinning=false" in table.listing([row.of(noisy), row.of(make())])


def test_the_speed_up_is_over_torch_eager_without_arguments_where_that_was_measured() -> None:
    eager = make("torch-eager", measured(8.0))
    with_arguments = replace(
        make("torch-eager", measured(2.0)), runtime=replace(eager.runtime, label="torch-eager[x=1]")
    )
    text = table.run_table([with_arguments, eager, make("ort", measured(4.0))])
    assert "2.00x" in next(line for line in text.splitlines() if line.startswith("ort "))
