"""Messages go beside the run: what they come to is known for a while, and stops nothing."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest

from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.notify import Moment, Notify
from hyops_ci.notify import webhook
from hyops_ci.stages.job import Job
from hyops_ci.stages.notifier import Notifier

AT = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
JOB = Job(run_id="42-1")
SETTINGS = Notify(webhook="https://hooks.example.net/dr")
SECRET = {"DR_NOTIFY_SECRET": "canary-of-the-webhook-0123456789"}


def test_a_sender_that_never_returns_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server can hold a request past its deadline."""
    over = threading.Event()
    monkeypatch.setattr(webhook, "deliver", lambda *_: "late" if over.wait(30) else "never")
    notifier, said = Notifier(SETTINGS, None, JOB, SECRET), list[str]()
    begun = time.monotonic()
    notifier.tell(Moment.STARTED, "STARTED", AT)
    assert notifier.close(said.append, 0.2) == [{"moment": "started", "to": "webhook", "problem": "no answer yet"}]
    assert time.monotonic() - begun < 5
    assert said == ["webhook not told that the run is started: no answer yet"]
    over.set()


def test_a_fault_of_our_own_is_named_by_its_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise ValueError("canary-in-an-exception")

    monkeypatch.setattr(webhook, "deliver", fail)
    notifier, said = Notifier(SETTINGS, None, JOB, SECRET), list[str]()
    notifier.tell(Moment.STARTED, "STARTED", AT)
    assert notifier.close(said.append)[0]["problem"] == "ValueError"
    assert "canary" not in "".join(said)


def test_what_is_told_is_one_line_and_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(webhook, "deliver", lambda url, secret, message, environ: told.append(message.text) or "")
    notifier = Notifier(SETTINGS, None, JOB, SECRET, clean=lambda text: text.replace("s3cret", "***"))
    notifier.tell(Moment.ENDED, "STOPPED\n@everyone s3cret \u202e", AT)
    notifier.close(lambda _: None)
    assert told == ["STOPPED\\u000a@everyone *** \\u202e"]


def test_without_settings_nothing_is_said() -> None:
    notifier = Notifier()
    notifier.tell(Moment.ENDED, "STOPPED", AT)
    assert notifier.close(pytest.fail) == []


@pytest.mark.parametrize(("env_class", "heard"), [("lab", True), ("production", False)])
def test_what_is_of_no_service_is_told_in_clear_only_where_every_env_is_a_lab(
    env_class: str, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(webhook, "deliver", lambda url, secret, message, environ: told.append(message.text) or "")
    action = "{failover: {lane: gcp, blueprint: dr/x@v1}}"
    envs = f"envs: {{lab: {{class: lab}}, other: {{class: {env_class}}}}}"
    config = parsed_config(f"services: {{pg-ha/lab: {action}, pg-ha/other: {action}}}\n{envs}\n".encode())
    notifier, said = Notifier(Notify(webhook="http://127.0.0.1:9/dr"), config, JOB, SECRET), list[str]()
    notifier.tell(Moment.ALARM, "ALARM  1 alarm: schedule.disabled", AT)
    notifier.close(said.append)
    assert bool(told) is heard
    assert said == ["webhook told: alarm" if heard else "webhook not told of the alarms: its address is not https"]
