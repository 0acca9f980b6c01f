from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.config.explain import explain
from hyops_ci.contracts.config import DispatchConfig
from tests.unit.planning.gate_cases import base, gate_case
from tools.config_page import config_page

ROOT = Path(__file__).parents[3]


def settings_of(raw: dict[str, Any], overlays: Any = None) -> dict[str, tuple[object, str]]:
    config = DispatchConfig.model_validate_json(json.dumps(raw))
    return {row.pointer: (row.value, row.origin) for row in explain(config, raw, overlays)}


def test_the_table_in_docs_is_the_code() -> None:
    assert (ROOT / "docs" / "config.md").read_text("utf-8") == config_page()


@pytest.mark.parametrize(
    ("pointer", "value", "origin"),
    [
        ("/lanes/gcp/runner_ref", "gcp-ops-runner", "default"),
        ("/lanes/onprem/runner_ref", "proxmox-ops-runner", "default"),
        ("/lanes/azure/enabled", False, "default"),
        ("/lanes/gcp/labels", ["self-hosted", "gcp-ops-runner"], "name"),
        ("/services/pg-ha~1prod/failover/overlay", ".github/dr/prod/postgresql-ha-failover-gcp.yml", "name"),
        ("/services/pg-ha~1prod/failover/lane", "gcp", "file"),
        ("/services/pg-ha~1prod/data_home", "onprem", "name"),
        ("/envs/prod/class", "production", "default"),
        ("/envs/drill/class", "drill", "file"),
        ("/envs/prod/github_environment", "dr-prod", "name"),
        ("/envs/prod/check_environment", "dr-check", "default"),
        ("/hyops/versions", "==0.1.4", "default"),
        ("/host/core_root", "/opt/hybridops/core/app", "default"),
        ("/vault/role (prod)", "dr-prod", "name"),
        ("/vault/max_token_ttl", "PT15M", "default"),
        ("/vault/site", "gcp", "file"),
        ("/policy/decision_age", "PT15M", "default"),
        ("/policy/execution_planes", ["runner-local"], "default"),
        ("/approvals/channels", ["environment"], "default"),
        ("/evidence/signer", "none", "default"),
    ],
)
def test_a_setting_and_where_it_comes_from(pointer: str, value: object, origin: str) -> None:
    assert settings_of(base("config"))[pointer] == (value, origin)


def test_what_the_file_says_is_from_the_file() -> None:
    raw = base("config") | {"lanes": {"gcp": {"runner_ref": "my-runner"}}}
    found = settings_of(raw)
    assert found["/lanes/gcp/runner_ref"] == ("my-runner", "file")
    assert found["/lanes/gcp/labels"] == (["self-hosted", "my-runner"], "name")


def test_probes_come_from_the_overlay() -> None:
    set_up = gate_case({})
    found = settings_of(base("config"), {".github/dr/prod/postgresql-ha-failover-gcp.yml": set_up.blueprint})
    value, origin = found["/verification/pg-ha~1prod"]
    assert origin == "overlay"
    assert [probe["target"] for probe in value] == ["pg.prod.example.net:5432", "pg.prod.example.net"]  # type: ignore[attr-defined]  # probes are a list of objects
    assert found["/services/pg-ha~1prod/failover/dr_mode"] == ("restore", "overlay")


@pytest.mark.parametrize(
    ("isolated", "value", "origin"),
    [({"every": "P30D"}, "pg-ha/drill", "name"), ({"every": "P30D", "service": "pg-ha/other"}, "pg-ha/other", "file")],
    ids=["the only one", "named"],
)
def test_which_service_a_drill_restores(isolated: dict[str, str], value: str, origin: str) -> None:
    raw = base("config")
    found = settings_of(raw | {"drills": {"pg-ha/prod": {"check": {"every": "P1D"}, "isolated": isolated}}})
    assert found["/drills/pg-ha~1prod/isolated/service"] == (value, origin)
    assert found["/drills/pg-ha~1prod/isolated/every"] == ("P30D", "file")
    assert found["/drills/pg-ha~1prod/check/every"] == ("P1D", "file")
    assert found["/policy/readiness_age"] == (None, "default")


def test_a_drill_restores_nothing_where_two_could_be_meant() -> None:
    raw = base("config")
    raw["envs"]["practice"] = {"class": "drill"}
    raw["services"]["pg-ha/practice"] = raw["services"]["pg-ha/drill"]
    found = settings_of(raw | {"drills": {"pg-ha/prod": {"isolated": {"every": "P30D"}}}})
    assert found["/drills/pg-ha~1prod/isolated/service"] == (None, "name")
