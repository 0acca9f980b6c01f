"""Gate cases: a base that every gate lets pass, and a file that changes what it is about.

decision, config, facts, trust:   merged over the base, mappings at every depth
base: failback | drill            instead of failover
overlay: {<step>: {...}}          merged over that step; `top:` over the document
spec: {<module_ref>: {...}}       merged over that spec's defaults; null removes the spec
secrets: [...]                    names that the secret map has
expect: {reason, found, expected, fix, note}   each must be part of the answer's text
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hyops_ci.blueprints.backup_identity import backup_identities
from hyops_ci.blueprints.forecast import forecast
from hyops_ci.blueprints.guards import open_guards
from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.contracts.check import Check, StepForecast
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.digest import canonical, digest, digest_bytes
from hyops_ci.contracts.facts import CheckFacts, EffectiveBlueprint, PlanFacts, upstream_states
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.plan import Plan, SecretRef, Source
from hyops_ci.planning.case import CheckCase, PlanCase, run_gates
from hyops_ci.planning.checking import report
from hyops_ci.planning.planner import case_of, plan

CASES = Path(__file__).parents[2] / "cases"
BASE = CASES / "gates" / "base"
NOW = datetime(2026, 11, 23, 3, 5, 2, tzinfo=UTC)
NAMES = ("PATRONI_SUPERUSER_PASSWORD", "PG_BACKUP_GCS_SA_JSON", "POWERDNS_API_KEY")
DECISION: dict[str, Any] = {
    "api_version": "hybridops/v1",
    "kind": "Decision",
    "decision_id": "manual-4711-212",
    "decision_type": "failover",
    "service": "pg-ha/prod",
    "rationale": "INC-4242 on-prem DC lost power",
    "issued_at": "2026-11-23T03:04:31Z",
    "issuer": "github:maria",
}
FACTS: dict[str, Any] = {
    "now": NOW.isoformat(),
    "ref": {"commit": "3f2a" * 10, "ref": "refs/heads/main", "default_branch": True, "protected": True},
    "gate": {
        "name": "dr-prod",
        "exists": True,
        "reviewers": [{"login": "jonas", "id": 1001}, {"login": "priya", "id": 1002}],
        "prevent_self_review": True,
        "branches": ["main"],
    },
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_bytes())


@cache
def _base(name: str) -> Any:
    return load(BASE / f"{name}.yml")


def base(name: str) -> Any:
    return copy.deepcopy(_base(name))


def over(below: Any, above: Any) -> Any:
    """`above` merged over `below`; null removes a key."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return copy.deepcopy(above)
    merged = {**below, **{key: over(below.get(key), value) for key, value in above.items()}}
    return {key: value for key, value in merged.items() if not (key in above and above[key] is None)}


@dataclass(frozen=True)
class GateCase:
    """Everything a plan and a check are made of."""

    decision: Decision
    config: DispatchConfig
    document: dict[str, Any]
    sha256: str
    blueprint: EffectiveBlueprint
    facts: PlanFacts
    trust: HostTrust | None
    secret_refs: tuple[SecretRef, ...]
    sources: tuple[Source, ...]
    config_digest: str
    case: dict[str, Any]

    def plan_case(self) -> PlanCase:
        """What the plan gates look at."""
        return case_of(self.decision, self.config, self.blueprint, self.facts, secret_refs=self.secret_refs, trust=self.trust)

    def plan(self) -> Plan:
        case = self.plan_case()
        return plan(case, run_gates("plan", case), self.config_digest, self.sources)


