"""A complete run on disk, for the tests of evidence, approvals and reports."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, Subject
from hyops_ci.contracts.base import Model, stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.cleanup import CLEANUP, Cleanup, Removed
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.digest import canonical, digest_bytes
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import RefusalRecord, Result, State
from hyops_ci.evidence.bundle import Sealed, Signer, seal
from hyops_ci.evidence.conclusions import WAITED
from hyops_ci.evidence.objectives import objectives
from hyops_ci.evidence.recorder import PartRecorder, read_chain
from hyops_ci.signing.dsse import public_of, sign

START = datetime(2026, 11, 23, 3, 4, 31, tzinfo=UTC)
ZERO = "sha256:" + "0" * 64
JONAS, PRIYA = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
NONCE = "5f" * 16
RUN = "212-1"


class SetClock:
    """A clock that a test sets; time passes only where it says so."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def set(self, clock: str) -> None:
        """Move to HH:MM:SS of the day of the run."""
        self.at = datetime.fromisoformat(f"2026-11-23T{clock}+00:00")


DECISION = {
    "api_version": "hybridops/v1",
    "kind": "Decision",
    "decision_id": "manual-4711-212",
    "decision_type": "failover",
    "service": "pg-ha/prod",
    "rationale": "INC-4242 on-prem DC lost power",
    "issued_at": "2026-11-23T03:04:31Z",
    "issuer": "github:maria",
}

RAW = b'{"action": "failover"}\n'
CONFIG = b'{"services": {"pg-ha/prod": {"failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"}}}}\n'
REFUSED = RefusalRecord(gate="intake.json", reason="not JSON", exit_code=3)
PROBES = [
    {"kind": "dns", "target": "pg.prod.example.net", "proven": True, "text": "pg.prod.example.net = 10.20.4.11 on 2 resolvers"},
    {"kind": "tcp", "target": "pg.prod.example.net:5432", "proven": True, "text": "TCP 5432 open, held 60 s"},
]

_STEPS = (
    ("gcp_pg_egress", "org/gcp/pg-egress", "mutate", False),
    ("gcp_pg_vms", "platform/gcp/vms", "mutate", False),
    ("postgresql_restore", "platform/postgresql-ha", "mutate", True),
    ("postgresql_backup", "platform/postgresql-ha-backup", "mutate", False),
    ("postgresql_dns_cutover", "platform/network/dns-routing", "commit", False),
    ("postgresql_dns_status", "platform/network/dns-routing", "read", False),
)


def decision(**changes: Any) -> Decision:
    return Decision.model_validate_json(json.dumps(DECISION | changes))


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "kind": "Plan",
        "decision_id": "manual-4711-212",
        "decision_digest": decision().digest(),
        "decision_type": "failover",
        "service": "pg-ha/prod",
        "env": "prod",
        "env_class": "production",
        "config_digest": ZERO,
        "config_commit": "",
        "lane": "gcp",
        "source_site": "onprem",
        "target_site": "gcp",
        "target_cloud": "gcp",
        "runner_ref": "gcp-ops-runner",
        "runs_on": ["self-hosted", "gcp-ops-runner"],
        "dr_mode": "restore",
        "execution_plane": "runner-local",
        "restore_point": "latest",
        "old_primary": "not confirmed",
        "blueprint": "dr/postgresql-ha-failover-gcp@v1",
        "overlay": ".github/dr/prod/postgresql-ha-failover-gcp.yml",
        "sources": [{"role": "config", "path": ".github/dr-dispatch.yml", "sha256": digest_bytes(CONFIG)}],
        "guards": [{"step": "postgresql_restore", "input": "restore_confirm", "value": True}],
        "commands": [{"name": "deploy", "argv": ["{hyops}", "blueprint", "deploy"], "timeout": "PT1H"}],
        "steps": [
            {
                "id": step,
                "module_ref": module,
                "step_class": kind,
                "restores": restores,
                "required_env": ["PG_PASSWORD"],
                "state_refs": ["org/gcp/wan-hub-network"],
            }
            for step, module, kind, restores in _STEPS
        ],
        "point_of_no_return": "postgresql_dns_cutover",
        "core_root": "/opt/hybridops/core/app",
        "hyops": "/opt/hybridops/core/venv/bin/hyops",
        "hyops_versions": "==0.1.4",
        "secrets": {"kind": "vault", "addresses": [["https://vault.example.net", "gcp"]]},
        "approval": {
            "gate": "dr-prod",
            "check_gate": "dr-check",
            "channels": ["environment", "signed"],
            "quorum": 1,
            "reviewers": 1,
            "approvers": {"jonas": public_of(JONAS), "priya": public_of(PRIYA)},
            "lifetime": "PT60M",
        },
        "verification": [],
        "objective": {"rto": "PT30M"},
    }
    return Plan.model_validate_json(json.dumps(fields | changes))


