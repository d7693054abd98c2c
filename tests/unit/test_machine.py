from __future__ import annotations

import builtins
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isobench.workers import machine


def spin(cpu_s: float) -> None:
    end = time.process_time() + cpu_s
    while time.process_time() < end:
        pass


def write(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return str(folder)


@pytest.fixture(params=["as found", "/proc/stat, all CPUs", "/proc/stat, each CPU"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source of this machine, and both forms of /proc/stat."""
    found = machine._open_sources()
    if request.param != "as found":
        found = found._replace(cpuacct=-1, all_cpus=found.all_cpus and request.param.endswith("all CPUs"))
    monkeypatch.setattr(machine, "_sources", found)


@pytest.mark.usefixtures("source")
def test_own_cpu_time_is_separated_from_that_of_others() -> None:
    before = machine.read_cpu()
    spin(0.2)
    seen = machine.between(before, machine.read_cpu())
    assert 0.2 <= seen["cpu_own_s"] <= seen["wall_s"] * 1.01
    assert seen["cpu_others_s"] >= 0
    assert set(seen) == {
        "wall_s",
        "cpu_own_s",
        "cpu_others_s",
        "steal_s",
        "involuntary_switches",
        "minor_faults",
        "major_faults",
        "throttled_s",
        "frequency_mhz",
    }


@pytest.mark.usefixtures("source")
def test_cpu_time_of_another_process_is_seen() -> None:
    code = "import time\nend = time.time() + 30\nprint(flush=True)\nwhile time.time() < end: pass"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        before, used = machine.read_cpu(), _cpu_s(other.pid)
        time.sleep(0.5)
        seen, used = machine.between(before, machine.read_cpu()), _cpu_s(other.pid) - used
    finally:
        other.kill()
        other.communicate()
    assert seen["cpu_own_s"] < 0.1
    assert seen["cpu_others_s"] > used - 0.05


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_time_of_children_that_ended_is_our_own() -> None:
    before = machine.read_cpu()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert machine.between(before, machine.read_cpu())["cpu_own_s"] >= 0.3


@pytest.fixture
def stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """The seconds between two texts of /proc/stat that are read a second apart: busy, stolen, wall."""

    def differences(*texts: str, **sources: Any) -> list[float]:
        file = tmp_path / "stat"
        file.touch()
        opened = machine._open_sources()._replace(cpuacct=-1, stat=os.open(file, os.O_RDONLY), **sources)
        monkeypatch.setattr(machine.time, "perf_counter_ns", iter([5_000_000_000, 6_000_000_000]).__next__)
        found = []
        for text in texts:
            file.write_text(text)
            found.append(machine._from_stat(opened))
        os.close(opened.stat)
        return [(after - before) / 1e9 for before, after in zip(*found, strict=True)]

    return differences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Two CPUs for 1 s: 0.7 s of waiting for work and for a disk, 0.1 s stolen.
        ("cpu  0 0 0 {idle} 10 0 0 {steal} 0 0\n", 1.2),
        ("cpu  0 0 0 0 0 0 0 0 0 0\n", 0.0),  # a system that reports only zeros
        ("cpu  0 0 0 {idle} 10 0 0 {steal} 0 0\n\n\n", 1.2),
    ],
)
def test_all_time_that_is_not_idle_is_busy(text: str, expected: float, stat: Callable[..., list[float]]) -> None:
    texts = [text.format(idle=idle, steal=steal) for idle, steal in ((100, 5), (170, 15))]
    busy_s, _, _ = stat(*texts, cpus=frozenset({0, 1}), all_cpus=True)
    assert busy_s == expected


def test_only_the_time_of_the_given_cpus_is_counted(stat: Callable[..., list[float]]) -> None:
    """2 s, of which CPU 1 waited 0.2 + 0.2 s and CPU 3 0.2 + 0.6 s; 0.1 s was stolen from each."""
    texts = []
    for idle, each, steal in ((100, 0, 5), (120, 20, 15)):
        lines = (f"cpu{cpu} 7 7 7 {idle + each * cpu} 10 7 7 {steal} 0 0\n" for cpu in range(4))
        texts.append("cpu  9 9 9 9 9 9 9 9 0 0\n" + "".join(lines) + "ctxt 5\n")
    assert stat(*texts, cpus=frozenset({1, 3}), all_cpus=False) == pytest.approx([0.6, 0.2, 1.0])


def test_the_difference_of_two_snapshots_is_in_seconds() -> None:
    before = machine.Snapshot(
        wall_ns=1_000_000_000,
        own_ns=100_000_000,
        busy_ns=7_000_000_000,
        steal_ns=40_000_000,
        involuntary_switches=5,
        minor_faults=10,
        major_faults=2,
        throttled_ns=3_000_000,
        frequency_mhz=1000.0,
    )
    after = machine.Snapshot(
        wall_ns=3_000_000_000,
        own_ns=1_600_000_000,
        busy_ns=9_250_000_000,
        steal_ns=90_000_000,
        involuntary_switches=7,
        minor_faults=14,
        major_faults=3,
        throttled_ns=23_000_000,
        frequency_mhz=2000.0,
    )
    assert machine.between(before, after) == {
        "wall_s": 2.0,
        "cpu_own_s": 1.5,
        "cpu_others_s": 0.75,
        "steal_s": 0.05,
        "involuntary_switches": 2,
        "minor_faults": 4,
        "major_faults": 1,
        "throttled_s": 0.02,
        "frequency_mhz": 2000.0,
    }
    coarse = after._replace(busy_ns=8_000_000_000, steal_ns=30_000_000, throttled_ns=0)
    seen = machine.between(before, coarse)
    assert (seen["cpu_others_s"], seen["steal_s"], seen["throttled_s"]) == (0, 0, 0), "counters that went back"


@pytest.mark.parametrize(
    ("cpuacct", "all_cpus", "step_s", "resolution_s"),
    [(5, True, 0.004, 0.004), (-1, True, 0.01, 0.01), (-1, False, 0.01, 0.02), (0, False, 0.004, 0.004)],
)
def test_the_resolution_of_the_counters_depends_on_their_source(
    cpuacct: int, all_cpus: bool, step_s: float, resolution_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = machine._open_sources()._replace(cpus=frozenset(range(4)), all_cpus=all_cpus, cpuacct=cpuacct)
    monkeypatch.setattr(machine, "_sources", sources)
    monkeypatch.setattr(machine, "_TICKS_PER_S", 100)
    assert (machine.cpu_step_s(), machine.cpu_resolution_s()) == (step_s, pytest.approx(resolution_s))


def test_cpus_that_are_missing_in_proc_stat_count_as_zero(tmp_path: Path) -> None:
    """As in a container whose own /proc/stat counts CPUs from 0."""
    file = tmp_path / "stat"
    file.write_text("cpu  0 0 0 70 10 0 0 5 0 0\ncpu0 0 0 0 70 10 0 0 5 0 0\nctxt 1\n")
    descriptor = os.open(file, os.O_RDONLY)
    sources = machine._open_sources()._replace(cpus=frozenset({63}), all_cpus=False, stat=descriptor)
    assert machine._from_stat(sources)[:2] == (0, 0)
    os.close(descriptor)


def test_touching_new_memory_shows_as_faults() -> None:
    before = machine.read_cpu()
    memory = bytearray(64 << 20)
    memory[:: 1 << 12] = b"x" * len(memory[:: 1 << 12])
    assert machine.between(before, machine.read_cpu())["minor_faults"] > 100


def test_a_snapshot_opens_no_file_again(monkeypatch: pytest.MonkeyPatch) -> None:
    machine.read_cpu()

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a file was opened")

    monkeypatch.setattr(machine.os, "open", refuse)
    monkeypatch.setattr(builtins, "open", refuse)
    machine.read_cpu()


def test_only_the_cpus_of_the_affinity_are_counted() -> None:
    everything = os.sched_getaffinity(0)
    if len(everything) < 2:
        pytest.skip("needs two CPUs")
    ours, theirs = sorted(everything)[:2]
    code = f"""
import os, sys, time
sys.path.insert(0, {str(Path(machine.__file__).parent)!r})
child = os.fork()
if child == 0:
    os.sched_setaffinity(0, {{{theirs}}})
    while True: pass
os.sched_setaffinity(0, {{{ours}}})
import machine
tick = machine.read_cpu()
time.sleep(0.3)
mine = machine.between(tick, machine.read_cpu())["cpu_others_s"]
os.sched_setaffinity(0, {{{ours}, {theirs}}})
machine._sources = None
tick = machine.read_cpu()
time.sleep(0.3)
both = machine.between(tick, machine.read_cpu())["cpu_others_s"]
os.kill(child, 9)
os.wait()
print(both - mine)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) > 0.1


def test_other_threads_are_observed() -> None:
    """The thread computes outside of the GIL, as those of thread pools do."""
    stop = threading.Event()

    def compute() -> None:
        data = bytes(1_000_000)
        while not stop.is_set():
            hashlib.sha256(data)

    def soon(condition: Callable[[], bool]) -> bool:
        return any(condition() for _ in range(1000) if time.sleep(0.01) is None)

    before_ns = machine.other_threads_ns()
    thread = threading.Thread(target=compute)
    thread.start()
    try:
        assert soon(lambda: machine.other_threads_ns() - before_ns > 100_000_000)
        assert soon(machine.other_threads_runnable)
    finally:
        stop.set()
        thread.join()
    assert soon(lambda: not machine.other_threads_runnable())


def test_siblings_are_one_physical_core(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            f"devices/system/cpu/cpu{cpu}/topology/core_cpus_list": siblings
            for cpu, siblings in enumerate(["0,4", "1,5", "2-3", "2-3", "0,4", "1,5"])
        },
    )
    assert machine.physical_cores(range(6), sys_folder=root) == (0, 1, 2)
    assert machine.physical_cores({3, 4}, sys_folder=root) == (3, 4)


def test_the_older_name_of_the_siblings_file_is_read_too(tmp_path: Path) -> None:
    root = write(tmp_path, {"devices/system/cpu/cpu0/topology/thread_siblings_list": "0-1"})
    assert machine.physical_cores({0, 1}, sys_folder=root) == (0,)


def test_without_topology_each_cpu_is_a_core(tmp_path: Path) -> None:
    assert machine.physical_cores({0, 1, 2}, sys_folder=str(tmp_path)) == (0, 1, 2)


def test_this_machines_cores_are_no_more_than_its_cpus() -> None:
    assert set(machine.physical_cores(machine.cpus())) <= set(machine.cpus())


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, None),
        # An ancestor may be tighter.
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        # In a container the path may be the host's.
        ({"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1.0),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_the_quota_of_control_groups_is_read(files: dict[str, str], expected: float | None, tmp_path: Path) -> None:
    write(tmp_path, files)
    quota, folder = machine.cpu_quota(proc_folder=str(tmp_path / "proc"), sys_folder=str(tmp_path / "sys"))
    assert quota == expected
    assert bool(folder) == (expected is not None)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a/memory.max", "1048576\n", 1 << 20),
        ("a/memory.max", "max\n", None),
        ("memory/a/memory.limit_in_bytes", "1048576\n", 1 << 20),
        ("memory/a/memory.limit_in_bytes", "9223372036854771712\n", None),
    ],
)
def test_the_memory_limit_of_control_groups_is_read(name: str, text: str, expected: int | None, tmp_path: Path) -> None:
    group = "4:memory:/a\n" if name.startswith("memory/") else "0::/a\n"
    write(tmp_path, {"proc/self/cgroup": group, f"sys/fs/cgroup/{name}": text})
    found = machine.memory_limit(proc_folder=str(tmp_path / "proc"), sys_folder=str(tmp_path / "sys"))
    assert found == expected


