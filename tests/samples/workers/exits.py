import sys

from harness import serve


def _execute(**_):
    sys.exit("enough")


if __name__ == "__main__":
    serve(_execute)
