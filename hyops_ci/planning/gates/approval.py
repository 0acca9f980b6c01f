"""Gates on who asked, and who may approve."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from hyops_ci.contracts.approval import Person, people_of
from hyops_ci.contracts.base import seconds
from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, plan_gate
from hyops_ci.planning.protection import Demand, Shortfall, demand_of, eligible_reviewers, remarks, shortfalls

WORKFLOW_TOKEN: Final = "github-actions[bot]"
LOGIN: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}(\[bot\])?"
_FIX = "hyops-ci environment check prints what to paste; or add approvals.channels: [signed] and two people's keys in one pull request"
_FIX_TIER = "one pull request with two people's keys (docs/private-repositories.md; its review is the second person), then a new run"
_FIX_UNREAD = "grant `actions: read` to the calling job, then a new run; or add approvals.channels: [signed] and two people's keys"


@plan_gate("approval.requester", "contracts 5", Exit.POLICY, "Did a person ask, or a machine that the host knows?")
def approval_requester(case: PlanCase) -> GateOutcome:
    """A workflow's own token hides who started it, so that its starter could approve; another App must be on the host's list."""
    machines = [each for each in requesters(case) if each.bot]
    if not case.decision.requires_approval or not machines:
        return ""
    known = set(case.trust.apps) if case.trust is not None else set()
    hidden = next((each for each in machines if each.login.lower() == WORKFLOW_TOKEN), None)
    if hidden is not None:
        return GateFailure(
            "a workflow's own token hides who asked",
            f"asked by {hidden.login}",
            "a person, or an App that the host trust lists",
            "start the run by hand, or with the token of an App whose user id stands in apps of /etc/dr-dispatch/trust.json",
            "approvals.md",
        )
    names = ", ".join(each.login for each in machines)
    if case.trust is None:
        return f"asked by {names}: the host decides whether it knows it; then it takes a signature, or two approvals"
    strange = [each for each in machines if each.id not in known]
    if strange:
        return GateFailure(
            "a machine asked that this host does not know",
            "asked by " + ", ".join(f"{each.login} (user id {each.id or 'unknown'})" for each in strange),
            f"a person, or one of {', '.join(map(str, sorted(known))) or 'no App at all'} (apps of the host trust)",
            "as root on the runner, add its user id to apps in /etc/dr-dispatch/trust.json; or start the run by hand",
            "approvals.md",
        )
    return f"asked by {names}, which the host knows: it takes a signature, or two approvals"


@plan_gate(
    "approval.gate",
    "contracts 2, contracts 5, workflows 2",
    Exit.POLICY,
    "Is an approval required, and is there an approver who did not ask?",
)
def approval_gate(case: PlanCase) -> GateOutcome:
    """The environment protects as demanded, or signed approvers exist. What cannot be read protects nothing (fail closed)."""
    if not case.decision.requires_approval:
        return "none demanded"
    approvals, people = case.config.approvals, requesters(case)
    if not seconds(approvals.lifetime):
        return GateFailure(
            "every approval is over when it is given",
            f"approvals.lifetime {approvals.lifetime}",
            "time to answer, such as PT60M",
            "correct approvals.lifetime in a pull request",
            "approvals.md",
        )
    signers = signers_of(approvals.approvers, people) if _signed(case) else []
    demand, lacking = gate_demand(case), gate_shortfalls(case)
    holds = "environment" in approvals.channels and not lacking
    machines = ", ".join(each.login for each in people if each.bot)
    if machines and not signers:
        return GateFailure(
            "a machine asked, and nobody can sign",
            f"asked by {machines}; one review lets the job through, and is not enough for a machine's request",
            "an approver who signs",
            "add signed to approvals.channels and an approver's key in a pull request; or start the run by hand and have it reviewed",
            "approvals.md",
        )
    if len(signers) >= approvals.quorum:
        signed = f"signed, {approvals.quorum} of {', '.join(signers)}"
        if "environment" not in approvals.channels:
            return signed
        return (
            f"{signed}; {_gate_note(case)}" if holds else f"{signed}; environment {demand.name} requires no review: only signatures count"
        )
    if not _signed(case):
        return _by_environment(case, lacking)
    # One review lets the job through, so an environment adds one yes to the signatures, and only another person's.
    if len(signers) + (holds and another_reviewer(case, signers)) >= approvals.quorum:
        return f"{approvals.quorum} of {', '.join((*signers, f'a reviewer of {demand.name}'))}; {_gate_note(case)}"
    also = f"; {lacking[0].found}" if lacking and "environment" in approvals.channels else ""
    return GateFailure(
        "fewer approvers than the quorum",
        f"{', '.join(signers) or 'nobody'} may approve, quorum {approvals.quorum}; asked by {case.decision.issuer}{also}",
        "as many approvers as the quorum, the requester not counted",
        "add approvals.approvers in a pull request",
        "approvals.md",
    )


def signers_of(approvers: Mapping[str, str], requesters: Sequence[Person]) -> list[str]:
    """Return one login for each person who can sign, as the judge counts them: not one who asked, under any login with their key."""
    others = (each for each in people_of(approvers) if not any(Person(login=login).among(requesters) for login in each))
    return [each[0] for each in others]


def _by_environment(case: PlanCase, lacking: Sequence[Shortfall]) -> GateOutcome:
    """The answer where GitHub's own gate is the only channel."""
    if case.config.approvals.quorum > 1:
        return GateFailure(
            "GitHub's environments know no quorum",
            f"quorum {case.config.approvals.quorum}, channel environment: one review lets the job through",
            "channel signed",
            "add signed to approvals.channels",
        )
    if not lacking:
        return _gate_note(case)
    gate = case.facts.gate
    unread = gate is None or not gate.readable
    return GateFailure(
        "protection of the environment could not be read" if unread else f"environment {case.env.gate} does not protect",
        "; ".join(each.found for each in lacking),
        "; ".join(dict.fromkeys(each.expected for each in lacking)),
        _FIX_UNREAD if unread else _FIX_TIER if gate is not None and gate.private else _FIX,
        "private-repositories.md" if gate is not None and gate.private else "approvals.md",
    )


