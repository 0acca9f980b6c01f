"""What is known of a service's readiness, of all that lies on its branch: the newest that a host of the config signed. Pure.

Whoever may push may put anything there. It counts where a key of the reviewed config signed it as a check of this service, on this
ledger and by this runner, and where it is not from the future.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.readiness import MAX_READINESS, READINESS_PAYLOAD, Readiness, ReadinessEnvelope, ReadinessFact
from hyops_ci.dataclass import dataclass
from hyops_ci.parsing.documents import read_document
from hyops_ci.readiness.store import KeptCheck, KeptChecks
from hyops_ci.signing.dsse import open_envelope

AHEAD: Final = timedelta(seconds=60)
"""How far the time of a check may lie ahead of ours: no host works with a clock that is further off."""
SAID: Final = 5
"""Commits that are passed over by name; the rest is a count."""


@dataclass(frozen=True)
class About:
    """Which readiness is asked for, and whose word counts."""

    service: str
    ledger_id: str
    decision_type: DecisionType
    """The move that comes next."""
    runner_ref: str
    """The runner that would do it, by the config of today."""
    now: datetime
    host_keys: Mapping[str, str]
    """Name -> public key of the reviewed config."""
    lasts: timedelta
    """How long a check says something by the config of today; one that was signed for less says it for less."""
    runners: Collection[str] = ()
    """What the runners of the config are called: a key that is named after one of them speaks for that runner alone."""


@dataclass(frozen=True)
class _Said:
    record: Readiness
    signed_by: tuple[str, ...]


def readiness_of(kept: KeptChecks | None, about: About) -> ReadinessFact:
    """Return what is known. Checks of another move of the same service are no answer, and nothing against it."""
    if not about.host_keys:
        return ReadinessFact(standing="unknown", why="no host signs a check: the config has no host_keys")
    if kept is None:
        return ReadinessFact(standing="unknown", why="no check was kept yet")
    read = [(each, _judged(each, about)) for each in kept.checks]
    said = [each for _, each in read if isinstance(each, _Said) and each.record.decision_type is about.decision_type]
    newest = max(said, key=lambda each: moment(each.record.checked_at), default=None)
    passed = max((each for each in said if each.record.ready), key=lambda each: moment(each.record.checked_at), default=None)
    strange = tuple(_strange(read, newest))
    if newest is None:
        return ReadinessFact(standing="unknown", passed_over=strange, why=f"no check of a {about.decision_type} that counts was kept")
    record = _narrowed(newest.record, about)
    expired = moment(record.expires_at) <= about.now
    return ReadinessFact(
        standing="expired" if expired else "ready" if record.ready else "not ready",
        record=record,
        last_passed=_narrowed(passed.record, about) if passed is not None else None,
        signed_by=newest.signed_by,
        passed_over=strange,
    )


def _narrowed(record: Readiness, about: About) -> Readiness:
    """Return a check that says something no longer than the config of today lets it."""
    until = moment(record.checked_at) + about.lasts
    return record if until >= moment(record.expires_at) else record.model_copy(update={"expires_at": stamp(until)})


def _judged(kept: KeptCheck, about: About) -> _Said | str:
    """Return what one commit says, or why it counts as nothing."""
    if kept.content is None:
        return "holds no check"
    try:
        envelope = read_document(ReadinessEnvelope, kept.content, most=MAX_READINESS)
        opened = open_envelope(envelope.document(), READINESS_PAYLOAD, about.host_keys.values())
        record = read_document(Readiness, opened.payload, most=MAX_READINESS)
    except ValueError:
        return "holds no check that this release can read"
    names = tuple(name for name, key in about.host_keys.items() if key in opened.signers)
    own = tuple(name for name in names if name not in about.runners or name == record.runner_ref)
    if not names:
        return "is signed by no host of the config"
    if record.service != about.service:
        return f"is about {record.service}"
    if record.ledger_id != about.ledger_id:
        return "is about another ledger of this service"
    if not own:
        return f"is signed by {names[0]} and speaks for {record.runner_ref}"
    if record.runner_ref != about.runner_ref and record.decision_type is about.decision_type:
        return f"is about {record.runner_ref}, which is not the runner of this move"
    if moment(record.checked_at) > about.now + AHEAD:
        return f"is from {record.checked_at}, which is still to come"
    return _Said(record, own)


def _strange(read: list[tuple[KeptCheck, _Said | str]], newest: _Said | None) -> Iterator[str]:
    """Yield what counts as nothing and lies above the check that counts."""
    above = []
    for kept, said in read:
        if said is newest:
            break
        if isinstance(said, str):
            above.append(f"{kept.commit[:12]} {said}")
    yield from above[:SAID]
    if len(above) > SAID:
        yield f"and {len(above) - SAID} more"
