"""Has a thread that is busy for 30 ms after each call, as thread pools are."""
import threading
import time

from harness import measure, serve

until = 0.0


def spin():
    while True:
        if time.monotonic() < until:
            sum(range(100))
        else:
            time.sleep(0.001)


def call():
    global until
    until = time.monotonic() + 0.03


def _execute(output_dir, onnx_file, outputs_file, iterations):
    threading.Thread(target=spin, daemon=True).start()
    measure(call, outputs_file, iterations, outputs=lambda _: [], load_s=0.0)


if __name__ == "__main__":
    serve(_execute)
