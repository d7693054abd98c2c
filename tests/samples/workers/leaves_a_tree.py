"""Starts processes that try to outlive it in every way, each of which writes its number, then ends as `how` says."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import serve


def _sleep(folder: Path, name: str) -> None:
    (folder / f"{name}.{os.getpid()}").touch()
    while True:
        time.sleep(600)


def _daemon(then: Callable[[], None]) -> None:
    """A daemon as in the textbooks: forked twice, in a session of its own, with no descriptor of ours."""
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 256)
    then()


def _execute(output_dir: str, how: str, **_: Any) -> dict[str, Any]:
    folder = Path(output_dir) / "tree"
    folder.mkdir()
    python = [
        sys.executable,
        "-I",
        "-c",
        "import sys, time, pathlib, os\n"
        "(pathlib.Path(sys.argv[1]) / f'{sys.argv[2]}.{os.getpid()}').touch(); time.sleep(600)",
        str(folder),
    ]

    def deaf() -> None:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        _sleep(folder, "deaf")

    def generations() -> None:
        (folder / f"generations.{os.getpid()}").touch()
        until = time.monotonic() + 600  # as the others, lest a trial that is killed leaves them for ever
        while time.monotonic() < until and not os.fork():
            time.sleep(0.0002)
        os._exit(0)

    def parents() -> None:
        os.setsid()
        for _ in range(3):
            os.fork()
        _sleep(folder, "parents")

    def other_group() -> None:
        os.setpgid(0, 0)
        _sleep(folder, "other-group")

    def session() -> None:
        os.setsid()
        os.execve(sys.executable, [*python, "session"], dict(os.environ))

    ways: dict[str, Callable[[], None]] = {
        "child": lambda: _sleep(folder, "child"),
        "other-group": other_group,
        "session": session,
        "daemon": lambda: _daemon(lambda: _sleep(folder, "daemon")),
        "deaf": deaf,
        "parents": parents,
        "generations": generations,
        "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
        "other-environment": lambda: _daemon(lambda: os.execve(sys.executable, [*python, "other-environment"], {})),
    }
    for way in ways.values():
        if not os.fork():
            way()
            os._exit(1)
    for _ in range(50):
        if not os.fork():
            _sleep(folder, "fifty")
    while len(list(folder.iterdir())) < 7 + 8 + 50:
        time.sleep(0.005)
    (folder / "all").touch()
    if how == "hang":
        ctypes.PyDLL(None).sleep(600)  # with the interpreter's lock
    if how == "segfault":
        ctypes.string_at(0)
    if how == "raise":
        raise RuntimeError("with children")
    return {"how": how}


if __name__ == "__main__":
    serve(_execute)
