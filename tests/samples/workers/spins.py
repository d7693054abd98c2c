"""Has a thread that is busy for 30 ms after each call, without the GIL, as those of thread pools are."""

import hashlib
import threading
import time

from harness import measure, serve

BYTES = bytes(200_000)
calls_s = [(0.0, 0.0)]


def spin():
    while True:
        if time.monotonic() < calls_s[-1][1]:
            hashlib.sha256(BYTES)
        else:
            time.sleep(0.001)


def call():
    time.sleep(0.001)
    now = time.monotonic()
    calls_s.append((now, now + 0.03))


def _execute(output_dir, onnx_file, outputs_file, iterations):
    threading.Thread(target=spin, daemon=True).start()
    facts = {"calls_s": calls_s}  # when each ended, and until when the thread was busy then
    measure(call, outputs_file, iterations, outputs=lambda _: [], load_s=0.0, facts=facts)


if __name__ == "__main__":
    serve(_execute)
