"""The standard `dataclass`, sooner made: its classes share the methods that the standard one compiles anew for each of them.

A stage makes a hundred of them before it begins. Python 3.11 compiles six functions for a frozen one, a tenth of the whole start; here it
is `__init__` alone. To readers, type checkers and the module `dataclasses` they are what they always were.
"""

from __future__ import annotations

import dataclasses
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from functools import cache
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

__all__ = ["asdict", "dataclass", "field", "fields", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, **standard):
        """As `dataclasses.dataclass`, whose other arguments make the standard one."""
        if standard:
            return dataclasses.dataclass(cls, frozen=frozen, **standard)
        return _made(cls, frozen=frozen) if cls is not None else lambda later: _made(later, frozen=frozen)


class _Shared:
    """The methods, of whatever class they are put into."""

    __class__: Any  # the one that it was put into
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @recursive_repr()
    def __repr__(self) -> str:
        said = ", ".join(f"{name}={getattr(self, name)!r}" for name in _fields(self.__class__).shown)
        return f"{type(self).__qualname__}({said})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = _fields(self.__class__).compared
        return tuple(getattr(self, name) for name in names) == tuple(getattr(other, name) for name in names)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in _fields(self.__class__).hashed))

    def __setattr__(self, name: str, value: object) -> None:
        """Let `__init__` set each field; nobody sets one again, or anything else."""
        if name in self.__dict__ or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


class _Fields(NamedTuple):
    """Names of the fields that each method looks at."""

    shown: tuple[str, ...]
    compared: tuple[str, ...]
    hashed: tuple[str, ...]


@cache
def _fields(cls: type[Any]) -> _Fields:
    every = dataclasses.fields(cls)
    return _Fields(
        tuple(each.name for each in every if each.repr),
        tuple(each.name for each in every if each.compare),
        tuple(each.name for each in every if (each.compare if each.hash is None else each.hash)),
    )


def _made(cls: type[Any], *, frozen: bool) -> type[Any]:
    made: type[Any] = dataclasses.dataclass(eq=False, repr=False)(cls)
    methods: dict[str, Any] = {"__repr__": _Shared.__repr__, "__eq__": _Shared.__eq__, "__hash__": _Shared.__hash__ if frozen else None}
    if frozen:
        methods |= {"__setattr__": _Shared.__setattr__, "__delattr__": _Shared.__delattr__}
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made
