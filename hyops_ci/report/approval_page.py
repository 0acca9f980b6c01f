"""What an approver reads before answering: one page, the same on every channel (docs/design/texts.md 2).

Everything on it is in a digest that the answer binds, or in the answer itself: decision, plan, check, requesters and time; but for the last
check, what is owed and how long others took, which the plan saw. What was not measured is shown as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.base import Measured, moment, seconds
from hyops_ci.contracts.check import Check, StepForecast
from hyops_ci.contracts.facts import canonical_ref
from hyops_ci.contracts.plan import ApprovalDemand, Plan, Settles, StepClass
from hyops_ci.contracts.track_record import TrackRecord
from hyops_ci.errors import shown
from hyops_ci.report.looking import look_lines
from hyops_ci.report.track_record import expected_time, last_check, obligation_line
from hyops_ci.text import counted, shell

_WORDS: Final = {"run": "RUN", "skip": "skip", "blocked": "BLOCKED", "unknown": "unknown"}
_NOT_MEASURED: Final = "not measured"
_WHOLE: Final = 2000
"""Characters of a reason, the longest that a decision may have: what is signed is read to its end."""


def approval_lines(
    request: ApprovalRequest,
    *,
    demand: ApprovalDemand | None = None,
    reviewers: Sequence[str] = (),
    run_url: str = "",
    known: TrackRecord | None = None,
) -> list[str]:
    """Return the page, line by line. The answer is due one lifetime of the request after it was asked.

    `demand` is the one that the host of the run adopted, where that is known; else the plan's. `reviewers` are those of the
    approval gate, as GitHub names them; `run_url` is the page of the run that asks; `known` is what the plan knew of the service before.
    """
    plan, check, requested_at = request.plan, request.check, moment(request.requested_at)
    requesters, risks = [person.login for person in request.requesters], request.subject.accepted_risks
    until = requested_at + timedelta(seconds=seconds(request.lifetime))
    asked = ("Asked", f'{_names(requesters) or "nobody by name"} {requested_at:%H:%M:%S}Z: "{shown(request.decision.rationale, _WHOLE)}"')
    end = [
        ("Approvers", _approvers(plan, demand or plan.approval, requesters, reviewers, run_url)),
        ("Not now?", f"Do nothing: it ends by itself at {until:%H:%M:%S}Z. No runner is held."),
    ]
    valid = f"valid until {until:%H:%M:%S}Z, plan {plan.digest()[7:15]}"
    if plan.settles is not None:
        rows = [asked, *_settlement(plan, plan.settles), *(("Deviation", shown(text)) for text in check.deviations), *end]
        return [f"APPROVE?  {f'SETTLE {plan.service}: {plan.settles.serves} serves':<45} {valid}", *_lined(rows)]
    rows = [
        asked,
        ("Does", _does(plan, check)),
        ("Data", _data(plan, check)),
        ("Old side", _old_side(plan)),
        ("Guards", _guards(check)),
        ("Steps", " | ".join(_step(step) for step in check.steps)),
        ("Checked", _checked(plan, check)),
        ("Last check", last_check(known.readiness, requested_at) if known is not None else ""),
        *(("Deviation", shown(text)) for text in dict.fromkeys((*plan.warnings, *check.deviations))),
        *(("Unknown", shown(f"{what}: {why}")) for what, why in sorted(check.unknown.items())),
        ("Runner", _bootstrap(plan)),
        ("Accepts", ", ".join(shown(risk) for risk in risks) and f"the risk {', '.join(map(shown, risks))}"),
        ("Owed", "; ".join(obligation_line(each) for each in known.obligations) if known is not None else ""),
        ("Time", expected_time(known, plan.objective)),
        *end,
    ]
    title = f"{_kind(plan)} {plan.service}, {plan.source_site} -> {plan.target_site}"
    return [f"APPROVE?  {title:<45} {valid}", *_lined(rows)]


def _lined(rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{label:<10} {text}" for label, text in rows if text]


def _settlement(plan: Plan, about: Settles) -> list[tuple[str, str]]:
    """Return what a settlement does, and how its approver looks: two people look, and say the same."""
    return [
        ("Does", f"records that {about.serves} serves, and frees the lock. Nothing is recovered, no HyOps is started"),
        ("Settles", f"{_kind(plan)} {plan.source_site} -> {plan.target_site}, epoch {about.epoch}, run {about.run_id}, which was cut off"),
        *(("Look", shown(line)) for line in look_lines(plan)),
        ("Checked", "no HyOps is at work in this env on its runner. Whether the other site is off was not looked at"),
    ]


def _kind(plan: Plan) -> str:
    drill = f"DRILL ({plan.exercise}) " if plan.exercise else ""
    return drill + {"failback_onprem": "FAILBACK"}.get(plan.decision_type.value, plan.decision_type.value.upper())


def _does(plan: Plan, check: Check) -> str:
    """Return how many steps run, where a backup is restored, and where clients move."""
    running = {step.id for step in check.steps if step.outcome != "skip"}
    doing = [f"runs {len(running)} of {len(plan.steps)} steps"]
    doing += [
        f"{'puts data back' if step.restores else 'moves clients'} in {_place(plan, step.id)}"
        for step in plan.steps
        if step.id in running and (step.restores or step.id == plan.point_of_no_return)
    ]
    changing = any(step.step_class is not StepClass.READ for step in plan.steps if step.id in running)
    end = "" if plan.point_of_no_return in running else "; no step moves clients" if changing else "; changes nothing"
    return ", then ".join(doing) + end


def _place(plan: Plan, step_id: str) -> str:
    number = [step.id for step in plan.steps].index(step_id) + 1
    last = ": point of no return" if step_id == plan.point_of_no_return else ""
    return f"{step_id} (step {number} of {len(plan.steps)}{last})"


def _data(plan: Plan, check: Check) -> str:
    """Return which backup is restored, or that it is not known."""
    if not any(step.restores for step in plan.steps):
        return "no step puts a backup back"
    if isinstance(check.restore_point.value, str):
        return f"back to set {shown(check.restore_point.value)} + archived WAL; whether the repository still has it is not known here"
    return f"back to {shown(plan.restore_point)}, which set that is: {_measured(check.restore_point)}"


def _old_side(plan: Plan) -> str:
    if plan.exercise:
        return "stays in service: this is a drill"
    if plan.old_primary == "confirmed-off":
        return "confirmed off by who asked. This tool did not look, and does not fence"
    return "NOT CONFIRMED off. If it lives, you get two primaries. This tool does not fence"


def _bootstrap(plan: Plan) -> str:
    """Return whether this run may make its runner; empty for almost every run. What was done about it is in the report."""
    about = plan.bootstrap
    return f"was allowed to be made for this run: {about.reason}, {about.machine} at {about.provider}, gate {about.gate}" if about else ""


def _guards(check: Check) -> str:
    opened = (f"{guard.step}.{guard.input}{'' if guard.value is True else f' = {guard.value}'}" for guard in check.guards)
    text = ", ".join(shown(each) for each in opened)
    return f"opens {text}, this run only" if text else "opens none"


def _step(step: StepForecast) -> str:
    why = f" ({shown(step.why, 80)})" if step.why else ""
    return f"{shown(step.id)} {_WORDS[step.outcome]}{why}"


def _checked(plan: Plan, check: Check) -> str:
    """Return what the check found. The gate demanded every upstream state; those of the run's own steps are told step by step."""
    own = {canonical_ref("#".join(filter(None, (step.module_ref, step.state_instance)))) for step in plan.steps}
    good = sum(state.status == "ok" and canonical_ref(state.ref) not in own for state in check.states)
    states = f"{counted(good, 'upstream state')} ok" if check.states else "states not confirmed"
    secret = f"{len(check.secret_names)} secret names found" if check.secret_names else "secret names not confirmed"
    host = "" if check.runner.trusted else ", this host does not pin its callers"
    name = shown(check.runner.name or check.runner.hostname) or "a runner without a name"
    return f"on {name}: HyOps {shown(check.hyops_version)}, {states}, {secret}{host}"


