"""HyOps under its supervisor: every way it can end, and that nothing of it survives or is lost."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hyops_ci.contracts.plan import StepClass
from hyops_ci.contracts.run import State
from hyops_ci.errors import Fault
from hyops_ci.execution import journal, processes
from hyops_ci.execution.grammar import FinalLine, StepEvent, StepStatus
from hyops_ci.execution.journal import Ended, Stop
from hyops_ci.execution.outcome import Outcome
from hyops_ci.execution.run_handle import Condition, SupervisedRun
from hyops_ci.execution.supervisor import SupervisorOrder
from tests.execution.rig import CANARY, Rig, gate, planned

pytestmark = pytest.mark.slow

PATIENT = {"grace": 60.0, "patience": 60.0, "linger": 0.3}
"""For a HyOps that ends when it is asked to: on a busy machine it takes its time, and nobody waits for longer than that."""
STUBBORN = PATIENT | {"grace": 2.0}
"""For one that does not, which costs the whole grace: enough to look at it meanwhile."""
BEGUN = 5.0
"""A time limit after which the provider is at work, on a busy machine too."""


def started(rig: Rig, do: str, **script: object) -> SupervisedRun:
    """A run of two steps of which the first misbehaves, begun."""
    assert rig.double
    rig.double.script(grace=5, steps={"a": {"do": do, **script}})
    run = rig.start(rig.content(gate("a"), gate("b", required="a")), **(STUBBORN if do == "stuck" else PATIENT))
    until(lambda: any(isinstance(line, StepEvent) for line in run.view().lines))
    if do in ("hang", "deaf", "stuck"):  # who asks one of these to end is heard as they hear it
        rig.wait_for_provider()
    return run


def until(true: Callable[[], bool], limit: float = 120.0) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def finished(run: SupervisedRun) -> Ended:
    ended = run.wait(500)
    assert ended is not None
    assert run.condition is Condition.FINISHED
    assert not hyops_lives(run)
    return ended


def test_lines_are_passed_on_in_order_behind_the_prefix(rig: Rig) -> None:
    assert rig.double
    rig.double.script(steps={"a": {"say": ["::add-mask::x", "say ##[set-env name=PATH]x", "a\rb\x1b[31m"]}})
    seen: list[object] = []
    run = rig.start(rig.content(gate("a")), on_step=lambda line, at: seen.append(line))
    assert finished(run).rc == 0
    assert all(line.startswith("hyops | ") for line in rig.printed)
    assert not any("##[" in line or "\r" in line or "\x1b" in line for line in rig.printed)
    assert "hyops | ::add-mask::x" in rig.printed
    assert "hyops | b\\u001b[31m" in rig.printed
    assert tuple(seen) == run.view().lines
    assert isinstance(seen[-1], FinalLine)


def test_a_program_that_is_not_there_never_started(rig: Rig, tmp_path: Path) -> None:
    run = SupervisedRun.start(SupervisorOrder(["/nonexistent/hyops"], {}, tmp_path / "run", timeout=5))
    ended = finished(run)
    assert (ended.rc, ended.error) == (None, "/nonexistent/hyops: No such file or directory")


def hyops_lives(run: SupervisedRun) -> bool:
    """Whether HyOps itself still runs, with or without its supervisor."""
    pid = run.view().hyops_pid
    process = processes.read_process(pid) if pid else None
    return process is not None and process.session == pid and process.state not in "ZX"


def begun_changes(done: Outcome) -> bool:
    """Whether a step that changes something began."""
    return any(step.begun and step.step_class is not StepClass.READ for step in done.steps)


def test_a_run_that_never_was_is_unknown(tmp_path: Path) -> None:
    run = SupervisedRun.attach(tmp_path / "absent")
    assert (run.wait(), run.condition, run.cancel(), hyops_lives(run), run.stdout()) == (None, Condition.UNKNOWN, False, False, "")


def test_a_run_directory_is_used_once(rig: Rig, tmp_path: Path) -> None:
    assert finished(SupervisedRun.start(SupervisorOrder(["/bin/true"], {}, tmp_path / "run", timeout=5))).rc == 0
    with pytest.raises(FileExistsError):
        SupervisedRun.start(SupervisorOrder(["/bin/true"], {}, tmp_path / "run", timeout=5))


def test_a_supervisor_that_cannot_start_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Fault, match="did not start"):
        SupervisedRun.start(SupervisorOrder(["/bin/true"], {}, tmp_path / "run", timeout=5))
    assert SupervisedRun.attach(tmp_path / "run").condition is Condition.UNKNOWN


def test_a_provider_that_ignores_everything_is_ended_by_hyops(rig: Rig) -> None:
    run = started(rig, "deaf")
    assert rig.double
    rig.double.script(grace=0.2)
    assert run.cancel()
    ended = finished(run)
    assert (ended.rc, ended.by_itself, ended.stop) == (130, True, Stop.CANCEL)


def test_a_hyops_that_ignores_the_interrupt_is_terminated_with_its_orphans(rig: Rig) -> None:
    run = started(rig, "stuck")
    assert run.cancel()
    assert run.wait(0.2) is None
    assert run.condition is Condition.RUNNING
    assert hyops_lives(run)
    ended = finished(run)
    assert (ended.rc, ended.by_itself) == (-signal.SIGTERM, False)
    assert len(ended.strays) == 1
    assert run.view().signals == ("SIGINT", "SIGTERM")
    assert rig.judge(run, planned("a"), planned("b")).state is State.INDETERMINATE


def test_a_time_limit_is_an_interrupt_and_not_a_failure(rig: Rig) -> None:
    assert rig.double
    rig.double.script(steps={"a": {"do": "hang"}})
    run = rig.start(rig.content(gate("a")), timeout=BEGUN, **PATIENT)
    ended = finished(run)
    assert (ended.rc, ended.stop) == (130, Stop.TIMEOUT)
    done = rig.judge(run, planned("a"))
    assert (done.state, done.reasons) == (State.CANCELLED, ("HyOps ended at its time limit after an interrupt",))


def test_a_time_limit_that_needs_force_is_indeterminate(rig: Rig) -> None:
    assert rig.double
    rig.double.script(steps={"a": {"do": "stuck"}})
    run = rig.start(rig.content(gate("a")), timeout=BEGUN, **PATIENT | {"grace": 0.6})
    assert finished(run).by_itself is False
    done = rig.judge(run, planned("a"))
    assert (done.state, done.reasons) == (State.INDETERMINATE, ("HyOps was killed at its time limit (rc -15)",))


def test_a_crash_in_the_middle_of_a_step(rig: Rig) -> None:
    ended = finished(run := started(rig, "crash"))
    assert (ended.rc, ended.by_itself, len(ended.strays)) == (-9, False, 1)
    done = rig.judge(run, planned("a"), planned("b"))
    assert (done.state, begun_changes(done)) == (State.INDETERMINATE, True)


@pytest.mark.parametrize(
    "do,state,reason",
    [
        ("ok", State.COMPLETED, "every step is ok"),
        ("vanish", State.INDETERMINATE, "the state of step a was left at running"),
        ("running", State.INDETERMINATE, "the state of step a was left at running"),
        ("stale", State.INDETERMINATE, "step a is reported ok, but its state is ok of run apply-20260101T000000Z-00000000"),
        ("fail", State.FAILED, "step a failed: configuration apply failed (rc 2)"),
    ],
)
def test_what_hyops_says_is_compared_with_its_states(rig: Rig, do: str, state: State, reason: str) -> None:
    run = started(rig, do)
    assert finished(run).by_itself
    done = rig.judge(run, planned("a"), planned("b"))
    assert (done.state, done.reasons) == (state, (reason,))


def test_a_process_that_left_its_session_is_found_and_ended(rig: Rig) -> None:
    run = started(rig, "fork")
    ended = finished(run)
    assert (ended.rc, len(ended.strays)) == (0, 1)
    done = rig.judge(run, planned("a"), planned("b"))
    assert done.state is State.COMPLETED_WITH_EXCEPTIONS
    assert "1 processes outlived HyOps" in done.deviations[0]


def test_a_flood_of_output_is_kept_whole(rig: Rig) -> None:
    ended = finished(run := started(rig, "ok", mib=12))
    assert ended.rc == 0
    assert run.stdout().count("x" * 1023 + "\n") == 12 * 1024
    assert len(rig.printed) == run.stdout().count("\n")


def test_a_flood_without_end_is_cut_and_hyops_goes_on(rig: Rig) -> None:
    assert rig.double
    rig.double.script(steps={"a": {"mib": 3}})
    run = rig.start(rig.content(gate("a")), max_output=1_000_000)
    assert finished(run).rc == 0
    assert (run.run_dir / "stdout.log").stat().st_size == 1_000_000
    assert b'"kind": "cut"' in (run.run_dir / "journal.jsonl").read_bytes()
    assert rig.judge(run, planned("a")).state is State.COMPLETED, "the grammar is read past the cut"


def test_a_secret_is_nowhere_in_any_form(rig: Rig) -> None:
    assert rig.double
    rig.double.script(steps={"a": {"leak": ["PATRONI_SUPERUSER_PASSWORD"], "say": [f"step=a status=rerun reason={CANARY}"]}})
    run = rig.start(rig.content(gate("a")))
    assert finished(run).rc == 0
    forms = [CANARY, json.dumps(CANARY)[1:-1], urllib.parse.quote(CANARY, safe="")]
    forms += [base64.b64encode(b"x" * shift + CANARY.encode() + b"yy").decode()[4:-4] for shift in range(3)]
    written = b"".join(path.read_bytes() for path in run.run_dir.iterdir()) + "\n".join(rig.printed).encode()
    assert [form for form in forms if form.encode() in written] == []
    reruns = [line for line in run.view().lines if isinstance(line, StepEvent) and line.status is StepStatus.RERUN]
    assert reruns
    assert reruns[0].reason == "[redacted:PATRONI_SUPERUSER_PASSWORD]"
    assert run.view().redactions["PATRONI_SUPERUSER_PASSWORD"] >= 8
    assert "PATRONI_SUPERUSER_PASSWORD=" in run.stdout()


def test_secrets_are_in_no_argument_list(rig: Rig) -> None:
    run = started(rig, "hang")
    view = run.view()
    for pid in (view.hyops_pid, view.supervisor_pid):
        assert CANARY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert CANARY.encode() not in Path(f"/proc/{view.supervisor_pid}/environ").read_bytes()
    assert CANARY.encode() in Path(f"/proc/{view.hyops_pid}/environ").read_bytes()
    run.cancel()
    finished(run)


def test_the_run_directory_is_for_its_owner_alone(rig: Rig) -> None:
    """The folder lets nobody else in. Its files are for the group too: where HyOps is a user of its own, that is the agent's."""
    finished(run := started(rig, "ok"))
    assert run.run_dir.stat().st_mode & 0o777 == 0o700
    read_by_group = dict.fromkeys(("journal.jsonl", "lock", "stderr.log", "stdout.log"), 0o640)
    assert {path.name: path.stat().st_mode & 0o777 for path in run.run_dir.iterdir()} == {**read_by_group, "supervisor.err": 0o600}


