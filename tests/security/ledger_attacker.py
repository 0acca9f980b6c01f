"""Somebody who may push to the ledger, with the repository's own tools and no key of a host or an approver."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import Tip
from hyops_ci.ledger.ledger import ClaimRequest, Ledger
from tests.security.incident import SERVICE, Incident

OTHER = "sha256:" + "e" * 64
FAR = "2999-12-31T00:00:00Z"
WORD: dict[str, Any] = {"serves": "onprem", "home_site": "onprem", "reason": "looked", "settled_by": "jonas"}
"""What the approvers say after they looked."""


def theirs(incident: Incident) -> Ledger:
    """The ledger as the attacker's own machine sees and writes it: no key, nothing that is asked for."""
    return Ledger.over_git(str(incident.site.root / "ledger.git"), SERVICE, state_dir=Path(mkdtemp(dir=incident.site.root.parent)))


def push(incident: Incident, **changes: Any) -> None:
    """One well-formed tip on top; nothing is forced."""
    ledger = theirs(incident)
    head = ledger.head()
    tip = Tip.model_validate({**dict(head.tip), "signature": None, "at": now(incident), **changes})
    assert ledger._store.append(head.commit, tip, "alive") is not None


def now(incident: Incident) -> str:
    return stamp(incident.site.clock.now())


def request(incident: Incident, **changes: Any) -> ClaimRequest:
    known: dict[str, Any] = {
        "service": SERVICE,
        "decision_id": "another-0001",
        "decision_type": DecisionType.FAILOVER,
        "source_sha256": OTHER,
        "decision_digest": OTHER,
        "run_id": "8000-1",
        "at": now(incident),
        "target_site": "gcp",
        "home_site": "onprem",
    }
    return ClaimRequest(**(known | changes))
