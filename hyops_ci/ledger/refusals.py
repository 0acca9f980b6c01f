"""What a ledger refuses beside its rules: a branch that is missing or there already, a lost race, an end that the run did not write."""

from __future__ import annotations

from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.ledger.rules import conflict
from hyops_ci.ledger.settling import to_settle
from hyops_ci.text import shell


def exists(reason: str, found: str, fix: str) -> Refusal:
    """Return the refusal to make a ledger where there is one."""
    return Refusal("ledger.exists", reason, exit_code=Exit.CONFLICT, found=found, expected="none yet", fix=fix)


def missing(branch: str, service: str) -> Refusal:
    """Return the refusal of a service without a ledger."""
    return Refusal(
        "ledger.missing",
        "this service has no ledger",
        exit_code=Exit.CONFLICT,
        found=f"no branch {branch}",
        expected="a branch made once by hyops-ci ledger init",
        fix=shell("hyops-ci ledger init --service {}; if there was one before: ALARM, restore it", service),
        docs="ledger.md",
    )


def another_service(found: str, service: str) -> Refusal:
    """Return the alarm of a branch that is another service's."""
    return Refusal(
        "ledger.alarm",
        "the branch is another service's",
        exit_code=Exit.CONFLICT,
        found=found,
        expected=service,
        fix="ALARM: restore the branch",
        docs="ledger.md",
    )


def busy(tries: int) -> Fault:
    """Return the fault for a push that lost against other pushes at every attempt."""
    return Fault(
        "ledger.busy",
        "others keep coming first",
        exit_code=Exit.UNAVAILABLE,
        found=f"{tries} races lost",
        expected="a quiet moment",
        fix="start a new run",
        docs="ledger.md",
    )


def no_claim() -> Fault:
    """Return the fault of a claim that is not there after it was taken."""
    return Fault(
        "ledger.claim",
        "the claim is not there",
        exit_code=Exit.UNAVAILABLE,
        found="no claim in the tip",
        expected="this run's",
        fix="start a new run",
    )


def working(word: Tip, tip: Tip) -> Refusal:
    """Return the refusal to settle a run that its host said to be at work, a moment ago."""
    run = word.claim.run_id if word.claim is not None else "none"
    return conflict(
        "lock.settle",
        "its host said a moment ago that it is at work",
        f"run {run} in {word.state} at {word.at}, signed by its host; what stands above it ({tip.state} at {tip.at}) is not",
        "an end that its host signed, or no word of it for 10 minutes",
        "look at the run: HyOps may be at work. Where it is dead, settle 10 minutes after its last word",
    )


def ended(tip: Tip) -> Refusal:
    """Return the alarm of a run at work whose end stands in the ledger."""
    return conflict(
        "lock.ended",
        "the ledger says that this run has ended, and it works on",
        f"epoch {tip.epoch} is {tip.state}",
        "no end but the run's own",
        f"ALARM: find out who wrote it. The run goes on and seals its own end; then look, and settle: {to_settle(tip.service)}",
    )
