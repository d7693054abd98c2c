"""Records of what a Result says of the machine that it was measured on; None is what couldn't be read.

`provenance` gathers them. Members may be added, with a default, so that Results without them can still be read.
"""

from __future__ import annotations

from collections.abc import Mapping

from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class Cache:
    """One of a CPU's caches: its `size` as the kernel writes it ("32K")."""

    level: int
    type: str | None
    size: str | None


@record(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor. `max_mhz`, `now_mhz`, `caches` and `driver` are of one CPU, the first that is online.

    `smt` is "on" where two threads share a core; `turbo` whether it may exceed its nominal frequency.
    """

    model: str | None
    vendor: str | None
    family: str | None
    model_number: str | None
    stepping: str | None
    microcode: str | None
    flags: tuple[str, ...]
    logical_cores: int
    physical_cores: int
    sockets: int
    smt: str | None
    caches: tuple[Cache, ...]
    max_mhz: float | None
    now_mhz: float | None
    driver: str | None
    governors: tuple[str, ...]
    turbo: bool | None


@record(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of the machine; `limit_bytes` is what this process's control group allows, None: no limit."""

    total_bytes: int | None
    available_bytes: int | None
    swap_bytes: int | None
    limit_bytes: int | None


@record(frozen=True, slots=True, kw_only=True)
class Kernel:
    """As `uname` reports it."""

    release: str
    version: str
    machine: str


@record(frozen=True, slots=True, kw_only=True)
class Hypervisor:
    """Whether one runs below us, and what the (virtual) hardware says of its maker."""

    present: bool
    type: str | None
    vendor: str | None
    product: str | None


@record(frozen=True, slots=True, kw_only=True)
class Clock:
    """The clock that latencies are measured with: its resolution, and the cost of one reading, in seconds."""

    name: str
    source: str | None
    resolution_s: float
    cost_s: float


@record(frozen=True, slots=True, kw_only=True)
class Python:
    """An interpreter."""

    version: str
    executable: str


@record(frozen=True, slots=True, kw_only=True)
class Host:
    """This machine, and the process that is isobench.

    `affinity` are the CPUs that it may use, `cpu_quota` the CPUs' worth of time that its control group allows (None: no
    limit), `load_average` that of 1, 5 and 15 minutes, `environment` those variables that a Result may show.
    """

    hostname: str
    cpu: Cpu
    memory: Memory
    kernel: Kernel
    os: str | None
    glibc: str | None
    hypervisor: Hypervisor
    container: str | None
    affinity: tuple[int, ...]
    cpu_quota: float | None
    load_average: tuple[float, ...]
    transparent_hugepages: str | None
    address_space_randomization: int | None
    clock: Clock
    python: Python
    isobench: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@record(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """The job of a batch system that measured; "" and None are what it didn't say.

    `array_job_id` and `array_task` are those of a job array, `features` the node's, `exclusive`: no other job was
    allowed on the node. `others_at_begin` and `others_at_end` are the jobs that ran on the node beside it ("1234_5 (8
    CPUs)"), before and after the measurement; None where nobody asked.
    """

    system: str
    job_id: str
    array_job_id: str = ""
    array_task: str = ""
    cluster: str = ""
    node: str = ""
    partition: str = ""
    account: str = ""
    qos: str = ""
    features: tuple[str, ...] = ()
    exclusive: bool | None = None
    others_at_begin: tuple[str, ...] | None = None
    others_at_end: tuple[str, ...] | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """The jobs that were seen beside it."""
        return tuple(dict.fromkeys((*(self.others_at_begin or ()), *(self.others_at_end or ()))))


@record(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """The engine and the image that a worker ran in; `id` and `libc` are the image's."""

    engine: str
    version: str
    rootless: bool
    image: str
    id: str
    libc: str


@record(frozen=True, slots=True, kw_only=True)
class Git:
    """A checkout. `branch` is None where its head is detached, `dirty` where git wasn't or couldn't be asked."""

    commit: str | None
    branch: str | None
    dirty: bool | None
