"""What we rely on of HyOps, asked of the double and, where there is one, of the real program (docs/hyops.md).

Set HYOPS_CORE_ROOT to a HybridOps checkout for the real half.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.blueprints.logins import as_without_switch, logins, without_logins
from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.contracts.facts import PreflightFact
from hyops_ci.contracts.plan import StepClass
from hyops_ci.contracts.run import State
from hyops_ci.execution import processes, records, run_records
from hyops_ci.execution.command import hyops_version
from hyops_ci.execution.grammar import FinalLine, HyOpsLine, PreflightLine, StepEvent, StepStatus, read_line
from hyops_ci.execution.journal import JournalView, Stop
from hyops_ci.execution.leftovers import clean_up
from hyops_ci.secrets.ansible_vault import encrypt
from hyops_ci.stages.preview import PRESENT
from tests.execution.logins import KEY, KEY_NAME, Host, ssh_host
from tests.execution.rig import CANARY, PREFLIGHT, REMOVE, Rig, gate, planned, real_hyops

pytestmark = pytest.mark.slow

RECORDED = Path(__file__).parents[1] / "cases" / "execution" / "recorded"
SLOW = {"gate_message": "{{ lookup('pipe', 'sleep 30; echo done') }}"}
DIGEST = "sha256:" + "0" * 64
DEPLOY = ("blueprint", "deploy", "--env", "dev", "--execute", "--yes", "--file")
DESTROY = ("blueprint", "destroy", "--env", "dev", "--execute", "--yes", "--file")


def test_the_real_hyops_was_asked_too() -> None:
    found = real_hyops()
    if isinstance(found, str):
        pytest.skip(found)
    assert (found[0] / "modules").is_dir()


def meaning(stdout: str) -> list[HyOpsLine]:
    return [event for line in stdout.splitlines() if (event := read_line(line))]


def test_it_says_its_version(each: Rig) -> None:
    assert hyops_version(each.runtime.hyops, each.environment()) == "0.1.4"


def test_validate_and_plan_need_no_runtime(each: Rig) -> None:
    path = str(each.blueprint(gate("a"), gate("b", required="a")))
    validated = each.hyops("blueprint", "validate", "--file", path, "--json")
    plan = each.hyops("blueprint", "plan", "--file", path, "--json")
    assert (validated.returncode, plan.returncode) == (0, 0)
    assert json.loads(plan.stdout)["order"] == json.loads(validated.stdout)["order"] == ["a", "b"]


def test_without_execute_it_ends_well_and_does_nothing(each: Rig) -> None:
    done = each.hyops("blueprint", "deploy", "--env", "dev", "--yes", "--file", str(each.blueprint(gate("a"))))
    assert (done.returncode, meaning(done.stdout)) == (0, [FinalLine("dr/contract@v1", "skeleton", None)])
    assert not (each.root / "state").exists()


def test_a_file_outside_the_runtime_is_refused(each: Rig) -> None:
    outside = each.scratch / "contract.yml"
    outside.write_bytes(each.content(gate("a")))
    done = each.hyops(*DEPLOY, str(outside))
    assert done.returncode == 2
    assert "requires --file to live under" in done.stdout


def test_the_runtime_root_silently_beats_the_env_flag(each: Rig) -> None:
    args = ["--file", str(each.blueprint(gate("a"))), "--execute", "--yes"]
    done = each.hyops("blueprint", "deploy", "--env", "other", *args)
    assert done.returncode == 0
    assert each.states(planned("a"))["a"].status == "ok"
    assert not (each.runtime.envs_base / "other").exists()


def test_the_env_variable_silently_beats_the_env_flag_for_the_providers(each: Rig) -> None:
    path = str(each.blueprint(gate("a", inputs={"gate_message": "env {{ lookup('env','HYOPS_ENV') }}"})))
    assert each.hyops(*DEPLOY, path, env=each.environment() | {"HYOPS_ENV": "prod"}).returncode == 0
    state = json.loads(records.state_path(each.root, "core/shared/manual-gate#gate_a").read_text())
    assert state["outputs"]["gate.message"] == "env prod"


def test_secrets_come_from_the_bundle_that_we_write(each: Rig) -> None:
    path = str(each.blueprint(gate("a", inputs={"required_env": ["PATRONI_SUPERUSER_PASSWORD"]})))
    preflight = ("blueprint", "preflight", "--env", "dev", "--json", "--file", path)
    password = each.scratch / "vault.pass"
    password.write_text("bundle-password\n")
    env = each.environment({}) | {"HYOPS_VAULT_PASSWORD_FILE": str(password)}
    assert each.hyops(*preflight, env=env).returncode == 2
    bundle = each.root / "vault" / "bootstrap.vault.env"
    bundle.write_bytes(encrypt(f"PATRONI_SUPERUSER_PASSWORD={CANARY}\n".encode(), b"bundle-password"))
    assert each.hyops(*preflight, env=env).returncode == 0
    password.write_text("another\n")
    refused = each.hyops(*preflight, env=env)
    assert "vault decrypt failed" in records.read_preflight(refused.stdout, refused.returncode).steps[0].reason


def test_a_mistyped_env_is_made_and_not_refused(each: Rig) -> None:
    env = {key: value for key, value in each.environment().items() if key not in ("HYOPS_RUNTIME_ROOT", "HYOPS_ENV")}
    done = each.hyops("blueprint", "preflight", "--env", "typo", "--file", str(each.blueprint(gate("a"))), env=env)
    assert done.returncode == 2
    assert (Path(each.base["HOME"]) / ".hybridops" / "envs" / "typo" / "state").is_dir()


def test_an_input_in_the_environment_opens_a_closed_gate(each: Rig) -> None:
    """Why the child's environment is an allow-list."""
    path = str(each.blueprint(gate("a", inputs={"confirm": False})))
    assert each.hyops(*DEPLOY, path).returncode == 2
    assert each.hyops(*DEPLOY, path, env=each.environment() | {"HYOPS_INPUT_confirm": "true"}).returncode == 0


