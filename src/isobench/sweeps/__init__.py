"""Sweeps: a suite at work, in a folder of its own. `task`: what is measured at once; `folder`: what lies on disk."""
