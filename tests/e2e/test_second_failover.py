"""A failover, the way back, and the next one: HyOps then skips the steps before the one that logs in, and logs in in its preflight.

The stages are the real ones; HyOps is the contract double, which looks at credentials and logs in as the real one does
(`tests/execution/test_hyops_contract.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.check import Check
from hyops_ci.contracts.run import State
from hyops_ci.intake.form import Form
from hyops_ci.report.approval_page import approval_lines
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.runner import StageEnd
from tests.execution.logins import KEY, KEY_NAME, Host, ssh_host
from tests.hyops_double import Double, install
from tests.security.incident import RECOVERED, SERVICE, Incident, start_incident

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
LABELS = ("20261101-020003F", "20261110-020003F", "20261120-020003F")
OVERLAYS = ("failover-gcp", "failback-onprem")


@dataclass(frozen=True)
class Night:
    """An incident on a runner with the double, and the host of the DNS authority."""

    incident: Incident
    host: Host
    double: Double

    def decide(self, action: str, label: str) -> StageEnd:
        """Plan and check; the check logs in nowhere."""
        before = len(self.host.keys)
        self.incident.start(actor="maria")
        asked = Ask(self.incident.site.repository, form=Form(action, SERVICE, "INC-4242", label))
        ended = plan(asked, self.incident.folder, self.incident.world("plan"))
        assert ended.state is State.PLANNED, ended
        ended = self.incident.check()
        assert len(self.host.keys) == before, "the check has no key to log in with"
        return ended

    def recover(self, action: str, label: str) -> StageEnd:
        """The whole run, approved."""
        ended = self.decide(action, label)
        assert ended.state is State.CHECKED, ended
        return self.incident.execute(self.incident.signed("jonas"))

    def secret(self, value: str) -> None:
        """Put the key into the authority."""
        path = self.incident.site.root / "authority.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {KEY_NAME: value}))


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with start_incident(tmp_path) as incident, ssh_host(tmp_path) as host:
        double = install(tmp_path / "double")
        runner = incident.site.runner
        incident.configure(lambda config: config["host"].update(hyops=str(double.hyops), core_root=str(double.core_root)))
        usual = incident.site.world

        def on_its_path() -> Any:
            world = usual()
            return replace(world, environ={**world.environ, "PATH": f"{host.programs}:/usr/local/bin:/usr/bin:/bin"})

        incident.site.world = on_its_path  # type: ignore[method-assign]  # of this site alone
        for name in OVERLAYS:
            path = incident.site.repository / ".github" / "dr" / "lab" / f"postgresql-ha-{name}.yml"
            document = yaml.safe_load(path.read_text())
            for step in document["steps"]:
                step["skip_if_state_ok"] = step["module_ref"] != "platform/network/dns-routing"
                step["inputs"] |= {"target_port": host.port} if "ssh_private_key_env" in step["inputs"] else {}
            path.write_text(yaml.safe_dump(document, sort_keys=False))
        env = runner / "envs" / "lab"
        (env / "credentials").mkdir()
        (env / "credentials" / "gcp.credentials.tfvars").write_text('project_id = "a-project"\n')
        authority = env / "state" / "modules" / "platform__network__powerdns-authority" / "instances" / "shared_primary.json"
        authority.write_text(json.dumps(json.loads(authority.read_text()) | {"outputs": {"powerdns_control_host": "127.0.0.1"}}))
        made = Night(incident, host, double)
        made.secret(KEY)
        yield made


def test_the_second_failover_is_checked_without_a_key_and_looked_at_with_it(night: Night) -> None:
    for action, label in zip(("failover", "failback"), LABELS, strict=False):
        assert night.recover(action, label).state in RECOVERED
    assert night.decide("failover", LABELS[2]).state is State.CHECKED
    checked = night.incident.folder.read_model("check.json", Check)
    outcomes = {step.id: step.outcome for step in checked.steps}
    assert (outcomes["postgresql_backup_config"], outcomes["postgresql_dns_cutover"]) == ("skip", "run")
    page = approval_lines(night.incident.request)
    told = [line for line in page if "not examined before the approval" in line]
    assert [line.split(":")[0].split()[-1] for line in told] == ["postgresql_dns_cutover", "postgresql_dns_status"]
    assert all(KEY_NAME in line for line in told)
    before = len(night.host.keys)
    assert night.incident.execute(night.incident.signed("jonas")).state in RECOVERED
    assert set(night.host.keys[before:]) == {KEY}


def test_a_key_that_the_host_does_not_take_stops_the_run_before_its_first_step(night: Night) -> None:
    for action, label in zip(("failover", "failback"), LABELS, strict=False):
        assert night.recover(action, label).state in RECOVERED
    night.secret(KEY.replace("right", "wrong"))
    before = night.incident.ledger().tip()
    ended = night.recover("failover", LABELS[2])
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.exit_code) == ("hyops.preflight", 9)
    assert "authentication failed" in ended.refusal.found
    assert not (night.incident.folder.root / "private" / "deploy" / "journal.jsonl").exists(), "no step began"
    assert "the-wrong-one" not in ended.refusal.found
    tip = night.incident.ledger().tip()
    assert (tip.position, tip.mutating) == (before.position, False)
    night.secret(KEY)
    assert night.recover("failover", LABELS[2]).state in RECOVERED, "and the lock is free again"
