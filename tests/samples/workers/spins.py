"""Has a thread that is busy for 30 ms after each call, without Python's lock, as those of thread pools are."""
import hashlib
import threading
import time

from harness import measure, serve

BYTES = bytes(200_000)
busy_until_s = [0.0]


def spin():
    while True:
        if time.monotonic() < busy_until_s[-1]:
            hashlib.sha256(BYTES)
        else:
            time.sleep(0.001)


def call():
    busy_until_s.append(time.monotonic() + 0.03)


def _execute(output_dir, onnx_file, outputs_file, iterations):
    threading.Thread(target=spin, daemon=True).start()
    facts = {"busy_until_s": busy_until_s}
    measure(call, outputs_file, iterations, outputs=lambda _: [], load_s=0.0, facts=facts)


if __name__ == "__main__":
    serve(_execute)
