"""Who vouches for a ledger: a host that signed, approvers that settled, or nobody (docs/design/contracts.md 6).

Whoever may push may write any tip. It is believed where a key of the reviewed config signed it, or where it is one that may be unsigned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD
from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import TRANSITION_PAYLOAD, Answer, Tip, TransitionSignature, TransitionStatement
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.git_store import MAX_HISTORY
from hyops_ci.ledger.pending_approvals import approval_in
from hyops_ci.ledger.settlement import settled_wrongly, settlers
from hyops_ci.ledger.settling import adopting, to_settle
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.succession import Step, follows, is_first
from hyops_ci.parsing.documents import read_document
from hyops_ci.signing.dsse import open_envelope

AHEAD: Final = timedelta(seconds=60)
"""How far a tip's time may lie ahead of ours: no host works with a clock that is further off."""
MAX_UNSIGNED: Final = 200
"""Transitions above the newest that is vouched for: more than people answer between two runs. The worst take 0.1 s each to judge."""
Sign = Callable[[bytes, str], dict[str, Any]]
"""Signs bytes as this payload type, with this host's key."""


@dataclass(frozen=True)
class Vouchers:
    """Whose word counts: the keys of the reviewed config, as far as this host trusts them."""

    now: Callable[[], datetime]
    host_keys: Mapping[str, str] = field(default_factory=dict)
    """Name -> public key. Without one the ledger is read by the rules alone, and whoever can push can follow rules."""
    approvers: Mapping[str, str] = field(default_factory=dict)
    quorum: int = 1
    home_site: str = ""
    """Where the service lived when its ledger was made."""


@dataclass(frozen=True)
class Vouched:
    """The newest commit that somebody vouched for, and who. Above it there is only what may be unsigned."""

    commit: str
    by: Literal["host", "approvers", "first", "rules"]
    """`first`: nothing has happened since the ledger was made. `rules`: nobody, but every tip may follow the one before."""
    names: tuple[str, ...] = ()
    unsigned: int = 0
    """Transitions above it."""

    @property
    def line(self) -> str:
        """As text."""
        who = {
            "host": f"signed by {', '.join(self.names)}",
            "approvers": f"settled by {', '.join(self.names)}",
            "first": "new: nothing has happened since it was made",
            "rules": "NOBODY vouches for it: no host signs (host_keys); it keeps the rules, and so can whoever may push",
        }
        above = f"; {self.unsigned} unsigned since, of what may be" if self.unsigned else ""
        return f"{who[self.by]}, at {self.commit[:12]}{above}"


def sign_transition(tip: Tip, parent: str, sign: Sign) -> Tip:
    """Return the tip signed by this host, for the place on top of `parent`."""
    statement = TransitionStatement(ledger_id=tip.ledger_id, parent=parent, tip=tip.unsigned().digest())
    envelope = sign(canonical(statement.document()), TRANSITION_PAYLOAD)
    return tip.model_copy(update={"signature": read_document(TransitionSignature, json.dumps(envelope))})