CALLER = """
import json, sys, time
from pathlib import Path
from hyops_ci.execution.run_handle import SupervisedRun
from hyops_ci.execution.supervisor import SupervisorOrder
argv, env, run_dir, overlay = json.load(sys.stdin)
order = SupervisorOrder(argv, env, Path(run_dir), timeout=100, grace=float(sys.argv[2]), patience=60, remove_after=(Path(overlay),))
run = SupervisedRun.start(order)
print("started", flush=True)
ended = run.wait_past_cancel(float(sys.argv[1]))
print("no answer" if ended is None else f"ended {ended.rc}", flush=True)
"""


def caller(
    rig: Rig, do: str, patience: float = 60.0, *, grace: float = 60.0, wait: bool = True, **script: object
) -> tuple[subprocess.Popen[str], Path, Path]:
    """A process of its own that starts the run and sees it through; its handle, the run directory and the lent overlay."""
    assert rig.double
    rig.double.script(steps={"a": {"do": do, **script}})
    overlay = rig.blueprint(gate("a"), gate("b", required="a"), name="dr-dispatch-1-1.yml")
    argv = [str(rig.runtime.hyops), "blueprint", "deploy", "--env", "dev", "--execute", "--yes", "--file", str(overlay)]
    run_dir = rig.scratch / "caller"
    process = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(patience), str(grace)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps([argv, rig.environment(), str(run_dir), str(overlay)]))
    process.stdin.close()
    if wait:
        assert process.stdout.readline() == "started\n"
    return process, run_dir, overlay


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    with process.stdout:
        return process.stdout.read().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_step_is_a_cancel(rig: Rig, number: signal.Signals) -> None:
    process, run_dir, _ = caller(rig, "hang")
    run = SupervisedRun.attach(run_dir)
    rig.wait_for_provider()
    process.send_signal(number)
    process.send_signal(signal.SIGTERM)
    assert (said(process), process.wait(60)) == ("ended 130", 0)
    assert finished(run).stop is Stop.CANCEL


