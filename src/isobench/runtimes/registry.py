"""The installed runtimes: what plugins provide under `runtimes` of their `implements`.

implements = {"runtimes": {NAME: {
    "supported_devices": {"x86"},    # families, or family -> part -> [configs]; the first of each is the default
    "build_required": True,          # needs the ONNX file; False: the script's module and inputs are enough
    "docker_required": False,        # its worker always runs in a container, whichever provider is requested
    "RuntimeClass": MyRT,            # a class derived from BaseRT
    "requirement_check": check,      # optional: called before each benchmark, raises if something is missing
    "status_stats": ["my_figure"],   # optional: those of its stats that are shown with the latency
    "default_sequence": Sequence(...),    # optional: the tools that `isobench run` applies to a model first
}}}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from isobench import plugins
from isobench.errors import IsobenchError, ProvisionError, UsageError, WorkerError, in_words, pass_interrupt
from isobench.failures import Ending
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.record import record
from isobench.system import devices
from isobench.system.devices import Device

if TYPE_CHECKING:
    from isobench.environments import Environment
    from isobench.planning.models import Model
    from isobench.runtimes.base import BaseRT

KEYS = (
    "supported_devices",
    "build_required",
    "docker_required",
    "RuntimeClass",
    "default_sequence",
    "status_stats",
    "requirement_check",
)


@runtime_checkable
class PreparingSequence(Protocol):
    """The interface of a runtime's `default_sequence`, which `isobench.tools.Sequence`, a layer above, implements."""

    def check(self, model: Model) -> None:
        """Raise a UsageError for a model that these tools don't fit."""

    def preparing(self, model: Model) -> PreparingSequence:
        """The tools that prepare the model for measuring."""


@record(frozen=True, slots=True, kw_only=True)
class Entry:
    """A registered runtime; `devices` are those that it supports: family -> part -> configs, in order.

    `default_sequence` prepares a model before it is measured; None: the usual one. `device`, `cls` and `choice` are set
    by `get`: the device that it was looked up for, the class for that device, and what the user chose.
    `environment_override` replaces the runtime's own environment (`ort@mine`), and `environment` is the ready one,
    where the override names a folder.
    """

    name: str
    plugin: str
    cls: type[BaseRT]
    devices: Mapping[str, Mapping[str, tuple[str, ...]]]
    build_required: bool
    docker_required: bool
    requirement_check: Callable[[], object] | None
    status_stats: tuple[str, ...]
    default_sequence: PreparingSequence | None = None
    device: Device | None = None
    choice: RuntimeChoice | None = None
    environment_override: str = ""
    environment: Environment | None = None

    @property
    def first_family(self) -> str:
        return next(iter(self.devices))

    def supports(self, device: Device) -> bool:
        return device.family in self.devices

    @property
    def label(self) -> str:
        """What the user typed for it, arguments included; its name where it is only listed."""
        return str(self.choice) if self.choice else self.name

    def make(self, rt_args: Mapping[str, Any]) -> BaseRT:
        """The runtime with `rt_args`; the arguments of the user's choice take precedence.

        Text is converted to the types of the annotations.

        Raises:
            UsageError: an argument is unknown, of the wrong type, or missing; the hint lists all of them.
        """
        from isobench.runtimes.keywords import bind

        own = self.choice.arguments if self.choice else {}
        return self.cls(**bind(self.cls, {**rt_args, **own}, who=self.name))

    def custom_op_library(self, rt_args: Mapping[str, Any]) -> Path | None:
        """The library of operators that its arguments name: the expected outputs of an `.onnx` file need it, too."""
        from isobench.runtimes import custom_ops

        return custom_ops.library_of(self.make(rt_args).rt_args)

    def within(self, name: str) -> Entry:
        """The same runtime in another environment: a spec or a ready environment's folder of that name.

        Raises:
            UsageError: the environment is unknown, or the runtime has none.
        """
        from isobench import environments

        if not self.cls.environment:
            raise UsageError(f"{self.name} has no environment that {name!r} could replace", hint=f"Use -r {self.name}.")
        ready = environments.in_folder(name)
        environment = ready.name if ready else environments.spec(name).name
        own = {"environment": environment, "__module__": self.cls.__module__, "__doc__": self.cls.__doc__}
        return replace(
            self,
            name=f"{self.name}@{name}",
            cls=type(self.cls.__name__, (self.cls,), own),
            environment_override=name,
            environment=ready,
        )

    def check_package(self, environment: Environment) -> None:
        """Refuse an environment that the user chose and that lacks the runtime's package.

        Raises:
            ProvisionError: neither the package nor a variant of it is installed; or it must be a container, and isn't.
        """
        if self.docker_required and not environment.image:
            raise ProvisionError(
                f"{self.name} runs only in a container, but {environment.folder.name} was installed by the provider"
                f" {environment.provider}",
                hint=f"isobench env create {environment.name} --provider container",
            )
        names = [name for name in (self.cls.package, *self.cls.variants) if name]
        if self.environment_override and names and not environment.version_of(*names):
            raise ProvisionError(
                f"{self.name} can't run: the environment {self.environment_override} contains no {' or '.join(names)}",
                hint=f"See isobench env list; -r {self.name.partition('@')[0]} uses the runtime's own environment.",
            )

    def require(self) -> None:
        """Check what the runtime needs.

        Raises:
            WorkerError: the check of the class, or the plugin's `requirement_check`, failed.
        """
        try:
            self.cls.require()
            if self.requirement_check is not None:
                self.requirement_check()
        except IsobenchError:
            raise
        except BaseException as error:  # noqa: BLE001 - a check may raise anything; its message is for the user
            pass_interrupt(error)
            reason = in_words(error) or type(error).__name__
            raise WorkerError(f"{self.name} isn't available: {reason}", kind=Ending.REQUIREMENT, refused=True) from None