def another_reviewer(case: PlanCase, signers: Sequence[str]) -> bool:
    """Whether the approval gate has a reviewer who is none of the signers: a person, or a team, whose members are not known here."""
    gate, others = case.facts.gate, [*requesters(case), *(Person(login=login) for login in signers)]
    return gate is not None and bool(eligible_reviewers(gate, others))


def gate_demand(case: PlanCase) -> Demand:
    """What the approval gate of this case must do."""
    ref = case.facts.ref
    return demand_of(case.env.gate, case.env.reviewers, case.env.env_class, ref.ref if ref.default_branch else "")


def gate_shortfalls(case: PlanCase) -> list[Shortfall]:
    """What the approval gate does not do; a gate that was not looked at protects nothing."""
    if case.facts.gate is None:
        return [Shortfall(f"{case.env.gate}: no control plane was asked", "an environment whose rules can be read")]
    return shortfalls(case.facts.gate, gate_demand(case), requesters(case))


def _gate_note(case: PlanCase) -> str:
    gate, check = case.facts.gate, case.facts.check_gate
    if gate is None:
        return ""
    said = [f"{gate.name}: {', '.join(eligible_reviewers(gate, requesters(case)))}", *remarks(gate, gate_demand(case))]
    wanted = Demand(case.env.check_gate, 0, gate_demand(case).branch)
    said += [each.found for each in shortfalls(check, wanted)] if check is not None else []
    return "; ".join(said)


def _signed(case: PlanCase) -> bool:
    return "signed" in case.config.approvals.channels


def requesters(case: PlanCase) -> tuple[Person, ...]:
    """Everybody who asked, the issuer included where it is a login: none of them approves anything."""
    kind, _, login = case.decision.issuer.partition(":")
    named = (Person(login=login),) if kind == "github" and re.fullmatch(LOGIN, login) else ()
    return (*case.facts.requesters, *named)
