"""Starting a workflow, once: sizes are checked first, and the run is looked up when the response does not name it.

GitHub answers `workflow_dispatch` with the run since 2026-02-19 (`return_run_details`); older servers, and
`repository_dispatch` everywhere, do not. A request whose response was lost is never repeated, as that could start two
runs; the list of runs is read instead (docs/design/github.md 6).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Never

from hyops_ci.contracts.clock import Clock
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.github.actions.workflow_file import Input
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.endpoints import DISPATCH, REPOSITORY_DISPATCH, RUNS, WORKFLOW
from hyops_ci.github.api.responses import Unanswered
from hyops_ci.text import shell

MAX_INPUTS: Final = 25
MAX_SIZE: Final = 65_535
"""Characters of all inputs together, bytes of a payload, both as JSON."""
MAX_EVENT_TYPE: Final = 100
LOOKS: Final = (2.0, 3.0, 5.0, 10.0, 10.0)
"""Seconds before each look for a run whose number did not come back: it is listed within half a minute, or it is not there."""
_FILE: Final = re.compile(r"[A-Za-z0-9._-]{1,100}\.ya?ml")


@dataclass(frozen=True)
class DispatchTarget:
    """A workflow that can be started."""

    file: str
    """`dr.yml`."""
    path: str
    page: str
    """Its runs, for people."""


@dataclass(frozen=True)
class Started:
    """The run that was started. `run_id` is None where several could be it: then `url` is the page that lists them."""

    run_id: int | None
    url: str


def dispatch_target(client: Client, file: str) -> DispatchTarget:
    """Return the workflow of that file. Raises Refusal (exit 2) `dispatch.workflow` for one that is disabled, or a bad name."""
    if not _FILE.fullmatch(file):
        _refuse(
            "workflow",
            "no workflow is called that",
            file or "no name",
            "the name of a file in .github/workflows, such as dr.yml",
            "name it",
        )
    found = client.ask(WORKFLOW, workflow=file)
    if found["state"] != "active":
        _refuse(
            "workflow",
            "GitHub does not start this workflow",
            f"{found['path']} is {found['state'].replace('_', ' ')}",
            "an active workflow",
            shell("gh workflow enable {} --repo {}; GitHub disables those of idle repositories", file, client.repository),
        )
    return DispatchTarget(file, found["path"], f"{found['html_url'].partition('/blob/')[0]}/actions/workflows/{file}")


def check_inputs(inputs: Mapping[str, str], *, instead: str) -> None:
    """Require inputs within GitHub's limits. Raises Refusal (exit 2) `dispatch.size`; `instead` is its fix."""
    if len(inputs) > MAX_INPUTS:
        _refuse("size", "more inputs than GitHub takes", f"{len(inputs)}", f"at most {MAX_INPUTS}", "send a decision instead of its fields")
    _check_size(len(_written(inputs)), "characters", "the inputs are", instead)


def check_event(event_type: str, payload: Mapping[str, Any], *, instead: str) -> None:
    """Require a `repository_dispatch` within GitHub's limits. Raises Refusal (exit 2) `dispatch.event` or `dispatch.size`."""
    if not 1 <= len(event_type) <= MAX_EVENT_TYPE or not event_type.isprintable():
        expected = f"1 to {MAX_EVENT_TYPE} characters"
        _refuse(
            "event", "no event is called that", event_type or "no name", expected, "name the type in the workflow's on: repository_dispatch"
        )
    _check_size(len(_written(payload).encode("utf-8", "replace")), "bytes", "the payload is", instead)


def check_declared(inputs: Mapping[str, str], declared: Mapping[str, Input] | None, where: str) -> None:
    """Require that the workflow declares what is sent: GitHub refuses it too, but does not say what would be right.

    `declared` is what its file says (None: no `workflow_dispatch` in it), `where` names the file.
    Raises Refusal (exit 2) `dispatch.inputs`.
    """
    if declared is None:
        _refuse(
            "inputs", "this workflow cannot be started", f"{where} has no on: workflow_dispatch", "one", "add it, or send an --event-type"
        )
    if unknown := sorted(set(inputs) - set(declared)):
        _refuse(
            "inputs",
            "the workflow does not take what is sent",
            f"{where} declares {', '.join(sorted(declared)) or 'no inputs'}; sent {', '.join(sorted(inputs))}",
            f"an input {' and an input '.join(unknown)}",
            "declare it and hand it on to dispatch.yml, as workflows-templates/dr-manual.yml does",
        )
    for name, each in declared.items():
        if each.required and not each.default and not inputs.get(name):
            _refuse(
                "inputs", "the workflow wants an input more", f"{where} requires {name}", "nothing required", f"make {name} optional there"
            )
        if each.options and inputs.get(name, each.options[0]) not in each.options:
            _refuse(
                "inputs", "the workflow offers no such choice", f"{name}={inputs[name]}", f"one of {', '.join(each.options)}", "choose one"
            )


