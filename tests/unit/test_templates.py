"""The callers that are ready to copy: what they start, what they hand on, and that `hyops-ci dispatch` fits them."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.alerts import AlertRule
from hyops_ci.errors import Refusal
from hyops_ci.github.actions.startup_failure import INPUTS
from hyops_ci.github.actions.workflow_file import dispatch_inputs, event_types, read_workflow
from hyops_ci.intake.form import Form
from hyops_ci.operations.dispatch.start import StartRequest, dispatch
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.unit.operations.dispatch.dispatching import DECISION, Caller, caller, decision

__all__ = ["github_fake"]

FOLDER = Path(__file__).parents[2] / "workflows-templates"
MANUAL, EVENT, ALERT = FOLDER / "dr-manual.yml", FOLDER / "dr-decision.yml", FOLDER / "dr-alert.yml"
ALERTS = FOLDER.parent / "tests" / "cases" / "intake" / "accept"
TEMPLATES = sorted(FOLDER.glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    return read_workflow(path.read_bytes(), path.name)


def handed_on(path: Path) -> dict[str, str]:
    [job] = read(path)["jobs"].values()
    found: dict[str, str] = job["with"]
    return found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_is_described_for_githubs_page_of_templates(path: Path) -> None:
    properties = json.loads(path.with_suffix(".properties.json").read_text())
    assert set(properties) == {"name", "description", "iconName", "categories"}
    assert all(properties.values())


@pytest.mark.parametrize("path", [MANUAL, EVENT, ALERT], ids=lambda path: path.stem)
def test_a_template_hands_on_what_dispatch_takes(path: Path) -> None:
    assert set(handed_on(path)) <= INPUTS
    assert read(path)["permissions"] == {}


def test_the_form_hands_on_every_input_that_it_has() -> None:
    declared = dispatch_inputs(read(MANUAL)) or {}
    named = {name for value in handed_on(MANUAL).values() for name in re.findall(r"inputs\.(\w+)", value)}
    assert named == set(declared)
    assert [name for name, each in declared.items() if each.required] == [], "a decision starts it too, and fills in none of the form"


def test_a_form_beside_a_decision_is_never_handed_on() -> None:
    for name in ("action", "service", "reason"):
        condition = handed_on(MANUAL)[name]
        assert all(f"inputs.{other} == ''" in condition for other in ("decision", "decision_ref", "resume"))


@pytest.mark.parametrize("path", [EVENT, ALERT], ids=lambda path: path.stem)
def test_an_event_hands_on_what_it_carries_and_a_person_the_run_that_waits(path: Path) -> None:
    """As data: no text of an event stands where a shell or an expression would read it."""
    assert event_types(read(path)) == (path.stem,)
    assert handed_on(path) == {
        "decision": "${{ !inputs.resume && toJSON(github.event.client_payload.decision) || '' }}",
        "resume": "${{ inputs.resume || '' }}",
    }
    assert set(dispatch_inputs(read(path)) or {}) == {"resume"}
    [job] = read(path)["jobs"].values()
    assert not re.search("steps|run:", str(job)), "nothing of this job is a command"


@pytest.mark.parametrize("path", [EVENT, ALERT], ids=lambda path: path.stem)
def test_a_run_that_resumes_one_of_an_event_is_found_by_its_name(path: Path) -> None:
    assert read(path)["run-name"].startswith("${{ inputs.resume && format('resume {0}")


@pytest.fixture
def manual(github_fake: FakeGitHub) -> Caller:
    return caller(github_fake, MANUAL.read_text())


def test_dispatch_fits_the_form(manual: Caller) -> None:
    reference = f"a.json@{manual.repository.commit({'a.json': decision()})}"
    form = Form("failback", "pg-ha/prod", "INC-4242", "20261123-020003F", "confirmed-off")
    for order in (StartRequest(decision=decision()), StartRequest(decision_ref=reference), StartRequest(form=form)):
        dispatch(order, manual.client, manual.clock, manual.say)
    by_decision, by_reference, by_form = sorted(manual.repository.runs.values(), key=lambda run: run.id)
    assert (by_decision.inputs["decision"].encode(), by_decision.inputs["reason"]) == (decision(), DECISION["decision_id"])
    assert (by_reference.inputs["decision_ref"], by_reference.inputs["decision"]) == (reference, "")
    assert (by_form.inputs["old_primary"], by_form.inputs["restore"]) == ("confirmed-off", "20261123-020003F")


def test_dispatch_fits_the_event(github_fake: FakeGitHub) -> None:
    here = caller(github_fake, EVENT.read_text())
    dispatch(StartRequest(decision=decision(), event_type="dr-decision"), here.client, here.clock, here.say)
    [run] = here.repository.runs.values()
    assert run.inputs == {"decision": DECISION}


def test_dispatch_fits_the_alert(github_fake: FakeGitHub) -> None:
    """As docs/alerts.md has a relay send it."""
    here, sent = caller(github_fake, ALERT.read_text()), ALERTS / "alert-of-a-payload" / "input.json"
    dispatch(StartRequest(decision=sent.read_bytes(), event_type="dr-alert"), here.client, here.clock, here.say)
    [run] = here.repository.runs.values()
    assert run.inputs == {"decision": json.loads(sent.read_text())}


def test_an_alert_that_is_over_is_not_sent(github_fake: FakeGitHub) -> None:
    here, over = caller(github_fake, ALERT.read_text()), ALERTS.parent / "refuse" / "alert-resolved" / "input.json"
    with pytest.raises(Refusal, match="asks for nothing"):
        dispatch(StartRequest(decision=over.read_bytes(), event_type="dr-alert"), here.client, here.clock, here.say)
    assert not here.repository.runs


def test_the_page_of_alerts_shows_what_template_and_config_take() -> None:
    """Its receiver is the one that a real Alertmanager 0.35 sent `alert-of-a-payload` by."""
    page = (FOLDER.parent / "docs" / "alerts.md").read_text()
    [rules, receivers, _] = [yaml.safe_load(textwrap.dedent(block)) for block in re.findall(r"(?:^    .*\n)+", page, re.M)]
    assert AlertRule.model_validate(rules["alerts"][0]).action == "check"
    [webhook] = receivers["receivers"][0]["webhook_configs"]
    assert (webhook["url"].rpartition("/")[2], webhook["send_resolved"]) == ("dispatches", False)
    assert webhook["payload"]["event_type"] in (event_types(read(ALERT)) or ())
    assert webhook["payload"]["client_payload"] == {"decision": "{{ toJson . }}"}


def test_the_runs_name_holds_what_a_lost_run_is_found_by() -> None:
    assert "inputs.reason" in read(MANUAL)["run-name"]
    assert "decision.decision_id" in read(EVENT)["run-name"]
