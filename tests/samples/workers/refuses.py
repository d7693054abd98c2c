from harness import Refused, serve


def _execute(**_):
    raise Refused("bad-argument", "colour is 'blue'", "It is one of red, green.", "script.py, line 3")


if __name__ == "__main__":
    serve(_execute)
