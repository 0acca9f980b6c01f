"""Workflow files, and starting them by `workflow_dispatch` and `repository_dispatch`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.github.description import Json
from tests.support.github.routing import Answer, Ask, Refused, invalid, not_found, route

if TYPE_CHECKING:
    from tests.support.github.repositories import Repository
    from tests.support.github.runs import Run

HOME = "/repos/{owner}/{repo}/actions/workflows/{workflow_id}"
MOST_INPUT = 65_535
"""Characters of all inputs, and of a client payload (GitHub docs, *Events that trigger workflows*)."""


@dataclass(eq=False)
class Workflow:
    """A workflow that GitHub has registered: its file is on the default branch."""

    repository: Repository = field(repr=False)
    id: int
    name: str
    path: str
    created_at: str
    state: str = "active"
    on_start: Callable[[Run], None] | None = field(default=None, repr=False)
    """What happens to a run that was just dispatched: add jobs, fail at startup, ..."""

    def show(self) -> Json:
        """In full."""
        return {
            "id": self.id,
            "node_id": f"W_{self.id}",
            "name": self.name,
            "path": self.path,
            "state": self.state,
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "url": f"{self.repository.url}/actions/workflows/{self.id}",
            "html_url": f"{self.repository.page}/blob/{self.repository.default_branch}/{self.path}",
            "badge_url": f"{self.repository.page}/workflows/{self.name}/badge.svg",
        }

    def triggers(self, ref: str) -> dict[str, Any]:
        """The `on:` of the file at a ref; none where the file is not there."""
        content = self.repository.trees[self.repository.resolve(ref)].get(self.path, b"on: {}")
        # BaseLoader: `on` is a word here, not a boolean.
        found = (yaml.load(content, yaml.BaseLoader) or {}).get("on", {})
        if isinstance(found, str):
            return {found: {}}
        if isinstance(found, list):
            return {name: {} for name in found}
        return {name: options or {} for name, options in found.items()}

    def start(self, ref: str, event: str, actor: str, inputs: Json) -> Run:
        """A new run."""
        branch = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        run = self.repository.add_run(
            self, event=event, actor=self.repository.state.account(actor), branch=branch, sha=self.repository.resolve(ref), inputs=inputs
        )
        if self.on_start:
            self.on_start(run)
        return run


def make_workflow(repository: Repository, path: str, text: str, branch: str) -> Workflow:
    """The body of `Repository.add_workflow`."""
    repository.commit({path: text}, branch)
    name = (yaml.load(text, yaml.BaseLoader) or {}).get("name", path)
    made = Workflow(repository, repository.state.next_id(), name, path, repository.state.stamp())
    repository.workflows.append(made)
    return made


@route("GET", "/repos/{owner}/{repo}/actions/workflows", "actions: read")
def list_workflows(ask: Ask) -> Answer:
    return ask.page(ask.repository.workflows, "workflows", Workflow.show)


@route("GET", HOME, "actions: read")
def get_workflow(ask: Ask) -> Answer:
    return Answer(200, _workflow(ask).show())


@route("GET", f"{HOME}/runs", "actions: read")
def list_runs_of_workflow(ask: Ask) -> Answer:
    from tests.support.github.runs import page_of_runs

    workflow = _workflow(ask)
    return page_of_runs(ask, [run for run in ask.repository.runs.values() if run.path == workflow.path])


@route("PUT", f"{HOME}/disable", "actions: write")
def disable(ask: Ask) -> Answer:
    _workflow(ask).state = "disabled_manually"
    return Answer(204)


@route("PUT", f"{HOME}/enable", "actions: write")
def enable(ask: Ask) -> Answer:
    _workflow(ask).state = "active"
    return Answer(204)


@route("POST", f"{HOME}/dispatches", "actions: write")
def dispatch(ask: Ask) -> Answer:
    """422 for a ref, a trigger or an input that is not there; 200 with the run only where it is asked for."""
    workflow, repository, ref = _workflow(ask), ask.repository, ask.body["ref"]
    short = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    if short not in repository.branches and short not in repository.tags:
        raise Refused(422, f"No ref found for: {ref}")
    if workflow.state != "active":
        raise Refused(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow")
    triggers = workflow.triggers(ref)
    if "workflow_dispatch" not in triggers:
        raise Refused(422, "Workflow does not have 'workflow_dispatch' trigger")
    inputs = _inputs(triggers["workflow_dispatch"].get("inputs") or {}, ask.body.get("inputs", {}))
    run = workflow.start(ref, "workflow_dispatch", ask.token.actor, inputs)
    if not ask.body.get("return_run_details"):
        return Answer(204)
    return Answer(200, {"workflow_run_id": run.id, "run_url": run.url, "html_url": run.page})


@route("POST", "/repos/{owner}/{repo}/dispatches", "contents: write")
def repository_dispatch(ask: Ask) -> Answer:
    """Starts every workflow of the default branch that listens; says nothing about it."""
    repository, payload = ask.repository, ask.body.get("client_payload", {})
    if len(payload) > 10:
        raise invalid("No more than 10 properties are allowed; client_payload has more", "Repository", "client_payload")
    if len(json.dumps(payload)) > MOST_INPUT:
        raise invalid("client_payload is too large", "Repository", "client_payload")
    for workflow in list(repository.workflows):
        trigger = workflow.triggers(repository.default_branch).get("repository_dispatch")
        if trigger is not None and workflow.state == "active":
            wanted = trigger.get("types") or [ask.body["event_type"]]
            if ask.body["event_type"] in ([wanted] if isinstance(wanted, str) else wanted):
                run = workflow.start(repository.default_branch, "repository_dispatch", ask.token.actor, payload)
                run.title = ask.body["event_type"]
    return Answer(204)


def _inputs(declared: dict[str, Any], given: Json) -> Json:
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise Refused(422, f"Unexpected inputs provided: {json.dumps(unknown)}")
    missing = [name for name, options in declared.items() if (options or {}).get("required") == "true" and not given.get(name)]
    if any("default" in (declared[name] or {}) for name in missing):
        missing = [name for name in missing if "default" not in (declared[name] or {})]
    if missing:
        raise Refused(422, f"Required input '{missing[0]}' not provided")
    for name, options in declared.items():
        choices = (options or {}).get("options")
        if name in given and choices and given[name] not in choices:
            raise Refused(422, f"Provided value '{given[name]}' for input '{name}' not in the list of allowed values")
    if sum(len(str(value)) for value in given.values()) > MOST_INPUT:
        raise Refused(422, "inputs are too large.")
    return {name: (options or {}).get("default", "") for name, options in declared.items()} | given


def _workflow(ask: Ask) -> Workflow:
    """By its number, or by the name of its file."""
    wanted = ask.values["workflow_id"]
    for workflow in ask.repository.workflows:
        if wanted in {str(workflow.id), workflow.path.rpartition("/")[2]}:
            return workflow
    raise not_found()
