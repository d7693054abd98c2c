"""uv: the `venv` provider, the locks of the Python packages, and what uv's errors mean."""
