"""Every fact that a gate, a forecast or a finding reads has a writer: plan and check of real sites are watched, nothing is made by hand.

A field that keeps its default in all of these scenarios fails the test: then the gate that reads it refuses on paper only.
"""

from __future__ import annotations

import ast
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import hyops_ci
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.facts import CheckFacts, PlanFacts
from hyops_ci.contracts.run import State
from hyops_ci.ledger import git_errors
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.rehearse.scenarios import DNS, example_decision
from hyops_ci.planning.case import Gate
from hyops_ci.readiness.store import ReadinessStore
from hyops_ci.stages.plan.stage import Ask, Form, plan
from tests.security.incident import BOOTSTRAP_GATE, GATE, SERVICE, Incident, may_make_its_runner, start_incident
from tests.security.ledger_attacker import request
from tests.support.github import faults
from tests.support.github.repositories import plain_rule, pull_request_rule
from tests.support.host_key import host_signs, people_settle

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SOURCE = Path(hyops_ci.__file__).parent
READERS = [
    *(SOURCE / "planning").rglob("*.py"),
    SOURCE / "blueprints" / "forecast.py",
    SOURCE / "operations" / "doctor" / "report.py",
]
OVERLAY = ".github/dr/lab/postgresql-ha-failover-gcp.yml"
Seen = dict[tuple[str, str], list[Any]]


def fields(model: type[BaseModel], known: dict[str, type[BaseModel]] | None = None) -> dict[str, type[BaseModel]]:
    """Return the model and every model below it, by name."""
    known = {} if known is None else known
    known[model.__name__] = model
    for info in model.model_fields.values():
        for each in models_in(info.annotation):
            if each.__name__ not in known:
                fields(each, known)
    return known


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from models_in(each)


