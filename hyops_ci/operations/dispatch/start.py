"""Dispatch: a decision, validated here, starts the DR workflow of a repository (docs/design/workflows.md 1).

decision or form -> what is sent -> the workflow takes it -> it is started, once -> which run that is

The dispatched workflow makes its own plan and trusts nothing that was found here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Never

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.dataclass import dataclass, field, replace
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.actions.workflow_file import dispatch_inputs, event_types, read_workflow
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.endpoints import BRANCH
from hyops_ci.github.api.responses import Forbidden, NotFound
from hyops_ci.github.contents import file_at
from hyops_ci.github.dispatch import (
    DispatchTarget,
    Started,
    check_declared,
    check_event,
    check_inputs,
    dispatch_target,
    start,
    start_by_event,
)
from hyops_ci.github.repository import repository
from hyops_ci.intake.decision import read_form
from hyops_ci.intake.form import CHECK, DRILL, SETTLE, Form
from hyops_ci.intake.kinds import identity_of
from hyops_ci.intake.records import decision_id
from hyops_ci.intake.validate import validate
from hyops_ci.parsing.strict_json import read_object
from hyops_ci.text import shell

_REFERENCE: Final = re.compile(r"(?P<path>[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}|\.[A-Za-z0-9_][A-Za-z0-9_./-]{0,198})@(?P<sha>[0-9a-f]{40})")
_NAMEABLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class StartRequest:
    """What to dispatch (one of `decision`, `decision_ref` and `form`), and to which workflow."""

    workflow: str = "dr.yml"
    ref: str = ""
    """Branch or tag; empty for the default branch."""
    decision: bytes = field(default=b"", repr=False)
    decision_ref: str = ""
    """A file of the repository and its commit, path@sha."""
    form: Form = field(default_factory=Form)
    event_type: str = ""
    """Start by `repository_dispatch` with this type, instead of by `workflow_dispatch`."""
    bootstrap_reason: str = ""
    """Why the run may make its runner where that is missing; the plan judges it."""


@dataclass(frozen=True)
class DispatchedRun:
    """The run that was started, and the decision it was started with."""

    run_id: int | None
    """None where several runs could be it."""
    url: str
    ref: str
    decision_id: str
    """Of a form: made of the run's number."""
    source_sha256: str = ""
    """Of the decision's bytes; empty for a form."""


@dataclass(frozen=True)
class _Message:
    """What is sent, and what is known of the decision in it."""

    inputs: dict[str, str]
    decision_id: str = ""
    document: dict[str, Any] = field(default_factory=dict, repr=False)
    source_sha256: str = ""
    mark: str = ""
    """What the run's name will hold, if the workflow puts it there."""


def dispatch(request: StartRequest, client: Client, clock: Clock, say: Callable[[str], None]) -> DispatchedRun:
    """Start the workflow. Raises Refusal before anything was sent, and as `github.dispatch.start`."""
    message = _message(request, client, clock)
    if request.event_type:
        check_event(
            request.event_type, {"decision": message.document}, instead=_by_reference(request, client, message.decision_id, event=True)
        )
    else:
        check_inputs(message.inputs, instead=_by_reference(request, client, message.decision_id))
    target = dispatch_target(client, request.workflow)
    ref = request.ref or repository(client).default_branch
    if request.decision_ref:
        _must_be_tip(client, ref, request.decision_ref)
    message = _checked(message, _file(client, target, ref, say), request, f"{target.path} at {ref}")
    started = _start(request, message, target, ref, client, clock)
    named = message.decision_id or (f"manual-{repository(client).id}-{started.run_id}" if started.run_id else "")
    return DispatchedRun(started.run_id, started.url, ref, named, message.source_sha256)


def _start(request: StartRequest, message: _Message, target: DispatchTarget, ref: str, client: Client, clock: Clock) -> Started:
    if request.event_type:
        payload = {"decision": message.document}
        return start_by_event(client, target, event_type=request.event_type, payload=payload, mark=message.mark, clock=clock)
    return start(client, target, ref=ref, inputs=message.inputs, mark=message.mark, clock=clock)


# -------------------------------------------------------------------------------------------- what is to be sent


def _message(request: StartRequest, client: Client, clock: Clock) -> _Message:
    ways = {"a decision": request.decision, "a decision_ref": request.decision_ref, "a form": request.form.action}
    used = [name for name, value in ways.items() if value]
    if len(used) != 1:
        _refuse("kind", "exactly one way to say what is decided", " and ".join(used) or "none", " or ".join(ways), "leave the others out")
    if request.event_type and not request.decision:
        _refuse("kind", "an event carries the decision itself", used[0], "a decision", "leave --event-type out, or send the decision")
    if request.event_type and request.ref:
        _refuse("ref", "an event always starts the default branch", f"ref {request.ref}", "no ref", "leave --ref out")
    if request.event_type and request.bootstrap_reason:
        found = f"bootstrap_reason {request.bootstrap_reason}"
        _refuse("kind", "an event carries the decision alone", found, "no bootstrap_reason", "leave --event-type out, or the reason")
    if request.form.action:
        message = _of_form(request.form, clock)
    else:
        message = _of_bytes(request.decision or _committed(client, request.decision_ref), request.decision_ref)
    reason = {"bootstrap_reason": request.bootstrap_reason} if request.bootstrap_reason else {}
    return replace(message, inputs=message.inputs | reason)


