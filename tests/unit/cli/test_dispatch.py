"""`hyops-ci dispatch` as a shell and as a step: what it prints, its outputs, its exit codes, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.app import main
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.run import State
from hyops_ci.operations.dispatch import follow
from tests.support.github.fixture import github_fake
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.evidence import sample_run
from tests.unit.operations.dispatch.dispatching import RUN, Caller, bundle, caller, decision, recovers

__all__ = ["github_fake"]

FORM = ("--action", "failover", "--service", "pg-ha/prod", "--reason", "INC-4242 power lost")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str
    outputs: dict[str, str]
    summary: str

    @property
    def document(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


Call = Callable[..., Said]


@pytest.fixture
def here(github_fake: FakeGitHub) -> Caller:
    return caller(github_fake)


@pytest.fixture
def call(here: Caller, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """The command with a token, as a step that has files for outputs and summary."""
    monkeypatch.setenv("GITHUB_API_URL", here.fake.url)
    monkeypatch.setenv("GH_TOKEN", here.fake.add_token("actions: write", "contents: write", "metadata: read"))
    monkeypatch.setenv("GH_REPO", "acme/recovery")
    files = {name: tmp_path / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for name, path in files.items():
        monkeypatch.setenv(name, str(path))

    def run(*words: str | Path) -> Said:
        for path in files.values():
            path.write_text("")
        here.count_from_run()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in ("dispatch", *words)])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(
            int(ended.value.code or 0), said.out, said.err, outputs_in(files["GITHUB_OUTPUT"]), files["GITHUB_STEP_SUMMARY"].read_text()
        )

    return run


def outputs_in(path: Path) -> dict[str, str]:
    """What GitHub would read: a later value of a name replaces an earlier one."""
    lines, found = iter(path.read_text().splitlines()), {}
    for line in lines:
        name, _, end = line.partition("<<")
        value = []
        while (each := next(lines)) != end:
            value.append(each)
        found[name] = "\n".join(value)
    return found


# ---------------------------------------------------------------------------------------------------- starting


def test_a_decision_of_a_file_is_started(call: Call, here: Caller, tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_bytes(decision())
    said = call("--decision", f"@{path}", "--format", "json")
    run = here.repository.runs[RUN]
    assert (said.code, run.inputs["decision"].encode()) == (0, decision())
    assert said.document == {
        "run_id": RUN,
        "run_url": run.page,
        "repository": "acme/recovery",
        "workflow": "dr.yml",
        "ref": "main",
        "decision_id": "inc-4242-power-lost",
        "decision_sha256": digest_bytes(decision()),
        "outcome": None,
        "exit_code": 0,
        "evidence_digest": None,
    }
    assert said.outputs == {"run_id": str(RUN), "run_url": run.page, "decision_id": "inc-4242-power-lost", "exit_code": "0"}


def test_a_form_is_started_and_said_in_words(call: Call, here: Caller) -> None:
    said = call(*FORM)
    assert said.out.splitlines() == [
        "STARTED run 212",
        "  Decision   manual-4711-212",
        "  Where      dr.yml of acme/recovery at main",
        f"  Follow     {here.repository.runs[RUN].page}",
    ]
    assert "STARTED run 212" in said.summary


def test_inputs_of_the_action_arrive_by_the_environment(call: Call, here: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"COMMAND": "dispatch", "REPOSITORY": "acme/recovery", "WORKFLOW": "dr.yml", "REF": "main", "ACTION": "failover"}
    values |= {
        "SERVICE": "pg-ha/prod",
        "REASON": "INC-4242",
        "WAIT": "false",
        "TIMEOUT": "PT1M",
        "DECISION": "",
        "RESTORE": "",
        "EVENT_TYPE": "",
        "BOOTSTRAP_REASON": " runner-recovery",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"DR_{name}", value)
    assert call().code == 0
    inputs = here.repository.runs[RUN].inputs
    assert (inputs["reason"], inputs["bootstrap_reason"]) == ("INC-4242", "runner-recovery")


def test_a_reason_to_make_the_runner_is_an_option(call: Call, here: Caller) -> None:
    assert call(*FORM, "--bootstrap-reason", "runner-recovery").code == 0
    assert here.repository.runs[RUN].inputs["bootstrap_reason"] == "runner-recovery"


def test_by_an_event(call: Call, here: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.github.dispatch.LOOKS", (0.0,))
    said = call("--decision", decision().decode(), "--event-type", "dr-decision", "--format", "json")
    assert (said.code, said.document["run_id"], here.repository.runs[RUN].event) == (0, RUN, "repository_dispatch")


def test_a_text_on_github_names_no_file_of_the_machine(call: Call, here: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    said = call("--decision", "@/etc/passwd")
    assert (said.code, here.repository.runs) == (3, {})
    assert "root:" not in said.out + said.err


def test_a_refusal_in_both_forms_and_as_an_output(call: Call, here: Caller) -> None:
    said = call("--decision", "{}")
    assert (said.code, said.out, said.outputs) == (3, "", {"exit_code": "3"})
    assert "REFUSED intake.kind" in said.err
    assert call("--decision", "{}", "--format", "json").document["error"]["gate"] == "intake.kind"
    assert here.repository.runs == {}


def test_a_command_of_the_action_that_is_none(call: Call, here: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_COMMAND", "execute")
    said = call(*FORM)
    assert (said.code, here.repository.runs) == (2, {})
    assert "REFUSED action.command (exit 2)" in said.err
    assert "dispatch, plan or verify" in said.err


@pytest.mark.parametrize("words", [("--timeout", "forever"), ("--timeout", "6h"), ("--wait", "yes")])
def test_usage(words: tuple[str, ...], call: Call, here: Caller) -> None:
    assert (call(*FORM, *words).code, here.repository.runs) == (2, {})


def test_without_a_token_it_says_which(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GH_TOKEN")
    said = call(*FORM)
    assert (said.code, "GH_TOKEN" in said.err) == (2, True)


# ------------------------------------------------------------------------------------------------------ waiting


def test_a_run_is_followed_to_its_verified_end(call: Call, here: Caller, tmp_path: Path) -> None:
    data = bundle(tmp_path / "sealed")
    here.starts(recovers(data))
    said = call(*FORM, "--wait", "--format", "json")
    assert said.code == 0, said.err
    assert said.document["outcome"] == State.COMPLETED_WITH_EXCEPTIONS
    assert said.document["evidence_digest"] == digest_bytes(data)
    assert said.outputs == {
        "run_id": str(RUN),
        "run_url": here.repository.runs[RUN].page,
        "decision_id": "manual-4711-212",
        "outcome": "COMPLETED_WITH_EXCEPTIONS",
        "evidence_digest": digest_bytes(data),
        "exit_code": "0",
    }
    assert f"run 212 ended: success   {here.repository.runs[RUN].page}" in said.err


def test_the_exit_code_of_the_run_becomes_the_commands(call: Call, here: Caller, tmp_path: Path) -> None:
    root, to = tmp_path / "run", tmp_path / "evidence.tar"
    root.mkdir()
    sample_run.small(root, to)
    here.starts(recovers(to.read_bytes()))
    said = call(*FORM, "--wait")
    assert (said.code, said.outputs["exit_code"], said.outputs["outcome"]) == (3, "3", "REJECTED")
    assert said.out.startswith("REFUSED")
    assert "artifact dr-evidence-212-1 of run 212, sha256:" in said.out


def test_evidence_that_does_not_verify_is_exit_11(call: Call, here: Caller) -> None:
    here.starts(recovers(b"no bundle"))
    said = call(*FORM, "--wait")
    assert (said.code, said.outputs["exit_code"], "outcome" in said.outputs) == (11, "11", False)
    assert said.outputs["run_id"] == str(RUN)
    assert "REFUSED evidence.verify (exit 11)" in said.err


def test_a_run_that_never_began_is_exit_2_with_the_permission(call: Call, here: Caller) -> None:
    here.starts(Run.fail_at_startup)
    said = call(*FORM, "--wait")
    assert said.code == 2
    assert "REFUSED dispatch.startup (exit 2)" in said.err
    assert "it does not grant id-token: write" in said.err


def test_the_time_is_up_and_the_run_goes_on(call: Call, here: Caller) -> None:
    said = call(*FORM, "--wait", "--timeout", "PT0S")
    assert (said.code, said.outputs["exit_code"], here.repository.runs[RUN].status) == (12, "12", "queued")
    assert "the run goes on, nothing was cancelled" in said.err


def test_ctrl_c_leaves_the_run_alone_and_says_so(call: Call, here: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(follow, "follow", interrupted)
    said = call(*FORM, "--wait")
    assert (said.code, said.outputs["run_id"], said.outputs["exit_code"]) == (130, str(RUN), "130")
    assert f"the run goes on, nothing was cancelled   {here.repository.runs[RUN].page}" in said.err
    assert here.repository.runs[RUN].status == "queued"


def test_a_run_that_cannot_be_told_from_others_is_not_followed(call: Call, here: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.github.dispatch.LOOKS", (0.0,))
    here.repository.workflows[0].on_start = lambda run: here.repository.add_run(event="repository_dispatch") and None
    said = call("--decision", decision().decode(), "--event-type", "dr-decision", "--wait")
    assert (said.code, "run_id" in said.outputs) == (12, False)
    assert "dispatch.which" in said.err


def test_the_token_is_nowhere(call: Call, here: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = here.fake.add_token("actions: write", "contents: write", "metadata: read")
    monkeypatch.setenv("DR_TOKEN", token)
    here.starts(recovers(bundle(tmp_path / "sealed")))
    said = call(*FORM, "--wait")
    assert said.code == 0
    assert token not in said.out + said.err + said.summary + repr(said.outputs)
