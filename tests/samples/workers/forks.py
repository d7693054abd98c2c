"""Measures, and forks children that go on in its code: one in an inference, one that raises an exception."""

import os
import time

from harness import measure, serve

calls = 0


def _call():
    global calls
    calls += 1
    if calls % 2:
        os.fork()
    time.sleep(0.01)
    return calls


def _execute(outputs_file, iterations, **_):
    parent = os.getpid()
    if not os.fork():
        raise ValueError("in a child")
    measure(_call, outputs_file, iterations, outputs=lambda value: [], load_s=0.0, facts={"parent": parent})


if __name__ == "__main__":
    serve(_execute)