def test_a_cancelled_step_does_not_wait_for_ever_and_the_supervisor_goes_on(rig: Rig) -> None:
    process, run_dir, overlay = caller(rig, "stuck", patience=0.3, grace=4.0)
    run = SupervisedRun.attach(run_dir)
    rig.wait_for_provider()
    process.send_signal(signal.SIGINT)
    assert (said(process), process.wait(60)) == ("no answer", 0)
    assert (run.condition, overlay.exists()) == (Condition.RUNNING, True)
    assert finished(run).by_itself is False
    assert not overlay.exists()


def test_the_host_lock_lasts_as_long_as_hyops(rig: Rig) -> None:
    def locked() -> bool:
        with (rig.scratch / "host.lock").open("w") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    assert rig.double
    rig.double.script(steps={"a": {"do": "hang"}})
    with (rig.scratch / "host.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = rig.start(rig.content(gate("a")), hold=[lock.fileno()])
    until(lambda: any(isinstance(line, StepEvent) for line in run.view().lines))
    assert locked(), "this process has let go of it"
    run.cancel()
    finished(run)
    until(lambda: not locked())


def test_a_killed_caller_loses_nothing(rig: Rig) -> None:
    go_on = rig.scratch / "go-on"
    process, run_dir, overlay = caller(rig, "ok", until=str(go_on))
    os.killpg(process.pid, signal.SIGKILL)
    assert (said(process), process.wait(60)) == ("", -signal.SIGKILL)
    run = SupervisedRun.attach(run_dir, on_line=rig.printed.append)
    assert (run.condition, overlay.exists()) == (Condition.RUNNING, True)
    go_on.touch()
    assert rig.judge(run, planned("a"), planned("b")).state is State.COMPLETED
    assert rig.printed[-1] == "hyops | blueprint=dr/contract@v1 mode=hybrid status=ok steps=2"
    assert not overlay.exists()


def supervisor_lives(run_dir: Path) -> bool:
    """Whether a process may still begin the run, or has: where its own messages go shows it before it holds the lock."""
    for messages in Path("/proc").glob("[0-9]*/fd/2"):
        with suppress(OSError):
            if messages.readlink() == run_dir.resolve() / "supervisor.err":
                return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.1, 0.18, 0.26, 0.5])
