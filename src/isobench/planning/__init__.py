"""Planning: the models, runtimes and settings of one call, as records that are checked before anything runs."""
