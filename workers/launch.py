"""Starts a worker script and sees to it that its end is always told: `python -I -B launch.py WORKER.py RUN_DIR`.

The contract, whole:

    RUN_DIR/request.json     what to do; it is there once the host said "go"
    RUN_DIR/outputs.json     written last, always: `"status": "ok"`, or `"status": "error"` with the exception.
                             Where it is missing, the process was killed or crashed
    standard input           a pipe from the host. The line "go" starts the work; its end means that the host is gone,
                             and the whole process group is killed with it
    ISOBENCH_EVENTS          number of a file descriptor: one JSON object per line tells the host the stage of the work.
                             1 is standard output, where nothing else can be had (in a container); what the worker
                             prints then goes to RUN_DIR/worker.log from here
    ISOBENCH_RESOURCES       JSON: the CPUs, priority and memory nodes to use, applied before anything is imported
                             (resource_limits.py)

The first process of a container (pid 1) is not the worker but watches over it: the kernel ends a container with its
first process, and no signal from inside can end that one.

Without ISOBENCH_EVENTS nobody supervises: the worker starts at once, which is how one is tried by hand.
"""

import faulthandler
import os
import sys
import time

STARTED_NS = time.perf_counter_ns()


def _guard(control: int, alive: int) -> None:
    """Kill this process group once the host is gone: block until the other end of `control` is closed.

    A process of its own, because a worker may be busy in native code for minutes. `alive` ends with the worker.
    """
    import select
    import signal

    poll = select.poll()
    # No event is asked for: a hang-up is always told, and what the host writes stays for the worker to read.
    poll.register(control, 0)
    poll.register(alive, 0)
    if any(descriptor == control for descriptor, _ in poll.poll()):
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _watch(control: int, events: int) -> None:
    """As the first process of a container: start the worker, which is where this returns, and end when it ends.

    A signal that killed it is told as an event: what becomes of exit codes is the engine's affair. Once the host is
    gone, it ends at once, and so does everything else in the container.
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
    """Take the pipe from standard input, start the guard; return control, events, guard's pid and its lifeline."""
    control = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a script that calls input() gets the end of file, not the host's messages
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


def _failure(error: BaseException) -> dict[str, str]:
    """The error for outputs.json: `kind` of a refusal or `type` of an exception, without isobench's own frames."""
    import traceback

    import harness

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
    left = f"the worker left by itself with {error.code!r}" if isinstance(error, SystemExit) else ""
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
    # isobench's own workers go before those of a plugin, which may have siblings beside it.
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
    except BaseException as error:  # noqa: BLE001 - whatever it was, the host is told
        code = 1
        failure = _failure(error)
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
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything that counts is on disk. Native libraries have been seen to crash or hang in their own tear-down.
    os._exit(exit_code)
