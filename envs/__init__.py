"""The environments: one folder each, with what a person wrote (`requirements.in`, `python-version`) and the lock."""
