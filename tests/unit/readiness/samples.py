"""Signed checks, and what is asked about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import override

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.readiness import READINESS_PAYLOAD, Readiness
from hyops_ci.readiness.judging import About
from hyops_ci.readiness.store import KeptCheck, KeptChecks, ReadinessStore
from hyops_ci.signing.dsse import public_of, sign

NOW: Final = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SERVICE: Final = "pg-ha/prod"
LEDGER: Final = "sha256:" + "ab" * 32
KEYS: Final = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b".")) for name in ("gcp", "drill-runner", "stranger")}
PUBLIC: Final = {name: public_of(key) for name, key in KEYS.items()}


def record(hours_ago: float = 1, **changes: Any) -> Readiness:
    at = NOW - timedelta(hours=hours_ago)
    known: dict[str, Any] = {
        "ledger_id": LEDGER,
        "service": SERVICE,
        "decision_type": DecisionType.FAILOVER,
        "lane": "gcp",
        "runner_ref": "gcp-ops-runner",
        "ready": True,
        "outcome": "CHECK_PASSED",
        "checked_at": stamp(at),
        "expires_at": stamp(at + timedelta(days=2)),
        "plan_digest": "sha256:" + "cd" * 32,
        "run_id": "4711-1",
    }
    return Readiness.model_validate(known | changes, strict=False)


def refused(hours_ago: float = 1, **changes: Any) -> Readiness:
    said = {"ready": False, "outcome": "BLOCKED", "gate": "states.ok", "reason": "2 of 5 upstream states are not ok"}
    return record(hours_ago, **(said | changes))


def envelope(of: Readiness, *signers: str, kind: str = READINESS_PAYLOAD) -> bytes:
    return canonical(sign(canonical(of.document()), kind, [KEYS[name] for name in signers or ("gcp",)]))


def branch(*contents: bytes | None) -> KeptChecks:
    """A branch with these files, the newest commit first."""
    kept = tuple(KeptCheck(f"{number:040x}", content) for number, content in enumerate(contents, 1))
    return KeptChecks(kept[0].commit, tuple(each.commit for each in kept), kept)


def about(**changes: Any) -> About:
    known: dict[str, Any] = {
        "service": SERVICE,
        "ledger_id": LEDGER,
        "decision_type": DecisionType.FAILOVER,
        "runner_ref": "gcp-ops-runner",
        "now": NOW,
        "host_keys": {"gcp": PUBLIC["gcp"], "drill-runner": PUBLIC["drill-runner"]},
        "lasts": timedelta(days=9),
        "runners": {"gcp-ops-runner", "drill-runner"},
    }
    return About(**(known | changes))


class MemoryChecks(ReadinessStore):
    """A branch in memory."""

    def __init__(self, kept: KeptChecks | None = None) -> None:
        self.kept = kept

    @override
    def read(self) -> KeptChecks | None:
        return self.kept
