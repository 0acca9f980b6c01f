"""Failover, failback, failover, of the double and, where there is one, of the real HyOps, through the stages.

HyOps' manual gate needs neither network nor machines, so it stands for each step: one that is skipped from the second time on, a restore,
and one that logs in and moves clients. The rest is as in a recovery: secrets, bundle, preflights, driver, states, ledger, evidence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.check import Check
from hyops_ci.contracts.run import State
from hyops_ci.evidence.verify import verify
from hyops_ci.intake.form import Form
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.runner import StageEnd
from hyops_ci.stages.sealing import bundle_path
from tests.execution.logins import KEY, KEY_NAME, Host, ssh_host
from tests.execution.rig import GATE, gate, real_hyops
from tests.hyops_double import install
from tests.security.incident import RECOVERED, SERVICE, Incident, start_incident

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ACTIONS = {"failover": ("gcp", "dr/gates-failover@v1"), "failback": ("onprem", "dr/gates-failback@v1")}
HYOPS = ["double"] if isinstance(real_hyops(), str) else ["double", "real"]
"""`test_the_real_hyops_was_asked_too` of the contract suite says so where there is no real one."""


def overlay(action: str, host: Host) -> dict[str, Any]:
    """A committed overlay: guards closed, no secret."""
    guarded = {"confirm": False}
    steps = [
        gate("base", skip_if_state_ok=True, state_instance=f"base_{action}", inputs=guarded),
        gate(
            "restore",
            required="base",
            state_instance=f"restore_{action}",
            inputs=guarded,
        ),
        gate("settings", required="restore", skip_if_state_ok=True, state_instance=f"settings_{action}", inputs=guarded),
        gate("cutover", required="settings", state_instance=f"cutover_{action}", inputs=guarded | host.inputs(load_vault_env=True)),
    ]
    return {
        "api_version": "hybridops/v1",
        "kind": "BlueprintSpec",
        "blueprint_ref": ACTIONS[action][1],
        "mode": "hybrid",
        "policy": {"fail_fast": True, "evidence_required": True, "ipam_authority": "none"},
        "steps": steps,
    }


@dataclass(frozen=True)
class Night:
    """An incident on a runner with one HyOps."""

    incident: Incident
    host: Host

    def recover(self, action: str) -> StageEnd:
        """Plan, check, sign, execute."""
        self.incident.start(actor="maria")
        form = Form(action, SERVICE, "INC-4242")
        ended = plan(Ask(self.incident.site.repository, form=form), self.incident.folder, self.incident.world("plan"))
        assert ended.state is State.PLANNED, ended
        before = len(self.host.keys)
        ended = self.incident.check()
        assert ended.state is State.CHECKED, ended
        assert len(self.host.keys) == before, "the check has no key to log in with"
        return self.incident.execute(self.incident.signed("jonas"))

    def secret(self, value: str) -> None:
        """Put the key into the authority."""
        path = self.incident.site.root / "authority.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {KEY_NAME: value}))

    def states(self) -> dict[str, str]:
        """Return state instance -> the run of HyOps that it is of."""
        folder = self.incident.site.runner / "envs" / "lab" / "state" / "modules" / GATE.replace("/", "__") / "instances"
        return {path.stem: json.loads(path.read_text())["run_id"] for path in folder.glob("*.json")}


@pytest.fixture(params=HYOPS)
def night(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Night]:
    with start_incident(tmp_path) as incident, ssh_host(tmp_path) as host:
        found = real_hyops()
        if request.param == "real" and not isinstance(found, str):
            core, hyops = found
        else:
            double = install(tmp_path / "double")
            core, hyops = double.core_root, double.hyops
        collections = tmp_path / "collections"
        (collections / "ansible_collections" / "hybridops").mkdir(parents=True)
        usual = incident.site.world

        def on_its_path() -> RunContext:
            world = usual()
            path = os.pathsep.join((str(host.programs), str(hyops.parent), "/usr/local/bin:/usr/bin:/bin"))
            return replace(world, environ={**world.environ, "PATH": path, "ANSIBLE_COLLECTIONS_PATH": str(collections)})

        incident.site.world = on_its_path  # type: ignore[method-assign]  # of this site alone
        for action, (_, blueprint) in ACTIONS.items():
            name = blueprint.partition("/")[2].partition("@")[0]
            (incident.site.repository / ".github" / "dr" / "lab" / f"{name}.yml").write_text(yaml.safe_dump(overlay(action, host)))

        def configured(config: dict[str, Any]) -> None:
            config["host"].update(hyops=str(hyops), core_root=str(core))
            config["services"][SERVICE] = {
                action: {"lane": lane, "blueprint": blueprint, "dr_mode": "restore", "step_classes": {"cutover": "commit"}}
                for action, (lane, blueprint) in ACTIONS.items()
            }

        incident.configure(configured)
        made = Night(incident, host)
        made.secret(KEY)
        yield made


def test_failover_failback_failover_of_one_hyops(night: Night) -> None:
    """Three times approved, carried out, proven and sealed; the third finds states of the first, and logs in before it takes an effect."""
    before: dict[str, str] = {}
    skipped = (set(), set(), {"base", "settings"})
    for (action, position), skips in zip(
        (("failover", "failed_over"), ("failback", "primary"), ("failover", "failed_over")), skipped, strict=True
    ):
        tried = len(night.host.keys)
        ended = night.recover(action)
        assert ended.state in RECOVERED, "\n".join(night.incident.said)
        assert night.incident.ledger().tip().position == position
        assert verify(bundle_path(night.incident.folder)).ok
        assert set(night.host.keys[tried:]) == {KEY}
        after = night.states()
        changed = {name for name, run in after.items() if before.get(name) != run}
        assert changed == {f"{step}_{action}" for step in ("base", "restore", "settings", "cutover") if step not in skips}
        checked = night.incident.folder.read_model("check.json", Check)
        assert {step.id for step in checked.steps if step.outcome == "skip"} == skips
        before = after


def test_the_second_failover_with_a_key_that_is_refused_takes_no_effect(night: Night) -> None:
    for action in ("failover", "failback"):
        assert night.recover(action).state in RECOVERED, "\n".join(night.incident.said)
    before, position = night.states(), night.incident.ledger().tip().position
    night.secret(KEY.replace("right", "wrong"))
    ended = night.recover("failover")
    assert ended.refusal is not None, ended
    assert (ended.refusal.gate, ended.refusal.exit_code) == ("hyops.preflight", 9)
    assert "authentication failed" in ended.refusal.found
    tip = night.incident.ledger().tip()
    assert (night.states(), tip.position, tip.mutating) == (before, position, False)
    night.secret(KEY)
    assert night.recover("failover").state in RECOVERED, "and the lock is free again"