def check(of: Plan, **changes: Any) -> Check:
    fields: dict[str, Any] = {
        "plan_digest": of.digest(),
        "run_id": RUN,
        "checked_at": "2026-11-23T03:05:02Z",
        "runner": {"name": "gcp-ops-runner-01", "runner_ref": "gcp-ops-runner", "trusted": True},
        "hyops_version": "0.1.4",
        "blueprint_digest": ZERO,
        "steps": [{"id": step.id, "outcome": "run"} for step in of.steps][1:],
        "states": [{"ref": "org/gcp/wan-hub-network", "status": "ok", "age_seconds": 259200}],
        "guards": [guard.document() for guard in of.guards],
        "secret_names": ["PG_PASSWORD"],
        "authority": "https://vault.example.net",
        "restore_point": {"value": "20261123-020003F"},
    }
    fields["steps"].insert(0, {"id": of.steps[0].id, "outcome": "skip", "why": "exists"})
    return Check.model_validate_json(json.dumps(fields | changes))


def subject(of: Plan, seen: Check, **changes: Any) -> Subject:
    fields = {
        "repository_id": 4711,
        "ledger_id": ZERO,
        "min_epoch": 6,
        "nonce": NONCE,
        "decision_digest": of.decision_digest,
        "plan_digest": of.digest(),
        "check_digest": seen.digest(),
        "service": of.service,
        "decision_type": of.decision_type.value,
    }
    return Subject.model_validate_json(json.dumps(fields | changes))


def approval(of: Subject, login: str = "jonas", **changes: Any) -> Approval:
    fields = {
        "subject": of.document(),
        "verdict": "approve",
        "approver": {"login": login, "id": 0},
        "requesters": [{"login": "maria", "id": 11}],
        "requested_at": "2026-11-23T03:05:02Z",
        "observed_at": "2026-11-23T03:09:02Z",
        "expires_at": "2026-11-23T04:05:02Z",
        "channel": "signed",
        "comment": "looked at the site, it is dark",
    }
    return Approval.model_validate_json(json.dumps(fields | changes))


def signed(of: Approval, *keys: Ed25519PrivateKey) -> dict[str, Any]:
    return sign(canonical(of.document()), APPROVAL_PAYLOAD, keys or (JONAS,))


