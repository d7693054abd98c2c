"""Environments whose interpreter and native libraries come from a container image, by podman or docker.

    images      which image: `container.toml`, or the one that is set up for all; by digest, never by tag
    engine      podman or docker: what is there, how it's asked
    provider    the `container` provider: the image pulled and looked at, the locked Python packages laid down for it
    running     one container: what it sees of the machine, and its end

The Python packages lie on the host, in the environment's folder, as those of any other environment do: locked by hash,
compared before each measurement. A container sees that folder at the same path, read-only.
"""