def device(text: str) -> Device:
    """The device that the user typed.

    Raises:
        UsageError: its form or family is unknown, or it isn't this machine's processor.
    """
    found = Device.parse(text, families=families())
    devices.check_machine(found)
    return found


def get(chosen: RuntimeChoice | str, device: Device) -> Entry:
    """The runtime that the user chose, as it is on `device`; its first part and config where the device names none.

    Raises:
        UsageError: the runtime is unknown, ambiguous or doesn't support the device, or its environment is unknown.
    """
    choice = RuntimeChoice.parse(chosen) if isinstance(chosen, str) else chosen
    name = choice.name
    known = _by_name()
    if name not in known:
        from isobench.system.names import did_you_mean

        broken = [f"{plugin.name} ({plugin.error})" for plugin in plugins.loaded("runtimes") if plugin.error]
        more = f" Failed to load: {', '.join(broken)}; see isobench plugins." if broken else ""
        raise UsageError(
            f"unknown runtime {name!r}{did_you_mean(name, known)}", hint=f"Installed: {', '.join(sorted(known))}.{more}"
        )
    if len(known[name]) > 1:
        origins = " and ".join(entry.plugin for entry in known[name])
        raise UsageError(f"two plugins provide a runtime {name!r}: {origins}", hint="Uninstall one of them.")
    [entry] = known[name]
    if not entry.supports(device):
        others = [other for other, entries in known.items() if any(one.supports(device) for one in entries)]
        raise UsageError(
            f"{name} doesn't support {device}, only {', '.join(entry.devices)}",
            hint=f"Runtimes for {device}: {', '.join(sorted(others)) or 'none'}.",
        )
    settled = _settled(entry, device)
    found = replace(entry, device=settled, cls=entry.cls.on(settled), choice=choice)
    return found.within(choice.environment) if choice.environment else found


def default(device: Device) -> str:
    """The default runtime of a device: of those that list its family first, the first registered.

    Raises:
        UsageError: no runtime supports it.
    """
    able = [entry for entries in _by_name().values() for entry in entries if entry.supports(device)]
    if not able:
        raise UsageError(
            f"no installed runtime supports {device}",
            hint=f"Supported devices: {', '.join(_supported())}. See isobench benchmark -h.",
        )
    return next((entry.name for entry in able if entry.first_family == device.family), able[0].name)


def families() -> tuple[str, ...]:
    """The families of devices: isobench's own, and those that plugins' runtimes support."""
    return tuple(dict.fromkeys((*devices.FAMILIES, *_supported())))


def runtimes() -> dict[str, Entry]:
    """Every usable runtime by its name, in the order of registration."""
    return {name: entries[0] for name, entries in _by_name().items() if len(entries) == 1}


def read(plugin: plugins.Plugin) -> tuple[list[Entry], list[str]]:
    """The runtimes of a plugin, and the errors of those that are described wrongly."""
    entries, errors = [], []
    described = plugin.implements.get("runtimes", {})
    if not isinstance(described, Mapping):
        return [], [f"'runtimes' must be a dict, got {type(described).__name__}"]
    for name, description in described.items():
        try:
            entries.append(_entry(str(name), description, plugin))
        except (TypeError, ValueError) as error:
            errors.append(f"the runtime {name!r}: {error}")
    return entries, errors


