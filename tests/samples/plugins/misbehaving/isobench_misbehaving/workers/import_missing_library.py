import ctypes

ctypes.CDLL("libnothing-of-the-kind.so.9")
