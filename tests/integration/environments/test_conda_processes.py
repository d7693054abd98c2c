"""The child that rattler lives in, and what is left when processes die or want the same thing at once."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pytest
from environment_world import RunPython, World
from loopback import ChannelServer

from isobench import environments
from isobench.environments import store
from isobench.environments.conda import engine, provider
from isobench.errors import UsageError

pytestmark = pytest.mark.integration

KILLS = 20


def children_of(pid: int) -> list[int]:
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(number) for file in files for number in file.read_text().split()]


def children_at_work() -> list[int]:
    """Those of our children that are rattler's process by now (each is another program for its first moments)."""
    argvs = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children_of(os.getpid())}
    return [pid for pid, argv in argvs.items() if argv[1:2] == [b"-P"]]


def kill_child(number: signal.Signals) -> None:
    deadline = time.monotonic() + 20
    while not (found := children_at_work()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(found[0], number)


class Limits(TypedDict, total=False):
    silence_s: float
    limit_s: float


def probe(world: World, address: str, **options: Unpack[Limits]) -> dict[str, Any]:
    lock = world.root / "conda-lock.yml"
    lock.write_text(
        "version: 1\nmetadata:\n  content_hash: {linux-64: '0'}\n  channels: []\n  platforms: [linux-64]\n"
        "  sources: []\npackage:\n- {name: x, version: '1', manager: conda, platform: linux-64, dependencies: {},\n"
        f"   url: '{address}/noarch/x-1-0.conda', hash: {{md5: {'0' * 32}, sha256: {'0' * 64}}}, category: main,\n"
        "   optional: false}\n"
    )
    request = {**provider.request(), "lock_file": str(lock), "platform": "linux-64"}
    return engine.ask("probe", request, log_file=world.root / "rattler.log", **options)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_of_the_child_is_reported_with_its_signal(
    conda: World, server: ChannelServer, number: signal.Signals
) -> None:
    killer = threading.Thread(target=kill_child, args=(number,))
    killer.start()
    with pytest.raises(engine.EngineError) as caught:
        probe(conda, server.url("hang"))
    killer.join()
    assert caught.value.kind == "crash"
    error = caught.value.as_provision_error("it can't be done", relock="", spec="")
    assert error.message.startswith(f"it can't be done: rattler's process was killed by signal {number:d} while it was")
    assert error.hint == "Try again; if it happens again, see the log."


def test_a_child_that_is_silent_is_killed(conda: World, server: ChannelServer) -> None:
    with pytest.raises(engine.EngineError, match=r"no progress for 0\.8 s while it was") as caught:
        probe(conda, server.url("hang"), silence_s=0.8)
    assert caught.value.kind == "timeout"
    assert children_at_work() == []


def test_a_child_has_a_limit_in_all(conda: World, server: ChannelServer) -> None:
    with pytest.raises(engine.EngineError, match=r"not finished after 0\.9 s while it was"):
        probe(conda, server.url("hang"), limit_s=0.9)


def test_nothing_is_left_in_the_temporary_folder(conda: World, channel: Path, server: ChannelServer) -> None:
    temporary = Path(os.environ["TMPDIR"])
    places = {"RUNNER_TEMP": str(temporary)}
    spec = conda.conda_spec(channel.as_uri(), "toolbox", lock=False)
    assert conda.isobench("lock", "tiny", **places).returncode == 0
    assert conda.isobench("create", "tiny", "--provider", "conda", **places).returncode == 0
    spec.environment_file.write_text(spec.environment_file.read_text().replace(channel.as_uri(), server.url("hang")))
    silent = conda.isobench("lock", "tiny", **places, ISOBENCH_CHANNEL_TIMEOUT="1")
    assert "no progress for 1 s" in silent.stderr
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_a_maker_leaves_that_is_ended_goes_with_its_environment(
    conda: World, server: ChannelServer, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(conda.root / "bare-cache"))
    spec = conda.conda_spec(server.url("none"))
    spec.conda_lock_file.write_text(spec.conda_lock_file.read_text().replace("/none/", "/hang/"))
    spec = replace(environments.spec("tiny"), provider="conda")
    folder = store.folder_of(spec)
    maker = conda.start("create", "tiny", "--provider", "conda", log=conda.root / "maker.log")
    deadline = time.monotonic() + 20
    while not folder.with_name(f"{folder.name}.tmp").is_dir() and time.monotonic() < deadline:
        time.sleep(0.02)
    maker.send_signal(number)
    maker.wait()
    assert list(Path(os.environ["TMPDIR"]).iterdir()) == []
    assert f"{folder.name}.tmp" in conda.left()
    assert conda.isobench("remove", "tiny").stdout == f"removed {folder}\n"
    assert conda.left() == []


def test_a_panic_of_rattler_is_an_error_like_any_other() -> None:
    """A real one: this call is known to panic, which Python sees as a BaseException that is no Exception."""
    code = (
        "import sys; from isobench.environments.conda import child; from rattler import LockFile, LockPlatform\n"
        "def answer(request, tell):\n"
        "    environment = LockFile.from_path(request['lock']).default_environment()\n"
        "    return environment.conda_repodata_records_for_platform(LockPlatform('linux-64'))\n"
        "child.answer = answer; sys.argv = ['child', '1']; child.main()"
    )
    lock = str(environments.spec("ort").conda_lock_file)
    ran = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps({"lock": lock}), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert json.loads(ran.stdout.splitlines()[-1])["error"]["kind"] == "PanicException"


def test_patience_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("soon", "0", "-3", "nan"):
        monkeypatch.setenv("ISOBENCH_CHANNEL_TIMEOUT", text)
        with pytest.raises(UsageError, match="ISOBENCH_CHANNEL_TIMEOUT must be"):
            engine.patience_s()


@pytest.mark.parametrize("others", [1, 2])
def test_processes_at_once_make_one_environment_with_one_cache(
    conda: World, channel: Path, run_python: RunPython, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(conda.root / "bare-cache"))
    spec = conda.conda_spec(channel.as_uri(), "toolbox")
    makers = [
        conda.start("create", "tiny", "--provider", "conda", log=conda.root / f"{number}.log")
        for number in range(1 + others)
    ]
    assert [maker.wait(60) for maker in makers] == [0] * (1 + others)
    logs = "".join((conda.root / f"{number}.log").read_text() for number in range(1 + others))
    assert logs.count("tiny: ready after") == 1
    made = environments.find(spec)
    assert environments.verify(made) == []
    assert run_python(made, "import alpha; print(alpha.VERSION)") == "1.0"


def test_processes_at_once_make_different_environments_with_one_cache(
    conda: World, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(conda.root / "bare-cache"))
    specs = [conda.conda_spec(channel.as_uri(), "toolbox", name=name) for name in ("one", "two", "three")]
    makers = [
        conda.start("create", spec.name, "--provider", "conda", log=conda.root / f"{spec.name}.log") for spec in specs
    ]
    assert [maker.wait(60) for maker in makers] == [0, 0, 0]
    assert all(environments.verify(environments.find(spec)) == [] for spec in specs)


def test_a_kill_at_any_moment_leaves_no_broken_environment(
    conda: World, channel: Path, run_python: RunPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill left is what the next maker finds, in the home and in the cache; every fourth may come to its end."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(conda.root / "bare-cache"))
    spec = conda.conda_spec(channel.as_uri(), "toolbox")
    command = ("create", "tiny", "--provider", "conda")
    moments, begun = random.Random(20), 0
    start = time.monotonic()
    assert conda.isobench(*command).returncode == 0
    usual_s = time.monotonic() - start
    for number in range(KILLS):
        if environments.find(spec):
            environments.remove("tiny")
        maker = conda.start(*command, log=conda.root / "killed.log")
        try:
            maker.wait(usual_s * (number + moments.random()) / KILLS)
        except subprocess.TimeoutExpired:
            maker.kill()
        maker.wait()
        ready = environments.find(spec)
        if ready is None:
            begun += store.folder_of(spec).exists()
        else:
            assert environments.verify(ready) == [], "what wasn't finished passes for ready"
        if number % 4 == 3:
            again = conda.isobench(*command)
            assert (again.returncode, re.findall("error.*", again.stderr)) == (0, [])
            made = environments.find(spec)
            assert environments.verify(made) == []
            assert run_python(made, "import alpha.more; print(alpha.VERSION)") == "1.0"
            assert conda.left() == [made.folder.name]
    assert begun > 0, "no kill came while the environment was being made"


def test_a_maker_that_is_killed_takes_its_child_with_it(
    conda: World, server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(conda.root / "bare-cache"))
    spec = conda.conda_spec(server.url("none"))
    spec.conda_lock_file.write_text(spec.conda_lock_file.read_text().replace("/none/", "/hang/"))
    spec = replace(environments.spec("tiny"), provider="conda")
    maker = conda.start("create", "tiny", "--provider", "conda", log=conda.root / "maker.log")
    deadline = time.monotonic() + 20
    while not (children := children_of(maker.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children
    maker.kill()
    maker.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert environments.find(spec) is None
