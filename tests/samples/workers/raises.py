from harness import serve, stage


def _execute(**_):
    stage("thinking")
    raise RuntimeError("no such operator: Frobnicate")


if __name__ == "__main__":
    serve(_execute)
