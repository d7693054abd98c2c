"""What runs inside the environments. Only `protocol` is ever imported by the host."""
