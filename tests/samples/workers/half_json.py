import os

from harness import serve


def _execute(outputs_file, **_):
    with open(outputs_file, "w") as file:
        file.write('{"schema": "isobench.outputs/1", "stat')
        file.flush()
        os._exit(0)


if __name__ == "__main__":
    serve(_execute)
