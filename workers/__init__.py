"""The code that runs inside the environments.

The host imports four of its modules: `protocol`, `machine`, `process_facts` and `nvml`. These import no siblings, since
inside an environment the siblings are top-level modules.
"""