def forget() -> None:
    """Read again what is installed, at the next use."""
    plugins.forget()
    _by_name.cache_clear()


@cache
def _by_name() -> dict[str, list[Entry]]:
    known: dict[str, list[Entry]] = {}
    for plugin in plugins.loaded("runtimes"):
        for entry in read(plugin)[0]:
            known.setdefault(entry.name, []).append(entry)
    return known


def _supported() -> Iterable[str]:
    return dict.fromkeys(family for entries in _by_name().values() for entry in entries for family in entry.devices)


def _entry(name: str, description: Any, plugin: plugins.Plugin) -> Entry:
    if not isinstance(description, Mapping):
        raise TypeError(f"the description must be a dict, got {type(description).__name__}")
    unknown = [str(key) for key in description if key not in KEYS]
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; the keys are {', '.join(KEYS)}")
    check = description.get("requirement_check")
    if check is not None and not callable(check):
        raise TypeError(f"requirement_check must be callable, got {type(check).__name__}")
    cls = _runtime_class(description.get("RuntimeClass"))
    if description.get("docker_required") and not _has_worker(cls):
        raise TypeError(
            f"docker_required needs a WorkerRT: {cls.__qualname__} has no worker that could run in a container"
        )
    return Entry(
        name=name,
        plugin=plugin.module,
        cls=cls,
        devices=_devices(description.get("supported_devices")),
        build_required=bool(description.get("build_required", True)),
        docker_required=bool(description.get("docker_required", False)),
        requirement_check=check,
        status_stats=_names(description.get("status_stats", ())),
        default_sequence=_sequence(description.get("default_sequence")),
    )


def _has_worker(cls: type[BaseRT]) -> bool:
    from isobench.runtimes.worker_rt import WorkerRT

    return issubclass(cls, WorkerRT)


def _names(given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"status_stats must be a list of names, got {given!r}")
    return tuple(map(str, given))


def _sequence(given: Any) -> PreparingSequence | None:
    if given is None or isinstance(given, PreparingSequence):
        return given
    raise TypeError(f"default_sequence must be an isobench.tools.Sequence, got {type(given).__name__}")


def _runtime_class(found: Any) -> type[BaseRT]:
    from isobench.runtimes.base import BaseRT
    from isobench.runtimes.worker_rt import WorkerRT

    if not (isinstance(found, type) and issubclass(found, BaseRT)):
        raise TypeError(f"RuntimeClass must be a class derived from BaseRT, got {found!r}")
    lacking = sorted(getattr(found, "__abstractmethods__", ()))
    if lacking:
        raise TypeError(f"{found.__qualname__} doesn't implement {', '.join(lacking)}")
    measures = found._execute is not BaseRT._execute or found.benchmark is not BaseRT.benchmark
    if not measures and not issubclass(found, WorkerRT):
        raise TypeError(f"{found.__qualname__} must derive from WorkerRT, or implement benchmark or _execute")
    return found


def _devices(given: Any) -> dict[str, dict[str, tuple[str, ...]]]:
    if isinstance(given, str) or not isinstance(given, Iterable) or not list(given):
        raise TypeError(f"supported_devices must be families, or family -> part -> configs, got {given!r}")
    if not isinstance(given, Mapping):
        # A set has no order.
        return {str(family): {} for family in (sorted(given) if isinstance(given, set | frozenset) else given)}
    return {
        str(family): {
            str(part): tuple(map(str, configs or ()))
            for part, configs in (parts if isinstance(parts, Mapping) else dict.fromkeys(parts or (), ())).items()
        }
        for family, parts in given.items()
    }


def _settled(entry: Entry, device: Device) -> Device:
    """The device with the runtime's first part and config where the user gave none."""
    parts = entry.devices[device.family]
    if device.is_nvidia and not parts:
        return device  # the part is the GPU's name, which only the GPU knows (`nvidia.gpu`)
    part = device.part or next(iter(parts), "")
    if part not in parts and part:
        raise _unsupported(entry, "part", f"{part!r} of {device.family}", parts)
    configs = parts.get(part, ())
    config = device.config or next(iter(configs), "")
    if config not in configs and config:
        raise _unsupported(entry, "config", f"{config!r} of {device.family}::{part}", configs)
    return replace(device, part=part, config=config)


def _unsupported(entry: Entry, what: str, which: str, known: Iterable[str]) -> UsageError:
    names = ", ".join(known)
    hint = f"Its {what}s are: {names}." if names else f"It has no {what}s."
    return UsageError(f"{entry.name} doesn't support the {what} {which}", hint=hint)