def read_names() -> set[str]:
    """Return the names of all attributes that the readers of facts look at."""
    nodes = (node for path in READERS for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def keep(value: Any, seen: Seen) -> None:
    """Add every field of the models in `value` to what was seen."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            found = getattr(value, name)
            seen[type(value).__name__, name].append(found)
            keep(found, seen)
    elif isinstance(value, tuple | list):
        for each in value:
            keep(each, seen)


def written(info: FieldInfo, values: list[Any]) -> bool:
    """Return whether these values can only come from a writer: one is not the default; of a flag without default, both are there."""
    if info.is_required():
        return set(values) == {True, False} if info.annotation is bool else bool(values)
    return any(value != info.get_default(call_default_factory=True) for value in values)


# ------------------------------------------------------------------------------------------------------------- scenarios


def edit(incident: Incident, change: Callable[[dict[str, Any]], object], path: str = OVERLAY) -> None:
    """Edit a YAML file of the repository."""
    document = yaml.safe_load((incident.site.repository / path).read_text("utf-8"))
    change(document)
    (incident.site.repository / path).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def pinned_host(incident: Incident) -> None:
    """A host with a trust file, whose caller is compared with it; the recovery, and the way back from it."""
    incident.pinned = True
    incident.configure(lambda config: config["objectives"][SERVICE].update(rpo="PT5M"))
    incident.reach_gate()
    incident.execute(incident.signed("jonas"))
    incident.start(actor="maria")
    incident.plan(example_decision("failback", incident.site.clock, 2))


def strange_machine(incident: Incident) -> None:
    """A hosted machine takes the check; an App asked."""
    incident.fake.add_user("escalate[bot]", kind="Bot", number=41898)
    incident.start(actor="escalate[bot]")
    incident.plan()
    incident.check(runner_environment="github-hosted")


def guarded(incident: Incident) -> None:
    """Environments with teams, waits and bypass; a branch with rules; no code owner of what decides."""
    team = incident.fake.add_team("acme/dr-approvers", members=["priya"])
    incident.repository.add_environment(GATE, reviewers=[team], wait_timer=5, branches=["main", "release/*"], can_admins_bypass=True)
    incident.repository.protect(rules=[pull_request_rule(reviews=2), plain_rule("deletion"), plain_rule("non_fast_forward")])
    owners = incident.site.repository / ".github" / "CODEOWNERS"
    owners.write_text("/docs/ @acme/writers\n", encoding="utf-8")
    incident.approvers("jonas", channels=("signed", "environment"))
    incident.plan()


def classic(incident: Incident) -> None:
    """A branch protected the old way, an environment with a reviewer."""
    incident.repository.protect(rules=[])
    incident.approvers("jonas", channels=("signed", "environment"))
    incident.plan()


def settled(incident: Incident) -> None:
    """A drill that was cut off, what a person said of it afterwards, and the next decision."""
    incident.site.script({DNS: {"cut_off": True}})
    incident.plan(drill(incident, 1))
    incident.check()
    incident.execute(incident.signed("jonas"))
    incident.start(actor="maria")
    incident.plan()
    people_settle(
        incident.ledger(),
        incident.keys["jonas"],
        serves="onprem",
        home_site="onprem",
        reason="looked: on-prem serves",
        settled_by="jonas",
        at=stamp(incident.site.clock.now()),
    )
    incident.start(actor="maria")
    incident.plan()


def drilled(incident: Incident) -> None:
    """A drill that ended, and the next decision."""
    incident.plan(drill(incident, 1))
    incident.check()
    incident.execute(incident.signed("jonas"))
    incident.start(actor="maria")
    incident.plan()


def ended_without_a_key(incident: Incident) -> None:
    """A run that was claimed and whose process is gone: a job without its host's key said that it failed."""
    claim = host_signs(incident.ledger(), incident.site.host_key).claim(request(incident))
    incident.ledger().advance(claim, State.FAILED, at=stamp(incident.site.clock.now()))
    incident.plan()
    incident.check()


def drill(incident: Incident, number: int) -> bytes:
    """A drill's decision, made now."""
    decision = json.loads(example_decision("failover", incident.site.clock, number))
    return json.dumps(decision | {"exercise": {"kind": "drill", "level": "isolated", "drill_id": "drill-2026-11"}}).encode()


def with_a_reason(incident: Incident) -> None:
    """The config says how the runner is made, and for which reasons; who asks gives one."""
    incident.configure(may_make_its_runner)
    incident.repository.add_environment(BOOTSTRAP_GATE, reviewers=[incident.fake.account("jonas")], prevent_self_review=True)
    incident.plan(bootstrap_reason="lab-fallback")


def unanswered(incident: Incident) -> None:
    """GitHub tells neither of environments nor of the branch's rules."""
    incident.approvers("jonas", channels=("signed", "environment"))
    for path in ("/repos/{owner}/{repo}/environments/{environment_name}", "/repos/{owner}/{repo}/rules/branches/{branch}"):
        incident.fake.inject(faults.answer(403), on=f"GET {path}", times=None)
    incident.plan()


def keyless(incident: Incident) -> None:
    """A config that knows no key of a host: nobody signs the ledger."""
    incident.configure(lambda config: config.pop("host_keys"))
    incident.plan()
    incident.check()


def checked_before(incident: Incident) -> None:
    """Two checks of the move that comes next, one of them refused; a drill that is owed and was never done; then the outage."""
    incident.configure(lambda config: config.setdefault("policy", {}).update(readiness_age="P2D"))
    owed_a_drill(incident)
    for missing in ("", "org/gcp/wan-hub-network"):
        if missing:
            incident.site.forget_state(missing)
        plan(Ask(incident.site.repository, form=Form("check", SERVICE, "weekly")), incident.folder, incident.world("plan"))
        incident.check()
        incident.conclude()
        incident.start(actor="maria")
    push_a_stranger(incident)
    incident.plan()
    incident.check()


def owed_a_drill(incident: Incident) -> None:
    """The config owes a drill, and the ledger of the service that it would restore is a year old."""
    practice = {"failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1", "overlay": OVERLAY}}

    def owes(config: dict[str, Any]) -> None:
        config["services"]["pg-ha/drill"] = practice
        config.setdefault("envs", {})["drill"] = {"class": "drill"}
        config["drills"] = {SERVICE: {"isolated": {"every": "P30D"}}}

    incident.configure(owes)
    remote = str(incident.site.root / "ledger.git")
    long_ago = stamp(incident.site.clock.now() - timedelta(days=365))
    Ledger.over_git(remote, "pg-ha/drill", state_dir=incident.site.root / "maker").init("onprem", long_ago)


def push_a_stranger(incident: Incident) -> None:
    """Somebody who may push puts something else on the branch of checks."""
    remote = str(incident.site.root / "ledger.git")
    ReadinessStore.over_git(remote, SERVICE, state_dir=incident.site.root / "stranger").keep(b"{}", "ready")