def test_missing_secrets_block_and_hide_what_follows(each: Rig) -> None:
    path = str(each.blueprint(gate("a", inputs={"required_env": ["PATRONI_SUPERUSER_PASSWORD"]}), gate("b", required="a")))
    preflight = each.hyops("blueprint", "preflight", "--env", "dev", "--file", path, "--json", env=each.environment({}))
    fact = records.read_preflight(preflight.stdout, preflight.returncode)
    assert (fact.rc, fact.status, fact.required_failures) == (2, "failed", ("a",))
    assert [(step.id, step.status) for step in fact.steps] == [("a", "blocked"), ("b", "deferred")]
    assert "missing required env vars: PATRONI_SUPERUSER_PASSWORD" in fact.steps[0].reason
    deploy = each.hyops(*DEPLOY, path, env=each.environment({}))
    assert (deploy.returncode, meaning(deploy.stdout)) == (2, [PreflightLine("dr/contract@v1", "failed", 2)])
    assert not list((each.root / "logs").glob("module/*/apply-*")), "a deploy that fails early leaves no record"


@pytest.fixture
def host(each: Rig, tmp_path: Path) -> Iterator[Host]:
    """A host that lets one key in; HyOps finds its `ssh` first."""
    with ssh_host(tmp_path) as made:
        each.base["PATH"] = f"{made.programs}:{each.base['PATH']}"
        yield made


def looked_at(each: Rig, *steps: dict[str, Any], key: str) -> PreflightFact:
    """HyOps' own preflight, with this key in its environment."""
    path = str(each.blueprint(*steps))
    done = each.hyops("blueprint", "preflight", "--env", "dev", "--json", "--file", path, env=each.environment({KEY_NAME: key}))
    return records.read_preflight(done.stdout, done.returncode)


def test_the_preflight_logs_in_with_the_key_of_its_environment(each: Rig, host: Host) -> None:
    """Why no word stands in for a key: it is tried, refused, and a step that is well is called blocked."""
    fact = looked_at(each, gate("a", inputs=host.inputs()), key=KEY)
    assert (fact.status, host.keys) == ("ok", [KEY]), fact
    fact = looked_at(each, gate("a", inputs=host.inputs()), key=PRESENT)
    assert (fact.status, fact.required_failures, host.keys) == ("failed", ("a",), [KEY, PRESENT])
    assert "authentication failed for localhost.localhost (host=127.0.0.1)" in fact.steps[0].reason


def test_the_preflight_does_not_log_in_where_it_is_told_not_to(each: Rig, host: Host) -> None:
    document = yaml.safe_load(each.content(gate("a", inputs=host.inputs())))
    found = logins(read_blueprint(document, DIGEST, {}), {KEY_NAME})
    assert found == {"a": KEY_NAME}
    fact = looked_at(each, *without_logins(document, found)["steps"], key=PRESENT)
    assert (fact.status, [step.status for step in fact.steps], host.keys) == ("ok", ["ready"], [])


