"""One service, requests about it, and stores to put its ledger in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, Person, Subject
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.digest import canonical, digest
from hyops_ci.contracts.ledger import Tip
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import ClaimRequest
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.vouching import Vouchers
from hyops_ci.signing.dsse import public_of, sign

SERVICE = "pg-ha/prod"
BRANCH = f"dr-ledger/{SERVICE}"
START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def at(minutes: float = 0) -> str:
    """A moment, in minutes after 03:00 UTC."""
    return stamp(START + timedelta(minutes=minutes))


def request(number: int = 1, **changes: object) -> ClaimRequest:
    """A real failover to gcp, the `number`-th decision."""
    made = ClaimRequest(
        service=SERVICE,
        decision_id=f"manual-77-{number:04d}",
        decision_type=DecisionType.FAILOVER,
        drill=False,
        source_sha256=digest({"decision": number}),
        decision_digest=digest({"canonical": number}),
        run_id=f"{1000 + number}-1",
        run_url=f"https://ci.example.net/runs/{1000 + number}",
        at=at(),
        target_site="gcp",
        home_site="onprem",
        plan_digest=digest({"plan": number}),
        check_digest=digest({"check": number}),
        nonces=(f"{number:032x}",),
    )
    return made.model_copy(update=changes)


def subject(ledger_id: str, number: int = 1, **changes: Any) -> Subject:
    """What the run of `request(number)` asks people about."""
    asked = request(number)
    given: dict[str, Any] = {name: getattr(asked, name) for name in ("decision_digest", "plan_digest", "check_digest", "service")}
    given |= {
        "repository_id": 4711,
        "ledger_id": ledger_id,
        "min_epoch": 0,
        "nonce": f"{number:032x}",
        "decision_type": asked.decision_type,
    }
    return Subject(**(given | changes))


def signed(
    about: Subject,
    who: str = "jonas",
    verdict: Literal["approve", "deny"] = "approve",
    *,
    minutes: float = 60,
    key: Ed25519PrivateKey | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """The answer of `who`, with a key of their own unless one is given, valid until `minutes` after 03:00."""
    given: dict[str, Any] = {"subject": about, "verdict": verdict, "approver": Person(login=who), "requesters": (Person(login="maria"),)}
    given |= {"requested_at": at(-1), "observed_at": at(), "expires_at": at(minutes), "channel": "signed"}
    return sign(canonical(Approval(**(given | changes)).document()), APPROVAL_PAYLOAD, [key or key_of(who)])


def key_of(who: str) -> Ed25519PrivateKey:
    """A person's own key."""
    return Ed25519PrivateKey.from_private_bytes(who.encode().ljust(32, b".")[:32])


ANSWERS: dict[str, Any] = {"approvers": tuple(public_of(key_of(who)) for who in ("jonas", "priya", "maria")), "lifetime": 10_000_000}
"""Who may answer, as `Ledger.answer` is told."""


def acting(ledger: Ledger) -> Ledger:
    """The same as a run on a host acts on it: what a host signed is believed, and remembered."""
    key = key_of("host")
    ledger.vouchers = Vouchers(lambda: START + timedelta(days=1), {"host": public_of(key)}, home_site="onprem")
    ledger.sign = lambda payload, kind: sign(payload, kind, [key])
    return ledger


def on_host(remote: Path | str, *, state_dir: Path, token: str = "", hasty: bool = False) -> Ledger:
    """The ledger of the service on a Git remote, as a run of that host acts on it."""
    return acting(Ledger.over_git(str(remote), SERVICE, state_dir=state_dir, token=token, hasty=hasty))


class MemoryStore:
    """The port in a list: what the rules and the ledger are tested on without git."""

    def __init__(self) -> None:
        self.chain: list[tuple[str, Tip]] = []

    def read(self) -> Head | None:
        if not self.chain:
            return None
        newest_first = self.chain[::-1]
        return Head(newest_first[0][0], tuple(tip for _, tip in newest_first), tuple(commit for commit, _ in newest_first))

    def append(self, parent: str | None, tip: Tip, message: str) -> str | None:
        if parent != (self.chain[-1][0] if self.chain else None):
            return None
        commit = digest({"parent": parent or "", "tip": tip.document(), "message": message})[7:47]
        self.chain.append((commit, tip))
        return commit


def git(repository: Path, *words: str, data: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Plain git, for looking and for doing what nobody should do to a ledger."""
    who = {f"GIT_{role}_{key}": "mallory@example.net" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *words],
        cwd=repository,
        input=data,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        env={**os.environ, **who, **(environ or {})},
    )
    return done.stdout.strip()


def bare(path: Path) -> Path:
    """An empty bare repository that allows no force and no deletion, as the ruleset does."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    git(path, "config", "http.receivepack", "true")
    git(path, "config", "receive.denyNonFastForwards", "true")
    return path
