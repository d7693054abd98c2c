"""Executors measure plans: `base` is their protocol, `local` measures on this machine."""