def unanswered_checks(incident: Incident) -> None:
    """The branch of checks is not answered for, while the ledger is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReadinessStore, "read", lambda _: (_ for _ in ()).throw(git_errors.trouble("Could not resolve host: github.com", 1)))
        incident.plan()


def from_a_shell(incident: Incident) -> None:
    """No GitHub at all."""
    plan(Ask(incident.site.repository, form=Form("failover", SERVICE, "INC-4242")), incident.folder, incident.site.world())


def blocked_runner(incident: Incident) -> None:
    """An upstream state is gone, a state that a step would write is old; HyOps' clock is not GitHub's."""
    incident.site.seed_state("platform/postgresql-ha#postgresql_restore_gcp_dr", 71)
    incident.site.forget_state("org/gcp/wan-hub-network")
    incident.plan()
    incident.check()


def open_password(incident: Incident) -> None:
    """Anybody may read the password of the env's bundle."""
    incident.plan()
    (incident.site.runner / "vault-password").chmod(0o644)
    incident.check()


def odd_overlay(incident: Incident) -> None:
    """Keys that HyOps does not know, and everything that a step may say."""

    def change(document: dict[str, Any]) -> None:
        document["steps"][1] |= {"optional": True, "verify_state_on_skip": True, "with_deps": True, "action": "apply", "typo": 1}

    edit(incident, change)
    incident.plan()


def drill_with_another_blueprint(incident: Incident) -> None:
    """Production's overlays travel with the plan of a drill; one of them names a module that this runner has no spec of."""
    path = incident.site.repository / ".github" / "dr" / "prod" / "postgresql-ha-failover-gcp.yml"
    path.parent.mkdir()
    path.write_bytes((incident.site.repository / OVERLAY).read_bytes())
    failback = path.with_name("postgresql-ha-failback-onprem.yml")
    failback.write_text(path.read_text("utf-8").replace("platform/gcp/platform-vm", "platform/onprem/other-vm"), encoding="utf-8")
    production = {
        "failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"},
        "failback": {"lane": "onprem", "blueprint": "dr/postgresql-ha-failback-onprem@v1"},
    }
    incident.configure(lambda config: config["services"].update({"pg-ha/prod": production}))
    incident.plan(drill(incident, 1))
    incident.check()


def broken_hyops(incident: Incident) -> None:
    """HyOps says its version, and then nothing that can be read; a module's spec is gone; the endpoint has a name."""
    edit(incident, lambda document: document["steps"][2]["inputs"].update(endpoint_dns_name="pg.lab.example.net"))
    incident.plan()
    shutil.rmtree(incident.site.runner / "core" / "modules" / "org")
    (incident.site.runner / "hyops").write_text("#!/bin/sh\necho 0.1.4\n", encoding="utf-8")
    incident.check()


SCENARIOS: dict[str, Callable[[Incident], object]] = {
    each.__name__: each
    for each in (
        pinned_host,
        strange_machine,
        guarded,
        classic,
        settled,
        with_a_reason,
        drilled,
        ended_without_a_key,
        unanswered,
        keyless,
        checked_before,
        unanswered_checks,
        from_a_shell,
        blocked_runner,
        open_password,
        odd_overlay,
        drill_with_another_blueprint,
        broken_hyops,
    )
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What the gates were shown in all scenarios."""
    values: Seen = defaultdict(list)
    ask = Gate.__call__

    def watched(gate: Gate[Any], case: Any) -> Any:
        for part in (case.facts, getattr(case, "blueprint", None)):
            keep(part, values)
        return ask(gate, case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gate, "__call__", watched)
        patch.setattr("hyops_ci.execution.verification.CLOSING", 1.0)  # the endpoint of these sites stays when a drill has removed the rest
        for name, act in SCENARIOS.items():
            with start_incident(tmp_path_factory.mktemp(name)) as incident:
                act(incident)
    return values


def test_every_fact_that_is_read_has_a_writer(seen: Seen) -> None:
    read = read_names()
    models = fields(PlanFacts) | fields(CheckFacts)
    unwritten = [
        f"{model}.{name}"
        for model, kind in models.items()
        for name, info in kind.model_fields.items()
        if name in read and name not in ("api_version", "kind") and not written(info, seen[model, name])
    ]
    assert not unwritten, "no scenario gives these a value of their own: " + ", ".join(unwritten)
