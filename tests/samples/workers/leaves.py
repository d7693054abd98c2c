import os

from harness import serve


def _execute(**_):
    os._exit(3)


if __name__ == "__main__":
    serve(_execute)
