"""One tree for everything that can stop a run, and how each of it explains itself.

Two kinds: a `Refusal` is an answer (a gate looked and said no), a `Fault` is a failure (something we
need did not work). Both carry what a person needs at 3 a.m.: what was looked at, what was found, what
was expected, how to fix it, and the exit code of the family.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """Process exit codes, one per family (architecture, section 4)."""

    DONE = 0
    USAGE = 2
    DECISION = 3
    POLICY = 4
    CONFLICT = 5
    APPROVAL = 6
    RUNNER = 7
    SECRETS = 8
    HYOPS = 9
    INDETERMINATE = 10
    EVIDENCE = 11
    UNAVAILABLE = 12
    CANCELLED = 130


MAX_SHOWN: Final = 400
"""Characters of a found value that a refusal repeats; the evidence holds the rest."""


def shown(value: object, limit: int = MAX_SHOWN) -> str:
    """`value` on one line with control characters, escapes and bidi marks spelled out.

    Text of a decision reaches terminals, annotations and summaries through this function only.
    """
    text = value if isinstance(value, str) else repr(value)
    safe = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[: limit + 1])
    return safe if len(text) <= limit else safe[:limit] + "..."


class DispatchError(Exception):
    """Anything that ends a run early. Attributes are shown to people and go into the evidence.

    `gate` is a dotted id (`intake.number`), `reason` one line without a full stop; `found`, `expected`
    and `fix` are one line each; `docs` a path below `docs/`.
    """

    headline = "FAILED"

    def __init__(
        self,
        gate: str,
        reason: str,
        *,
        exit_code: Exit,
        found: str = "",
        expected: str = "",
        fix: str = "",
        docs: str = "",
    ) -> None:
        self.gate, self.reason, self.exit_code = gate, shown(reason), exit_code
        self.found, self.expected, self.fix = shown(found), shown(expected), shown(fix, 1000)
        self.docs = docs
        super().__init__(f"{gate}: {self.reason}")

    def title(self) -> str:
        """The first line everywhere: annotation title, summary, log end."""
        return f"{self.headline} {self.gate} (exit {int(self.exit_code)}): {self.reason}"

    def lines(self) -> list[str]:
        """The whole text, in the form of the product's refusals."""
        rows = (("found", self.found), ("expected", self.expected), ("fix", self.fix), ("docs", self.docs))
        return [self.title(), *(f"  {name:<8} {text}" for name, text in rows if text)]

    def to_json(self) -> dict[str, object]:
        """The same lines as fields."""
        return {
            "gate": self.gate,
            "reason": self.reason,
            "found": self.found,
            "expected": self.expected,
            "fix": self.fix,
            "docs": self.docs,
            "exit_code": int(self.exit_code),
        }


class Refusal(DispatchError):
    """A gate said no. Nothing was changed by the thing that was refused."""

    headline = "REFUSED"


class Fault(DispatchError):
    """Something we need did not work, after bounded retries; never used for a decision we made."""