def start(client: Client, into: DispatchTarget, *, ref: str, inputs: Mapping[str, str], mark: str, clock: Clock) -> Started:
    """Start a run by `workflow_dispatch` and return it. `mark` is a text in the run's name by which it can be found.

    Raises as `Client.ask`, and Fault (exit 12) `dispatch.unknown` where GitHub did not respond and no run can be identified.
    """
    search = _Search(client, into, "workflow_dispatch", mark, clock, _newest(client, into), ref.removeprefix("refs/heads/"))
    try:
        answer = client.ask(DISPATCH, workflow=into.file, body={"ref": ref, "inputs": dict(inputs), "return_run_details": True})
    except Unanswered as error:
        return search.find(error)
    if isinstance(answer, dict) and "workflow_run_id" in answer:
        return Started(int(answer["workflow_run_id"]), str(answer["html_url"]))
    return search.find(None)


def start_by_event(
    client: Client, into: DispatchTarget, *, event_type: str, payload: Mapping[str, Any], mark: str, clock: Clock
) -> Started:
    """Start a run of `into` by `repository_dispatch` and return it. Raises as `start`."""
    search, lost = _Search(client, into, "repository_dispatch", mark, clock, _newest(client, into)), None
    try:
        client.ask(REPOSITORY_DISPATCH, body={"event_type": event_type, "client_payload": dict(payload)})
    except Unanswered as error:
        lost = error
    return search.find(lost)


def _newest(client: Client, into: DispatchTarget) -> int:
    """Return the id of the workflow's last run: a new one has a higher id, whatever the clocks say."""
    found = client.ask(RUNS, workflow=into.file, params={"per_page": 1})["workflow_runs"]
    return max((int(run["id"]) for run in found), default=0)


@dataclass(frozen=True)
class _Search:
    """The search for a run that was just started."""

    client: Client
    into: DispatchTarget
    event: str
    mark: str
    clock: Clock
    before: int
    """Id of the workflow's last run before the start."""
    branch: str = ""
    """Where it was started, where that is known: a run of another branch may have any title."""

    def find(self, lost: Unanswered | None) -> Started:
        """Return the run that was started. With `lost` there may be none, so only its mark identifies it."""
        fresh: list[dict[str, Any]] = []
        for fresh in self._polls(lost):
            marked = [run for run in fresh if self.mark and self.mark in f"{run.get('display_title', '')}\n{run.get('name', '')}"]
            if len(marked) == 1:
                return Started(int(marked[0]["id"]), str(marked[0]["html_url"]))
        if lost is not None:
            raise _unknown(self.into, fresh, self.mark, lost) from None
        if len(fresh) == 1:
            return Started(int(fresh[0]["id"]), str(fresh[0]["html_url"]))
        return Started(None, self.into.page)

    def _polls(self, lost: Unanswered | None) -> Iterator[list[dict[str, Any]]]:
        """Yield the workflow's runs since the start, poll by poll. An error of polling is not one of the start, unless `lost`."""
        for wait in LOOKS:
            self.clock.sleep(wait)
            try:
                found = self.client.ask(RUNS, workflow=self.into.file, params={"event": self.event, "per_page": 30})["workflow_runs"]
            except DispatchError:
                if lost is not None:
                    raise _unknown(self.into, [], "", lost) from None
                return
            yield [run for run in found if int(run["id"]) > self.before and self.branch in ("", run.get("head_branch"))]


def _unknown(into: DispatchTarget, fresh: list[dict[str, Any]], mark: str, lost: Unanswered) -> Fault:
    seen = ", ".join(f"{run['id']} {run.get('display_title', '')!r}" for run in fresh[:5])
    named = f"; runs since then: {seen or 'none'}; none is known by {mark!r}" if mark else "; its runs cannot be listed"
    return Fault(
        "dispatch.unknown",
        "whether the run was started is not known",
        exit_code=Exit.UNAVAILABLE,
        found=f"{lost.found}{named}",
        expected="an answer, or a run that can be told to be this one",
        fix=f"look at {into.page} in a minute; dispatch again only when no run is there (the ledger refuses the second of two)",
        docs="dispatch.md",
    )


def _written(sent: Mapping[str, Any]) -> str:
    return json.dumps(sent, ensure_ascii=False)


def _check_size(size: int, unit: str, what: str, instead: str) -> None:
    if size > MAX_SIZE:
        _refuse("size", f"{what} larger than GitHub takes", f"{size} {unit} as JSON", f"at most {MAX_SIZE}", instead)


def _refuse(rule: str, reason: str, found: str, expected: str, fix: str) -> Never:
    raise Refusal(f"dispatch.{rule}", reason, exit_code=Exit.USAGE, found=found, expected=expected, fix=fix, docs="dispatch.md")
