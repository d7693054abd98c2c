"""The supervisor: starts one worker process, watches it, asks it for blocks of samples, and reads what it wrote."""
