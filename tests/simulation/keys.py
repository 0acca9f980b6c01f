"""Whose word counts in the simulation: every execute has the key of its host, conclude has none, jonas settles."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.contracts.approval import Settlement
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.ledger.settlement import sign_settlement
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.vouching import Vouchers
from hyops_ci.signing.dsse import public_of, sign
from tests.ledger.ledger_setup import SERVICE
from tests.simulation.process import Replay, moment_of

HOST: Final = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
JONAS: Final = Ed25519PrivateKey.from_private_bytes(b"jonas".ljust(32, b"."))
HOST_KEYS: Final = {"hosts": public_of(HOST)}
APPROVERS: Final = {"jonas": public_of(JONAS)}
HOME: Final = "onprem"


@lru_cache(maxsize=1)
def config() -> DispatchConfig:
    """The config as it was reviewed, for what conclude reads of it. The key that it names is on no disk."""
    document: dict[str, Any] = {
        "services": {
            SERVICE: {"failover": {"lane": "gcp", "blueprint": "dr/x@v1"}, "failback": {"lane": "onprem", "blueprint": "dr/y@v1"}}
        },
        "host_keys": HOST_KEYS,
        "approvals": {"channels": ("signed",), "approvers": APPROVERS},
        "evidence": {"signer": "host-key", "key": str(Path("/nonexistent/host.key"))},
    }
    return DispatchConfig.model_validate(document)


def vouchers(replay: Replay) -> Vouchers:
    """As a process of the run reads the ledger now."""
    return Vouchers(lambda: moment_of(replay.now), HOST_KEYS, APPROVERS, home_site=HOME)


@lru_cache(maxsize=1 << 16)
def host_signs(payload: bytes, payload_type: str) -> dict[str, Any]:
    """Sign as every recovery host does."""
    return sign(payload, payload_type, [HOST])


def jonas_settles(head: Head, serves: str, reason: str, at: str) -> dict[str, Any]:
    """The envelope of a person who looked at this head."""
    position = "primary" if serves == HOME else "failed_over"
    known: dict[str, Any] = {"service": SERVICE, "ledger_id": head.tip.ledger_id, "epoch": head.tip.epoch, "position": position}
    return sign_settlement(Settlement(**known, serves=serves, reason=reason, at=at, parent=head.commit), [JONAS])
