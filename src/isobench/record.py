"""`record`: frozen dataclasses that are defined without generated code.

`dataclasses.dataclass` compiles the methods of each frozen class, which takes half a millisecond on Python 3.11, and
whoever starts a command waits for dozens of them. A record has the same fields, and methods that look at them: it is
defined in a tenth of the time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import inspect

__all__ = ["record"]

_Class = TypeVar("_Class", bound=type)
_set = object.__setattr__


def _record(*, frozen: bool, kw_only: bool, slots: bool = False) -> Callable[[_Class], _Class]:
    """As `dataclasses.dataclass` with these arguments; a record is frozen, and has keywords only.

    Of a field's own options, `init=False`, `hash` and `InitVar` aren't supported.
    """
    assert frozen
    assert kw_only
    return partial(_defined, slots=slots)


def _defined(cls: _Class, *, slots: bool) -> _Class:
    own = {name for name, value in vars(cls).items() if (name, value) != ("__hash__", None)}  # so with an __eq__ alone
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=True)(cls)
    members = dataclasses.fields(made)
    assert all(one.init and one.hash is None for one in members)
    made._members = tuple((one.name, one.default, one.default_factory) for one in members)
    made._shown = tuple(one.name for one in members if one.repr)
    made._compared = _getter([one.name for one in members if one.compare])
    made.__signature__ = _SIGNATURE
    for name, method in _METHODS.items():
        if name not in own:
            setattr(made, name, method)
    kind: _Class = made
    return kind


def _getter(names: list[str]) -> staticmethod[[Any], tuple[Any, ...]]:
    """What returns these members of an instance as a tuple."""
    get: Any = attrgetter(*names) if len(names) > 1 else lambda made: tuple(getattr(made, name) for name in names)
    return staticmethod(get)


def _init(self: Any, /, **values: Any) -> None:
    for name, default, factory in self._members:
        if name in values:
            _set(self, name, values.pop(name))
        elif default is not dataclasses.MISSING:
            _set(self, name, default)
        elif factory is not dataclasses.MISSING:
            _set(self, name, factory())
        else:
            raise TypeError(f"{type(self).__qualname__}() needs the argument {name!r}")
    if values:
        raise TypeError(f"{type(self).__qualname__}() has no argument {next(iter(values))!r}")
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _repr(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._shown)})"


def _eq(self: Any, other: Any) -> bool:
    return self._compared(self) == self._compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _refuse(_self: Any, name: str, *_value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change field {name!r}")


def _reduce(self: Any) -> tuple[Any, ...]:
    return _made, (type(self), {name: getattr(self, name) for name, _, _ in self._members})


def _made(cls: type, values: dict[str, Any]) -> Any:
    return cls(**values)


class _Signature:
    """What `help` and `inspect.signature` show of a record, made when they ask."""

    def __get__(self, made: object, cls: Any) -> inspect.Signature:
        import inspect

        def parameter(one: dataclasses.Field[Any]) -> inspect.Parameter:
            has_default = one.default is not dataclasses.MISSING or one.default_factory is not dataclasses.MISSING
            default = one.default if one.default is not dataclasses.MISSING else ...
            return inspect.Parameter(
                one.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default if has_default else inspect.Parameter.empty,
                annotation=one.type,
            )

        return inspect.Signature([parameter(one) for one in dataclasses.fields(cls)], return_annotation=None)


_SIGNATURE = _Signature()
_METHODS: dict[str, Callable[..., Any]] = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__reduce__": _reduce,
}

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    record = _record
