"""A noisy neighbour: uses every CPU for a while and sleeps for a while, until it is killed.

    python benchmarks/neighbour.py        # or, from another benchmark: with neighbour.noise(): ...

It is busy half of the time, in seeded random stretches of 0.2 to 2 s.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SHORTEST_S, LONGEST_S = 0.2, 2.0


@contextmanager
def noise() -> Iterator[None]:
    """Run the neighbour."""
    process = subprocess.Popen([sys.executable, __file__], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main(seed: int = 0) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    for cpu in cpus[1:]:
        if os.fork() == 0:
            os.sched_setaffinity(0, {cpu})
            break
    else:
        os.sched_setaffinity(0, {cpus[0]})
    generator = random.Random(seed)  # the same on every CPU, so that all are busy together
    until = time.monotonic()
    while True:
        until += generator.uniform(SHORTEST_S, LONGEST_S)
        while time.monotonic() < until:
            pass
        until += generator.uniform(SHORTEST_S, LONGEST_S)
        time.sleep(max(0.0, until - time.monotonic()))


if __name__ == "__main__":
    main()
