"""Starts a worker script and reports how it ended: `python -I -B launch.py WORKER.py RUN_DIR`.

The whole contract:

    RUN_DIR/request.json     what to do; it exists once the host has sent "go"
    RUN_DIR/outputs.json     always written last: `"status": "ok"`, or `"status": "error"` with the exception.
                             If it's missing, the process was killed or crashed, or the disk is full: then its
                             content is sent as a message
    standard input           the control pipe from the host. The line "go" starts the work; if the pipe closes, the host
                             is gone, and the worker is killed with all that it started
    ISOBENCH_EVENTS          the number of a file descriptor for messages to the host, one JSON object per line. In a
                             container it is 1, standard output, because an engine passes no other; what the worker
                             prints is then written to RUN_DIR/worker.log from here
    ISOBENCH_RESOURCES       JSON: the CPUs, priority, memory and memory nodes to use, applied before anything is
                             imported (resource_limits.py)
    ISOBENCH_NETWORK         "loopback": take the network away; "none": there is none; else it stays open (network.py)
    ISOBENCH_TREE            a word that all processes of the worker inherit: the folder of their control group, if it
                             has one

This process forks the worker and stays as its keeper (keeper.py): it reports how the worker ended and ends what is left
of its tree. So a worker ends when its process does, whatever its children hold open.

Without ISOBENCH_EVENTS the worker is unsupervised and starts at once, so that it can be run manually.
"""

import contextlib
import faulthandler
import os
import sys
import time
import types

STARTED_NS = time.perf_counter_ns()

_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # of linux/prctl.h


def _supervise(run_dir: str) -> tuple[int, int, int]:
    """Take the control pipe from standard input and fork the worker, in which this returns: control, events, grouped.

    `grouped` is a pipe that ends once the worker is in its control group.
    """
    control = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a script that calls input() gets end-of-file, not the host's messages
    os.close(nothing)
    events = int(os.environ.pop("ISOBENCH_EVENTS"))
    if events == 1:
        events = os.dup(1)
        log = os.open(os.path.join(run_dir, "worker.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
    os.set_inheritable(events, False)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    parent = os.getpid()
    grouped, grouping = os.pipe()
    worker = os.fork()
    if worker:
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        import keeper

        os.close(grouped)
        os._exit(keeper.keep(worker, control, events, os.environ.get("ISOBENCH_TREE", ""), grouping))
    os.close(grouping)
    _prctl(_SET_PARENT_DEATH_SIGNAL, 9)
    if os.getppid() != parent:
        os._exit(128 + 9)
    return control, events, grouped


def _prctl(option: int, value: int) -> None:
    """Where Python was built without ctypes, the control group and the host must do."""
    with contextlib.suppress(ImportError):
        import ctypes  # numpy imports it, too

        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


_MOST_TEXT = 1 << 16
"""Characters of a message or a traceback that are reported; the log has all of it."""


def _failure(error: BaseException, harness: types.ModuleType) -> dict[str, str]:
    """The error for outputs.json: `kind` and `cause`, and of an exception its `type`, without isobench's own frames.

    `harness` is passed on because a user's script may have a module of that name.
    """
    import traceback

    import causes
    import protocol

    at = harness.current_stage()
    if isinstance(error, harness.Refused):
        texts = {name: getattr(error, name) for name in ("kind", "cause", "message", "hint", "traceback")}
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        lines = traceback.format_list(frames) + traceback.format_exception_only(error)
        left = f"the worker called sys.exit({error.code!r})" if isinstance(error, SystemExit) else ""
        kind, cause = causes.of(error, importing=at["phase"] == protocol.Phase.IMPORTING)
        texts = {
            "kind": kind,
            "cause": cause,
            "type": type(error).__name__,
            "message": left or str(error),
            "traceback": "".join(lines),
        }
    return {**at, **{name: str(text)[:_MOST_TEXT] for name, text in texts.items()}}


def _report(error: BaseException, harness: types.ModuleType) -> None:
    try:
        failure = _failure(error, harness)
    except Exception as another:  # noqa: BLE001 - the user's class may do anything when it is printed
        name, why = type(error).__name__, f"it can't be printed: {type(another).__name__}"
        failure = {"kind": "exception", "cause": name, "type": name, "message": why} | harness.current_stage()
    harness.fail(failure)
    with contextlib.suppress(AttributeError, ValueError, OSError):  # a script may have replaced or closed the stream
        print(failure.get("traceback") or failure["message"], file=sys.stderr)  # noqa: T201


def _limit_resources(requested: str) -> None:
    if not requested:
        return
    import json

    import harness
    import protocol
    import resource_limits

    try:
        resource_limits.apply(json.loads(requested))
    except OSError as error:
        what = f"can't set {resource_limits.describe(json.loads(requested))}: {error.strerror or error}"
        hint = "A priority below 0 and CPUs outside of the control group need privileges."
        raise harness.Refused(protocol.Ending.REFUSED, what, hint) from None


def main(worker: str, run_dir: str) -> int:
    """Run the worker script to its end and return the exit code."""
    control, events, grouped = _supervise(run_dir) if "ISOBENCH_EVENTS" in os.environ else (-1, -1, -1)
    faulthandler.enable()  # where in Python it was, if native code crashes
    # isobench's own modules precede those of a plugin, whose worker may have siblings, too.
    own, beside = (os.path.dirname(os.path.abspath(file)) for file in (__file__, worker))
    sys.path[:0] = [own] if own == beside else [own, beside]
    import harness
    import network
    import protocol

    harness.attach(run_dir, control=control, events=events, started_ns=STARTED_NS)
    sys.argv = [worker, run_dir]
    code = 0
    try:
        _limit_resources(os.environ.pop("ISOBENCH_RESOURCES", ""))
        network.prepare(os.environ.pop("ISOBENCH_NETWORK", ""))
        with open(worker, "rb") as file:
            source = file.read()
        if grouped >= 0:
            os.read(grouped, 1)  # what it starts from here on is in its group, too
            os.close(grouped)
        exec(compile(source, worker, "exec"), {"__name__": "__main__", "__file__": worker})  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - the host reports it, whatever it is
        code = 1
        if harness.forked():
            sys.excepthook(type(error), error, error.__traceback__)
        elif isinstance(error, SystemExit) and os.path.exists(os.path.join(run_dir, protocol.OUTPUTS_FILE)):
            code = error.code if isinstance(error.code, int) else int(bool(error.code))
        else:
            _report(error, harness)
    return code


if __name__ == "__main__":
    exit_code = main(sys.argv[1], sys.argv[2])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # a script may have replaced or closed it
            stream.flush()
    # Everything is on disk. Some native libraries crash or hang in their own tear-down.
    os._exit(exit_code)