def gate_case(case: dict[str, Any]) -> GateCase:
    """The base with the case's changes."""
    kind = case.get("base", "failover")
    decision = dict(DECISION)
    if kind == "failback":
        decision["decision_type"] = "failback_onprem"
    if kind == "drill":
        exercise = {"kind": "drill", "level": "isolated", "drill_id": "drill-2026-11"}
        decision |= {"service": "pg-ha/drill", "issuer": "schedule", "exercise": exercise}
    facts = over(FACTS, {"gate": {"name": "dr-drill"}}) if kind == "drill" else FACTS
    document = base("failback" if kind == "failback" else "failover")
    changes = dict(case.get("overlay", {}))
    document = over(document, changes.pop("top", {}))
    ids = [step["id"] for step in document["steps"]]
    for step_id, change in changes.items():
        document["steps"][ids.index(step_id)] = over(document["steps"][ids.index(step_id)], change)
    config_document = over(base("config"), case.get("config", {}))
    sha256 = digest_bytes(json.dumps(document, default=str).encode())
    path = ".github/dr/prod/overlay.yml"
    return GateCase(
        decision=Decision.model_validate_json(json.dumps(over(decision, case.get("decision", {})))),
        config=DispatchConfig.model_validate_json(json.dumps(config_document)),
        document=document,
        sha256=sha256,
        blueprint=read_blueprint(document, sha256),
        facts=PlanFacts.model_validate_json(json.dumps(over(facts, case.get("facts", {})))),
        trust=HostTrust.model_validate_json(json.dumps(case["trust"])) if "trust" in case else None,
        secret_refs=tuple(SecretRef(key=key, path="secret/hybridops/prod/x", field=key) for key in case.get("secrets", NAMES)),
        sources=(Source(role="overlay", path=path, sha256=sha256), Source(role="config", path="c.yml", sha256=digest(config_document))),
        config_digest=digest(config_document),
        case=case,
    )


def checked(made: Plan, facts: CheckFacts) -> Check:
    """The report of a check, as the stage makes it. Raises the first Refusal of its gates."""
    case = CheckCase(made, facts)
    return report(case, run_gates("check", case), run_id="212-1", checked_at="2026-11-23T03:05:02Z")


def check_facts(set_up: GateCase, made: Plan) -> CheckFacts:
    """What a runner says on which all is well, with the case's `check:` over it."""
    defaults = {ref: inputs for ref, inputs in over(base("specs"), set_up.case.get("spec", {})).items() if inputs is not None}
    specs = {ref: ({"inputs": {"defaults": inputs}}, digest_bytes(canonical(inputs))) for ref, inputs in defaults.items()}
    changed = set_up.case.get("check", {})
    blueprint = read_blueprint(open_guards(set_up.document, made.guards), set_up.sha256, specs)
    found: dict[str, Any] = {
        "now": NOW.isoformat(),
        "runner": {"name": "gcp-ops-runner-01", "runner_ref": made.runner_ref, "trusted": True},
        "runner_verified": True,
        "hyops_version": "0.1.4",
        "overlay_sha256": set_up.sha256,
        "blueprint": blueprint.document(),
        "states": [{"ref": ref, "status": "ok"} for _, ref in upstream_states(blueprint.steps)],
        "secret_names": dict.fromkeys((ref.key for ref in made.secrets.refs), True),
        "preflight": {"rc": 0, "status": "ok", "steps": [{"id": step.id, "status": "ready"} for step in blueprint.steps]},
        "identities": [each.document() for each in backup_identities(blueprint)],
        "disks": [{"place": "/srv/envs", "free_bytes": 40 * 1024**3, "holds_env": True}],
        "clock_offset_seconds": 0.2,
    }
    steps, states = changed.get("preflight_steps", {}), changed.get("states_of", {})
    for step in found["preflight"]["steps"]:
        step |= steps.get(step["id"], {})
    found["states"] = [over(each, states.get(each["ref"], {})) for each in found["states"]]
    found["states"] += [{"ref": ref, **state} for ref, state in states.items() if ref not in {each["ref"] for each in found["states"]}]
    rest = {key: value for key, value in changed.items() if key not in ("preflight_steps", "states_of", "opened")}
    facts = CheckFacts.model_validate_json(json.dumps(over(found, rest)))
    if "forecast" in changed:
        return facts
    said: tuple[StepForecast, ...] = forecast(blueprint, facts.states, facts.preflight, opened=changed.get("opened", True))
    return facts.model_copy(update={"forecast": said})
