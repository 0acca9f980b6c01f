"""Attack: a module of HyOps, or what it starts, works against the run that called it.

The program that is started is the stand-in with code of the attacker in it: it runs as HyOps' child does, with its user and environment.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import textwrap
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

import hyops_ci
from hyops_ci.contracts.run import Result, State
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from hyops_ci.execution import journal
from hyops_ci.execution.leftovers import clean_up
from hyops_ci.execution.run_handle import SupervisedRun
from hyops_ci.execution.supervisor import SupervisorOrder
from hyops_ci.redaction import Redactor
from hyops_ci.secrets.ansible_vault import decrypt, encrypt
from hyops_ci.secrets.password import read_password
from hyops_ci.stages.execute.recovery import Recovery
from hyops_ci.stages.runner import StageEnd
from hyops_ci.stages.sealing import bundle_path
from tests.security.incident import Incident, assert_recovered, assert_refused

RESTORE, COMMIT = "postgresql_restore", "postgresql_dns_cutover"
QUIET = "def during(stand, step): pass"


def hyops_does(incident: Incident, code: str) -> None:
    """The stand-in, and `during(stand, step)` of `code` at the end of each step, when its state is written."""
    module = incident.site.runner / "attack.py"
    module.write_text(
        "import json, os, pathlib, subprocess, sys\n"
        "from hyops_ci.operations.rehearse import stand_in\n"
        f"{textwrap.dedent(code)}\n"
        "walk = stand_in.Stand.walk\n"
        "def walked(stand, step):\n"
        "    failure = walk(stand, step)\n"
        "    return during(stand, step) or failure\n"
        "stand_in.Stand.walk = walked\n"
        "sys.exit(stand_in.main(sys.argv[1:]))\n"
    )
    paths = [str(Path(hyops_ci.__file__).parents[1]), str(Path(yaml.__file__).parents[1])]
    boot = f"import sys; sys.path[:0] = {paths!r}; exec(compile(open({str(module)!r}).read(), 'attack', 'exec'))"
    (incident.site.runner / "hyops").write_text(f'#!/bin/sh\nexec \'{sys.executable}\' -I -c "{boot}" "$@"\n')


def carried_out(incident: Incident, code: str) -> StageEnd:
    """An approved run whose HyOps does this."""
    incident.reach_gate()
    hyops_does(incident, code)
    return incident.execute(incident.signed("jonas"))


def result(incident: Incident) -> Result:
    return incident.folder.read_model("result.json", Result)


# ------------------------------------------------------------------------------------------------------- noise

NOISE = """
def during(stand, step):
    for _ in range(16_000):
        print(f"step={step['id']} status=running")
    for number in range(60):
        print(f"step={step['id']} status=failed-optional reason={number}\\nstep=nobody-{number} status=skipped" if CHANGES else "")
        record = stand.root / "logs" / "module" / step["id"] / f"apply-29991231T235959Z-{number:08x}"
        record.mkdir(parents=True)
        (record / "ansible.log").write_text("x")
    long = stand.root / "logs" / "module" / ("m" * 200) / "apply-29991231T235959Z-00000000"
    long.mkdir(parents=True, exist_ok=True)
    (long / "ansible.log").write_text("x")
