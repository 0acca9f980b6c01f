"""What hosts and approvers sign in a ledger, for tests that write one as they do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.contracts.approval import Settlement
from hyops_ci.contracts.ledger import Tip
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.settlement import sign_settlement
from hyops_ci.ledger.store import Head
from hyops_ci.signing.dsse import load_key, sign


def host_signs(ledger: Ledger, key: Path) -> Ledger:
    """The same ledger, whose transitions are signed with this host's key."""
    private = load_key(key)
    ledger.sign = lambda payload, kind: sign(payload, kind, [private])
    return ledger


def people_settle(
    ledger: Ledger,
    *keys: Ed25519PrivateKey,
    home_site: str,
    at: str,
    adopt: bool = False,
    host_keys: Mapping[str, str] | None = None,
    **said: Any,
) -> Tip:
    """A settlement as `hyops-ci ledger settle` makes it: `serves`, `reason` and `settled_by` are said, and signed with these keys."""

    def signed(head: Head) -> dict[str, Any]:
        position = "primary" if said["serves"] == home_site else "failed_over"
        known: dict[str, Any] = {"service": head.tip.service, "ledger_id": head.tip.ledger_id, "epoch": head.tip.epoch, "at": at}
        word = Settlement(**known, serves=said["serves"], reason=said["reason"], parent=head.commit, position=position)
        return sign_settlement(word, keys)

    return ledger.settle(signed, home_site=home_site, at=at, adopt=adopt, host_keys=host_keys, **said)