@pytest.mark.parametrize(("text", "numbers"), [("", ()), ("0", (0,)), ("0-2,5\n", (0, 1, 2, 5))])
def test_the_kernels_lists_are_read(text: str, numbers: tuple[int, ...]) -> None:
    assert machine.parse_cpu_list(text) == numbers


def test_a_block_has_the_frequency_that_the_kernel_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu in machine.cpus():
        write(tmp_path, {f"cpu{cpu}": f"{2_000_000 + 100_000 * cpu}\n"})
    monkeypatch.setattr(machine, "_FREQUENCY", f"{tmp_path}/cpu{{}}")
    monkeypatch.setattr(machine, "_sources", None)
    seen = machine.between(machine.read_cpu(), machine.read_cpu())
    assert seen["frequency_mhz"] == pytest.approx(2000 + 100 * sum(machine.cpus()) / len(machine.cpus()))


@pytest.mark.parametrize("text", ["", "0", "0-2,5", "0,2,4-5,7"])
def test_numbers_are_written_as_the_kernel_writes_them(text: str) -> None:
    assert machine.cpu_list(reversed(machine.parse_cpu_list(text))) == text


def test_native_threads_are_counted() -> None:
    before = machine.threads()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert machine.threads() == before + 1
    stop.set()
    thread.join()