"""


@pytest.mark.parametrize("changes", [False, True], ids=["one line without end", "two lines in turn"])
def test_noise_spoils_no_bundle(incident: Incident, changes: bool) -> None:
    """Lines and records without end. A step that is said to run and to have failed, again and again: nobody knows."""
    ended = carried_out(incident, f"CHANGES = {changes}\n{NOISE}")
    if changes:
        assert ended.state is State.INDETERMINATE
    else:
        assert_recovered(incident, ended)
    verdict = verify(bundle_path(incident.folder))
    assert verdict.ok, verdict.problems
    events = (incident.folder.root / "parts" / "execute" / "events.jsonl").stat().st_size
    assert events < 1 << 20
    assert len(verdict.manifest.files) < 1_000 if verdict.manifest else False
    assert not [line for line in incident.said if "does not verify" in line]


def test_what_a_module_prints_fills_no_disk_with_our_records(tmp_path: Path) -> None:
    """Every piece of output and every line has a record; they have a room of their own, and the end of the run is always kept."""
    talk = "import sys\nfor n in range(400_000): print(f'step=a{n} status=running', flush=n % 4 == 0)"
    order = SupervisorOrder([sys.executable, "-I", "-c", talk], {}, tmp_path / "run", timeout=500, max_output=1 << 20)
    ended = SupervisedRun.start(order).wait(500)
    assert ended is not None
    assert ended.rc == 0
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "run").iterdir()}
    assert sizes["stdout.log"] == 1 << 20
    assert sizes["journal.jsonl"] < 2 * journal.ROOM + 10_000
    assert journal.read_journal(tmp_path / "run").full


def test_a_quiet_module(incident: Incident) -> None:
    assert_recovered(incident, carried_out(incident, QUIET))
    assert verify(bundle_path(incident.folder)).ok


# ------------------------------------------------------------------------------------------- lines that take back


def test_an_error_that_says_skipped_does_not_take_the_point_of_no_return_back(incident: Incident) -> None:
    """HyOps prints a module's error with its line ends; the state, which would tell, the module removes."""
    error = f"no answer\nstep={COMMIT} status=skipped reason=state-ok"
    code = f"""
        def during(stand, step):
            if step["id"] == {COMMIT!r}:
                stand.state_file(stand.own_ref(step)).unlink()
                return {error!r}
    """
    ended = carried_out(incident, code)
    assert ended.state is State.FAILED
    assert "Clients may have moved. Lock KEPT" in result(incident).headline
    assert incident.ledger().tip().past_no_return


@pytest.mark.parametrize("said", ["failed rc=1 reason=x", "skipped reason=state-ok"])
def test_a_step_with_two_results_is_no_recovery(incident: Incident, said: str) -> None:
    line = f"step={RESTORE} status={said}"
    ended = carried_out(incident, f"def during(stand, step): step['id'] == {RESTORE!r} and print({line!r})")
    assert ended.state is State.INDETERMINATE


# --------------------------------------------------------------------------------------- files that are something else

DEEP = '\'{"status": "ok", "x": \' + \'[\' * 100_000'
OTHERS = [f"path.write_text({DEEP})", "path.unlink(); os.mkfifo(path)", "path.unlink(); path.symlink_to('/dev/zero')"]
"""What HyOps' file is instead: too deep, a pipe, a device."""
RECORD = "pathlib.Path(stand.state(stand.own_ref(step))['evidence_dir'])"


def in_turn(paths: str) -> str:
    """One of `OTHERS` for the files of each step."""
    changes = ", ".join(f"lambda path: exec({change!r}, {{'path': path, 'os': os}})" for change in OTHERS)
    return f"""
at = 0
changes = [{changes}]
def during(stand, step):
    global at
    for path in {paths}:
        changes[at % 3](path)
    at += 1
"""


def test_records_that_are_something_else_spoil_no_recovery(incident: Incident) -> None:
    assert_recovered(incident, carried_out(incident, in_turn(f"({RECORD} / 'driver_result.json', {RECORD} / 'ansible.log')")))


def test_states_that_are_something_else_prove_nothing(incident: Incident) -> None:
    """A state that cannot be read is not the state of this run, so that nobody knows; and nobody waits for it."""
    ended = carried_out(incident, in_turn("(stand.state_file(stand.own_ref(step)),)"))
    assert ended.state is State.INDETERMINATE
    refusal = result(incident).refusal
    assert refusal is not None
    assert (refusal.gate, "its state is unreadable" in refusal.reason) == ("hyops.unknown", True)
    assert verify(bundle_path(incident.folder)).ok


def test_a_preflight_without_end_is_a_refusal(incident: Incident) -> None:
    """HyOps' answer is then that nothing of it can be said, and the first gate that needs it says so."""
    incident.plan()
    code = """stand_in.Stand.preflight = lambda stand: sys.exit(print('{\\n"steps": ' + '[' * 100_000 + '\\n}'))"""
    hyops_does(incident, f"{QUIET}\n{code}")
    assert_refused(incident, incident.check(), "restore.skipped", 4, "HyOps' preflight says nothing of it")


