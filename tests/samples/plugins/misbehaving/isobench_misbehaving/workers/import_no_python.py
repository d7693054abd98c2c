compile(b"\xff\xfe not python", "a_worker.py", "exec")
