"""The nodes that a sweep may use, by its options."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable

from isobench.errors import UsageError
from isobench.executors.slurm.options import Options
from isobench.system import devices, slurm


class Nodes:
    """What the options leave of the cluster."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def allowed(self) -> list[slurm.Node]:
        """The nodes of the partition that have the features, are listed and aren't excluded; also those that are down.

        A constraint of more than one feature is left to Slurm.

        Raises:
            UsageError: the partition or a listed node is unknown, or no node is left.
            SlurmUnreachableError: scontrol failed.
        """
        options = self._options
        partition = self._partition()
        found = [node for node in slurm.nodes() if partition in node.partitions or not node.partitions]
        if options.nodelist:
            listed = self._known(options.nodelist, "nodelist", found)
            found = [node for node in found if node.name in listed]
        if options.exclude:
            excluded = set(slurm.expanded(options.exclude))
            found = [node for node in found if node.name not in excluded]
        if re.fullmatch(r"[\w.-]+", options.constraint):
            having = [node for node in found if options.constraint in node.features]
            if found and not having:
                known = sorted({feature for node in found for feature in node.features})
                raise UsageError(
                    f"no node of partition {partition} has the feature {options.constraint!r}",
                    hint=f"Features: {', '.join(known) or 'none'}",
                )
            found = having
        if not found:
            raise UsageError(f"no node of partition {partition} is left", hint="Check nodelist and exclude: sinfo -N")
        return found

    def architectures(self) -> tuple[str, ...]:
        """The architectures of the nodes, the most frequent first; none where no node has ever registered.

        One whose nodes are all down is left out, unless all are.
        """
        found = [node for node in self.allowed() if node.architecture]
        usable = [node.architecture for node in found if node.is_usable]
        counted = Counter(usable or [node.architecture for node in found])
        return tuple(sorted(counted, key=lambda name: (-counted[name], name)))

    def excluded(
        self, avoided: Iterable[str] = (), *, device: str = "", architectures: Collection[str] = ()
    ) -> tuple[str, ...]:
        """The nodes that a job for `device` must not use: of other architectures, too, if any are given.

        `avoided` may be used if there are no others. Nodes that have never registered may have any architecture.
        """

        def fits(node: slurm.Node) -> bool:
            unknown = node.architecture == ""
            given = not architectures or node.architecture in architectures
            return unknown or (given and devices.may_be_of(device, node.architecture))

        options = self._options
        never: tuple[str, ...] = tuple(slurm.expanded(options.exclude)) if options.exclude else ()
        possible = self.allowed()
        allowed = [node for node in possible if fits(node)]
        never += tuple(node.name for node in possible if not fits(node))
        if options.nodelist:
            partition = self._partition()
            names = {node.name for node in possible}
            never += tuple(
                node.name for node in slurm.nodes() if partition in node.partitions and node.name not in names
            )
        avoided = set(avoided) - set(never)
        if any(node.is_usable and node.name not in avoided for node in allowed):
            never += tuple(avoided)
        return tuple(sorted(set(never)))

    def _partition(self) -> str:
        known = slurm.partitions()
        if not self._options.partition and known:
            return known[0]
        # Several partitions, "short,long", are Slurm's choice; the first stands for them.
        wanted = self._options.partition.partition(",")[0]
        if wanted not in known:
            from isobench.system.names import did_you_mean

            raise UsageError(
                f"Slurm has no partition {wanted!r}{did_you_mean(wanted, known)}",
                hint=f"Partitions: {', '.join(known) or 'none'}",
            )
        return wanted

    def _known(self, text: str, option: str, nodes: Iterable[slurm.Node]) -> set[str]:
        listed = set(slurm.expanded(text))
        unknown = sorted(listed - {node.name for node in nodes})
        if unknown:
            raise UsageError(
                f"--slurm {option}: {self._partition()} has no node {', '.join(unknown)}", hint="List them: sinfo -N"
            )
        return listed