def _of_form(form: Form, clock: Clock) -> _Message:
    """Return a person's form, judged as the plan will judge it. Number, login and time are the run's own."""
    # Which move `check` and `settle` are about is the ledger's to say.
    judged = replace(form, action="failover") if form.action in (CHECK, DRILL, SETTLE) else form
    read_form(judged, repository_id=1, run_id="1", login="someone", created_at=stamp(clock.now().replace(microsecond=0)))
    usual, inputs = Form(), {"action": form.action, "service": form.service, "reason": form.reason}
    if form.restore not in ("", usual.restore):
        inputs["restore"] = form.restore
    if form.old_primary not in ("", usual.old_primary):
        inputs["old_primary"] = form.old_primary
    if form.serves:
        inputs["serves"] = form.serves
    return _Message(inputs, mark=form.reason.strip())


def _of_bytes(data: bytes, ref: str) -> _Message:
    """Return a decision or record as it stands; validated, and its bytes unchanged."""
    kind = validate(data, "the decision")
    document = read_object(data, "the decision")
    name = identity_of(kind, document)
    inputs = {"decision_ref": ref} if ref else {"decision": data.decode("utf-8")}
    return _Message(inputs, decision_id(name), document, digest_bytes(data), name)


def _committed(client: Client, ref: str) -> bytes:
    """Return the bytes of a committed decision."""
    found = _REFERENCE.fullmatch(ref)
    if found is None or ".." in found["path"].split("/"):
        _refuse("ref", "not the name of a committed file", ref, "path@sha, the sha in 40 hex digits", "git rev-parse HEAD prints it")
    return file_at(client, found["path"], found["sha"])


def _must_be_tip(client: Client, ref: str, reference: str) -> None:
    """The plan takes a reference at the commit that the run starts on and at no other, so this must be the branch's last one."""
    found = client.exists(BRANCH, branch=ref)
    sha = reference.rpartition("@")[2]
    if found is not None and found["commit"]["sha"] != sha:
        tip = found["commit"]["sha"]
        _refuse(
            "ref", "the decision is not at the commit that would run", f"{ref} is at {tip}", sha, "commit it once more, or dispatch faster"
        )


def _by_reference(request: StartRequest, client: Client, name: str, *, event: bool = False) -> str:
    """Return how a decision travels that is too large to be sent."""
    path = f".github/dr/decisions/{name if _NAMEABLE.fullmatch(name) else 'decision'}.json"
    commit = shell("git add {} && git commit -m Decision && git push", path)
    where = shell("hyops-ci dispatch --repository {} --workflow {}", client.repository, request.workflow)
    where += shell(" --ref {}", request.ref) * bool(request.ref)
    where += shell(" --bootstrap-reason {}", request.bootstrap_reason) * bool(request.bootstrap_reason)
    send = shell("--decision-ref {}@$(git rev-parse HEAD)", path)
    return f"{'an event cannot carry it; ' * event}commit it and send its place: {commit} && {where} {send}"


# ------------------------------------------------------------------------------------------- what the workflow takes


def _file(client: Client, target: DispatchTarget, ref: str, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the workflow's file at the ref; None where this token may not read it, or the ref is not there: GitHub judges then."""
    try:
        data = file_at(client, target.path, ref)
    except (Forbidden, NotFound) as error:
        say(f"{target.path} at {ref} cannot be read ({error.gate}): whether it takes what is sent, GitHub says")
        return None
    return read_workflow(data, target.path)


def _checked(message: _Message, file: dict[str, Any] | None, request: StartRequest, where: str) -> _Message:
    """Return what is sent, in the form that the workflow takes. Raises Refusal (exit 2) `dispatch.inputs` or `dispatch.event`."""
    if file is None:
        return message
    if request.event_type:
        types = event_types(file)
        if types is None or (types and request.event_type not in types):
            found = f"{where} listens to {', '.join(types or ()) or 'no repository_dispatch'}"
            _refuse(
                "event", "the event would start nothing", found, request.event_type, "name a type of the workflow, or another --workflow"
            )
        return message
    declared = dispatch_inputs(file)
    # Used for the run's name only, which then shows the decision.
    name = {"reason": message.decision_id} if message.source_sha256 and "reason" in (declared or {}) else {}
    inputs = {**message.inputs, **name}
    check_declared(inputs, declared, where)
    return replace(message, inputs=inputs)


def _refuse(rule: str, reason: str, found: str, expected: str, fix: str) -> Never:
    raise Refusal(f"dispatch.{rule}", reason, exit_code=Exit.USAGE, found=found, expected=expected, fix=fix, docs="dispatch.md")
