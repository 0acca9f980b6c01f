"""States of a run, the legal moves between them, and what each is called on the outside (docs/design/architecture.md 3)."""

from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, Self

from hyops_ci.contracts.base import Clean, Count, Digest, Document, Model, RunId, ServiceId, Short, Utc
from hyops_ci.errors import DispatchError, Exit, Refusal


class State(StrEnum):
    """Where a run is. Every terminal state seals a bundle."""

    RECEIVED = "RECEIVED"
    PLANNED = "PLANNED"
    CHECKED = "CHECKED"
    APPROVED = "APPROVED"
    CLAIMED = "CLAIMED"
    SECRETS_READY = "SECRETS_READY"
    PREFLIGHT_PASSED = "PREFLIGHT_PASSED"
    EXECUTING = "EXECUTING"
    VERIFYING = "VERIFYING"
    CLEANING_UP = "CLEANING_UP"
    """An isolated drill destroys what it made."""
    REJECTED = "REJECTED"
    DUPLICATE = "DUPLICATE"
    BLOCKED = "BLOCKED"
    RECORDED = "RECORDED"
    CHECK_PASSED = "CHECK_PASSED"
    SETTLED = "SETTLED"
    NO_RUNNER = "NO_RUNNER"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"
    UNSIGNED = "UNSIGNED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"
    NOT_PROVEN = "NOT_PROVEN"
    NOT_CLEANED = "NOT_CLEANED"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_EXCEPTIONS = "COMPLETED_WITH_EXCEPTIONS"


S = State
_EARLY_STOPS: Final = frozenset({S.FAILED, S.CANCELLED})
_UNKNOWABLE: Final = _EARLY_STOPS | {S.INDETERMINATE}
_GOOD: Final = frozenset({S.COMPLETED, S.COMPLETED_WITH_EXCEPTIONS})
TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    S.RECEIVED: frozenset({S.REJECTED, S.DUPLICATE, S.BLOCKED, S.RECORDED, S.CANCELLED, S.PLANNED}),
    S.PLANNED: frozenset({S.NO_RUNNER, S.BLOCKED, S.CANCELLED, S.CHECKED}),
    S.CHECKED: frozenset({S.CHECK_PASSED, S.DENIED, S.EXPIRED, S.UNSIGNED, S.CANCELLED, S.NO_RUNNER, S.BLOCKED, S.APPROVED}),
    S.APPROVED: frozenset({S.BLOCKED, S.DUPLICATE, S.EXPIRED, S.CANCELLED, S.CLAIMED, S.SETTLED}),
    S.CLAIMED: _EARLY_STOPS | {S.SECRETS_READY},
    S.SECRETS_READY: _EARLY_STOPS | {S.PREFLIGHT_PASSED, S.NOT_CLEANED},
    S.PREFLIGHT_PASSED: _EARLY_STOPS | {S.EXECUTING},
    S.EXECUTING: _UNKNOWABLE | {S.VERIFYING, S.CLEANING_UP},
    S.VERIFYING: _UNKNOWABLE | _GOOD | {S.NOT_PROVEN, S.CLEANING_UP},
    S.CLEANING_UP: _UNKNOWABLE | _GOOD | {S.NOT_PROVEN, S.NOT_CLEANED},
}
"""Legal moves. A state without an entry is terminal. The evidence verifier replays this table."""

TERMINAL: Final = frozenset(State) - TRANSITIONS.keys()


class Ending(NamedTuple):
    """How a terminal state is shown: exit code where no refusal names a nearer one, headline, and how good that is."""

    exit_code: Exit
    headline: str
    mood: Literal["good", "wait", "warn", "bad"]


