"""The index of results: it says what the files say, whatever happened to it."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_results import HOST, make, measured

from isobench import paths, results
from isobench.errors import ResultError
from isobench.failures import Ending
from isobench.planning.models import Step
from isobench.planning.plan import SweepPlace
from isobench.results import Failed, Measured, Provenance, Result, index, index_file, row

SAMPLES = Path(__file__).parents[1] / "samples" / "results"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(index, "SMALL", 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


def named(number: int, **changes: object) -> Result:
    started = f"2026-01-01T00:00:{number:02}.000+00:00"
    return make(**{"id": f"20260101T0000{number:02}-net-ort-0001", "started_at": started} | changes)


PLACE = SweepPlace(sweep="night", task="net-3f2a", axes={"batch": 8}, labels={"team": "a"}, repeat=2, attempt=3)
KINDS = {
    "measured": make(provenance=Provenance(host=HOST), case_key="12ab"),
    "wrong": make(outcome=measured(4.0, ok=False, reasons=("far off",))),
    "failed": make(outcome=Failed(kind=Ending.CRASH, message='it "crashed"\n in two lines', details='{\n "x": 1\n}')),
    "sweep": make(sweep=PLACE),
    "altered": make(steps=(Step(tool="convert-fp16", options={"keep_io": True}, alters=True), Step(tool="benchmark"))),
    "saves figures": make(outcome=replace(measured(4.0), stats={"tokens": 5, "cost": {"a": 1}})),
    "named oddly": make(model=replace(make().model, name='n\u00e4t "1"', env={"A": "1\n2"}, script_args=("--x", "{"))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_index_agrees_with_the_decoded_result(root: Path, kind: str) -> None:
    folder = results.save(KINDS[kind], root=root)
    [found] = index.rows(root)
    assert found == row.of(results.load(str(folder)))
    assert row.read((folder / results.RESULT_FILE).read_bytes(), folder.name) == found


def test_a_row_has_the_figures_of_its_result(root: Path) -> None:
    result = make(provenance=Provenance(host=HOST), sweep=PLACE)
    assert isinstance(result.outcome, Measured)
    results.save(result, root=root)
    [found] = index.rows(root)
    assert (found.mean_s, found.median_s) == (result.latency.mean_s, result.latency.median_s)
    assert (found.status, found.verdict, found.outputs) == ("measured", "clean", "correct")
    assert (found.hostname, found.cpu, found.duration_s) == ("one", "A CPU", 1.0)
    assert (found.sweep, found.task, found.attempt, found.repeat) == ("night", "net-3f2a", 3, 2)


@pytest.mark.parametrize("sample", ["schema-2-measured.json", "schema-2-failed.json", "schema-2-exactly.json"])
@pytest.mark.parametrize("indent", [1, None])
def test_an_older_schema_is_read_however_it_is_written(root: Path, sample: str, indent: int | None) -> None:
    (root / "a").mkdir(parents=True)
    file = root / "a" / results.RESULT_FILE
    file.write_text(json.dumps(json.loads((SAMPLES / sample).read_text()), indent=indent) + "\n")
    [found] = index.rows(root)
    assert found == row.of(results.load(str(file)), "a")


def test_results_that_are_new_changed_or_gone_are_noticed(root: Path) -> None:
    folders = [results.save(named(number), root=root) for number in range(3)]
    assert [one.name for one in index.rows(root)] == [folder.name for folder in reversed(folders)]
    assert len([*paths.index("x").parent.glob("*.sqlite")]) == 1
    shutil.rmtree(folders[0])
    results.save(named(5), root=root)
    file = folders[1] / results.RESULT_FILE
    file.write_text(file.read_text().replace('"name": "net"', '"name": "other"'))
    assert [(one.name[13:15], one.model) for one in index.rows(root)] == [("05", "net"), ("02", "net"), ("01", "other")]
    assert index.count(root, model="other") == 1


def test_a_folder_whose_result_is_written_later_is_looked_at_again(root: Path) -> None:
    folder = results.save(named(0), root=root)
    hidden = (folder / results.RESULT_FILE).rename(root / "hidden")
    assert index.count(root) == 0
    hidden.rename(folder / results.RESULT_FILE)
    assert index.count(root) == 1


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"schema": "isobench.result/99"}',
        '{\n "schema": "isobench.result/3"\n}\n',
        None,
    ],
)
def test_an_unreadable_result_has_a_row_with_the_reason_that_reading_it_gives(root: Path, content: str | None) -> None:
    folder = results.save(named(1), root=root)
    file = folder / results.RESULT_FILE
    text = file.read_text()
    file.write_text(text.replace('"mean_s": ', '"mean_s": "x') if content is None else content)
    with pytest.raises(ResultError) as caught:
        results.load(str(folder))
    [found] = index.rows(root, status="unreadable")
    assert (found.id, found.started_at) == (folder.name, "2026-01-01T00:00:01.000+00:00")
    assert (found.message, found.kind) == (caught.value.message, "result")
    file.write_text(text)
    [found] = index.rows(root)
    assert found.status == "measured"


def test_a_change_is_noticed_though_the_clock_went_back(root: Path) -> None:
    file = results.save(named(1), root=root) / results.RESULT_FILE
    assert [one.model for one in index.rows(root)] == ["net"]
    file.write_text(file.read_text().replace('"name": "net"', '"name": "ten"'))
    os.utime(file, ns=(0, 0))
    assert [one.model for one in index.rows(root)] == ["ten"]


def test_names_that_are_no_utf_8_are_read_and_shown_as_they_are(root: Path) -> None:
    path = os.fsdecode(b"/models/\xff.py")
    folder = results.save(make(model=replace(make().model, name="\udcff", path=path)), root=root)
    folder = folder.rename(root / os.fsdecode(b"\xfe"))
    for _ in range(2):
        [found] = index.rows(root)
        assert (found.name, found.model, found.model_path) == (folder.name, "\udcff", path)


@pytest.fixture
def many(root: Path) -> Path:
    """A folder with an index of 120 results."""
    text = (results.save(named(0), root=root) / results.RESULT_FILE).read_text()
    for number in range(1000, 1119):
        name = named(0).id[:-4] + str(number)
        (root / name).mkdir()
        (root / name / results.RESULT_FILE).write_text(text.replace(named(0).id, name))
    assert index.count(root) == 120
    return root


def stored() -> Path:
    [file] = paths.index("x").parent.glob("*.sqlite")
    return file


def newest_first(root: Path) -> list[str]:
    return sorted((folder.name for folder in root.iterdir()), reverse=True)


def is_whole(root: Path) -> bool:
    return [one.name for one in index.rows(root)] == newest_first(root)


def filled(start: float, end: float, byte: bytes) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        content = file.read_bytes()
        first, last = round(start * len(content)), round(end * len(content))
        file.write_bytes(content[:first] + byte * (last - first) + content[last:])

    return write


def old_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("DROP TABLE results; CREATE TABLE results (name); PRAGMA user_version = 7")


def odd_values(file: Path) -> None:
    """A row for each Result, but with values that none can have."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE results SET kind = 'strange', attempt = 'x', axes = '{', mean_s = 'fast'")