def _approvers(plan: Plan, demand: ApprovalDemand, requesters: Sequence[str], reviewers: Sequence[str], run_url: str) -> str:
    """Return who may approve, and how."""
    asking = {login.lower() for login in requesters}
    if not demand.required:
        return f"none needed in env {plan.env} (class {plan.env_class})"
    known = dict.fromkeys((*(reviewers if "environment" in demand.channels else ()), *demand.approvers))
    able = [shown(login) for login in known if login.lower() not in asking]
    who = " or ".join(able) or (f"the reviewers of {demand.gate}" if "environment" in demand.channels else "NO ELIGIBLE APPROVER")
    but = f" (not {_names(requesters)})" if requesters else ""
    count = f" Needs {demand.quorum}." if demand.quorum > 1 else ""
    ways = {
        "environment": f"Review deployments -> {demand.gate}",
        "signed": shell("hyops-ci approve {}", run_url) if run_url else "hyops-ci approve --request FILE",
    }
    how = " or ".join(ways[channel] for channel in demand.channels)
    return f"{who}{but}.{count}  Approve = {how}.  Deny = say why; nothing will have changed"


def _measured(fact: Measured) -> str:
    if fact.value is None:
        return _NOT_MEASURED + (f" ({shown(fact.reason)})" if fact.reason else "")
    return shown(str(fact.value))


def _names(requesters: Sequence[str]) -> str:
    return " and ".join(shown(login) for login in requesters)
