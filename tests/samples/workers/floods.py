import sys

from harness import serve


def _execute(**_):
    for _ in range(20_000):
        sys.stdout.write("x" * 999 + "\n")
    print("the end of the flood")
    raise ValueError("drowned")


if __name__ == "__main__":
    serve(_execute)