def test_a_spec_that_is_a_pipe_counts_as_missing(incident: Incident) -> None:
    assert incident.plan().state is State.PLANNED
    for spec in (incident.site.runner / "core" / "modules").rglob("spec.yml"):
        spec.unlink()
        os.mkfifo(spec)
    assert_refused(incident, incident.check(), "specs.present", 9)


def test_a_log_that_leads_elsewhere_is_not_shown(incident: Incident, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("what no module may show\n")
    code = f"""
        def during(stand, step):
            if step["id"] == {RESTORE!r}:
                path = {RECORD} / "ansible.log"
                path.unlink()
                path.symlink_to({str(tmp_path / "private")!r})
                return "broken"
    """
    ended = carried_out(incident, code)
    assert ended.state is State.FAILED
    everything = "\n".join(incident.said).encode() + b"".join(read_files(bundle_path(incident.folder)).values())
    assert b"what no module may show" not in everything


# ------------------------------------------------------------------------------------------------ the caller's memory


def as_a_user(program: str) -> bytes:
    """What a Python program of another process says. root may look into every process: without its capabilities it is like any user."""
    without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    boot = f"import os, subprocess, sys; sys.path[:0] = {sys.path!r}\n{program}"
    environment = {"DR_TOKEN": "a-token-of-the-job", "PATH": os.environ["PATH"]}
    done = subprocess.run([*without, sys.executable, "-I", "-c", boot], env=environment, capture_output=True, check=True)
    return done.stdout


LOOK = "for name in environ mem maps; do cat /proc/$0/$name >/dev/null 2>&1 && echo open || echo closed; done"
READ = f"print(subprocess.run(['sh', '-c', {LOOK!r}, str(os.getpid())], capture_output=True, text=True).stdout, flush=True)"


def test_the_memory_and_environment_of_the_supervisor_are_closed(tmp_path: Path) -> None:
    """Its order holds the run's secrets. What HyOps starts is of the same user, and finds its supervisor by the parent of HyOps."""
    said = as_a_user(
        "from pathlib import Path\n"
        "from hyops_ci.execution.run_handle import SupervisedRun\n"
        "from hyops_ci.execution.supervisor import SupervisorOrder\n"
        f"look = {LOOK.replace('$0', '$PPID')!r}\n"
        f"order = SupervisorOrder(['/bin/sh', '-c', look], dict(os.environ), Path({str(tmp_path / 'run')!r}), 60)\n"
        "run = SupervisedRun.start(order)\n"
        "run.wait(60)\n"
        "print(run.stdout())\n"
    )
    assert said.split() == [b"closed"] * 3


def test_the_memory_and_environment_of_the_command_are_closed() -> None:
    """The job's tokens are in its environment. Closed before any command of ours is loaded."""
    said = as_a_user(f"from hyops_ci.cli import app\napp.cli.main = lambda **_: exec({READ!r})\napp.main([])")
    assert said.split() == [b"closed"] * 3


def test_a_program_that_closes_nothing_is_open_to_its_children() -> None:
    assert as_a_user(READ).split()[0] == b"open"


# --------------------------------------------------------------------------------- what a run leaves to the next job

LEAVES = """
def during(stand, step):
    work = stand.root / "work" / "platform__postgresql-ha" / json.loads(stand.state_file(stand.own_ref(step)).read_text())["run_id"]
    work.mkdir(parents=True, exist_ok=True)
    (work / "runtime.ssh.key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    (work / "hyops.inputs.yml").write_text(json.dumps({key: os.environ[key] for key in os.environ if key.startswith("PATRONI")}))
    (work / "inventory.ini").write_text("[all]")
    vault = stand.root / "vault" / "bootstrap.vault.env"
    assert vault.read_bytes() != (stand.root / "before").read_bytes()
"""


def env_of(incident: Incident) -> Path:
    return incident.site.runner / "envs" / incident.site.envs[0]


def what_a_job_finds(incident: Incident) -> list[str]:
    """Files of the env in which one of the run's secrets can be read by whoever has the bundle's password, as any job of the runner has."""
    secrets = json.loads((incident.site.root / "authority.json").read_text())
    password = read_password(str(incident.site.runner / "vault-password"))
    seeker, found = Redactor(secrets), []
    for path in sorted(each for each in env_of(incident).rglob("*") if each.is_file()):
        content = path.read_bytes()
        if content.startswith(b"$ANSIBLE_VAULT"):
            content = decrypt(content, password.secret)
        if seeker.find(content) or b"PRIVATE KEY" in content:
            found.append(path.relative_to(env_of(incident)).as_posix())
    return found


def with_a_bundle(incident: Incident) -> bytes:
    """The env's bundle as its operator wrote it."""
    path = env_of(incident) / "vault" / "bootstrap.vault.env"
    path.parent.mkdir(mode=0o700)
    password = read_password(str(incident.site.runner / "vault-password"))
    path.write_bytes(encrypt(b"OPERATORS=value-of-the-operator\n", password.secret))
    (env_of(incident) / "before").write_bytes(path.read_bytes())
    return path.read_bytes()


def test_a_later_job_finds_no_secret_of_a_run(incident: Incident) -> None:
    """The bundle holds what it held before, to the byte; keys and inputs that HyOps left are gone, and named in the evidence."""
    before = with_a_bundle(incident)
    assert_recovered(incident, carried_out(incident, LEAVES))
    assert what_a_job_finds(incident) == []
    assert (env_of(incident) / "vault" / "bootstrap.vault.env").read_bytes() == before
    assert any(env_of(incident).glob("work/*/*/inventory.ini"))
    events = read_files(bundle_path(incident.folder))["parts/execute/events.jsonl"].decode()
    note = next(json.loads(line)["data"] for line in events.splitlines() if '"leftovers"' in line)
    assert {Path(name).name for name in note["removed"]} == {"runtime.ssh.key", "hyops.inputs.yml"}


def test_a_later_job_finds_no_secret_of_a_run_that_hyops_refused(incident: Incident) -> None:
    before = with_a_bundle(incident)
    incident.reach_gate()
    hyops_does(incident, f"{QUIET}\nstand_in.Stand.preflight = lambda stand: sys.exit(2)")
    assert incident.execute(incident.signed("jonas")).refusal is not None
    assert what_a_job_finds(incident) == []
    assert (env_of(incident) / "vault" / "bootstrap.vault.env").read_bytes() == before


def test_the_next_run_cleans_up_after_one_that_was_killed_with_its_supervisor(incident: Incident) -> None:
    before = with_a_bundle(incident)
    killed = """
        import signal
        def during(stand, step):
            (stand.root / "work" / "m" / "x").mkdir(parents=True)
            (stand.root / "work" / "m" / "x" / "runtime.ssh.key").write_text("PRIVATE KEY")
            (stand.root / "vault" / "hyops.vaultenv.x").write_text("PRIVATE KEY")
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    supervised = Recovery.cleaned_up
    Recovery.cleaned_up = lambda _: nullcontext()  # type: ignore[method-assign,assignment]  # for as long as the block lasts
    try:
        ended = carried_out(incident, killed)
    finally:
        Recovery.cleaned_up = supervised  # type: ignore[method-assign]  # for as long as the block lasts
    assert ended.state is State.INDETERMINATE
    assert len(what_a_job_finds(incident)) == 3
    clean_up(env_of(incident))
    assert what_a_job_finds(incident) == []
    assert (env_of(incident) / "vault" / "bootstrap.vault.env").read_bytes() == before


# ---------------------------------------------------------------------------------------------------- the host's lock


def test_another_user_of_the_host_holds_no_lock_of_ours(incident: Incident) -> None:
    """A folder that can be read can be locked: whoever does keeps no run out. What is locked nobody else can open."""
    with_a_bundle(incident)
    held = [os.open(folder, os.O_RDONLY) for folder in (env_of(incident), env_of(incident) / "vault")]
    for handle in held:
        fcntl.flock(handle, fcntl.LOCK_EX)
    assert_recovered(incident, carried_out(incident, QUIET))
    locks = [path for path in env_of(incident).rglob("*.lock") if path.is_file()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in locks] == [0o600, 0o600]
    for handle in held:
        os.close(handle)
