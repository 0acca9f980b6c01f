"""What a drill removed, and what it saw of production, in words for the first line of its end (docs/design/texts.md 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hyops_ci.contracts.cleanup import Cleanup
from hyops_ci.text import counted

_ORDER: Final = ("repository", "DNS", "lock")
_WORDS: Final = {True: "untouched", False: "CHANGED meanwhile", None: "not looked at"}


def removed_words(kept: Cleanup | None) -> str:
    """Return `6 steps destroyed, 0 left`; empty where something is left, or nothing was looked at."""
    if kept is None or kept.removed is None or not kept.clean:
        return ""
    retained = f", {len(kept.removed.retained)} retained by the overlay" if kept.removed.retained else ""
    return f"{counted(len(kept.removed.destroyed), 'step')} destroyed, 0 left{retained}"


def left_words(kept: Cleanup | None) -> str:
    """Return what a drill left behind; empty where it left nothing."""
    return "; ".join(kept.left) if kept is not None and not kept.clean else ""


def production_words(kept: Cleanup | None) -> str:
    """Return what of production is as before, what is not, and what nobody looked at."""
    if kept is None or not kept.production:
        return "production not looked at: no env of class production has this service"
    return "; ".join(_of(kept, service) for service in dict.fromkeys(each.service for each in kept.production))


def _of(kept: Cleanup, service: str) -> str:
    own = [each for each in kept.production if each.service == service]
    said = list(_kinds([(each.what, each.untouched) for each in own]))
    return f"production {said[0][0]} of {service} {said[0][1]}" + "".join(f", its {names} {word}" for names, word in said[1:])


def _kinds(seen: list[tuple[str, bool | None]]) -> Iterator[tuple[str, str]]:
    """Yield the kinds of things of which the same is to be said; one of several names that was not looked at is said, too."""
    for value, word in _WORDS.items():
        names = [name for name in _ORDER if (name, value) in seen]
        if names:
            yield (names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"), word
