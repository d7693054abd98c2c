"""How values of inputs are chosen: by the operators that consume them, and by name."""
