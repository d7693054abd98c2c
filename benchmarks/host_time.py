"""The CPU time of isobench's host process while a worker measures for 10 s, with the progress display on.

`isobench run` gets a pseudo-terminal, so that it displays its progress. Its CPU time is read from /proc when it shows
"measuring" and again when it shows "writing".
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import tempfile
import time
from pathlib import Path

import common
import models

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--model", choices=list(models.MODELS), default="conv-net")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="isobench-host-") as temporary:
        model = models.save(options.model, Path(temporary))
        command = [
            common.isobench_command(),
            "run",
            "-r",
            "ort",
            "--threads",
            "1",
            "--min-time",
            str(options.seconds),
            "--max-time",
            str(options.seconds),
            "--output",
            f"{temporary}/results",
            str(model),
        ]
        subprocess.run(command, capture_output=True, check=True)  # everything warm
        host, terminal = pty.openpty()
        process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        at = {word: _wait_for(word, host, process.pid) for word in ("measuring", "writing")}
        _drain(host)
        process.wait()
    wall_s, cpu_s, switches = (after - before for before, after in zip(at["measuring"], at["writing"], strict=True))
    print(f"{options.model}: while {wall_s:.1f} s were measured, the host used {cpu_s * 1e3:.0f} ms of CPU time")
    print(f"({cpu_s / wall_s:.2%} of one core; it woke up {switches:.0f} times)")
    common.report("host-time", {"model": options.model, "wall_s": wall_s, "cpu_s": cpu_s, "wake_ups": switches})


def _wait_for(word: str, descriptor: int, pid: int) -> tuple[float, float, float]:
    """Read until the word is shown; return the time, the host's CPU time and how often it has slept so far."""
    shown = b""
    while word.encode() not in shown:
        shown = shown[-100:] + os.read(descriptor, 65536)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    slept = int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return time.monotonic(), (int(fields[11]) + int(fields[12])) / TICKS_PER_S, slept


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:  # the other end is closed
        pass


if __name__ == "__main__":
    main()
