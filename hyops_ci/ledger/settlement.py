"""Settlements: the signed statement of which site serves, after a run that was cut off (docs/design/contracts.md 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hyops_ci.contracts.approval import SETTLEMENT_PAYLOAD, Settlement, people_of
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.documents import read_document
from hyops_ci.signing.dsse import open_envelope, public_of, sign

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def settling_approvers(keys: Sequence[Ed25519PrivateKey], approvers: Mapping[str, str], quorum: int) -> tuple[str, ...]:
    """Return the approvers that own these keys. Raises Refusal (exit 6) for an unknown key, or for too few people."""
    people = []
    for key in keys:
        public = public_of(key)
        login = next((name for name, known in approvers.items() if known == public), "")
        if not login:
            raise Refusal(
                "approval.key",
                "this key is not an approver's",
                exit_code=Exit.APPROVAL,
                found=public,
                expected=f"the key of {' or '.join(approvers) or 'an approver: the config lists none'}",
                fix="let an approver settle",
            )
        people.append(login)
    signers = one_login_each(people, approvers)
    if len(signers) < quorum:
        raise Refusal(
            "approval.quorum",
            f"{len(signers)} of {quorum} approvals",
            exit_code=Exit.APPROVAL,
            found=", ".join(signers) or "nobody",
            expected=f"{quorum} of {', '.join(approvers)}",
            fix="sign with more keys: --key once for each person",
        )
    return signers


def sign_settlement(settlement: Settlement, keys: Sequence[Ed25519PrivateKey]) -> dict[str, Any]:
    """Return the envelope, with one signature for each key."""
    return sign(canonical(settlement.document()), SETTLEMENT_PAYLOAD, keys)


def read_settlement(envelope: Any, approvers: Iterable[str]) -> tuple[Settlement, tuple[str, ...]]:
    """Return the settlement, and which of the `approvers`' keys signed it. Raises ValueError for anything else."""
    opened = open_envelope(envelope, SETTLEMENT_PAYLOAD, approvers)
    return read_document(Settlement, opened.payload), opened.signers


def settlers(tip: Tip, parent: str, approvers: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    """Return who of the approvers signed what this tip says, and whether they named the commit that it stands on.

    Nobody, where what was signed is something else than the tip says.
    """
    try:
        settlement, keys = read_settlement(tip.settlement, approvers.values())
    except ValueError:
        return (), False
    said: dict[str, object] = {name: getattr(tip, name) for name in ("service", "ledger_id", "epoch", "serves", "reason")}
    is_bound = settlement.parent is not None
    if is_bound:
        said |= {"parent": parent, "position": tip.position, "at": tip.at}
    if any(getattr(settlement, name) != value for name, value in said.items()):
        return (), False
    return one_login_each((login for login, key in approvers.items() if key in keys), approvers), is_bound


def one_login_each(logins: Iterable[str], approvers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the first of `logins` of each person: two names with one key are no quorum."""
    owners = {login: person for person in people_of(approvers) for login in person}
    first: dict[tuple[str, ...], str] = {}
    for login in logins:
        first.setdefault(owners[login], login)
    return tuple(first.values())


def settled_wrongly(tip: Tip, found: str, approvers: Iterable[str], quorum: int) -> Refusal:
    """Return the refusal of a settlement that is not its approvers'."""
    return Refusal(
        "ledger.settlement",
        "this ledger was settled without the signatures of its approvers",
        exit_code=Exit.CONFLICT,
        found=f"epoch {tip.epoch}, serves from {tip.serves}, settled by {tip.settled_by}: {found}",
        expected=f"this, signed by {quorum} of {', '.join(approvers) or 'approvers: the config names none'}",
        fix="find out who wrote it (ledger show --history, the repository's audit log), and which side serves, before anything runs",
        docs="ledger.md",
    )
