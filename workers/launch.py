"""Starts a worker script and reports how it ended: `python -I -B launch.py WORKER.py RUN_DIR`.

The whole contract:

    RUN_DIR/request.json     what to do; it exists once the host has sent "go"
    RUN_DIR/outputs.json     always written last: `"status": "ok"`, or `"status": "error"` with the exception.
                             If it's missing, the process was killed or crashed
    standard input           the control pipe from the host. The line "go" starts the work; if the pipe closes, the host
                             is gone, and the whole process group is killed
    ISOBENCH_EVENTS          the number of a file descriptor for messages to the host, one JSON object per line. In a
                             container it is 1, standard output, because an engine passes no other; what the worker
                             prints is then written to RUN_DIR/worker.log from here
    ISOBENCH_RESOURCES       JSON: the CPUs, priority and memory nodes to use, applied before anything is imported
                             (resource_limits.py)

In a container, the first process (pid 1) isn't the worker, but supervises it: the kernel ends a container with its
first process, which no signal from inside can end.

Without ISOBENCH_EVENTS the worker is unsupervised and starts at once, so that it can be run manually.
"""

import contextlib
import faulthandler
import os
import sys
import time
import types

STARTED_NS = time.perf_counter_ns()


def _guard(control: int, alive: int) -> None:
    """Sleep until the host closes the control pipe, then kill this process group.

    In a separate process, because a worker may be busy in native code for minutes. `alive` closes when the worker ends.
    """
    import select
    import signal

    poll = select.poll()
    # No events are requested: a hang-up is always reported, and what the host writes is left for the worker to read.
    poll.register(control, 0)
    poll.register(alive, 0)
    if any(descriptor == control for descriptor, _ in poll.poll()):
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _watch(control: int, events: int) -> None:
    """In the first process of a container: fork the worker, in which this returns, and end when it ends.

    A signal that killed the worker is reported as an event, because engines change exit codes. If the host is gone, the
    process ends at once, and with it everything else in the container.
    """
    import select
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    worker = os.fork()
    if worker == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        return

    def collect(*_: object) -> None:
        pid = -1
        while pid:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == worker and os.WIFSIGNALED(status):
                os.write(events, b'{"killed_by": %d}\n' % os.WTERMSIG(status))
                os._exit(128 + os.WTERMSIG(status))
            if pid == worker:
                os._exit(os.WEXITSTATUS(status))

    signal.signal(signal.SIGCHLD, collect)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    poll = select.poll()
    poll.register(control, 0)
    poll.poll()
    os._exit(128 + signal.SIGKILL)


def _supervise(run_dir: str) -> tuple[int, int, int, int]:
    """Take the control pipe from standard input and start the guard; return control, events, guard's pid, lifeline."""
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
    if os.getpid() == 1:
        _watch(control, events)
        return control, events, 0, -1
    alive, lifeline = os.pipe()
    guard = os.fork()
    if guard == 0:
        os.close(lifeline)
        _guard(control, alive)
    os.close(alive)
    return control, events, guard, lifeline


def _failure(error: BaseException, harness: types.ModuleType) -> dict[str, str]:
    """The error for outputs.json: `kind` of a refusal or `type` of an exception, without isobench's own frames.

    `harness` is passed on because a user's script may have a module of that name.
    """
    import traceback

    if isinstance(error, harness.Refused):
        return {
            "kind": error.kind,
            "message": error.message,
            "hint": error.hint,
            "traceback": error.traceback,
            **harness.current_stage(),
        }
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    left = f"the worker called sys.exit({error.code!r})" if isinstance(error, SystemExit) else ""
    return {
        "type": type(error).__name__,
        "message": left or str(error),
        "hint": "",
        "traceback": "".join(lines),
        **harness.current_stage(),
    }


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
        raise harness.Refused(protocol.FailureKind.REFUSED, what, hint) from None


def main(worker: str, run_dir: str) -> int:
    """Run the worker script to its end and return the exit code."""
    faulthandler.enable()  # where in Python it was, if native code crashes
    guard, lifeline, control, events = 0, -1, -1, -1
    if "ISOBENCH_EVENTS" in os.environ:
        control, events, guard, lifeline = _supervise(run_dir)
    # isobench's own modules precede those of a plugin, whose worker may have siblings, too.
    own, beside = (os.path.dirname(os.path.abspath(file)) for file in (__file__, worker))
    sys.path[:0] = [own] if own == beside else [own, beside]
    import harness
    import protocol

    harness.attach(run_dir, control=control, events=events, started_ns=STARTED_NS)
    sys.argv = [worker, run_dir]
    code = 0
    try:
        _limit_resources(os.environ.pop("ISOBENCH_RESOURCES", ""))
        with open(worker, "rb") as file:
            source = file.read()
        exec(compile(source, worker, "exec"), {"__name__": "__main__", "__file__": worker})  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - the host reports it, whatever it is
        code = 1
        failure = _failure(error, harness)
        print(failure["traceback"] or failure["message"], file=sys.stderr)  # noqa: T201
        protocol.write_json(
            os.path.join(run_dir, protocol.OUTPUTS_FILE),
            {"schema": protocol.OUTPUTS_SCHEMA, "status": "error", "error": failure},
        )
    if guard:
        os.close(lifeline)
        os.waitpid(guard, 0)
    return code


if __name__ == "__main__":
    exit_code = main(sys.argv[1], sys.argv[2])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # a script may have replaced or closed it
            stream.flush()
    # Everything is on disk. Some native libraries crash or hang in their own tear-down.
    os._exit(exit_code)
