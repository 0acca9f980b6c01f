"""Any valid config can be rehearsed: with its own files where they lie beside it, else with the example's overlays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.operations.rehearse.sandbox import EXAMPLE, Site
from hyops_ci.operations.rehearse.scenarios import rehearse
from hyops_ci.stages.context import SystemClock

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
CONFIGS = sorted((Path(__file__).parents[1] / "cases" / "config" / "accept").iterdir())
FAILOVER = EXAMPLE / "overlays" / "postgresql-ha-failover-gcp.yml"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_valid_config_is_rehearsed_to_its_end(config: Path, tmp_path: Path) -> None:
    said: list[str] = []
    ended = rehearse(Site(tmp_path / "here", SystemClock(), said.append), "recovered", config=config)
    assert ended.result.outcome is State.COMPLETED_WITH_EXCEPTIONS, ended.result.refusal
    first = next(iter(yaml.safe_load(config.read_bytes())["services"]))
    assert ended.result.service == first
    assert any("is rehearsed with the example's dr/postgresql-ha-failover-gcp@v1" in line for line in said)


def repository(root: Path, config: str) -> Path:
    """A repository of a caller with one config and one overlay, as `docs/adopt.md` has it."""
    overlay = root / ".github" / "dr" / "prod" / "postgresql-ha-failover-gcp.yml"
    overlay.parent.mkdir(parents=True)
    shutil.copyfile(FAILOVER, overlay)
    path = root / ".github" / "dr-dispatch.yml"
    path.write_text(config, encoding="utf-8")
    return path


ONE = "services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}\n"


def test_the_files_of_the_configs_own_repository_are_used(tmp_path: Path) -> None:
    config = repository(tmp_path / "caller", ONE)
    overlay = config.parent / "dr" / "prod" / FAILOVER.name
    overlay.write_text(overlay.read_text("utf-8") + "\n# the caller's own\n", encoding="utf-8")
    said: list[str] = []
    ended = rehearse(Site(tmp_path / "here", SystemClock(), said.append), "recovered", config=config)
    assert ended.result.outcome is State.COMPLETED_WITH_EXCEPTIONS
    assert (tmp_path / "here" / "run-1" / "run" / "sources" / "overlay").read_bytes() == overlay.read_bytes()
    assert not any("example's" in line for line in said)


def test_an_overlay_that_is_nowhere_is_named_by_the_plan(tmp_path: Path) -> None:
    config = repository(tmp_path / "caller", ONE.replace("postgresql-ha-failover-gcp", "web-failover-gcp"))
    ended = rehearse(Site(tmp_path / "here", SystemClock()), "recovered", config=config)
    refusal = ended.result.refusal
    assert refusal is not None
    assert (refusal.gate, refusal.found) == ("config.file", ".github/dr/prod/web-failover-gcp.yml is not there")


def test_a_probe_that_no_plan_accepts_is_refused_here_too(tmp_path: Path) -> None:
    config = repository(tmp_path / "caller", ONE + "verification: {pg-ha/prod: [{kind: command, target: /opt/look}]}\n")
    ended = rehearse(Site(tmp_path / "here", SystemClock()), "recovered", config=config)
    assert ended.result.refusal is not None
    assert (ended.result.refusal.gate, ended.result.refusal.found) == ("config.probe", "verification.pg-ha/prod: /opt/look")


@pytest.mark.parametrize("path", ["../outside.yml", ".github/../../outside.yml"])
def test_a_path_that_leads_out_is_neither_read_nor_written(path: str, tmp_path: Path) -> None:
    (tmp_path / "outside.yml").write_text("kind: BlueprintSpec\n", encoding="utf-8")
    config = repository(tmp_path / "caller", ONE.replace("@v1}", f"@v1, overlay: {path}}}"))
    with pytest.raises(Refusal) as caught:
        rehearse(Site(tmp_path / "here", SystemClock()), "recovered", config=config)
    assert (caught.value.gate, path in caught.value.found) == ("config.schema", True)
    assert not (tmp_path / "here" / "outside.yml").exists()


def test_a_link_that_leads_out_is_neither_read_nor_written(tmp_path: Path) -> None:
    (tmp_path / "outside.yml").write_text("kind: BlueprintSpec\n", encoding="utf-8")
    config = repository(tmp_path / "caller", ONE.replace("@v1}", "@v1, overlay: .github/out/outside.yml}"))
    (config.parent / "out").symlink_to(tmp_path)
    rehearse(Site(tmp_path / "here", SystemClock()), "recovered", config=config)
    copied = [path.read_text("utf-8") for path in (tmp_path / "here").rglob("outside.yml")]
    assert "kind: BlueprintSpec\n" not in copied
