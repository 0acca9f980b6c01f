"""What a command takes for granted in a checkout."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from hyops_ci.cli.options import config_here, only_service

ONE = "services:\n  pg/lab:\n    failover: {lane: gcp, blueprint: dr/x@v1}\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".github").mkdir()
    return tmp_path / ".github" / "dr-dispatch.yml"


def test_the_only_service_of_the_config_here(config: Path) -> None:
    assert (config_here(), only_service()) == (None, None)
    config.write_text(ONE)
    assert only_service() == "pg/lab"
    assert config_here() == Path(".github/dr-dispatch.yml")


def test_of_several_one_has_to_be_named(config: Path) -> None:
    config.write_text(f"{ONE}  web/lab:\n    failover: {{lane: gcp, blueprint: dr/y@v1}}\n")
    with pytest.raises(click.UsageError, match="name --service: pg/lab, web/lab"):
        only_service()


def test_a_config_that_cannot_be_read_names_none(config: Path) -> None:
    config.write_text("services: [")
    assert only_service() is None
