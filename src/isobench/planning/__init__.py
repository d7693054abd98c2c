"""Planning: what one call asks for, as records that can be checked, saved and sent before anything runs."""