def test_a_caller_killed_at_any_moment_leaves_all_or_nothing(rig: Rig, delay: float) -> None:
    """Either HyOps was never started, or its run has an end; never an orphan that nobody knows of."""
    process, run_dir, _ = caller(rig, "ok", wait=False, seconds=0.8)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    said(process)
    run = SupervisedRun.attach(run_dir)
    until(lambda: not supervisor_lives(run_dir))
    view = run.view()
    assert (view.started_at is None) == (view.ended is None)
    if view.ended is None:
        assert rig.states(planned("a"))["a"].status == "missing"
    else:
        assert rig.judge(run, planned("a"), planned("b")).state is State.COMPLETED


def test_a_killed_caller_can_still_be_cancelled_from_elsewhere(rig: Rig) -> None:
    process, run_dir, _ = caller(rig, "hang")
    process.kill()
    assert (said(process), process.wait(60)) == ("", -signal.SIGKILL)
    run = SupervisedRun.attach(run_dir)
    rig.wait_for_provider()
    assert run.cancel()
    assert finished(run).stop is Stop.CANCEL
    assert rig.judge(run, planned("a"), planned("b")).state is State.CANCELLED
    assert not run.cancel()


def test_a_killed_supervisor_leaves_an_unknown_run_and_an_interrupted_hyops(rig: Rig) -> None:
    run = started(rig, "hang")
    supervisor = run.view().supervisor_pid
    assert supervisor
    os.kill(supervisor, signal.SIGKILL)
    assert run.wait(60) is None
    assert run.condition is Condition.UNKNOWN
    until(lambda: not hyops_lives(run))
    assert rig.states(planned("a"))["a"].status == "error"
    done = rig.judge(run, planned("a"), planned("b"))
    assert (done.state, done.reasons) == (State.INDETERMINATE, ("HyOps gave no final answer in time",))
    assert run.view().ended is None


def test_the_supervisor_carries_nothing_that_the_runner_ends_processes_by(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_TRACKING_ID", "github_x")
    monkeypatch.setenv("GITHUB_TOKEN", CANARY)
    run = started(rig, "hang")
    view = run.view()
    for pid in (view.hyops_pid, view.supervisor_pid):
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"RUNNER_" not in environ
        assert b"GITHUB_" not in environ
    run.cancel()
    finished(run)


def test_a_caller_with_ignored_interrupts_still_can_cancel(rig: Rig) -> None:
    """A step in the background of a shell ignores SIGINT, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = started(rig, "hang")
        run.cancel()
        assert finished(run).rc == 130
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_in_the_moment_of_the_start_cancels(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rig.double
    rig.double.script(steps={"a": {"do": "hang"}})

    def interrupted(process: subprocess.Popen[bytes], order: bytes) -> tuple[bytes, None]:
        assert process.stdin
        assert process.stdout
        with process.stdin, process.stdout:
            process.stdin.write(order)
        process.wait(60)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(subprocess.Popen, "communicate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rig.start(rig.content(gate("a")), **PATIENT)
    run = SupervisedRun.attach(rig.scratch / "run-1")
    assert finished(run).stop is Stop.CANCEL


def test_a_torn_journal_is_read_up_to_the_tear(rig: Rig) -> None:
    finished(run := started(rig, "ok"))
    path = run.run_dir / journal.JOURNAL
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        view = SupervisedRun.attach(run.run_dir).view()
        assert view.ended is None
        assert view.lines == read_back(whole)[: len(view.lines)]
    path.write_bytes(whole)
    assert run.view().ended is not None


def read_back(whole: bytes) -> tuple[object, ...]:
    return tuple(event.line for record in journal.records(whole) if record["kind"] == "line" and (event := journal.timed_line(record)))