def test_a_login_waits_for_the_step_before_it_to_run(each: Rig, host: Host) -> None:
    """In a first failover the step that logs in follows one that is to run; in the second one that is skipped, and HyOps does log in."""
    steps = (gate("a", skip_if_state_ok=True), gate("b", required="a", inputs=host.inputs()))
    assert (looked_at(each, *steps, key=PRESENT).status, host.keys) == ("ok", [])
    assert each.judge(each.start(each.content(steps[0])), planned("a")).state is State.COMPLETED
    fact = looked_at(each, *steps, key=PRESENT)
    assert ([step.status for step in fact.steps], host.keys) == (["skipped", "blocked"], [PRESENT])


def test_a_step_logs_in_when_its_turn_comes(each: Rig, host: Host) -> None:
    """What a preflight deferred is looked at then; a key that is refused there ends the step before its provider starts."""
    steps, of_steps = (gate("a"), gate("b", required="a", inputs=host.inputs())), (planned("a"), planned("b"))
    done = each.judge(each.start(each.content(*steps), secrets={KEY_NAME: KEY.replace("right", "wrong")}), *of_steps)
    assert (done.state, done.reasons) == (State.FAILED, ("step b failed: see module run record (rc 2)",)), done
    assert each.states(*of_steps)["b"].status == "missing"
    assert KEY not in host.keys
    tried = len(host.keys)
    done = each.judge(each.start(each.content(*steps), secrets={KEY_NAME: KEY}), *of_steps)
    assert (done.state, set(host.keys[tried:])) == (State.COMPLETED, {KEY}), done


def test_a_step_that_only_the_switch_would_run_again_is_skipped(each: Rig, host: Host) -> None:
    """The switch is an input, so HyOps calls it a change of one; any other change is named before it."""
    step = gate("a", skip_if_state_ok=True, inputs=host.inputs())
    assert each.judge(each.start(each.content(step), secrets={KEY_NAME: KEY}), planned("a")).state is State.COMPLETED
    tried = len(host.keys)
    same, other = (
        without_logins({"steps": [step]}, ["a"]),
        without_logins({"steps": [step | {"inputs": step["inputs"] | {"gate_message": "x"}}]}, ["a"]),
    )
    again, changed = (looked_at(each, *document["steps"], key=PRESENT) for document in (same, other))
    assert (again.steps[0].status, as_without_switch(again, ["a"]).steps[0].status) == ("ready", "skipped"), again
    assert as_without_switch(changed, ["a"]).steps[0].status == "ready"
    assert "gate_message changed" in changed.steps[0].rerun
    assert len(host.keys) == tried


def test_a_key_of_the_environment_is_left_in_the_work_folder(each: Rig, host: Host) -> None:
    """HyOps leaves it after its preflight, too; what a run leaves is removed by name."""
    looked_at(each, gate("a", inputs=host.inputs()), key=KEY)
    left = list((each.root / "work").rglob("runtime.ssh.key"))
    assert [path.read_text().strip() for path in left] == [KEY]
    assert clean_up(each.root).removed
    assert not list((each.root / "work").rglob("runtime.ssh.key"))


def test_an_assertion_that_is_not_made_passes_preflight_and_stops_the_deploy(each: Rig) -> None:
    step = gate("a", inputs={"assertions": {"source_fenced": False}})
    assert looked_at(each, step, key=KEY).status == "ok"
    done = each.hyops(*DEPLOY, str(each.blueprint(step)))
    assert done.returncode == 2
    assert "inputs.assertions['source_fenced'] must be true" in done.stdout + done.stderr


def test_preflight_answers_in_json(each: Rig) -> None:
    run = each.start(each.content(gate("a"), gate("b", required="a")), PREFLIGHT)
    ended = run.wait(500)
    assert ended is not None
    assert ended.rc == 0
    fact = records.read_preflight(run.stdout(), ended.rc)
    assert (fact.status, [step.status for step in fact.steps], fact.error) == ("ok", ["ready", "ready"], "")


