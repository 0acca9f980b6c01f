"""`runner lanes` and `runner look` as a person and as a job call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from hyops_ci.cli.runner import command
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify

CONFIG = """
services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}
lanes:
  gcp: {names: [gcp-ops-runner-01], drill_runner_ref: gcp-drill-runner}
  onprem:
    machine:
      provider: proxmox
      api: https://pve.example.net:8006
      token: dr/proxmox#token
      node: pve1
      template: 9000
      vmid: 9001
      address: 10.1.0.20/24
      gateway: 10.1.0.1
      management_runner: [self-hosted, management]
policy: {bootstrap_environment: make-runner}
"""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "dr-dispatch.yml"
    path.write_text(CONFIG)
    return path


def test_a_job_for_each_runner(config: Path) -> None:
    done = CliRunner().invoke(command, ["lanes", "--config", str(config), "--format", "json"], standalone_mode=False)
    found = json.loads(done.stdout)
    assert [(row["lane"], row["runner_ref"], row["runs_on"], row["title"]) for row in found] == [
        ("gcp", "gcp-ops-runner", ["self-hosted", "gcp-ops-runner"], "Look at gcp-ops-runner"),
        ("gcp", "gcp-drill-runner", ["self-hosted", "gcp-drill-runner"], "Look at gcp-drill-runner"),
        ("onprem", "proxmox-ops-runner", ["self-hosted", "proxmox-ops-runner"], "Look at proxmox-ops-runner"),
    ]
    assert found[0]["names"] == ["gcp-ops-runner-01"]


@pytest.mark.parametrize(
    ("lane", "makes_on"), [("onprem", ["self-hosted", "management"]), ("gcp", ["ubuntu-latest"]), ("", ["ubuntu-latest"])]
)
def test_what_a_workflow_is_told(lane: str, makes_on: list[str], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = tmp_path / "outputs"
    outputs.touch()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    monkeypatch.setenv("DR_LANE", lane)
    done = CliRunner().invoke(command, ["lanes", "--config", str(config)], standalone_mode=False)
    assert done.return_value == 0, done.output
    said = outputs.read_text()
    assert f"{json.dumps(makes_on)}" in said
    assert "make-runner" in said
    assert ("Look at gcp-ops-runner" in said) == (lane in ("", "gcp"))


def test_a_look_in_a_shell_says_what_is_wrong_and_leaves_a_bundle(config: Path, tmp_path: Path) -> None:
    into = tmp_path / "look"
    done = CliRunner().invoke(command, ["look", "--config", str(config), "--lane", "gcp", "--folder", str(into)], standalone_mode=False)
    assert done.return_value == 7, done.output
    assert "FAIL  trust" in done.stdout, "nobody prepared this machine"
    assert "?     agent" in done.stdout
    bundle = into / "evidence.tar"
    assert verify(bundle).ok
    assert json.loads(read_files(bundle)["host-look.json"])["lane"] == "gcp"
    assert done.stdout.splitlines()[-1] == f"evidence {bundle}"


def test_the_watch_waits_for_the_job_that_looks() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "runner.yml").read_text())["jobs"]
    assert jobs["look"]["name"] == "${{ matrix.title }}"
    [watch] = jobs["watch-look"]["steps"]
    assert watch["with"]["job"] == "${{ matrix.title }}"
    assert jobs["look"]["strategy"] == jobs["watch-look"]["strategy"]
    assert jobs["look"]["runs-on"] == "${{ matrix.runs_on }}"


def test_a_caller_grants_what_the_jobs_ask_for() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "runner.yml").read_text())["jobs"]
    [caller] = yaml.safe_load((ROOT / "workflows-templates" / "dr-runner.yml").read_text())["jobs"].values()
    levels = ("none", "read", "write")
    wanted: dict[str, str] = {}
    for job in jobs.values():
        for name, level in job["permissions"].items():
            wanted[name] = max(wanted.get(name, "none"), level, key=levels.index)
    assert caller["permissions"] == wanted
