"""The six DR blueprints that HyOps 0.1.4 ships, as an adopter fills them in, through plan, check and execute.

`tests/cases/shipped` holds them without comments and metadata; the real ones are compared with where there is a checkout. HyOps is the
contract double, whose specs of these modules have the real defaults as far as a gate looks at them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.run import State
from hyops_ci.intake.form import Form
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.runner import StageEnd
from tests.execution.rig import real_hyops
from tests.hyops_double import install
from tests.security.incident import RECOVERED, SERVICE, Incident, start_incident

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SHIPPED = Path(__file__).parents[1] / "cases" / "shipped"
NAMES = sorted(path.stem for path in SHIPPED.glob("*.yml"))
LABEL = "20261120-020003F"
Overlay = dict[str, Any]
Change = Callable[[dict[str, Overlay]], object]


def filled(value: Any) -> Any:
    """The value with every CHANGE_ME filled in."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    return "10.12.0.31/24" if isinstance(value, str) and "CHANGE_ME" in value else value


def nothing(_: dict[str, Overlay]) -> None:
    """As shipped."""


def direct(*steps: str) -> Change:
    """SSH of these steps goes straight to their hosts, and no jump host is looked for."""

    def change(inputs: dict[str, Overlay]) -> None:
        for step in steps:
            inputs[step] |= {"ssh_access_mode": "direct", "ssh_proxy_jump_auto": False, "execution_plane": "runner-local"}

    return change


def selected(state: str, *steps: str) -> Change:
    """As `direct`, and the restore takes what the state of a backup names."""

    def change(inputs: dict[str, Overlay]) -> None:
        direct(*steps)(inputs)
        inputs["postgresql_restore"]["backup_state_ref"] = state

    return change


STATES = (
    *("org/gcp/wan-cloud-router", "org/gcp/wan-hub-network", "org/gcp/object-repo#pgbackrest_primary", "platform/postgresql-ha"),
    *("platform/network/powerdns-authority#shared_primary", "platform/postgresql-ha-backup"),
)
"""What a runner holds before the first night."""


class Site:
    """An incident whose runner has the double, and whose service takes any of the blueprints."""

    def __init__(self, incident: Incident, folder: Path) -> None:
        self.incident = incident
        double = install(folder / "double")
        incident.configure(lambda config: config["host"].update(hyops=str(double.hyops), core_root=str(double.core_root)))
        for state in STATES:
            incident.site.seed_state(state, 1)
        credentials = incident.site.runner / "envs" / "lab" / "credentials"
        credentials.mkdir()
        (credentials / "gcp.credentials.tfvars").write_text('project_id = "a-project"\n')

    def asked(self, action: str, name: str, change: Change = nothing, *, restore: str = "latest", off: bool = False) -> StageEnd:
        """Plan and check the blueprint `name` as the service's `action`."""
        document = filled(yaml.safe_load((SHIPPED / f"{name}.yml").read_text("utf-8")))
        change({step["id"]: step["inputs"] for step in document["steps"]})
        folder = self.incident.site.repository / ".github" / "dr" / "lab"
        (folder / f"{name}.yml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        lane = {"failover": "gcp", "failback": "onprem"}[action]
        self.incident.configure(lambda config: config["services"][SERVICE].update({action: {"lane": lane, "blueprint": f"dr/{name}@v1"}}))
        self.incident.start(actor="maria")
        form = Form(action, SERVICE, "INC-4242", restore, "confirmed-off" if off else "")
        ended = plan(Ask(self.incident.site.repository, form=form), self.incident.folder, self.incident.world("plan"))
        return ended if ended.refusal is not None else self.incident.check()

    def recovered(self, *args: Any, **options: Any) -> None:
        """The same, approved and carried out."""
        ended = self.asked(*args, **options)
        assert ended.state is State.CHECKED, ended.refusal
        ended = self.incident.execute(self.incident.signed("jonas"))
        assert ended.state in RECOVERED, ended


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with start_incident(tmp_path) as incident:
        yield Site(incident, tmp_path)


def test_these_are_all_of_them_and_as_they_are_shipped() -> None:
    found = real_hyops()
    if isinstance(found, str):
        pytest.skip(found)
    shipped = {
        path.parent.name.partition("@")[0]: yaml.safe_load(path.read_text()) for path in found[0].glob("blueprints/dr/*/blueprint.yml")
    }
    assert os.environ["HYOPS_CORE_ROOT"]
    assert sorted(shipped) == NAMES
    for name, document in shipped.items():
        del document["metadata"]
        assert yaml.safe_load((SHIPPED / f"{name}.yml").read_text("utf-8")) == document


FAILOVER = ("failover", "postgresql-ha-failover-gcp")
FAILBACK = ("failback", "postgresql-ha-failback-onprem")
TO_GCP = selected("platform/postgresql-ha-backup", "postgresql_restore", "postgresql_backup_config")
HOME = selected("platform/postgresql-ha-backup#postgresql_backup_config_gcp_dr", "postgresql_restore", "postgresql_backup_config")


def test_a_failover_and_the_way_back_with_backups(site: Site) -> None:
    site.recovered(*FAILOVER, TO_GCP)
    site.recovered(*FAILBACK, HOME)


@pytest.mark.parametrize(
    ("action", "name", "options", "gate"),
    [
        (*FAILOVER, {}, "restore.selector"),
        (*FAILOVER, {"restore": LABEL}, "effective.ssh"),
        ("failover", "postgresql-cloudsql-promote-gcp", {}, "guards.fenced"),
        ("failover", "postgresql-cloudsql-promote-gcp", {"off": True}, "states.ok"),
        ("failover", "postgresql-cloudsql-standby-gcp", {}, "effective.bastion"),
        ("failover", "postgresql-ha-backup-gcp", {}, "effective.plane"),
    ],
)
def test_as_shipped_each_is_stopped_by_what_it_lacks(action: str, name: str, options: dict[str, Any], gate: str, site: Site) -> None:
    ended = site.asked(action, name, **options)
    assert ended.refusal is not None, ended
    assert ended.refusal.gate == gate, ended.refusal


def test_a_standby_needs_no_database_that_hyops_does_not_read(site: Site) -> None:
    """`org/gcp/cloudsql-postgresql` is a default of the module that only an assessment reads."""
    ended = site.asked("failover", "postgresql-cloudsql-standby-gcp", direct("postgresql_source_contract"))
    assert ended.state is State.CHECKED, ended.refusal


def test_a_backup_is_checked(site: Site) -> None:
    ended = site.asked("failover", "postgresql-ha-backup-gcp", direct("postgresql_ha_backup"))
    assert ended.state is State.CHECKED, ended.refusal


def test_a_promotion_and_the_way_back(site: Site) -> None:
    site.incident.site.seed_state("org/gcp/cloudsql-external-replica#managed_standby", 1)
    site.incident.site.seed_state("platform/postgresql-ha#postgresql_restore_onprem_failback", 1)
    site.recovered("failover", "postgresql-cloudsql-promote-gcp", off=True)
    site.recovered("failback", "postgresql-cloudsql-failback-onprem", off=True)