def test_a_run_from_start_to_end_then_a_skip_then_drift(each: Rig) -> None:
    steps = (planned("a"), planned("b", StepClass.COMMIT))
    content = each.content(gate("a", skip_if_state_ok=True), gate("b", required="a"))
    first = each.start(content)
    done = each.judge(first, *steps)
    assert (done.state, done.deviations, done.past_no_return) == (State.COMPLETED, (), True), done
    assert [type(line) for line in first.view().lines] == [PreflightLine, *[StepEvent] * 4, FinalLine]
    assert not list((each.root / "config" / "blueprints").glob("dr-dispatch-*"))

    time.sleep(1.1)  # HyOps' run ids carry whole seconds
    again = each.judge(each.start(content), *steps)
    assert (again.state, again.deviations) == (State.COMPLETED_WITH_EXCEPTIONS, ("step a was skipped: state-ok",)), again

    time.sleep(1.1)
    drifted = each.start(each.content(gate("a", skip_if_state_ok=True, inputs={"gate_message": "other"}), gate("b", required="a")))
    assert each.judge(drifted, *steps).state is State.COMPLETED
    reruns = [line for line in drifted.view().lines if isinstance(line, StepEvent) and line.status is StepStatus.RERUN]
    assert [(line.step, line.reason) for line in reruns] == [("a", "inputs-drift (gate_message changed)")]


def test_a_restore_that_would_be_skipped_is_no_recovery(each: Rig) -> None:
    content = each.content(gate("a", skip_if_state_ok=True))
    assert each.judge(each.start(content), planned("a", restores=True)).state is State.COMPLETED
    time.sleep(1.1)
    skipped = each.judge(each.start(content), planned("a", restores=True))
    assert (skipped.state, skipped.past_no_return) == (State.FAILED, False)
    assert "it must run" in skipped.reasons[0]


def test_a_closed_gate_passes_preflight_and_leaves_no_record(each: Rig) -> None:
    content = each.content(gate("a", inputs={"confirm": False}))
    since = datetime.now(UTC)
    run = each.start(content)
    done = each.judge(run, planned("a"))
    assert (done.state, any(step.begun for step in done.steps)) == (State.FAILED, True)
    assert done.reasons == ("step a failed: see module run record (rc 2)",)
    assert "inputs.confirm must be true" in run.stderr()
    assert each.states(planned("a"))["a"].status == "missing"
    assert [record for record in run_records.new_runs(each.root, since) if record.run_id.startswith("apply-")] == []


def test_a_failing_step_leaves_a_full_record(each: Rig) -> None:
    since = datetime.now(UTC)
    done = each.judge(
        each.start(each.content(gate("a", inputs={"evidence_notes": ["{{ not_defined }}"]}), gate("b", required="a"))),
        planned("a"),
        planned("b"),
    )
    assert done.state is State.FAILED
    assert done.reasons == ("step a failed: configuration apply failed (rc 2)",)
    assert [step.status for step in done.steps] == [StepStatus.FAILED, None]
    assert each.states(planned("a"))["a"].status == "error"
    record = _apply_record(each, since)
    assert any("'not_defined' is undefined" in line for line in run_records.last_lines(record, str))
    _has_the_recorded_shape(record.path, RECORDED / "failed-apply")


def test_records_and_states_have_the_recorded_shape(each: Rig) -> None:
    since = datetime.now(UTC)
    assert each.judge(each.start(each.content(gate("a"))), planned("a")).state is State.COMPLETED
    _has_the_recorded_shape(_apply_record(each, since).path, RECORDED / "ok-apply")
    state = json.loads(records.state_path(each.root, "core/shared/manual-gate#gate_a").read_text())
    assert state.keys() == json.loads((RECORDED / "module-state-ok.json").read_text()).keys()


def test_a_secret_in_an_input_is_published_and_stays_out_of_the_evidence(each: Rig) -> None:
    """HyOps writes it into five files; the allow-list takes none of them, even before redaction."""
    since = datetime.now(UTC)
    leaky = gate("a", inputs={"gate_message": "{{ lookup('env','PATRONI_SUPERUSER_PASSWORD') }}"})
    run = each.start(each.content(leaky))
    assert each.judge(run, planned("a")).state is State.COMPLETED
    assert CANARY in records.state_path(each.root, "core/shared/manual-gate#gate_a").read_text()
    record = _apply_record(each, since)
    assert CANARY in (record.path / "result.json").read_text()
    kept = run_records.evidence_files(record, str)
    assert {"result.json", "driver_result.json", "preflight_decision.json", "ansible.log"} <= {Path(name).name for name in kept}
    assert [name for name, content in kept.items() if CANARY.encode() in content and not name.endswith(".log")] == []
    assert not [path for path in run.run_dir.iterdir() if CANARY.encode() in path.read_bytes()]


