"""What runs inside the environments. The host imports `protocol` and `machine`, and nothing else of it."""
