import resource

from harness import serve


def _execute(**_):
    resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
    bytearray(1 << 30)


if __name__ == "__main__":
    serve(_execute)