def test_an_interrupt_is_handled(each: Rig) -> None:
    since = datetime.now(UTC)
    run = each.start(each.content(gate("a"), gate("b", required="a", inputs=SLOW)))
    _until_running(run.view, "b")
    each.wait_for_provider()
    assert run.cancel()
    done = each.judge(run, planned("a"), planned("b"))
    ended = run.view().ended
    assert ended is not None
    assert (ended.rc, ended.by_itself, ended.stop, done.state) == (130, True, Stop.CANCEL, State.CANCELLED), (ended, done)
    state = each.states(planned("b"))["b"]
    assert state.status == "error"
    record = next(record for record in run_records.new_runs(each.root, since) if record.run_id == state.run_id)
    assert (record.path / "cancelled.json").is_file()


def test_sigterm_orphans_the_provider_and_leaves_the_state_running(each: Rig) -> None:
    """Why HyOps runs under a supervisor: the provider goes on changing things."""
    path = str(each.blueprint(gate("a", inputs=SLOW)))
    hyops = subprocess.Popen(
        [str(each.runtime.hyops), *DEPLOY, path],
        env=each.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _until(lambda: each.states(planned("a"))["a"].status == "running")
    each.wait_for_provider()
    provider = processes.descendants(hyops.pid)
    try:
        assert provider
        hyops.send_signal(signal.SIGTERM)
        assert hyops.wait(60) == -signal.SIGTERM
        time.sleep(0.2)
        assert [process.name for process in provider if processes.read_process(process.pid)] == [process.name for process in provider]
        assert each.states(planned("a"))["a"].status == "running"
    finally:
        for process in provider:
            processes.send(process.pid, signal.SIGKILL)
    _until(lambda: not any((left := processes.read_process(process.pid)) and left.state not in "ZX" for process in provider))


def test_a_killed_hyops_is_indeterminate_and_its_orphans_are_ended(each: Rig) -> None:
    run = each.start(each.content(gate("a", inputs=SLOW)))
    _until_running(run.view, "a")
    each.wait_for_provider()
    pid = run.view().hyops_pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    done = each.judge(run, planned("a"))
    ended = run.view().ended
    assert ended is not None
    assert (done.state, ended.rc, ended.by_itself) == (State.INDETERMINATE, -signal.SIGTERM, False)
    assert ended.strays


def test_a_destroy_removes_in_reverse_what_there_is_and_says_so_in_the_states(each: Rig) -> None:
    path = str(
        each.blueprint(gate("a"), gate("kept", required="a", retain_on_destroy=True), gate("never", required="a"), gate("b", required="a"))
    )
    partly = str(each.blueprint(gate("a"), gate("kept", required="a"), gate("b", required="a"), name="partly.yml"))
    assert each.hyops(*DEPLOY, partly).returncode == 0
    since = datetime.now(UTC)
    done = each.hyops(*DESTROY, path)
    said = [(line.step, line.status, line.reason) for line in meaning(done.stdout) if isinstance(line, StepEvent)]
    assert said == [
        ("b", StepStatus.RUNNING, ""),
        ("b", StepStatus.OK, ""),
        ("never", StepStatus.SKIPPED, "no-state"),
        # What follows the reason belongs to it: the line has no other end.
        ("kept", StepStatus.RETAINED, said[3][2]),
        ("a", StepStatus.RUNNING, ""),
        ("a", StepStatus.OK, ""),
    ]
    assert said[3][2].startswith("retain_on_destroy")
    assert (done.returncode, meaning(done.stdout)[-1]) == (0, FinalLine("dr/contract@v1", "ok", 4))
    states = each.states(*map(planned, ("a", "kept", "never", "b")))
    assert {name: state.status for name, state in states.items()} == {"a": "destroyed", "kept": "ok", "never": "missing", "b": "destroyed"}
    assert all(states[name].run_id.startswith("destroy-") for name in ("a", "b"))
    assert sum(record.run_id.startswith("destroy-") for record in run_records.new_runs(each.root, since)) == 2
    again = [line for line in meaning(each.hyops(*DESTROY, path).stdout) if isinstance(line, StepEvent)]
    assert [(line.step, line.status) for line in again if line.step in "ab"] == [("b", StepStatus.SKIPPED), ("a", StepStatus.SKIPPED)]
    assert again[-1].reason == "state-destroyed"


def test_a_destroy_wants_a_yes_and_does_nothing_without_execute(each: Rig) -> None:
    path = str(each.blueprint(gate("a")))
    assert each.hyops(*DEPLOY, path).returncode == 0
    shown = each.hyops("blueprint", "destroy", "--env", "dev", "--yes", "--file", path)
    assert (shown.returncode, meaning(shown.stdout)) == (0, [FinalLine("dr/contract@v1", "skeleton", None)])
    asked = each.hyops("blueprint", "destroy", "--env", "dev", "--execute", "--file", path)
    assert (asked.returncode, "requires --yes" in asked.stdout) == (2, True)
    archived = each.hyops(*DESTROY, path, "--skip-archive")
    assert (archived.returncode, "does not declare a lab archive" in archived.stdout) == (2, True)
    assert each.states(planned("a"))["a"].status == "ok"


def test_a_closed_gate_is_destroyed_and_needs_no_secret(each: Rig) -> None:
    needs = gate("a", inputs={"required_env": ["PATRONI_SUPERUSER_PASSWORD"]})
    path = each.blueprint(needs)
    assert each.hyops(*DEPLOY, str(path)).returncode == 0
    path.write_bytes(each.content(gate("a", inputs={"required_env": ["PATRONI_SUPERUSER_PASSWORD"], "confirm": False})))
    assert each.hyops(*DESTROY, str(path), env=each.environment({})).returncode == 0


def test_a_destroy_that_fails_or_is_interrupted_leaves_the_state_as_it_was(each: Rig) -> None:
    """So that only `destroyed` is proof: a state that still says ok says nothing of what is left."""
    path = each.blueprint(gate("a"), gate("b", required="a"))
    assert each.hyops(*DEPLOY, str(path)).returncode == 0
    before = each.states(planned("a"), planned("b"))
    path.write_bytes(each.content(gate("a"), gate("b", required="a", inputs={"gate_message": ""})))
    failed = each.hyops(*DESTROY, str(path))
    assert (failed.returncode, meaning(failed.stdout)[-1]) == (2, FinalLine("dr/contract@v1", "failed", 1))
    assert {name: state.run_id for name, state in each.states(planned("a"), planned("b")).items()} == {
        name: state.run_id for name, state in before.items()
    }
    if each.double is not None:
        each.double.script(steps={"b": {"destroy": "hang"}})
    run = each.start(each.content(gate("a"), gate("b", required="a")), REMOVE)
    _until_running(run.view, "b")
    each.wait_for_provider()
    assert run.cancel()
    ended = run.wait(500)
    assert ended is not None
    assert (ended.rc, ended.by_itself) == (130, True)
    assert meaning(run.stdout())[-1] == FinalLine("dr/contract@v1", "cancelled", 1)
    left = each.states(planned("a"), planned("b"))
    assert [(state.status, state.run_id) for state in left.values()] == [("ok", state.run_id) for state in before.values()]


def _apply_record(each: Rig, since: datetime) -> run_records.RunRecord:
    found = [record for record in run_records.new_runs(each.root, since) if record.run_id.startswith("apply-")]
    assert len(found) == 1
    return found[0]


def _has_the_recorded_shape(record: Path, recorded: Path) -> None:
    """The same files with the same modes, and in each JSON file the same keys."""
    assert sorted(path.name for path in record.iterdir()) == sorted(path.name for path in recorded.iterdir())
    for path in record.iterdir():
        loose = path.name.endswith((".stdout.txt", ".stderr.txt", ".log"))
        assert stat.S_IMODE(path.stat().st_mode) == (0o644 if loose else 0o600), path.name
        if path.suffix == ".json":
            assert _keys(json.loads(path.read_text())) == _keys(json.loads((recorded / path.name).read_text())), path.name


def _keys(content: dict[str, object]) -> set[str]:
    return set(content) | {
        f"{name}.{key}" for name in ("driver", "parent") if isinstance(inner := content.get(name), dict) for key in inner
    }


def _until_running(view: Callable[[], JournalView], step: str) -> None:
    _until(lambda: any(isinstance(line, StepEvent) and line.step == step for line in view().lines))


def _until(true: Callable[[], bool], limit: float = 120.0) -> None:
    until = time.monotonic() + limit
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
