"""The supervisor: starts one worker process, requests blocks of samples from it, and reads what it wrote."""