def fifo(file: Path) -> None:
    file.unlink(missing_ok=True)
    os.mkfifo(file)


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        odd_values,
        fifo,
        lambda file: fifo(file.with_name(f"{file.name}-journal")),
        lambda file: fifo(file.with_name(f"{file.name}-wal")),
        lambda file: file.rename(file.with_name("other")) and file.symlink_to("/dev/zero"),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_text("no database " * 1000),
        lambda file: os.truncate(file, file.stat().st_size // 2),
        lambda file: os.truncate(file, 5000),
        filled(0, 1, b"\0"),
        filled(0.5, 0.9, b"\0"),
        filled(0.1, 0.6, b"\xff"),
        filled(0.02, 0.9, b"{"),
        old_version,
    ],
)
def test_an_index_that_is_missing_corrupted_or_of_another_version_is_rebuilt(
    many: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(stored())
    assert is_whole(many)
    with closing(sqlite3.connect(stored())) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (120,)


def test_a_database_of_others_that_the_index_is_a_link_to_is_left_alone(many: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other, other:
        other.execute("CREATE TABLE important (value)")
    file = stored()
    file.unlink()
    file.symlink_to(tmp_path / "other.sqlite")
    assert is_whole(many)
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        assert other.execute("SELECT count(*) FROM important").fetchone() == (0,)


def test_an_index_that_is_corrupted_while_it_is_open_is_rebuilt(many: Path) -> None:
    with index.Index(many) as found:
        filled(0, 1, b"\0")(stored())
        assert [one.name for one in found.rows(found.names())] == newest_first(many)


def test_another_process_that_hangs_while_it_writes_delays_nobody_for_long(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_file, "BUSY_S", 0.05)
    for lock in ("IMMEDIATE", "EXCLUSIVE"):
        with closing(sqlite3.connect(stored(), isolation_level=None)) as other:
            other.execute(f"BEGIN {lock}")
            shutil.rmtree(next(many.iterdir()))
            assert is_whole(many)
    assert is_whole(many)


def test_where_no_index_can_be_stored_there_is_one_all_the_same(many: Path) -> None:
    stored().unlink()
    stored_in = paths.index("x").parent
    stored_in.rmdir()
    stored_in.write_text("a file")
    assert is_whole(many)


def child(code: str, root: Path, **options: Any) -> subprocess.Popen[str]:
    start = "import os, sys\nfrom pathlib import Path\nfrom isobench.results import index\nroot = Path(sys.argv[1])\n"
    return subprocess.Popen(
        [sys.executable, "-c", start + code, root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_a_home_that_is_read_only_is_read(many: Path, tmp_path: Path) -> None:
    """By another user if need be, because root may write anywhere."""
    code = "import hashlib\nif os.geteuid() == 0:\n    os.setgid(65534)\n    os.setuid(65534)\nprint(index.count(root))"
    pytests = [one for one in tmp_path.parents if "pytest-of-" in str(one)]  # which are for one user
    for folder in (tmp_path, *pytests):
        folder.chmod(folder.stat().st_mode | 0o055)
    cached = stored().parent
    stored().chmod(0o444)
    cached.chmod(0o555)
    try:
        for count in (120, 121):
            assert child(code, many).communicate(timeout=60) == (f"{count}\n", "")
            results.save(named(count - 119), root=many)
        content = stored().read_bytes()
        assert child(code, many).communicate(timeout=60) == ("122\n", "")
        assert stored().read_bytes() == content
    finally:
        cached.chmod(0o755)


def test_a_node_reads_the_index_and_what_is_new_and_writes_nothing(many: Path) -> None:
    content = stored().read_bytes()
    results.save(named(1), root=many)
    shutil.rmtree(many / named(0).id)
    assert [one.name for one in index.rows(many, read_only=True)] == newest_first(many)
    assert stored().read_bytes() == content
    stored().unlink()
    assert [one.name for one in index.rows(many, read_only=True)] == newest_first(many)
    assert not [*paths.index("x").parent.iterdir()]


def test_several_processes_that_find_no_index_all_answer_and_leave_one(many: Path) -> None:
    stored().unlink()
    code = "index.CHUNK = 20\nprint(*[one.name for one in index.rows(root)])"
    readers = [child(code, many) for _ in range(4)]
    outputs = {reader.communicate(timeout=60) for reader in readers}
    assert outputs == {(" ".join(newest_first(many)) + "\n", "")}
    assert is_whole(many)


def test_a_reader_that_is_killed_at_any_time_leaves_an_index_that_is_used(many: Path) -> None:
    code = """
index.CHUNK = 5
print("goes", flush=True)
while True:
    index.index_file.remove(next(index.paths.index("x").parent.glob("*.sqlite"), Path("none")))
    index.count(root)
"""
    generator = random.Random(0)
    for _ in range(4):
        reader = child(code, many)
        assert reader.stdout is not None
        assert reader.stdout.readline() == "goes\n"
        time.sleep(generator.random() / 5)
        reader.kill()
        reader.communicate()
        shutil.rmtree(next(many.iterdir()))
        assert is_whole(many)
