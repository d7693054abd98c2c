"""Environments whose interpreter and native libraries come from a container image, with podman or docker.

    provider    the `container` provider
    images      which image: `container.toml`, or the one configured for all; by digest, never by tag
    installing  the image is pulled and inspected, the locked Python packages are installed for its interpreter
    engine      podman or docker: which of them is available, and how it is called
    running     one container: what it sees of the machine, and how it ends

The Python packages lie on the host, in the environment's folder, as those of any other environment do: locked by hash,
compared before each measurement. A container sees that folder at the same path, read-only.
"""
