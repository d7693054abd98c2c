"""Messages to the host that aren't what harness.py sends."""

import json
import os
import time

import harness
from ways import each, way

READY = {"block_samples": 1, "block_s": 0.1, "group": 1, "resolution_s": 0.0}
BLOCK = {
    "samples": 1,
    "iterations": 1,
    "started_s": 0.0,
    "wall_s": 0.1,
    "cpu_own_s": 0.1,
    "cpu_others_s": 0.0,
    "steal_s": 0.0,
    "throttled_s": 0.0,
    "involuntary_switches": 0,
    "minor_faults": 0,
    "major_faults": 0,
}


def write(data):
    while data:
        data = data[os.write(harness._events, data) :]


def sends(value, *, then=time.sleep, raw=False):
    """A way that sends a message, and then waits for ever."""

    def does(_folder):
        write((value if raw else json.dumps(value).encode()) + b"\n")
        then(10**6)

    return does


def floods(data):
    """A way that writes the same for ever."""

    def does(_folder):
        while True:
            write(data)

    return does


def goes_on(_seconds):
    time.sleep(0.1)


def answers(*, ready=READY, **block):
    """A way that answers each request with a block that it never measured."""

    def does(_folder):
        write(json.dumps({"ready": ready}).encode() + b"\n")
        while True:
            request = json.loads(harness._line())
            made = {**BLOCK, "samples": request["samples"], "iterations": request["samples"], **block}
            write(json.dumps({"block": made}).encode() + b"\n")

    return does


each(
    "before",
    "protocol",
    says="ready",
    ready_number=sends({"ready": 5}),
    ready_null=sends({"ready": None}),
    ready_empty=sends({"ready": {}}),
    ready_list=sends({"ready": [1, 2]}),
    ready_wrong_types=sends({"ready": {**READY, "block_samples": "x", "block_s": None, "resolution_s": []}}),
    ready_zero=sends({"ready": {**READY, "block_samples": 0, "group": 0}}),
    ready_nan=sends({"ready": {**READY, "block_s": float("nan")}}),
    ready_infinite=sends({"ready": {**READY, "block_s": float("inf")}}),
    ready_negative=sends({"ready": {**READY, "resolution_s": -1.0}}),
    ready_wide=sends({"ready": {**READY, "block_samples": 10**40}}),
    ready_true=sends({"ready": {**READY, "group": True}}),
)
each(
    "before",
    "protocol",
    says="block",
    block_no_time=answers(wall_s=0.0),
    block_hardly_any_time=answers(wall_s=1e-300),
    block_nan=answers(wall_s=float("nan")),
    block_infinite=answers(wall_s=float("inf")),
    block_negative=answers(wall_s=-1.0),
    block_text=answers(wall_s="long"),
    block_no_samples=answers(samples=0, iterations=0),
    block_fewer_samples=answers(samples=1, iterations=1, ready={**READY, "block_samples": 5}),
    block_negative_samples=answers(samples=-5),
    block_float_samples=answers(samples=3.5),
    block_no_iterations=answers(iterations=0),
    block_gpu=answers(gpu={"a": 1}),
    block_gpu_text=answers(gpu="H100"),
    block_deep=answers(gpu=json.loads("[" * 500 + "]" * 500)),
)


@way("before", "protocol", "timeout", says="doesn't read|--timeout")
def blocks_unasked(_folder):
    write(json.dumps({"ready": {**READY, "block_samples": 20}}).encode() + b"\n")
    line = json.dumps({"block": {**BLOCK, "samples": 20, "iterations": 20}}).encode() + b"\n"
    while True:
        write(line * 100)


each(
    "before",
    "ok",
    garbage=sends(bytes(range(256)) * 80, then=goes_on, raw=True),
    other_json=sends(b'[1,2]\n"a"\nnull\n5', then=goes_on, raw=True),
    no_utf8=sends(b'{"phase": "\xff\xfe"}', then=goes_on, raw=True),
    deep=sends(b"[" * 60_000, then=goes_on, raw=True),
    deep_object=sends(b'{"a":' * 5000 + b"1" + b"}" * 5000, then=goes_on, raw=True),
    deep_detail=sends({"phase": "loading", "detail": json.loads("[" * 400 + "]" * 400)}, then=goes_on),
    wide_number=sends(b'{"phase": ' + b"9" * 10_000 + b"}", then=goes_on, raw=True),
    phase_object=sends({"phase": {"a": [1]}}, then=goes_on),
    phase_unknown=sends({"phase": "dancing", "detail": "alone"}, then=goes_on),
    detail_ansi=sends({"phase": "loading", "detail": "\x1b]0;PWNED\x07\x1b[2Jcleared\nsecond line"}, then=goes_on),
    detail_surrogate=sends(b'{"phase": "loading", "detail": "\\ud800"}', then=goes_on, raw=True),
    detail_long=sends({"phase": "loading", "detail": "y" * 900_000}, then=goes_on),
    no_name=sends({"": 1}, then=goes_on),
    killed_by_text=sends({"killed_by": "x"}, then=goes_on),
    ended_text=sends({"ended": "x"}, then=goes_on),
    ended_list=sends({"ended": {"status": [1]}}, then=goes_on),
    outputs_number=sends({"outputs": 5}, then=goes_on),
)


@way("before", "ok")
def half_a_line(_folder):
    write(b'{"phase": "load')


@way("before", "crash", says="SIGSEGV")
def half_a_line_and_segfault(_folder):
    import ctypes

    write(b'{"phase": "load')
    ctypes.string_at(0)


each(
    "before",
    "protocol",
    says="1,048,576 bytes",
    line_without_end=floods(b"z" * 65536),
    line_of_50_megabytes=sends({"phase": "loading", "detail": "y" * 50_000_000}),
)
each(
    "before",
    "timeout",
    says="--timeout",
    flood_of_phases=floods(b'{"phase": "loading", "detail": "spam"}\n' * 1700),
    flood_of_garbage=floods(b"{\n" * 32768),
    flood_of_empty_lines=floods(b"\n" * 65536),
)


@way("before", "exception", "protocol")
def closes_events(_folder):
    os.close(harness._events)


@way("before", "exception", "protocol", "timeout")
def closes_control(_folder):
    os.close(harness._control)
