"""One tree for everything that can stop a run, and how each of it explains itself.

Two kinds: a `Refusal` is an answer (a gate looked and said no), a `Fault` is a failure (something we
need did not work). Both carry what a person needs at 3 a.m.: what was looked at, what was found, what
was expected, how to fix it, and the exit code of the family.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Self

from hyops_ci.text import shell, visible


class Exit(IntEnum):
    """Process exit codes, one per family, each with what it means (docs/exit-codes.md is generated from here)."""

    family: str

    def __new__(cls, code: int, family: str = "") -> Self:
        """A code and the text of its family."""
        member = int.__new__(cls, code)
        member._value_, member.family = code, family
        return member

    DONE = 0, "done, already handled, or recorded only"
    USAGE = 2, "usage, configuration, or a file that cannot be read"
    DECISION = 3, "the decision is not valid: form, age, or content"
    POLICY = 4, "refused by policy: the config, the overlay, the approval gate or the host forbids it"
    CONFLICT = 5, "another run, or the state of the ledger, stands against it; alarms of the ledger too"
    APPROVAL = 6, "not approved: denied, expired, unsigned, by the requester, below the quorum, or a re-run"
    RUNNER = 7, "no runner, or not the right one; a host that does not accept the caller"
    SECRETS = 8, "secrets are missing, refused, or do not fit"
    HYOPS = 9, "HyOps is blocked in its preflight, is another version, or failed"
    INDETERMINATE = 10, "an effect may have happened; the lock is kept until a person settles"
    EVIDENCE = 11, "evidence is missing, incomplete, or does not verify"
    UNAVAILABLE = 12, "a service that is needed did not answer after bounded retries: GitHub, the ledger, the authority"
    UNPROVEN = 13, "HyOps says that it is done, and a configured probe says that the service does not answer"
    NOT_CLEANED = 14, "a drill left something behind: it costs money, and its lock is kept until a drill or a person removes it"
    CANCELLED = 130, "cancelled"


MAX_SHOWN: Final = 400
"""Characters of a found value that a refusal repeats; the evidence holds the rest."""


def shown(value: object, limit: int = MAX_SHOWN) -> str:
    """`value` on one line with what a terminal obeys or a reader does not see spelled out (`hyops_ci.text.visible`).

    Text of a decision reaches terminals, annotations and summaries through this function only.
    """
    text = value if isinstance(value, str) else repr(value)
    safe = visible(text[: limit + 1])
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
        """Return the first line everywhere: annotation title, summary, log end."""
        return f"{self.headline} {self.gate} (exit {int(self.exit_code)}): {self.reason}"

    def lines(self) -> list[str]:
        """Return the whole text, in the form of the product's refusals."""
        rows = (
            ("found", self.found),
            ("expected", self.expected),
            ("fix", self.fix),
            ("docs", shell("hyops-ci docs {}", self.docs) if self.docs else ""),
        )
        return [self.title(), *(f"  {name:<8} {text}" for name, text in rows if text)]

    def to_json(self) -> dict[str, object]:
        """Return the same lines as fields."""
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
