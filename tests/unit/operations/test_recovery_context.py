"""What names a recovery and its decisions, whatever the config's own names are."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision
from hyops_ci.github.api.client import Client
from hyops_ci.operations.recovery.context import Recovery, plan_of
from hyops_ci.operations.recovery.start import Reasons, _decision, recovery_id
from hyops_ci.parsing.documents import read_document
from tests.unit.evidence.sample_run import SetClock

LONG = "n" * 38
"""As long as the config lets a name be."""
SERVICES = [f"{LONG}/{LONG}", f"{LONG}/{'n' * 37}m", "pg-ha/prod"]
WAY = {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"}


def recovery(name: str, clock: Clock) -> Recovery:
    config = read_document(
        DispatchConfig,
        json.dumps(
            {
                "approvals": {"channels": ["signed"], "approvers": {"jonas": f"ed25519:{'A' * 42}E="}},
                "services": {service: {"failover": WAY} for service in SERVICES},
                "recovery_plans": {name: {"action": "failover", "waves": [[service] for service in SERVICES]}},
            }
        ),
    )
    made = recovery_id(name, datetime(2026, 11, 29, 3, tzinfo=UTC), "ab12")
    return Recovery(made, name, config, Client.connect("acme/recovery", token="t"), clock, lambda _: pytest.fail("no ledger"), print)


@pytest.mark.parametrize("name", ["site-loss", LONG])
def test_every_service_has_a_decision_of_its_own_that_names_the_recovery(name: str) -> None:
    """Found out in the night otherwise: the config takes these names, and the recovery is needed when it is started for the first time."""
    known = recovery(name, SetClock())
    made = [read_document(Decision, _decision(known, Reasons("INC-4242", "not-confirmed"), service)) for service in SERVICES]
    assert [each.decision_id for each in made] == [known.decision_id(service) for service in SERVICES]
    assert len({each.decision_id for each in made}) == len(SERVICES)
    assert all(each.decision_id.startswith(f"{known.id}-n") for each in made[:2]), (
        "a run is found by the recovery that its name begins with"
    )
    assert made[2].decision_id == f"{known.id}-pg-ha.prod"
    assert plan_of(known.id) == name
