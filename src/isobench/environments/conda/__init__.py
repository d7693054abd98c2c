"""The `conda` provider: real conda environments, without a conda executable. rattler (py-rattler) does conda's work.

engine      the host's side: asks a child process, watches over it
child       the child process, where rattler and conda-lock live; the host imports neither
installing  (in the child) lock -> prefix
locking     (in the child) environment.yml -> conda-lock.yml
channels    (in the child) rattler's configuration, virtual packages; does a channel answer?
complaints  what rattler's failures mean, and what to do about each
provider    the provider: the child's install, then uv's Python layer
meta        what conda's records in a prefix say of its files
locks       `isobench env lock`: both layers
"""