def signers(tip: Tip, parent: str, keys: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the keys that signed exactly this tip on exactly this parent."""
    if tip.signature is None or not keys:
        return ()
    try:
        opened = open_envelope(tip.signature.document(), TRANSITION_PAYLOAD, keys.values())
        said = read_document(TransitionStatement, opened.payload)
    except ValueError:
        return ()
    if said != TransitionStatement(ledger_id=tip.ledger_id, parent=parent, tip=tip.unsigned().digest()):
        return ()
    return tuple(name for name, key in keys.items() if key in opened.signers)


def vouched(head: Head, by: Vouchers, known: Vouched | None = None) -> Vouched:
    """Return who vouches for a ledger. `known` is an earlier answer for a commit of it, from the same vouchers.

    From the head downwards: a transition signed by a host, a settlement of the approvers that names its parent, or the first tip. Each of
    them vouches for what is below. Raises Refusal (exit 5): `ledger.unvouched` for anything above that needs a signature,
    `ledger.settlement` for a settlement that is not its approvers'.
    """
    if moment(head.tip.at) > by.now() + AHEAD:
        raise unvouched(head.tip.service, head.commit, f"its time is {head.tip.at}, and it is {stamp(by.now().replace(microsecond=0))}")
    plain = True
    for place, (tip, commit) in enumerate(zip(head.tips, head.commits, strict=True)):
        if known is not None and known.commit == commit and (plain or known.by in ("host", "rules")):
            return _checked(head, Vouched(commit, known.by, known.names, place))
        if by.host_keys and place > MAX_UNSIGNED:
            raise unvouched(head.tip.service, head.commit, f"more than {MAX_UNSIGNED} transitions that no host signed, one after another")
        if place + 1 == len(head.tips):
            return _root(head, by, plain=plain)
        older, parent = head.tips[place + 1], head.commits[place + 1]
        if names := signers(tip, parent, by.host_keys):
            return Vouched(commit, "host", names, place)
        step = follows(older, tip)
        if step is None:
            raise unvouched(tip.service, commit, "no transition of a run, and nobody's word, leads to it")
        if step is Step.SETTLEMENT:
            people, is_bound = settlers(tip, parent, by.approvers)
            if len(people) < by.quorum:
                raise settled_wrongly(
                    tip, f"{len(people)} of {by.quorum} signed it: {', '.join(people) or 'none'}", by.approvers, by.quorum
                )
            if is_bound:
                return _checked(head, Vouched(commit, "approvers" if plain or by.host_keys else "rules", people, place))
        if by.host_keys and not _may_be_unsigned(step, older, tip, by):
            raise unvouched(tip.service, commit, f"{_says(tip)}, signed by none of {', '.join(by.host_keys)}")
        plain = plain and step is Step.ANSWERS
    raise unvouched(head.tip.service, head.commit, "it holds nothing")


def _root(head: Head, by: Vouchers, *, plain: bool) -> Vouched:
    """Return what the oldest tip that was read vouches for."""
    tip, commit, above = head.tips[-1], head.commits[-1], len(head.tips) - 1
    is_cut = len(head.tips) >= MAX_HISTORY
    if not is_first(tip) and not (is_cut and not by.host_keys):
        raise unvouched(tip.service, commit, "a ledger that does not begin at its beginning")
    if by.host_keys or plain:
        if by.host_keys and tip.serves != by.home_site:
            raise unvouched(
                tip.service, commit, f"a ledger made for a service at {tip.serves or 'no site'}, and its home is {by.home_site}"
            )
        return Vouched(commit, "first", (), above)
    return _checked(head, Vouched(commit, "rules", (), above))


def _checked(head: Head, found: Vouched) -> Vouched:
    """Return what was found. Raises Refusal where nobody signs and an approval was used twice: two tips alone do not show that."""
    if found.by == "rules":
        claims = {each.claim.claim_id: each.claim for each in head.tips if each.claim is not None}
        nonces = [nonce for claim in claims.values() for nonce in claim.nonces]
        if len(nonces) != len(set(nonces)):
            raise unvouched(head.tip.service, head.commit, "an approval that was used twice")
    return found


def _may_be_unsigned(step: Step, older: Tip, newer: Tip, by: Vouchers) -> bool:
    """Return whether a job or a person without a host's key may write this: answers, and an end that frees nothing that has begun."""
    if step is Step.ANSWERS:
        gone = (each for each in older.answers if each not in newer.answers)
        return not any(_counts(each, by) for each in gone)
    kept = ("past_no_return", "mutating", "figures")  # what a run took is the word of the host that measured it
    if step is not Step.RUN or any(getattr(newer, name) != getattr(older, name) for name in kept):
        return False
    if older.state in TERMINAL:  # the evidence of an end without a key comes after it
        return newer.state is older.state and older.bundle_sha256 is None
    return newer.state is State.INDETERMINATE if older.mutating else newer.state in (State.FAILED, State.CANCELLED)


def _counts(answer: Answer, by: Vouchers) -> bool:
    """Return whether an answer is an approver's, and still valid: nobody takes that off the branch but the claim that uses it."""
    said = approval_in(answer)
    if said is None or moment(said.expires_at) <= by.now():
        return False
    own = [key for login, key in by.approvers.items() if login == said.approver.login]
    return bool(open_envelope(answer.document(), APPROVAL_PAYLOAD, own).signers)


def refuse_unsigned(head: Head, tip: Tip, by: Vouchers) -> None:
    """Raise Refusal (exit 5) before a tip is pushed without a signature that nobody would believe: it would block the service."""
    step = follows(head.tip, tip)
    if not by.host_keys or step is Step.SETTLEMENT or (step is not None and _may_be_unsigned(step, head.tip, tip, by)):
        return
    raise Refusal(
        "ledger.unsigned",
        "only a recovery host writes this to the ledger",
        exit_code=Exit.CONFLICT,
        found=f"{_says(tip)}, without the key of a host",
        expected="answers, or an end that frees nothing that has begun",
        fix=f"let the run itself record it; after a run that was cut off: look, then {to_settle(tip.service)}",
        docs="ledger.md",
    )


def _says(tip: Tip) -> str:
    """Return what a tip says, in a few words."""
    claim = f"run {tip.claim.run_id} in {tip.state}" if tip.claim is not None else "no claim"
    return f"epoch {tip.epoch}, {claim}, serves from {tip.serves}"


def unvouched(service: str, commit: str, found: str) -> Refusal:
    """Return the refusal of a ledger that nobody vouches for."""
    return Refusal(
        "ledger.unvouched",
        "nobody vouches for what the ledger says",
        exit_code=Exit.CONFLICT,
        found=f"{commit[:12]}: {found}",
        expected="transitions signed by a host of host_keys, settlements signed by the approvers",
        fix="ALARM: find out who pushed it (the repository's audit log). Restore the branch; or look which site serves, "
        f"then {adopting(service)}",
        docs="ledger.md",
    )


def unsigned_lock(service: str, found: Refusal, vouched_by: Vouched) -> Refusal:
    """Return the refusal of a request that looks handled, on a ledger that no host signs: whoever may push may have written that."""
    return Refusal(
        "lock.unsigned",
        "it looks handled, and nobody vouches for that",
        exit_code=Exit.CONFLICT,
        found=f"{found.reason}: {found.found}; {vouched_by.line}",
        expected="a claim, or a position, signed by a host of host_keys",
        fix=f"look at that run and which site serves; {found.fix}. Then host_keys, and {adopting(service)} (docs/ledger.md)",
        docs="ledger.md",
    )
