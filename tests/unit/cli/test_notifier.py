"""Whose config is told by, and with what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hyops_ci.cli.notifier import notifier_for
from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.stages.job import Job

CONFIG = b"""
services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}
notify: {webhook: "https://hooks.example.net/dr", issue: 42}
"""
JOB = Job(run_id="42-1", on_github=True, repository="acme/recovery", ref="refs/heads/main", default_branch="main")


@pytest.fixture
def config() -> DispatchConfig:
    found = parsed_config(CONFIG)
    assert found is not None
    return found


def test_the_reviewed_config_says_who_is_told(config: DispatchConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_NOTIFY_TOKEN", "ghs_canary-token-of-the-notifier")
    made = notifier_for(config, JOB)
    assert (made.settings, made.github is not None) == (config.notify, True)
    assert "canary" not in repr(made)


@pytest.mark.parametrize("ref", ["refs/heads/mine", "refs/tags/main", "refs/pull/7/merge", ""])
def test_a_config_of_another_branch_tells_nobody(config: DispatchConfig, ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can push a branch would choose the receiver of what is signed with the repository's secret."""
    monkeypatch.setenv("DR_NOTIFY_TOKEN", "ghs_canary-token-of-the-notifier")
    made = notifier_for(config, replace(JOB, ref=ref))
    assert (made.settings, made.github) == (None, None)
    assert notifier_for(config, replace(JOB, default_branch="")).settings is None


def test_with_github_down_the_webhook_is_told(config: DispatchConfig) -> None:
    made = notifier_for(config, Job(run_id="local-20261128T030000Z-00000000"))
    assert (made.settings, made.github) == (config.notify, None)


def test_a_token_that_is_none_stops_nothing(config: DispatchConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_NOTIFY_TOKEN", "no token at all")
    assert notifier_for(config, JOB).github is None


def test_a_config_without_a_word_of_it_is_silent() -> None:
    assert notifier_for(None, JOB).settings is None
