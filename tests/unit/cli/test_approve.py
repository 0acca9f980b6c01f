"""`hyops-ci approve <run url>`: shown, signed, pushed to a real ledger, and the run that goes on started once, on the fake GitHub."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.app import main
from hyops_ci.contracts.run import State
from tests.security.incident import CALLER, SERVICE, WORKFLOW, Incident, start_incident
from tests.support.github import faults
from tests.support.github.runs import Run

RESUMABLE = f"""\
name: Disaster recovery
on:
  workflow_dispatch:
    inputs:
      action: {{type: string}}
      resume: {{type: string, default: ""}}
jobs:
  dr:
    uses: {CALLER}
    with: {{action: "${{{{ inputs.action }}}}", resume: "${{{{ inputs.resume }}}}"}}
"""
START = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"
CANARY = "ghp_canary-of-the-token"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@dataclass
class Desk:
    """Where an approver sits: a run that waits, keys in files, and a home of their own."""

    incident: Incident
    folder: Path
    home: Path
    capsys: pytest.CaptureFixture[str]

    def approve(self, who: str, *words: str, run: str = "", ledger: bool = True, yes: bool = True) -> Said:
        """The command as `who` types it."""
        self.capsys.readouterr()
        typed = ["approve", run or self.url, "--key", str(self.folder / f"{who}.pem"), *words]
        typed += ["--ledger", str(self.incident.site.root / "ledger.git")] if ledger else []
        with pytest.raises(SystemExit) as ended:
            main([*typed, *(["--yes"] if yes else [])])
        said = self.capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert "PRIVATE KEY" not in said.out + said.err
        return Said(int(ended.value.code or 0), said.out, said.err)

    @property
    def url(self) -> str:
        return f"https://github.com/{CALLER}/actions/runs/{self.incident.run.id}"

    @property
    def started(self) -> list[Run]:
        """Runs that somebody started after the one that waits."""
        return [run for number, run in self.incident.repository.runs.items() if number > self.incident.run.id]

    @property
    def answers(self) -> list[dict[str, Any]]:
        """What waits in the ledger, unsigned."""
        return [json.loads(base64.b64decode(each.payload)) for each in self.incident.ledger().tip().answers]

    def workflow(self, text: str) -> None:
        """Another workflow file on the default branch, and the run that waits is of it."""
        self.incident.run.sha = self.incident.repository.commit({WORKFLOW: text})


def waits(incident: Incident) -> None:
    """A run that ended UNSIGNED, with its handover."""
    incident.repository.commit({WORKFLOW: RESUMABLE})
    incident.run.sha = incident.repository.head
    incident.repository.workflows[0].on_start = named
    incident.reach_gate()
    incident.hand_over()


def named(run: Run) -> None:
    """As the template names it."""
    run.title = f"resume {run.inputs['resume']} by jonas, "


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Incident, Path]]:
    """One run that waits for one of two signatures, for every test of this page."""
    folder = tmp_path_factory.mktemp("evening")
    with start_incident(folder) as incident:
        incident.approvers("jonas", "priya")
        waits(incident)
        shutil.copytree(incident.site.root / "ledger.git", folder / "ledger.git")
        yield incident, folder


@pytest.fixture
def desk(
    evening: tuple[Incident, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    incident, folder = evening
    sha = incident.run.sha
    yield sit_down(incident, folder, tmp_path, monkeypatch, capsys)
    incident.run.sha = sha
    shutil.rmtree(incident.site.root / "ledger.git")
    shutil.copytree(folder / "ledger.git", incident.site.root / "ledger.git")
    shutil.rmtree(incident.site.root / "onlooker", ignore_errors=True)
    for number in [number for number in incident.repository.runs if number > incident.run.id]:
        del incident.repository.runs[number]
    incident.repository.branches["main"].sha = incident.run.sha
    incident.repository.workflows[0].state = "active"
    incident.repository.workflows[0].on_start = named


def sit_down(incident: Incident, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    for name in ("DR_TOKEN", "GITHUB_TOKEN", "GH_REPO", "GITHUB_SERVER_URL", "GITHUB_ACTIONS", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GITHUB_API_URL", incident.fake.url)
    monkeypatch.setenv("GH_TOKEN", incident.fake.add_token("actions: write", "contents: write", "metadata: read", actor="jonas"))
    return Desk(incident, folder, home, capsys)


# ------------------------------------------------------------------------------------------------------ the way it goes


def test_shown_signed_pushed_and_resumed(desk: Desk) -> None:
    said = desk.approve("jonas", "--comment", "seen")
    assert said.code == 0, said.err
    assert said.err.startswith("APPROVE?  FAILOVER pg-ha/lab")
    assert f"signed and pushed: approve by jonas. approved by jonas\ngoes on as: {said.out.strip()}\n" in said.err
    [run] = desk.started
    assert (run.page, run.inputs, run.branch) == (said.out.strip(), {"action": "", "resume": str(desk.incident.run.id)}, "main")
    [answer] = desk.answers
    assert (answer["verdict"], answer["approver"]["login"], answer["comment"]) == ("approve", "jonas", "seen")


def test_as_json(desk: Desk) -> None:
    said = json.loads(desk.approve("jonas", "--format", "json").out)
    [run] = desk.started
    assert (said["resumed_by"], said["url"]) == (str(run.id), run.page)
    assert set(said["envelope"]) == {"payload", "payloadType", "signatures"}


def test_no_is_pushed_and_the_run_that_seals_it_is_started(desk: Desk) -> None:
    said = desk.approve("priya", "--deny", "--comment", "drill incident")
    assert said.code == 0, said.err
    assert "signed and pushed: deny by priya." in said.err
    assert len(desk.started) == 1
    assert [answer["verdict"] for answer in desk.answers] == ["deny"]


def test_what_was_signed_carries_the_run_that_resumes(desk: Desk) -> None:
    """The run that goes on finds the decision, who asked, and the answer; nobody typed them again."""
    desk.approve("jonas")
    incident, waited, folder = desk.incident, desk.incident.run, desk.incident.folder
    [incident.run] = desk.started
    incident.folder = type(folder)(desk.home / "resumed" / "run")
    try:
        ended = incident.plan(resume=str(waited.id))
        assert (ended.state, ended.refusal) == (State.PLANNED, None)
        ended = incident.check()
        assert (ended.state, ended.refusal) == (State.CHECKED, None)
        assert [each["payload"] for each in incident.ledger().answers(incident.request.subject)]
        assert [person.login for person in incident.request.requesters] == ["maria"]
        assert incident.request.plan.digest() == folder.read_model("plan.json", type(incident.request.plan)).digest()
    finally:
        incident.run, incident.folder = waited, folder


@pytest.mark.parametrize("words", [("--sign-only",), ("--sign-only", "--deny")])
def test_sign_only_leaves_everything_as_it_is(words: tuple[str, ...], desk: Desk) -> None:
    said = desk.approve("jonas", *words)
    assert said.code == 0
    [envelope] = json.loads(said.out)
    assert len(envelope["signatures"]) == 1
    assert (desk.started, desk.answers) == ([], [])


def test_nothing_is_signed_unasked(desk: Desk) -> None:
    said = desk.approve("jonas", yes=False)
    assert said.code == 6
    assert "nothing was signed: no terminal to ask on; --yes signs without asking" in said.err
    assert (said.out, desk.started, desk.answers) == ("", [], [])
    as_json = desk.approve("jonas", "--format", "json", yes=False)
    assert (as_json.code, json.loads(as_json.out)["error"]["gate"]) == (6, "approve.terminal")


# ------------------------------------------------------------------------------------------------------------ started once


def test_a_second_yes_starts_no_second_run(desk: Desk) -> None:
    first, again, other = desk.approve("jonas"), desk.approve("jonas"), desk.approve("priya")
    assert [said.code for said in (first, again, other)] == [0, 0, 0]
    assert first.out == again.out == other.out
    assert len(desk.started) == 1
    assert sorted(answer["approver"]["login"] for answer in desk.answers) == ["jonas", "priya"]


def test_a_run_that_failed_does_not_stand_in_the_way(desk: Desk) -> None:
    desk.approve("jonas")
    desk.started[0].finish("failure")
    said = desk.approve("jonas")
    assert len(desk.started) == 2
    assert said.out.strip() == desk.started[1].page


def test_an_answer_of_github_that_was_lost_starts_nothing_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    desk.incident.fake.inject(faults.lost(), START)
    said = desk.approve("jonas")
    assert said.code == 0, said.err
    [run] = desk.started
    assert said.out.strip() == run.page


def test_pushed_and_not_started_says_what_is_done_and_what_is_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.incident.fake.inject(faults.answer(403, "Resource not accessible by personal access token"), START)
    said = desk.approve("jonas")
    assert said.code != 0
    assert "your answer is in the ledger; the run that resumes it was not started: " in said.err
    assert f"gh workflow run dr.yml --ref main -f resume={desk.incident.run.id}" in said.err
    assert (len(desk.answers), desk.started) == (1, [])
    assert desk.approve("jonas").code == 0, "what is left is done by the same command"
    assert (len(desk.answers), len(desk.started)) == (1, 1)


def test_nobody_knows_whether_it_was_started(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    desk.incident.fake.inject(faults.dropped(), START, times=None)
    said = desk.approve("jonas")
    assert said.code == 12
    assert "your answer is in the ledger; whether the run was started is not known" in said.err
    assert "look at https://github.com/acme/recovery/actions/workflows/dr.yml" in said.err


# ------------------------------------------------------------------------------------- refused before anything is signed


NO_INPUT = RESUMABLE.replace('      resume: {type: string, default: ""}\n', "")
NOT_HANDED_ON = RESUMABLE.replace(', resume: "${{ inputs.resume }}"', "")


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (NO_INPUT, "no input resume"),
        (NOT_HANDED_ON, "no job that gets resume"),
        ("on: push\njobs: {}\n", "no input resume and no job that gets resume"),
    ],
)
def test_a_workflow_that_cannot_be_told_what_it_resumes(text: str, lacks: str, desk: Desk) -> None:
    desk.workflow(text)
    said = desk.approve("jonas")
    assert said.code == 2
    assert "REFUSED approve.resume (exit 2): " in said.err
    assert f".github/workflows/dr.yml at main has {lacks}" in said.err
    assert 'add `resume: {type: string, default: ""}` below on.workflow_dispatch.inputs, and `resume: ${{ inputs.resume }}`' in said.err
    assert (desk.started, desk.answers) == ([], [])
    assert desk.approve("jonas", "--sign-only").code == 0


def test_a_workflow_that_is_switched_off(desk: Desk) -> None:
    desk.incident.repository.workflows[0].state = "disabled_inactivity"
    said = desk.approve("jonas")
    assert (said.code, desk.answers) == (2, [])
    assert "gh workflow enable dr.yml" in said.err


@pytest.mark.parametrize("who", ["mallory", "maria"])
def test_a_key_that_is_no_approvers(who: str, desk: Desk) -> None:
    said = desk.approve(who)
    assert (said.code, desk.started, desk.answers) == (6, [], [])
    assert "approval.key" in said.err
    assert "the key of jonas or priya" in said.err


@pytest.mark.parametrize(
    ("run", "code", "gate"),
    [
        ("nonsense", 2, "approve.run"),
        ("https://elsewhere.example.net/acme/recovery/actions/runs/1", 2, "approve.run"),
        (f"https://github.com/{CALLER}/actions/runs/999999", 4, "github.not-found"),
    ],
)
def test_what_is_no_run_that_waits(run: str, code: int, gate: str, desk: Desk) -> None:
    said = desk.approve("jonas", run=run)
    assert said.code == code, said.err
    assert gate.split(".")[0] in said.err
    assert (desk.started, desk.answers) == ([], [])


def test_a_run_that_asks_nothing(desk: Desk) -> None:
    other = desk.incident.repository.add_run(WORKFLOW, actor="maria")
    said = desk.approve("jonas", run=f"https://github.com/{CALLER}/actions/runs/{other.id}")
    assert said.code == 11
    assert "artifact.missing" in said.err
    assert desk.answers == []


def test_a_token_that_is_not_known_is_not_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_TOKEN", CANARY)
    said = desk.approve("jonas")
    assert said.code == 2
    assert CANARY not in said.out + said.err


def test_a_ledger_that_is_gone(desk: Desk) -> None:
    said = desk.approve("jonas", "--ledger", str(desk.home / "nowhere.git"), ledger=False)
    assert said.code in (5, 12)
    assert "your answer is in the ledger" not in said.err
    assert desk.started == []


# ------------------------------------------------------------------------------------------------------ runs of their own


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Desk]]:
    """A run of its own: `prepare` changes the config before it is planned."""
    with start_incident(tmp_path) as incident:

        def make(prepare: Callable[[Incident], object]) -> Desk:
            prepare(incident)
            waits(incident)
            return sit_down(incident, tmp_path, tmp_path / "home", monkeypatch, capsys)

        yield make


def test_two_of_three(own: Callable[..., Desk]) -> None:
    desk = own(lambda incident: incident.approvers("jonas", "priya", "mallory", quorum=2))
    first = desk.approve("jonas")
    assert (first.code, first.out, desk.started) == (0, "", [])
    assert "signed and pushed: approve by jonas. " in first.err
    assert desk.approve("jonas").out == "", "the same person twice is one"
    assert desk.started == []
    second = desk.approve("mallory")
    assert "approved by jonas and mallory" in second.err
    [run] = desk.started
    assert second.out.strip() == run.page
    third = desk.approve("priya", "--deny")
    assert len(desk.started) == 1, "a no that comes too late starts nothing more"
    assert third.code == 0


def test_one_no_is_enough(own: Callable[..., Desk]) -> None:
    desk = own(lambda incident: incident.approvers("jonas", "priya", "mallory", quorum=2))
    desk.approve("jonas")
    assert desk.approve("priya", "--deny").code == 0
    assert len(desk.started) == 1


def test_too_late(own: Callable[..., Desk]) -> None:
    def hurry(incident: Incident) -> None:
        incident.approvers("jonas")
        incident.configure(lambda config: config["approvals"].update(lifetime="PT1S"))

    desk = own(hurry)
    time.sleep(1.1)
    said = desk.approve("jonas")
    assert (said.code, desk.started, desk.answers) == (6, [], [])
    assert "approval.expired" in said.err
    assert desk.approve("jonas", "--deny").code == 6


def test_ones_own_request(own: Callable[..., Desk]) -> None:
    desk = own(lambda incident: incident.approvers("maria", "jonas"))
    said = desk.approve("maria")
    assert (said.code, desk.started, desk.answers) == (6, [], [])
    assert "approval.self" in said.err
    assert desk.approve("maria", "--deny").code == 0, "whoever asked may take it back"


def test_a_run_that_is_answered_on_github(own: Callable[..., Desk]) -> None:
    desk = own(lambda incident: incident.approvers(channels=("environment",)))
    said = desk.approve("jonas")
    assert (said.code, desk.started, desk.answers) == (6, [], [])
    assert "approve.channel" in said.err
    assert f"{desk.url}: Review deployments, dr-lab" in said.err


def test_the_ledger_is_the_services(own: Callable[..., Desk]) -> None:
    """What is signed is about exactly one service."""
    desk = own(lambda incident: incident.approvers("jonas"))
    desk.approve("jonas")
    assert [answer["subject"]["service"] for answer in desk.answers] == [SERVICE]
