"""Whatever a stored file holds, a command that reads it says so, and goes on: no traceback, no hang.

Each fuzzer changes one kind of file, by values (`record_values`) or by bytes (`fuzzing.mangled`), and calls the
commands that read it, in this process. ISOBENCH_FUZZ_S=600 gives each 10 minutes.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import called
import pytest
import record_values
import stored_files
from fuzzing import deadline, fuzz, fuzz_values, mangled
from hypothesis import strategies as st

from isobench import results
from isobench.builds import cache
from isobench.builds.build import BUILD_FILE
from isobench.errors import ResultError
from isobench.planning.models import Model
from isobench.results import Result, index, index_file, noise_floor, row
from isobench.sweeps.task import Sweep
from isobench.workers import protocol

MOST_BYTES = 4 << 30
"""A file without an end must not fill the machine's memory."""
EXIT_CODES = {0, 2, 3, 6, 8}
"""Of commands that only read: done; the request is invalid; no build, no result of that name; slower than allowed."""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u202a-\u202e\u2066-\u2069\ufeff]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An ISOBENCH_HOME with every kind of file; the index of results is a file, however few there are."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOBENCH_HOME", str(folder))
        patch.setattr(index, "SMALL", 0)
        patch.setattr(index_file, "BUSY_S", 0.01)
        stored_files.fill(folder)
        assert called.call("list").code == 0  # the index is a file now
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, before[1]))
        yield folder
        resource.setrlimit(resource.RLIMIT_AS, before)


def _check(*words: str | Path) -> called.Called:
    found = called.check(*words)
    text = found.output + found.errors
    assert found.code in EXIT_CODES, f"isobench {' '.join(map(str, words))} exited with {found.code}:\n{text}"
    assert not CONTROL.search(text), f"isobench {' '.join(map(str, words))} printed {text!r}"
    return found


def read_results(folder: Path, name: str) -> tuple[called.Called, called.Called]:
    """Every command that reads results: a list and a table have all of them, whatever one of them is.

    How the list and `show` of the one ended.
    """
    listed = _check("list", "--limit", "0", "--from", folder)
    assert listed.output.count("-net-ort-") >= 3
    _check("list", "--status", "unreadable", "--from", folder)
    json.loads(_check("list", "--json", "--from", folder).output)
    assert _check("report", "--csv", folder).output.count("\n") >= 5
    shown = _check("show", name, "--from", folder)
    _check("compare", "--anyway", folder / name, folder / "20260101T000000-net-ort-0000")
    _check("compare", folder, folder)
    return listed, shown


def check_result(file: Path) -> None:
    """It is read and shown; or what reads all of it says why it can't be, and a list, if that can't show it either."""
    listed, shown = read_results(file.parents[1], file.parent.name)
    try:
        results.load(str(file))
    except ResultError:
        assert shown.code == 6
        assert shown.errors.startswith("error: ")
        try:
            row.read(file.read_bytes(), file.parent.name)
        except row.UNFIT:
            assert f"warning: {file}" in listed.errors
    else:
        assert shown.code == 0


def read_sweep() -> None:
    _check("sweep", "status", "night")
    _check("sweep", "status", "night", "--json")
    _check("list", "--from", "night")


def read_builds() -> None:
    _check("cache", "list")
    _check("cache", "list", "--json")
    _check("cache", "show", "0123")
    cache.look_up("key", Model(path=Path("/models/net.py")))


def read_floor() -> None:
    found = noise_floor.floor()
    assert 0 <= found.runs <= 10
    _check("show", "20260101T000000")


def write_json(file: Path, value: Any) -> None:
    """As isobench writes it, but with whatever Python can write."""
    file.write_text(json.dumps(value, indent=1) + "\n")


@pytest.fixture
def result_file(home: Path) -> Iterator[Path]:
    file = home / "results" / stored_files.whole().id / results.RESULT_FILE
    whole = file.read_bytes()
    yield file
    file.write_bytes(whole)


def test_values_that_a_result_may_have_are_read_and_printed(result_file: Path) -> None:
    def check(value: dict[str, Any]) -> None:
        write_json(result_file, value)
        check_result(result_file)

    fuzz_values(record_values.of(Result), check, seconds=2.5)


def test_values_that_a_result_may_not_have_are_a_warning(result_file: Path) -> None:
    whole = result_file.read_bytes()

    def check(value: Any) -> None:
        write_json(result_file, value)
        check_result(result_file)

    fuzz_values(st.builds(partial(json.loads, whole)).flatmap(record_values.broken), check, seconds=2.5)


def test_what_the_thin_reader_shows_is_what_the_whole_result_says(result_file: Path) -> None:
    """The thin reader looks only at what a list shows, so that it may show a Result that `load` refuses."""
    whole = result_file.read_bytes()

    def check(value: Any) -> None:
        write_json(result_file, value)
        try:
            found = row.of(results.load(str(result_file)), "name")
        except ResultError:
            return
        with suppress(*row.UNFIT):  # then it is read whole
            assert row.read(result_file.read_bytes(), "name") == found

    changed = st.builds(partial(json.loads, whole)).flatmap(record_values.broken)
    fuzz_values(st.one_of(record_values.of(Result), changed), check, seconds=1.5)


def test_a_mangled_result_is_a_warning(result_file: Path) -> None:
    whole = result_file.read_bytes()

    def check(random: Random) -> None:
        result_file.write_bytes(mangled(whole, random))
        check_result(result_file)

    fuzz(check, seconds=2.5)


