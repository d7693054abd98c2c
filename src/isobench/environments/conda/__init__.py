"""The `conda` provider: real conda environments without a conda executable; rattler (py-rattler) does conda's work.

provider    the provider: rattler installs the conda packages, then uv the Python packages
locking     `conda-lock.yml` is created, updated and checked
engine      the host's side: asks a child process, and supervises it
child       the child process, in which rattler and conda-lock are loaded; the host imports neither
    channels    rattler's configuration, virtual packages; does a channel answer?
    installing  lock -> prefix
    solving     environment.yml -> conda-lock.yml
    events      the child's messages to the host
errors      what rattler's errors mean, and what to do about each
meta        conda's records of the packages and files in a prefix
activation  the variables that `conda activate` would set
"""