ENDINGS: Final[dict[State, Ending]] = {
    S.COMPLETED: Ending(Exit.DONE, "RECOVERED", "good"),
    S.COMPLETED_WITH_EXCEPTIONS: Ending(Exit.DONE, "RECOVERED, with deviations", "good"),
    S.RECORDED: Ending(Exit.DONE, "RECORDED", "wait"),
    S.CHECK_PASSED: Ending(Exit.DONE, "CHECK PASSED", "good"),
    S.SETTLED: Ending(Exit.DONE, "SETTLED", "good"),
    S.DUPLICATE: Ending(Exit.DONE, "ALREADY HANDLED", "wait"),
    S.REJECTED: Ending(Exit.DECISION, "REFUSED", "bad"),
    S.BLOCKED: Ending(Exit.POLICY, "REFUSED", "bad"),
    S.NO_RUNNER: Ending(Exit.RUNNER, "REFUSED", "bad"),
    S.DENIED: Ending(Exit.APPROVAL, "DENIED", "bad"),
    S.EXPIRED: Ending(Exit.APPROVAL, "NOBODY APPROVED", "wait"),
    S.UNSIGNED: Ending(Exit.APPROVAL, "WAITING FOR A SIGNATURE", "wait"),
    S.FAILED: Ending(Exit.HYOPS, "STOPPED", "bad"),
    S.CANCELLED: Ending(Exit.CANCELLED, "STOPPED", "bad"),
    S.NOT_PROVEN: Ending(Exit.UNPROVEN, "NOT PROVEN", "warn"),
    S.NOT_CLEANED: Ending(Exit.NOT_CLEANED, "NOT CLEANED UP", "bad"),
    S.INDETERMINATE: Ending(Exit.INDETERMINATE, "UNKNOWN: look before you touch", "warn"),
}
EXIT_OF: Final[dict[State, Exit]] = {state: ending.exit_code for state, ending in ENDINGS.items()}

STAND_IN: Final = "HyOps was a STAND-IN: nothing was recovered"
"""What every text of a run says whose HyOps was a stand-in."""


def may_follow(before: State, after: State) -> bool:
    """Return whether the table allows this move."""
    return after in TRANSITIONS.get(before, frozenset())


class Event(Model):
    """One line of `events.jsonl`: hash-chained, written before the next thing happens."""

    seq: Count
    at: Utc
    stage: Short
    kind: Literal["transition", "intent", "result", "note", "refusal"]
    name: Short
    """The state entered, or the id of what is intended, done, noted or refused."""
    data: dict[str, Any] = {}
    """JSON facts without floats; redacted before they get here."""
    prev: Digest
    hash: Digest
    """Digest of the event without this field."""


class RefusalRecord(Model):
    """A refusal or fault as the evidence keeps it."""

    gate: Short
    reason: Clean
    found: Clean = ""
    expected: Clean = ""
    fix: Clean = ""
    docs: Clean = ""
    exit_code: Count

    @classmethod
    def of(cls, error: DispatchError) -> Self:
        """Return the record of what ended a run."""
        return cls.model_validate(error.to_json())

    def refusal(self) -> Refusal:
        """Return the refusal that was recorded. Raises ValueError for an exit code that is not one of ours."""
        return Refusal(
            self.gate,
            self.reason,
            exit_code=Exit(self.exit_code),
            found=self.found,
            expected=self.expected,
            fix=self.fix,
            docs=self.docs,
        )


class Result(Document):
    """How a run ended (`result.json`), and what every command prints with `--format json`."""

    kind: Literal["Result"] = "Result"
    run_id: RunId
    outcome: State
    exit_code: Count
    headline: Clean
    decision_id: Clean = ""
    service: ServiceId | None = None
    plan_digest: Digest | None = None
    check_digest: Digest | None = None
    claim_id: Clean = ""
    epoch: Count | None = None
    started_at: Utc
    ended_at: Utc
    refusal: RefusalRecord | None = None
    deviations: tuple[Clean, ...] = ()
    proven: tuple[Clean, ...] = ()
    not_proven: tuple[Clean, ...] = ()
    next: tuple[Clean, ...] = ()
    stand_in: bool = False
    """True when HyOps was a stand-in: then nothing was recovered, and every page says so."""
