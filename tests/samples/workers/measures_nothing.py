from harness import serve


def _execute(**_):
    pass


if __name__ == "__main__":
    serve(_execute)
