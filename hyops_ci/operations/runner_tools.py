"""What makes a runner: the provider of the lane, GitHub's registrations, the proof and the setup of a host, for a job or a person.

Nothing is asked and no provider's SDK is imported before the first use. The authority is asked once for all values, by a role that reads
no secret of an env (`hyops_ci/secrets/places.py`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from hyops_ci.config.file import read_trust
from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.contracts.host_trust import MAX_CALLERS
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import API, Client
from hyops_ci.github.contents import file_at, files_in
from hyops_ci.github.environments import environment
from hyops_ci.github.registration import Registry
from hyops_ci.github.repository import person_id, repository
from hyops_ci.github.runs import run as run_fact
from hyops_ci.identity.oidc_request import job_identity
from hyops_ci.operations.callers import WORKFLOWS, calls_in, calls_nothing_but
from hyops_ci.operations.init.commands import Adopter, envs_on
from hyops_ci.operations.init.runner_host import trust_document
from hyops_ci.operations.lane_access import LaneAccess, Means
from hyops_ci.runners.bootstrap import AgentArchive, Registration, release_table, set_up
from hyops_ci.runners.ssh import prove
from hyops_ci.runners.troubles import lacking
from hyops_ci.stages.ensure_runner.tools import Tools, ToolsRequest

if TYPE_CHECKING:
    from collections.abc import Callable

DISPATCH: Final = "/.github/workflows/dispatch.yml"
YAML: Final = (".yml", ".yaml")
UNREADABLE: Final = "runner.trust-file"
"""The gate of a trust file that no host could read."""


def tools_for(request: ToolsRequest) -> Tools:
    """Return the tools for the planned run of `request`."""
    made, clock, say = _Tools(request), request.context.clock, request.context.say
    return Tools(
        adapters=lambda owner: made.access.adapters(owner),
        registry=made.registry,
        prove=lambda candidate, login, limit: prove(candidate, login, limit=limit, clock=clock, say=say),
        set_up=lambda host, order: set_up(host, order, say),
        trust=made.trust,
    )


@dataclass(frozen=True)
class _Tools:
    request: ToolsRequest

    @cached_property
    def access(self) -> LaneAccess:
        """The way to the lane's machine and registration."""
        asked, context = self.request, self.request.context
        api, job = os.environ.get("GITHUB_API_URL") or API, context.job
        where = job.runner_environment if job.on_github else None
        means = Means(context.clock, lambda: self.identity, api, context.say, asked.learn, self.request.note, job.runner_name, where)
        return LaneAccess(asked.config, asked.plan.lane, means)

    @cached_property
    def identity(self) -> Callable[[str], str] | None:
        """What the job proves itself with, a token for each audience; None outside GitHub. Raises Refusal (exit 8)."""
        context = self.request.context
        return context.token_for or (job_identity(context.environ, learn=self.request.learn) if context.job.on_github else None)

    def registry(self) -> Registrations:
        """Return GitHub's registrations, entered as the adopter's App."""
        job = self.request.context.job
        found = self.access.registry(job.repository)
        return Registrations(found, found.url(job.server_url), found.group, self.request)

    def trust(self) -> bytes:
        """Return the trust file of the lane's host: the workflow that this run itself is of, and who may approve by GitHub's own ids.

        It accepts the caller of this run and every other at its commit: a host that knew one would end the looks of the other.
        """
        context = self.request.context
        if context.github is None:
            raise lacking("no token of the job")
        this = run_fact(context.github, context.job.run_number)
        pins = {(path.partition("@")[0], sha) for path, sha in this.referenced if path.partition("@")[0].endswith(DISPATCH)}
        if len(pins) != 1:
            raise lacking(f"this run uses {len(pins)} workflows called dispatch.yml")
        pin = pins.pop()
        callers = tuple(sorted({this.path, *self.other_callers(context.github, this.sha, pin)}))
        try:
            return trust_file(self.request, context.github, pin, callers)
        except Refusal as refusal:
            if refusal.gate != UNREADABLE or callers == (this.path,):
                raise
            self.only_this(refusal)
            return trust_file(self.request, context.github, pin, (this.path,))

    def other_callers(self, client: Client, sha: str, pin: tuple[str, str]) -> list[str]:
        """Return the workflows at a commit that are nothing but calls of dr-dispatch as this run pins it.

        One with another job would bring that job past the host's hook, which knows a job by its workflow alone. Where workflows cannot be
        read, none: a recovery does not wait for a look.
        """
        try:
            texts = {path: file_at(client, path, sha) for path in files_in(client, WORKFLOWS, sha) if path.endswith(YAML)}
        except Refusal as refusal:
            self.only_this(refusal)
            return []
        others = sorted(path for path, text in texts.items() if calls_nothing_but(text, pin))
        left = sorted(path for path, text in texts.items() if calls_in(text) and path not in others)
        self.request.note("callers", others=others, left_out=left)
        return others

    def only_this(self, why: Refusal) -> None:
        """Write down that the host accepts no other workflow than that of this run."""
        self.request.note("callers", others=[], problem=why.title())
        self.request.context.say(f"the host accepts the workflow of this run alone: {why.title()}")


