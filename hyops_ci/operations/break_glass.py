"""Break-glass: the same stages one after another from a shell on the runner, while GitHub is down.

The host trust takes GitHub's place, and is required; at least two approvals are needed.
"""

from __future__ import annotations

from pathlib import Path

from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.stages.approval import may_proceed
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.conclude.stage import Conclusion, conclude, sha256_of
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.execute.stage import execute
from hyops_ci.stages.handover import RunDir, new_run
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.sealing import bundle_path


def require_trust(trust: HostTrust | None) -> HostTrust:
    """Return the host's trust. Raises Refusal (exit 4) where there is none."""
    if trust is None:
        raise Refusal(
            "trust.missing",
            "no approver is trusted on this host",
            exit_code=Exit.POLICY,
            found="no /etc/dr-dispatch/trust.json",
            expected="a trust file of root: without GitHub it is all that says who may do what",
            fix="hyops-ci runner prepare writes it, before it is needed; now: HyOps by hand",
            docs="github-down.md",
        )
    return trust


def break_glass(ask: Ask, folder: Path, world: RunContext) -> Conclusion:
    """Run all stages for one decision in this process, and return its conclusion."""
    run = new_run(folder / "run")
    end = plan(ask, run, world)
    checked = check(run, world).run if end.state is State.PLANNED else None
    if checked is not None and may_proceed(checked):
        execute(run, world)
    return conclude_here(run, world)


def conclude_here(run: RunDir, world: RunContext) -> Conclusion:
    """Conclude in the same process: what execute sealed is taken by its digest, as between two jobs."""
    sealed = bundle_path(run)
    evidence = sealed if sealed.exists() else None
    return conclude(run, world, evidence=evidence, digest=sha256_of(sealed) if evidence else "", results={})
