"""Settlements: the signed statement of which site serves, after a run that was cut off (docs/design/contracts.md 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hyops_ci.contracts.approval import SETTLEMENT_PAYLOAD, Settlement
from hyops_ci.contracts.digest import canonical
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
    signers = tuple(dict.fromkeys(people))
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
