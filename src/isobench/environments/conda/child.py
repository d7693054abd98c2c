"""The child process: `python -P -B -m isobench.environments.conda.child DESCRIPTOR`. Its contract, whole:

    standard input   one JSON object: `action`, `patience_s`, and what the action takes
    DESCRIPTOR       number of a pipe; one JSON object per line: {"stage": text} or {} (a sign of life) at any time, and
                     last {"answer": object} or {"error": {"kind": name of the exception, "message": text}}.
                     Without either, the process has crashed
    output, error    what the libraries print; a log for people

It exits by `os._exit`: rattler's threads have crashed an interpreter during its finalization, and after an exception
they go on writing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from isobench.environments.conda.events import EventWriter


def answer(request: Mapping[str, Any], events: EventWriter) -> dict[str, Any]:
    """Perform the requested action, and return its answer."""
    action = request["action"]
    if action == "lock":
        from isobench.environments.conda import solving

        return solving.lock(request, events)
    if action == "read-spec":
        from isobench.environments.conda import solving

        return solving.read_spec(request)
    if action == "install":
        from isobench.environments.conda import installing

        return _run(installing.install(request, events))
    if action == "probe":
        from isobench.environments.conda import channels

        return _run(channels.probe(request))
    raise ValueError(f"unknown action {action!r}")


def _run(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    # Not `asyncio.run`, which would wait at its end for rattler's threads.
    return asyncio.new_event_loop().run_until_complete(work)


def main() -> None:
    """Read the request, answer it, and exit."""
    events = EventWriter(int(sys.argv[1]))
    try:
        events.write(answer=answer(json.load(sys.stdin), events))
        code = 0
    except BaseException as error:  # noqa: BLE001 - a panic in rattler is a BaseException; each is reported
        import traceback

        with suppress(OSError):  # the log may be on the disk that is full
            traceback.print_exc()
            sys.stderr.flush()
        events.write(error={"kind": type(error).__name__, "message": str(error)})
        code = 1
    os._exit(code)


if __name__ == "__main__":
    main()
