"""Executors: they take a plan and return its Results. `local` measures on this machine, one Case after the other."""
