"""How long a check says something, by the config of the day on which it is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.ledger import Tip
from hyops_ci.parsing.documents import read_document
from hyops_ci.stages.readiness import readiness_fact
from tests.unit.readiness.samples import LEDGER, NOW, PUBLIC, SERVICE, branch, envelope, record

WAY = {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"}


def config(**more: Any) -> DispatchConfig:
    known = {"services": {SERVICE: {"failover": WAY}}, "host_keys": {"gcp": PUBLIC["gcp"]}}
    return read_document(DispatchConfig, json.dumps(known | more))


@pytest.mark.parametrize(
    ("more", "standing"),
    [
        ({}, "ready"),
        ({"policy": {"readiness_age": "P2D"}}, "ready"),
        ({"policy": {"readiness_age": "PT12H"}}, "expired"),
        ({"drills": {SERVICE: {"check": {"every": "PT6H"}}}}, "expired"),
        ({"drills": {SERVICE: {"check": {"every": "PT15H"}}}}, "ready"),
    ],
)
def test_a_check_of_yesterday_that_was_signed_for_two_days(more: dict[str, Any], standing: str) -> None:
    """A demand that was made stricter meanwhile counts at once, on the board as at the gate."""
    tip = Tip(ledger_id=LEDGER, service=SERVICE, position="primary", serves="onprem", moves=0, epoch=0, at=record().checked_at)
    assert readiness_fact(branch(envelope(record(24))), tip, config(**more), NOW).standing == standing