def write(root: Path, name: str, value: Any) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    document = value.document() if isinstance(value, Model) else value
    path.write_bytes(document if isinstance(document, bytes) else (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())


def result(of: Plan, seen: Check, **changes: Any) -> Result:
    fields: dict[str, Any] = {
        "run_id": RUN,
        "outcome": "COMPLETED_WITH_EXCEPTIONS",
        "exit_code": 0,
        "headline": "RECOVERED, 1 deviation  pg-ha/prod serves from gcp since 03:31:58Z",
        "decision_id": of.decision_id,
        "service": of.service,
        "plan_digest": of.digest(),
        "check_digest": seen.digest(),
        "claim_id": "c7",
        "epoch": 7,
        "started_at": "2026-11-23T03:04:31Z",
        "ended_at": "2026-11-23T03:32:01Z",
        "deviations": ["this host does not pin its callers"],
        "proven": [each["text"] for each in PROBES],
        "not_proven": [
            "old side off (not confirmed by maria)",
            "data loss (no probe asks for the newest data (verification: login.freshness))",
        ],
        "next": ["keep onprem fenced"],
    }
    return Result.model_validate_json(json.dumps(fields | changes))


def claim(of: Plan, seen: Check, run_id: str = RUN) -> Claim:
    return Claim(
        claim_id="c7",
        decision_id=of.decision_id,
        decision_type=of.decision_type,
        source_sha256=digest_bytes(RAW),
        decision_digest=of.decision_digest,
        plan_digest=of.digest(),
        check_digest=seen.digest(),
        approvals=(approval(subject(of, seen)).digest(),),
        nonces=(NONCE,),
        epoch=7,
        incident="pg-ha/prod failover 3",
        run_id=run_id,
        claimed_at="2026-11-23T03:09:19Z",
    )


_TRANSITIONS = (
    ("plan", "03:04:31", State.RECEIVED),
    ("plan", "03:04:39", State.PLANNED),
    ("check", "03:05:02", State.CHECKED),
    ("execute", "03:09:16", State.APPROVED),
    ("execute", "03:09:19", State.CLAIMED),
    ("execute", "03:09:22", State.SECRETS_READY),
    ("execute", "03:09:38", State.PREFLIGHT_PASSED),
    ("execute", "03:09:40", State.EXECUTING),
    ("execute", "03:31:00", State.VERIFYING),
    ("execute", "03:31:58", State.COMPLETED_WITH_EXCEPTIONS),
)


def record(root: Path, clock: SetClock, transitions: tuple[tuple[str, str, State], ...] = _TRANSITIONS, waited: int | None = None) -> None:
    """`waited`: seconds that the check was in the queue, where its runner was made for it."""
    for stage, at, state in transitions:
        clock.set(at)
        with PartRecorder(root, stage, clock) as recorder:
            if state is State.CHECKED and waited is not None:
                recorder.note(WAITED, reason="runner-recovery", seconds=waited)
            if state is State.VERIFYING:
                recorder.result("hyops.deploy", rc=0)
            recorder.enter(state)
            if state is State.EXECUTING:
                recorder.intent("hyops.deploy")


@cache
def planned(clean: bool = False) -> tuple[Plan, Check]:
    """The plan and the check of the sample; clean, the check has no deviations."""
    of = plan()
    return of, check(of, deviations=[] if clean else ["this host does not pin its callers"])


def leave(root: Path, state: State, run_id: str = RUN, *, clean: bool = False) -> None:
    """Write what a stage has written by the time it enters `state`."""
    of, seen = planned(clean)
    request = {"subject": subject(of, seen).document(), "requesters": [{"login": "maria", "id": 11}]}
    names = [{"key": "PG_PASSWORD", "version": "3"}]
    left: dict[State, dict[str, Any]] = {
        State.RECORDED: {"job.json": {}, "origin.json": {}, "decision.raw": RAW, "decision.json": decision()},
        State.PLANNED: {
            "job.json": {},
            "origin.json": {},
            "decision.raw": RAW,
            "decision.json": decision(),
            "gates.json": {},
            "plan.json": of,
            "sources/config": CONFIG,
        },
        State.CHECKED: {"gates-check.json": {}, "runner.json": seen.runner, "check.json": seen, "request.json": request},
        State.APPROVED: {
            "approvals/jonas.json": approval(subject(of, seen)),
            "approvals/envelopes.json": [signed(approval(subject(of, seen)))],
        },
        State.CLAIMED: {"claim.json": claim(of, seen, run_id)},
        State.SECRETS_READY: {"secrets.json": {"origin": "https://vault.example.net", "secrets": names, "revoked": True}},
        State.VERIFYING: {"steps.jsonl": b"", "probes.json": PROBES},
        State.CLEANING_UP: {CLEANUP: Cleanup(removed=Removed(left=("gcp_pg_vms (state ok)",)))},
    }
    for name, value in left.get(state, {}).items():
        write(root, name, value)


def close(root: Path, ended: Result, *, clean: bool = False) -> None:
    """Write what sealing writes of a result."""
    of, seen = planned(clean)
    approvals = [approval(subject(of, seen))] if (root / "approvals").exists() else []
    write(root, "objectives.json", objectives(read_chain(root), ended, of.objective if (root / "plan.json").exists() else None, approvals))
    write(root, "environment.json", {"signed": False})
    if ended.deviations:
        write(root, "deviations.json", list(ended.deviations))


def recovered_run(root: Path, waited: int | None = None) -> tuple[Plan, Check]:
    """A run that recovered the service, ready to be sealed but for its result."""
    for _, _, state in _TRANSITIONS:
        leave(root, state)
    record(root, SetClock(), waited=waited)
    close(root, result(*planned()))
    return planned()


def sealed(root: Path, to: Path, sign: Signer | None = None, **changes: Any) -> Sealed:
    """The same, sealed."""
    of, seen = recovered_run(root)
    return seal(root, result(of, seen, **changes), to=to, clock=SetClock(), sign=sign)


def refuse(root: Path, clock: SetClock, stage: str = "plan") -> Result:
    """End a run that a gate refused, and return its result."""
    with PartRecorder(root, stage, clock) as recorder:
        recorder.refusal(REFUSED.gate, **REFUSED.document())
        recorder.enter(State.REJECTED)
    ended = stamp(START)
    refused = Result(run_id=RUN, outcome=State.REJECTED, exit_code=3, headline="REFUSED", started_at=ended, ended_at=ended, refusal=REFUSED)
    close(root, refused)
    return refused


def small(root: Path, to: Path, sign: Signer | None = None) -> Sealed:
    """The smallest bundle: a run that was refused at once."""
    clock = SetClock()
    record(root, clock, (("plan", "03:04:31", State.RECEIVED),))
    clock.set("03:04:32")
    return seal(root, refuse(root, clock), to=to, clock=SetClock(), sign=sign)


def complete_run(root: Path, **changes: Any) -> tuple[Plan, Check]:
    """A recovered run with everything that a report shows, its result included."""
    of, seen = recovered_run(root)
    ended = result(of, seen, **changes)
    moments = (("03:09:40", 1), ("03:09:41", 131), ("03:12:22", 845), ("03:26:30", 58), ("03:27:30", 170), ("03:30:20", 39))
    lines = []
    for number, (step, (at, took)) in enumerate(zip(of.steps, moments, strict=True)):
        begun = datetime.fromisoformat(f"2026-11-23T{at}+00:00")
        if not number:
            lines.append({"step": step.id, "status": "skipped", "at": stamp(begun), "reason": "state ok", "seconds": 0})
            continue
        lines.append({"step": step.id, "status": "running", "at": stamp(begun), "reason": "", "seconds": 0})
        lines.append({"step": step.id, "status": "ok", "at": stamp(begun + timedelta(seconds=took)), "reason": "", "seconds": took})
    write(root, "steps.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    write(root, "objectives.json", objectives(read_chain(root), ended, of.objective, [approval(subject(of, seen))]))
    names = [{"key": "PG_PASSWORD", "version": "3"}, {"key": "PG_REPL_PASSWORD", "version": "3"}]
    write(root, "secrets.json", {"origin": "https://vault.example.net", "secrets": names, "revoked": True})
    write(root, "result.json", ended)
    return of, seen
