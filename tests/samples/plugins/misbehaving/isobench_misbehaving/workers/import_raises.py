raise RuntimeError("bad import")
