"""Ensure a runner: which row of the table decides in a run, what it does, what it leaves, and that a killed one is taken up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyops_ci.contracts.ensured import Ensured
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import RefusalRecord, State
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.recorder import read_chain
from hyops_ci.evidence.verify import verify
from hyops_ci.parsing.documents import read_document
from hyops_ci.planning.bootstrap_case import BOOTSTRAP_GATES
from hyops_ci.planning.case import in_order, load
from hyops_ci.planning.machine_case import MACHINE_GATES
from hyops_ci.runners.ports import MachineState
from hyops_ci.stages.conclude.stage import conclude
from hyops_ci.stages.conclude.unfinished import stopped_because
from hyops_ci.stages.watch.queue import Verdict
from hyops_ci.stages.watch.stage import Watched
from tests.runners.world import OTHERS, Trouble, falls
from tests.security.incident import MACHINE
from tests.support.examples import examples
from tests.unit.stages.ensure_runner.scene import KEY, NAME, TOKEN, Scene, missing_runner, no_answer


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with missing_runner(tmp_path) as made:
        yield made


def notes(scene: Scene) -> list[tuple[str, str]]:
    return [(event.kind, event.name) for event in read_chain(scene.folder.root) if event.stage == "ensure-runner"]


# ------------------------------------------------------------------------------------------------- what is done


def test_a_machine_that_is_not_there_is_made_set_up_and_registered(scene: Scene) -> None:
    scene.approve()
    end = scene.ensure()
    assert (end.state, end.refusal) == (State.PLANNED, None), end.refusal
    assert end.ensured is not None
    assert end.ensured.decided[0] == "create: there is no machine"
    assert end.ensured.decided[-1] == "use: the runner took the job"
    assert (end.ensured.approved_by, end.ensured.taken_by, end.ensured.changed) == (("jonas",), NAME, True)
    assert end.ensured.found[0].document() == {
        "queue": "missing",
        "agent": "absent",
        "machine": "absent",
        "words": f"the check is queued; no runner {NAME} is registered; not there",
    }
    assert end.ensured.machine == f"place-a/{NAME} (id 1)"
    assert (end.ensured.host_key, end.ensured.script_sha256, end.ensured.agent_version) == ("SHA256:abc", "5" * 64, "2.336.0")
    assert end.ensured.left_to_people == (
        "the password file of HyOps",
        f'host_keys: {{{NAME}: "ed25519:abc"}} in .github/dr-dispatch.yml, by a pull request',
    )
    took = {each.name: each.seconds for each in end.ensured.phases}
    assert (took["machine"], took["proof"], took["setup"]) == (10, 20, 60)
    assert 110 <= end.ensured.seconds <= 130
    assert sum(took.values()) == pytest.approx(end.ensured.seconds, abs=5)
    assert scene.world.machines() == [NAME]
    assert scene.world.boxes[0].labels == scene.owner.labels()
    assert scene.world.logins(NAME) == set(), "the key of the run is taken back"
    assert scene.hosts[0].closed
    assert len(scene.minted) == 1
    assert scene.minted[0] >= 90, "the token is minted behind all that could go wrong before"
    (order,) = scene.orders
    assert (order.identity.name, order.identity.labels, order.again, order.restart) == (NAME, (NAME,), False, False)
    assert notes(scene) == [
        ("note", "permission"),
        ("note", "found"),
        ("note", "decided"),
        ("note", "egress"),
        ("intent", "machine.create"),
        ("result", "machine.create"),
        ("note", "proven"),
        ("intent", "host.set-up"),
        ("note", "registration"),
        ("result", "host.set-up"),
        ("note", "found"),
        ("note", "found"),
        ("note", "found"),
        ("note", "decided"),
        ("note", "taken"),
    ]


def test_a_stopped_machine_is_started_and_nothing_else(scene: Scene) -> None:
    scene.approve()
    scene.put(MachineState.STOPPED)
    scene.registered("offline")
    scene.boot_when_started()
    end = scene.ensure()
    assert end.refusal is None, end.refusal
    assert end.ensured is not None
    assert end.ensured.decided[0] == "start: the machine is there and stopped"
    assert (scene.orders, scene.minted, end.ensured.taken_by) == ([], [], NAME)


def test_an_agent_that_does_not_answer_is_restarted(scene: Scene) -> None:
    scene.approve()
    scene.put(MachineState.RUNNING)
    scene.registered("offline")
    end = scene.ensure()
    assert end.refusal is None, end.refusal
    assert [(each.restart, each.again) for each in scene.orders] == [(True, False)]
    assert scene.minted == [], "it is registered"
    assert scene.world.machines() == [NAME]


def test_an_agent_that_github_forgot_is_registered_again(scene: Scene) -> None:
    scene.approve()
    scene.put(MachineState.RUNNING)
    end = scene.ensure()
    assert end.refusal is None, end.refusal
    assert [(each.restart, each.again) for each in scene.orders] == [(False, True)]
    assert len(scene.minted) == 1


@pytest.mark.parametrize("status", ["online", "offline"])
def test_an_agent_without_the_labels_of_its_lane_is_registered_again(scene: Scene, status: str) -> None:
    """A restart would give it none: it takes no job, whatever GitHub calls it."""
    scene.approve()
    scene.incident.repository.add_runner(NAME, ["old-label"], status=status)
    scene.put(MachineState.RUNNING)
    end = scene.ensure()
    assert end.refusal is None
    assert end.ensured is not None
    assert [each.partition(":")[0] for each in end.ensured.decided] == ["register again", "use"]
    assert "without its labels: self-hosted, Linux, X64, old-label" in end.ensured.found[0].words
    assert [(each.name, each.labels) for each in scene.incident.repository.runners] == [(NAME, [NAME])]


def test_a_started_machine_whose_agent_stays_away_is_restarted_after_a_while(scene: Scene) -> None:
    scene.approve()
    scene.put(MachineState.STOPPED)
    scene.registered("offline")
    end = scene.ensure()
    assert end.refusal is None, end.refusal
    assert end.ensured is not None
    assert [text.partition(":")[0] for text in end.ensured.decided] == ["start", "restart agent", "use"]
    assert scene.clock.seconds > 120


def test_a_machine_on_its_way_is_waited_for(scene: Scene) -> None:
    scene.approve()
    scene.put(MachineState.STARTING)
    scene.registered("offline")
    scene.comes_up(after=40)
    end = scene.ensure()
    assert end.refusal is None, end.refusal
    assert scene.orders == []


def test_a_runner_that_takes_the_check_meanwhile_is_used(scene: Scene) -> None:
    scene.approve()
    scene.registered("online")
    scene.check.take(scene.incident.repository.runners[0])
    end = scene.ensure()
    assert end.ensured is not None
    assert (end.refusal, end.ensured.taken_by, end.ensured.changed, scene.world.calls) == (None, NAME, False, [])


def test_a_runner_that_is_busy_by_now_is_waited_for(scene: Scene) -> None:
    scene.approve()
    scene.registered("online")
    runner = scene.incident.repository.runners[0]
    other = scene.incident.repository.add_run()
    doing = other.add_job("something else", ["self-hosted", NAME])
    doing.take(runner)
    scene.clock.at(600, lambda: (doing.finish(), other.finish("success"), scene.check.take(runner)))
    end = scene.ensure()
    assert end.refusal is None, end.refusal
    assert end.ensured is not None
    assert end.ensured.decided[0].startswith("wait: it works on something else")
    assert scene.orders == []


def test_the_way_out_is_an_object_of_its_own(scene: Scene) -> None:
    scene.approve()
    scene.world.way_out(False)
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.state, end.refusal.gate, end.refusal.exit_code) == (State.NO_RUNNER, "runner.egress", 7)
    assert scene.world.machines() == [], "no machine is made that could not reach GitHub"


# ------------------------------------------------------------------------------------------------ who may do it


def test_without_an_approval_nobody_is_asked_for_anything(scene: Scene) -> None:
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.state, end.refusal.gate, end.refusal.exit_code) == (State.NO_RUNNER, "runner.not-made", 7)
    assert end.refusal.reason == "nobody approved it"
    assert (scene.world.calls, scene.orders, scene.minted) == ([], [], [])


@pytest.mark.parametrize(
    "said", [[("maria", "approved")], [("jonas", "approved"), ("priya", "rejected")], [("jonas", "rejected")]], ids=["self", "no", "denied"]
)
def test_what_is_no_approval(said: list[tuple[str, str]], scene: Scene) -> None:
    for login, state in said:
        scene.approve(login, state)
    assert scene.ensure().state is State.NO_RUNNER
    assert scene.world.calls == []


def test_a_review_of_the_recovery_approves_no_runner(scene: Scene) -> None:
    scene.incident.review("jonas")
    assert scene.ensure().state is State.NO_RUNNER
    assert scene.world.calls == []


def test_a_gate_that_lost_its_reviewers_since_the_plan_lets_nobody_through(scene: Scene) -> None:
    scene.approve()
    scene.gate.reviewers = []
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.state, end.refusal.gate) == (State.NO_RUNNER, "bootstrap.gate")
    assert scene.world.calls == []


def test_the_machine_is_the_one_that_was_planned(scene: Scene) -> None:
    scene.approve()
    path = scene.incident.folder.root / "plan.json"
    plan = json.loads(path.read_text())
    plan["bootstrap"]["settings"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(plan))
    end = scene.ensure()
    assert end.refusal is not None
    assert end.refusal.gate == "runner.settings"
    assert scene.world.calls == []


def test_a_bastion_whose_time_passed_since_the_plan_is_no_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until = (datetime.now(UTC) + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostHostHostHostHostHostHostHostHostHostHost"
    bastion = {"host": "bastion.example.net", "user": "ops", "host_key": key, "reason": "VPN down since noon", "until": until}
    monkeypatch.setitem(MACHINE, "bastion", bastion)
    with missing_runner(tmp_path) as scene:
        scene.approve()
        scene.clock.sleep(3600)
        end = scene.ensure()
        assert end.refusal is not None
        assert (end.state, end.refusal.gate) == (State.NO_RUNNER, "machine.bastion")
        assert scene.world.calls == []


def test_every_gate_on_a_machine_is_asked_again_before_it_is_made() -> None:
    about = [gate.id for gate in load("plan") if gate.ask.__module__.rpartition(".")[2].startswith(("bootstrap", "machine"))]
    assert [gate.id for gates in (BOOTSTRAP_GATES, MACHINE_GATES) for gate in in_order(gates)] == about


def test_a_config_that_was_exchanged_on_the_way_is_not_read(scene: Scene) -> None:
    scene.approve()
    path = scene.incident.folder.root / "sources" / "config"
    path.write_bytes(path.read_bytes().replace(b"e2-", b"n2-") + b"\n")
    end = scene.ensure()
    assert end.refusal is not None
    assert end.refusal.gate == "handover.source"
    assert scene.world.calls == []


def test_a_plan_without_a_reason_makes_nothing(tmp_path: Path) -> None:
    with missing_runner(tmp_path, reason="") as scene:
        assert scene.incident.folder.read_model("plan.json", Plan).bootstrap is None
        scene.approve()
        end = scene.ensure()
        assert end.refusal is not None
        assert "no bootstrap_reason was given" in end.refusal.reason
        assert scene.world.calls == []


# ---------------------------------------------------------------------------------------------- how it can end


def test_a_stranger_is_no_runner(scene: Scene) -> None:
    scene.approve()
    scene.check.labels = ["self-hosted", "other"]
    scene.check.take(scene.incident.repository.add_runner("mallory", ["other"]))
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.refusal.gate, end.state) == ("runner.stranger", State.NO_RUNNER)


def test_nothing_is_made_for_a_check_that_is_over(scene: Scene) -> None:
    scene.approve()
    scene.check.finish("cancelled")
    end = scene.ensure()
    assert end.refusal is not None
    assert end.refusal.gate == "runner.no-check"
    assert scene.world.machines() == []


def test_another_owners_machine_is_not_touched(scene: Scene) -> None:
    scene.approve()
    scene.put(MachineState.RUNNING, OTHERS[0])
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.state, end.refusal.gate) == (State.NO_RUNNER, "runner.not-made")
    assert "another owner's" in end.refusal.reason
    assert set(scene.world.calls) == {"list"}


def test_a_second_agent_that_would_take_the_job_is_named(scene: Scene) -> None:
    scene.approve()
    scene.incident.repository.add_runner("somebody-elses", [NAME], status="offline")
    end = scene.ensure()
    assert end.refusal is not None
    assert "somebody-elses would take the job, too" in end.refusal.found
    assert scene.world.machines() == []


def test_a_provider_that_does_not_answer_makes_no_second_machine(scene: Scene) -> None:
    scene.approve()
    scene.world.cause(Trouble.SILENT)
    end = scene.ensure()
    assert end.refusal is not None
    assert "never a second one" in end.refusal.reason
    assert (end.state, end.refusal.exit_code) == (State.NO_RUNNER, 7)


def test_no_machine_is_made_that_could_not_be_registered(scene: Scene) -> None:
    scene.approve()
    scene.registry_problem = no_answer()
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.state, end.refusal.gate, end.refusal.exit_code) == (State.NO_RUNNER, "secrets.unavailable", 7)
    assert scene.world.machines() == []


def test_a_machine_that_does_not_come_up_is_named_with_its_console(scene: Scene) -> None:
    scene.approve()
    scene.world.cause(Trouble.HALFWAY)
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.refusal.gate, end.refusal.exit_code) == ("runner.halfway", 7)
    assert f"place-a/{NAME}" in end.refusal.found
    assert "grub rescue>" in end.refusal.found
    assert "a new run takes it up" in end.refusal.fix
    assert "hyops-ci runner reap --lane gcp" in end.refusal.fix
    assert ("note", "machine.left") in notes(scene)


def test_a_setup_that_fails_names_the_machine_and_the_next_run_takes_it_up(scene: Scene) -> None:
    scene.approve()
    scene.setup_problem = no_answer()
    end = scene.ensure()
    assert end.refusal is not None
    assert end.refusal.found.startswith(f"place-a/{NAME} (id 1) is running; 503")
    assert (end.state, end.refusal.exit_code) == (State.NO_RUNNER, 7)
    assert end.ensured is not None
    assert (end.ensured.machine, end.ensured.refusal) == (f"place-a/{NAME} (id 1)", end.refusal)
    assert scene.world.logins(NAME) == set()
    scene.setup_problem = None
    again = scene.ensure()
    assert again.refusal is None, again.refusal
    assert scene.world.machines() == [NAME]


def test_an_agent_that_never_comes_online_ends_it_with_what_is_there(scene: Scene) -> None:
    scene.approve()
    scene.comes_online = False
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.state, end.refusal.gate, end.refusal.exit_code) == (State.NO_RUNNER, "runner.not-taken", 7)
    assert f"place-a/{NAME}" in end.refusal.found
    assert "its console ends" in end.refusal.found
    assert [(each.restart, each.again) for each in scene.orders] == [(False, False), (True, False)], "each change once"


def test_an_online_agent_that_takes_nothing_is_waited_for_two_minutes(scene: Scene) -> None:
    scene.approve()
    scene.registered("online")
    scene.put(MachineState.RUNNING)
    end = scene.ensure()
    assert end.refusal is not None
    assert (end.refusal.gate, end.refusal.reason) == ("runner.not-taken", "the check was not taken within 120 s")
    assert scene.orders == []


def test_no_secret_is_left_anywhere(scene: Scene) -> None:
    scene.approve()
    scene.setup_problem = no_answer()
    scene.setup_problem.found = f"the host said {TOKEN} and {KEY}"
    scene.learn(TOKEN)
    end = scene.ensure()
    assert end.refusal is not None
    assert KEY not in scene.left()


# ------------------------------------------------------------------------------------------------ the report


def test_a_runner_that_was_not_made_is_the_end_of_the_run_with_its_cause(scene: Scene) -> None:
    """The check never ran, so the report goes on from the folder of this job: one chain of events, sealed."""
    scene.approve()
    scene.world.cause(Trouble.QUOTA)
    end = scene.ensure()
    assert end.refusal is not None
    assert end.refusal.gate == "runner.quota"
    results = {"plan": "success", "check": "cancelled", "execute": "skipped", "ensure-runner": "failure"}
    ended = conclude(scene.folder, scene.incident.world("conclude"), evidence=None, digest="", results=results)
    assert (ended.result.outcome, ended.result.exit_code, ended.result.refusal) == (State.NO_RUNNER, 7, end.refusal)
    assert verify(ended.bundle).problems == ()
    files = read_files(ended.bundle)
    assert read_document(Ensured, files["ensured.json"]) == end.ensured
    assert b'"runner.quota"' in files["parts/ensure-runner/events.jsonl"]


def test_what_was_done_is_sealed_with_a_run_that_ends_behind_its_check(scene: Scene) -> None:
    """The check went on from the plan's folder, as it always does: what was done about its runner reaches the report by the job's word."""
    scene.approve()
    end = scene.ensure()
    assert end.ensured is not None
    incident = scene.incident
    making = incident.run.add_job("dr / Make the runner", ["ubuntu-latest"])
    making.take(incident.repository.add_runner("GitHub Actions 7", [], read_only=("ubuntu-latest",)))
    incident.check()  # its own answer is its own: this host has no user for HyOps, which a machine that is made has
    waited = [event for event in read_chain(incident.folder.root) if event.name == "runner.waited"]
    assert [event.data["reason"] for event in waited] == ["runner-recovery"]
    assert isinstance(waited[0].data["seconds"], int)
    results = {"plan": "success", "check": "failure", "execute": "skipped", "ensure-runner": "success"}
    ended = incident.conclude(results, watches=[end.ensured])
    assert verify(ended.bundle).problems == ()
    assert read_document(Ensured, read_files(ended.bundle)["ensured.json"]) == end.ensured


def test_the_reports_own_order_of_causes(scene: Scene) -> None:
    """The job's word before its watch's, and that before the word of the watch of the check."""
    scene.approve()
    scene.world.cause(Trouble.SILENT)
    end = scene.ensure()
    assert end.ensured is not None
    by_watch = RefusalRecord(gate="runner.not-made", reason="the job failed", exit_code=7, found="x", expected="y", fix="z")
    watches = [
        Watched(watched="check", verdict=Verdict.MISSING, job="c", attempt=1),
        Watched(watched="bootstrap", verdict=Verdict.TAKEN, job="b", attempt=1, refusal=by_watch),
    ]
    folder, world = scene.incident.folder, scene.incident.world("conclude")
    results = {"check": "cancelled", "ensure-runner": "failure"}
    found = stopped_because(State.PLANNED, folder, world, results, [*watches, end.ensured])
    assert "never a second one" in found.reason
    assert stopped_because(State.PLANNED, folder, world, results, watches).reason == "the job failed"
    assert stopped_because(State.PLANNED, folder, world, results, watches[:1]).gate == "run.cancelled"


# ----------------------------------------------------------------------------------------------------- killed


@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 40), done=st.booleans(), trouble=st.sampled_from([None, Trouble.LATE, Trouble.SLOW, Trouble.NO_ROOM]))
def test_a_process_that_is_killed_anywhere_is_taken_up_by_the_next(at: int, done: bool, trouble: Trouble | None, scene: Scene) -> None:
    scene.begin_again()
    scene.approve()
    if trouble is not None:
        scene.world.cause(trouble)
    with scene.world.cut(at, done=done) as cut, falls(cut):
        scene.ensure()
    end = scene.ensure()
    assert end.refusal is None, end.refusal
    assert scene.world.machines() == [NAME], "one machine, whatever happened"
    assert scene.check.runner is not None
    assert len([each for each in scene.incident.repository.runners if each.name == NAME]) == 1
