"""Attack: whoever can push a branch, or holds a token, brings a job of their own to the runner's label (docs/design/workflows.md 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.identity.issuer_keys import IssuerKeys
from hyops_ci.identity.replay import NAME as SEEN
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job_identity import OnRunner, require_caller
from tests.security.incident import Incident, assert_recovered, assert_refused
from tests.support.issuer import signing_key

AUDIENCE = "dr-dispatch:gcp-ops-runner"
Change = Callable[[Incident, RunContext, OnRunner], RunContext]


def minted(incident: Incident, audience: str, iss: str = "") -> str:
    """A token about the job that asks, signed with the key of this incident's issuer."""
    claims = {name: value for name, value in incident.issuer.claims.items() if value is not None}
    return incident.issuer.key.mint(audience, lifetime=300, **{**claims, "iss": iss or incident.issuer.url})


def says(**claims: str | None) -> Change:
    """GitHub signs something else about the attacker's job than about the one that the host waits for."""

    def change(incident: Incident, world: RunContext, _: OnRunner) -> RunContext:
        incident.issuer.claims |= claims
        return world

    return change


def of_a_branch(**claims: str) -> Change:
    """Honest about its ref: its own environment says the same as its token."""

    def change(incident: Incident, world: RunContext, _: OnRunner) -> RunContext:
        incident.issuer.claims |= {"ref": "refs/heads/let-me-in", "ref_protected": "false", **claims}
        return replace(world, job=replace(world.job, ref="refs/heads/let-me-in"))

    return change


def stolen(incident: Incident, world: RunContext, stage: OnRunner) -> RunContext:
    """The token of a true job, out of a log or a process list, after that job used it here."""
    token = minted(incident, AUDIENCE)
    thief = replace(world, token_for=lambda _: token)
    with PartRecorder(incident.folder.root.parent / "the-true-job", stage, world.clock) as part:
        assert require_caller(stage, part, thief) is not None
    return thief


def for_another(audience: str) -> Change:
    def change(incident: Incident, world: RunContext, _: OnRunner) -> RunContext:
        return replace(world, token_for=lambda _: minted(incident, audience))

    return change


def own_issuer(incident: Incident, world: RunContext, _: OnRunner) -> RunContext:
    """The attacker runs a token service: the job's environment is theirs, the host's trust is not."""
    return replace(world, token_for=lambda audience: minted(incident, audience, iss="https://evil.example.net"))


def planted_keys(incident: Incident, world: RunContext, stage: OnRunner) -> RunContext:
    """An earlier job of the runner's user leaves a key of its own where the issuer's are kept; the next one signs its token with it."""
    own = signing_key("planted")
    IssuerKeys(incident.issuer.url, world.state_dir, world.clock.now())._keep({own.kid: own.jwk()})
    return replace(world, token_for=lambda audience: own.mint(audience, **{"iss": incident.issuer.url, **incident.issuer.claims}))


def no_token(_: Incident, world: RunContext, __: OnRunner) -> RunContext:
    """A branch workflow without `id-token: write`."""
    return replace(world, environ={name: value for name, value in world.environ.items() if not name.startswith("ACTIONS_")})


STRANGERS: dict[str, tuple[Change, str, str]] = {
    "a workflow of a branch": (of_a_branch(job_workflow_sha="e" * 40), "host.caller", "ref refs/heads/let-me-in"),
    "the pinned workflow, called from a branch": (of_a_branch(), "host.caller", "ref refs/heads/let-me-in"),
    "a branch that calls itself protected": (of_a_branch(ref_protected="true"), "host.caller", "ref refs/heads/let-me-in"),
    "another workflow of the default branch": (says(job_workflow_sha="e" * 40), "host.caller", "job_workflow_sha eeee"),
    "a workflow of a fork at the pinned commit": (
        says(job_workflow_ref="mallory/dr-dispatch/.github/workflows/dispatch.yml@refs/heads/main"),
        "host.caller",
        "job_workflow_ref mallory/",
    ),
    "a pull request": (says(event_name="pull_request_target"), "host.caller", "event_name pull_request_target"),
    "a push": (says(event_name="push"), "host.caller", "event_name push"),
    "no environment": (says(environment=None), "host.caller", "environment absent"),
    "an environment without reviewers": (says(environment="dr-mine"), "host.caller", "environment dr-mine"),
    "another repository": (says(repository_id="4243"), "host.caller", "repository_id 4243"),
    "the same name under another owner": (says(repository_owner_id="78"), "host.caller", "repository_owner_id 78"),
    "a hosted machine": (says(runner_environment="github-hosted"), "host.caller", "runner_environment github-hosted"),
    "another run's": (says(run_id="1"), "host.caller", "run_id 1"),
    "a stolen token": (stolen, "host.token", "accepted by this host before"),
    "a token for the authority": (for_another("https://vault.example.net"), "host.token", "aud https://vault.example.net"),
    "a token for another host": (for_another("dr-dispatch:proxmox-ops-runner"), "host.token", "aud dr-dispatch:proxmox-ops-runner"),
    "a token service of their own": (own_issuer, "host.token", "iss https://evil.example.net"),
    "a token of a key that an earlier job left": (planted_keys, "host.token", "planted"),
    "no token": (no_token, "host.token", "is not set"),
}


@pytest.mark.parametrize(
    ("stranger", "stage"),
    [*((name, "execute") for name in STRANGERS), ("a workflow of a branch", "check"), ("a stolen token", "check"), ("no token", "check")],
)
def test_a_strange_job_on_the_runners_label(incident: Incident, stranger: str, stage: OnRunner) -> None:
    change, gate, found = STRANGERS[stranger]
    incident.pinned = True
    assert incident.plan().state is State.PLANNED
    if stage == "execute":
        with PartRecorder(incident.folder.root, "check", incident.site.clock) as part:
            part.enter(State.CHECKED)
    world = change(incident, incident.world(stage), stage)
    seen = incident.site.root / "host" / SEEN
    known = seen.read_text() if seen.exists() else ""
    ended = incident.execute(world=world) if stage == "execute" else check(incident.folder, world)
    # The check of this run is only pretended: it left its state and no report, and the bundle says so.
    assert_refused(incident, ended, gate, 7, found, problem="check.json is missing: check entered CHECKED" if stage == "execute" else "")
    assert (seen.read_text() if seen.exists() else "") == known, "a refused token is not used up"
    assert not (incident.folder.root / "private" / f"{stage}-preflight").exists(), "HyOps was not asked anything"
    assert not incident.folder.has("runner.json")


def test_the_true_job_goes_through(incident: Incident) -> None:
    incident.pinned = True
    incident.reach_gate()
    assert_recovered(incident, incident.execute(incident.signed("jonas")))


def test_a_plan_of_another_commit_than_the_callers(incident: Incident) -> None:
    """The job is a true one; the plan that it was given was made of a branch's config."""
    incident.pinned = True
    assert incident.plan().state is State.PLANNED
    incident.folder.write_json("plan.json", incident.folder.read_json("plan.json") | {"config_commit": "d" * 40})
    assert_refused(incident, incident.check(), "host.caller", 7, "sha ", problem="the event PLANNED has another plan_digest")