def test_mangled_samples_are_reported(home: Path) -> None:
    folder = home / "results" / "20260101T000001-net-ort-0001"
    result = results.load(str(folder))
    file = folder / "run-1" / protocol.SAMPLES_FILE
    whole = file.read_bytes()

    def check(random: Random) -> None:
        file.write_bytes(mangled(whole, random))
        found = _check("compare", "--anyway", folder, folder.with_name("20260101T000000-net-ort-0000"))
        said = ""
        try:
            results.samples_ns(result, folder)
        except ResultError as error:
            said = error.message
        assert said in found.output + found.errors
        assert ("the samples of" in found.output + found.errors) == bool(said)

    fuzz(check, seconds=1.5)
    file.write_bytes(whole)


def index_of(home: Path) -> Path:
    """The stored index of the results; that of the sweep's lies beside it."""
    with index.Index(home / "results") as found:
        return found._file


READERS: dict[str, tuple[Callable[[Path], Path], Callable[[], object]]] = {
    "sweep.json": (lambda home: home / "sweeps" / "night" / "sweep.json", read_sweep),
    "tasks.json": (lambda home: home / "sweeps" / "night" / "tasks.json", read_sweep),
    "options.json": (lambda home: home / "sweeps" / "night" / "options.json", read_sweep),
    "journal": (lambda home: next((home / "sweeps" / "night" / "journal").iterdir()), read_sweep),
    "index.sqlite": (index_of, lambda: None),
    "calibration.json": (lambda home: home / "calibration.json", read_floor),
    "build.json": (lambda home: home / "builds" / "0123456789abcdef" / BUILD_FILE, read_builds),
    "index record": (lambda home: home / "builds" / "index" / "key.json", read_builds),
}
BY_BYTES = ("sweep.json", "tasks.json", "options.json", "journal", "calibration.json", "build.json", "index record")


@pytest.mark.parametrize("kind", BY_BYTES)
def test_mangled_files_are_reported_or_ignored(home: Path, kind: str) -> None:
    place, read = READERS[kind]
    file = place(home)
    whole = file.read_bytes()

    def check(random: Random) -> None:
        file.write_bytes(mangled(whole, random))
        read()

    fuzz(check, seconds=0.7)
    file.write_bytes(whole)


@pytest.mark.parametrize("kind", [name for name in BY_BYTES if name != "journal"])
def test_odd_values_in_files_are_reported_or_ignored(home: Path, kind: str) -> None:
    place, read = READERS[kind]
    file = place(home)
    whole = file.read_bytes()

    def check(value: Any) -> None:
        write_json(file, value)
        read()

    fuzz_values(st.builds(partial(json.loads, whole)).flatmap(record_values.broken), check, seconds=0.7)
    file.write_bytes(whole)


def test_values_that_a_sweep_may_have_are_read_and_printed(home: Path) -> None:
    file = home / "sweeps" / "night" / "sweep.json"
    whole, tasks = file.read_bytes(), file.with_name("tasks.json")
    tasks.rename(home / "tasks")

    def check(value: Any) -> None:
        write_json(file, value)
        read_sweep()

    fuzz_values(record_values.of(Sweep), check, seconds=1.5)
    file.write_bytes(whole)
    (home / "tasks").rename(tasks)


def test_a_mangled_index_of_results_is_made_again(home: Path) -> None:
    file = index_of(home)
    whole = file.read_bytes()

    def check(random: Random) -> None:
        file.write_bytes(mangled(whole, random))
        read_results(home / "results", stored_files.whole().id)
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (index_file.VERSION,)
            found = {name for (name,) in connection.execute("SELECT name FROM results")}
        assert found == set(results.store.names(home / "results"))

    fuzz(check, seconds=2)


def test_mangled_tensors_are_read_or_refused(home: Path) -> None:
    file = home / "builds" / "0123456789abcdef" / "inputs.msgpack"
    whole = file.read_bytes()

    def check(random: Random) -> None:
        file.write_bytes(mangled(whole, random))
        with suppress(protocol.ProtocolError):
            protocol.read_tensors(file)

    fuzz(check, seconds=1)
    file.write_bytes(whole)


@pytest.mark.parametrize("odd", ["a FIFO", "a link to /dev/zero", "deep JSON"])
def test_a_process_reads_a_folder_with_an_odd_result(result_file: Path, odd: str) -> None:
    result_file.unlink()
    ODD_KINDS[odd](result_file)
    command = [sys.executable, "-m", "isobench", "list", "--from", result_file.parents[1]]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (listed.returncode, listed.stdout.count("-net-ort-")) == (0, 3), listed.stderr
    assert f"warning: {result_file}" in listed.stderr
    result_file.unlink()


ODD_KINDS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "an empty file": Path.touch,
    "a folder": Path.mkdir,
    "a FIFO": os.mkfifo,
    "a link to itself": lambda file: file.symlink_to(file.name),
    "a link to /dev/zero": lambda file: file.symlink_to("/dev/zero"),
    "a link to nothing": lambda file: file.symlink_to("nothing"),
    "deep JSON": lambda file: file.write_bytes(b'{"a":' * 50_000),
    "UTF-16": lambda file: file.write_bytes('{"schema": "x"}'.encode("utf-16")),
    "a large number": lambda file: file.write_bytes(b"9" * 100_000),
    "half a file": lambda file: file.write_bytes(b'{"schema": "isobench.'),
}


@pytest.mark.parametrize("odd", ODD_KINDS)
@pytest.mark.parametrize("kind", READERS)
def test_whatever_lies_in_the_place_of_a_file_is_reported_or_ignored(home: Path, kind: str, odd: str) -> None:
    place, read = READERS[kind]
    file = place(home)
    if kind == "index.sqlite":
        read = partial(read_results, home / "results", stored_files.whole().id)
    aside = home / "aside"
    file.rename(aside)
    try:
        with deadline(20):
            ODD_KINDS[odd](file)
            read()
    finally:
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        file.unlink(missing_ok=True)
        aside.rename(file)
