from __future__ import annotations

import copy
import dataclasses
import pickle
import string
from dataclasses import FrozenInstanceError, asdict, field, replace
from functools import cached_property
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.dataclass import dataclass

OPTIONS = st.fixed_dictionaries(
    {"repr": st.booleans(), "compare": st.booleans(), "kw_only": st.booleans()}, optional={"hash": st.sampled_from([None, True, False])}
)
NAMES = st.lists(st.sampled_from(string.ascii_lowercase), min_size=1, max_size=5, unique=True)
VALUES = st.one_of(st.integers(), st.text(max_size=3), st.none(), st.tuples(st.booleans()))


def twins(names: list[str], options: list[dict[str, Any]], *, frozen: bool) -> tuple[type[Any], type[Any]]:
    """The same class, made by the standard and by ours."""

    def source() -> type[Any]:
        body = {name: field(**option) for name, option in zip(names, options, strict=True)}
        return type("Made", (), {"__annotations__": dict.fromkeys(names, "object"), "__doc__": "Both.", "__qualname__": "Made", **body})

    return dataclasses.dataclass(frozen=frozen)(source()), dataclass(frozen=frozen)(source())


@given(data=st.data(), names=NAMES, frozen=st.booleans())
def test_it_is_the_standard_one_to_whoever_looks(data: st.DataObject, names: list[str], frozen: bool) -> None:
    options = [data.draw(OPTIONS) for _ in names]
    first, second = ({name: data.draw(VALUES) for name in names} for _ in range(2))
    standard, ours = twins(names, options, frozen=frozen)
    assert repr(standard(**first)) == repr(ours(**first))
    assert (standard(**first) == standard(**second)) == (ours(**first) == ours(**second))
    assert ours(**first) == ours(**first) != standard(**first)
    assert standard.__match_args__ == ours.__match_args__
    assert asdict(standard(**first)) == asdict(ours(**first))
    assert repr(replace(standard(**first), **second)) == repr(replace(ours(**first), **second))
    assert copy.deepcopy(ours(**first)) == copy.copy(ours(**first)) == ours(**first)
    if frozen:
        assert hash(standard(**first)) == hash(ours(**first))
    for made in (standard, ours):
        if not frozen:
            with pytest.raises(TypeError, match="unhashable"):
                hash(made(**first))


@dataclass(frozen=True)
class Base:
    """With a default, a secret, and something that is worked out once."""

    name: str
    token: str = field(default="", repr=False)
    seen: list[str] = field(default_factory=list)

    @cached_property
    def length(self) -> int:
        return len(self.name)


@dataclass(frozen=True)
class Grown(Base):
    """With one more, and words of its own."""

    more: int = 0

    def __repr__(self) -> str:
        return "grown"


def test_nobody_changes_a_frozen_one() -> None:
    made = Grown("a", "s3cret", more=3)
    for name in ("name", "more", "seen", "length", "other"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(made, name, 1)
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'name'"):
        del made.name
    assert made.length == made.length == 1
    assert (repr(made), repr(Base("a", "s3cret"))) == ("grown", "Base(name='a', seen=[])")
    assert made != Base("a", "s3cret")


def test_one_without_frozen_is_changed() -> None:
    @dataclass
    class Open:
        """As it is."""

        count: int = 0

    made = Open()
    made.count += 2
    assert made == Open(2)


def test_one_that_holds_itself_is_shown() -> None:
    made = Base("a")
    made.seen.append(made)  # type: ignore[arg-type]  # only to be shown
    assert repr(made) == "Base(name='a', seen=[...])"


def test_it_travels() -> None:
    assert pickle.loads(pickle.dumps(Grown("a", more=3))) == Grown("a", more=3)


def test_other_arguments_make_the_standard_one() -> None:
    @dataclass(frozen=True, slots=True)
    class Small:
        """Without a dict."""

        count: int

    assert Small.__slots__ == ("count",)  # type: ignore[attr-defined]  # mypy does not follow it here
    with pytest.raises(FrozenInstanceError):
        Small(1).count = 2  # type: ignore[misc]  # what it refuses