def trust_file(request: ToolsRequest, client: Client, used: tuple[str, str], callers: tuple[str, ...]) -> bytes:
    """Return the trust file of the lane's host: the reusable workflow and its commit, who calls it, who may approve by GitHub's own ids.

    Raises Refusal `runner.trust-file` where no host could read it: before there is a machine, not on it.
    """
    config, about = request.config, repository(client)
    approvers, gates = config.approvals.approvers, {each.gate for each in envs_on(config, request.plan.lane)}
    reviewers = [person for gate in sorted(gates) for person in environment(client, gate).reviewers]
    known = {person.login: person.id for person in reviewers}
    people = {login: known.get(login) or person_id(client, login) for login in dict.fromkeys((*known, *approvers))}
    server = request.context.job.server_url or Adopter.server
    adopter = Adopter(
        about.name, about.id, about.owner_id, about.default_branch, *used, tuple(people.items()), dict(approvers), callers, server
    )
    content = json.dumps(trust_document(config, request.plan.lane, adopter), indent=2).encode() + b"\n"
    try:
        read_trust(content, "the trust file")
    except Refusal as refusal:
        raise _unreadable(refusal) from None
    return content


def _unreadable(refusal: Refusal) -> Refusal:
    return Refusal(
        "runner.trust-file",
        "the trust file of the machine would not be valid",
        found=refusal.found,
        expected=f"{refusal.expected}; at most {MAX_CALLERS} workflows that call dr-dispatch, in files of plain names",
        fix="outside a run name the workflows that the host is to accept: hyops-ci runner bootstrap --lane <lane> --reason <reason>"
        " --caller <path>; else correct what is found",
        exit_code=Exit.RUNNER,
        docs="host-trust.md",
    )


@dataclass(frozen=True)
class Registrations:
    """The registrations, as the stage asks for them."""

    registry: Registry
    url: str
    group: str
    request: ToolsRequest

    def runners(self) -> Sequence[RunnerFact]:
        """Return all of them."""
        return self.registry.runners()

    def register(self) -> Registration:
        """Mint a token, now."""
        return Registration(token=self.registry.token().value)

    def agent(self) -> AgentArchive | None:
        """Return GitHub's own release of the agent where it registers the one of this release no more. Raises Refusal for neither."""
        now, pinned = self.request.context.clock.now(), release_table().agent_version
        try:
            self._tell(self.registry.require_registrable(pinned, now))
        except Refusal as refusal:
            if refusal.gate != "registration.version":
                raise
            newest = self.registry.agent_release()
            self._tell(self.registry.require_registrable(newest.version, now))
            return AgentArchive(newest.version, newest.sha256)
        return None

    def _tell(self, unknown: str) -> None:
        if unknown:
            self.request.context.say(unknown)
