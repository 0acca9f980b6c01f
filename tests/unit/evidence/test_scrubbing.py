from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.run import Result, State
from hyops_ci.evidence.bundle import Sealed, seal
from hyops_ci.evidence.recorder import PartRecorder, read_chain
from hyops_ci.evidence.scrubbing import changed_at_sealing
from hyops_ci.evidence.verify import VerificationResult, verify
from tests.unit.evidence import sample_run

CANARY = b"canary-9f2c"


def hide(data: bytes) -> bytes:
    return data.replace(CANARY, b"***")


def sealed(run: Path, to: Path) -> Sealed:
    return seal(run, sample_run.result(*sample_run.planned()), to=to, clock=sample_run.SetClock(), scrub=hide)


def leaking_run(run: Path) -> None:
    """A recovered run with a secret in a log and in an event of its last stage."""
    sample_run.recovered_run(run)
    sample_run.write(run, "hyops/log.txt", b"password " + CANARY + b"\n")
    sample_run.write(run, "redactions.json", {"counts": {"PG_PASSWORD": 3}})
    with PartRecorder(run, "execute", sample_run.SetClock()) as part:
        part.note("late", text=CANARY.decode())


def verdict_without(run: Path, name: str) -> VerificationResult:
    """Put the secret into a document, seal, verify."""
    text = (run / name).read_text().replace("INC-4242", "INC-4242 " + CANARY.decode())
    (run / name).write_text(text)
    return verify(sealed(run, run.with_suffix(".tar")).path)


def test_events_are_cleaned_and_chained_anew(tmp_path: Path) -> None:
    leaking_run(tmp_path / "run")
    bundle = sealed(tmp_path / "run", tmp_path / "b.tar").path
    assert CANARY not in bundle.read_bytes()
    assert [event.data for event in read_chain(tmp_path / "run")][-1] == {"text": "***"}
    verdict = verify(bundle)
    assert verdict.problems == ()
    assert verdict.facts["redacted"].endswith("hyops/log.txt, parts/execute/events.jsonl")


def test_what_redaction_counted_before_stays(tmp_path: Path) -> None:
    leaking_run(tmp_path / "run")
    sealed(tmp_path / "run", tmp_path / "b.tar")
    told = json.loads((tmp_path / "run" / "redactions.json").read_text())
    assert told == {"counts": {"PG_PASSWORD": 3}, "changed_at_sealing": ["hyops/log.txt", "parts/execute/events.jsonl"]}


def test_a_decision_with_a_secret_in_it_still_verifies(tmp_path: Path) -> None:
    sample_run.recovered_run(tmp_path / "run")
    verdict = verdict_without(tmp_path / "run", "decision.json")
    assert verdict.problems == ()
    assert "decision.json" in verdict.facts["redacted"]


def test_counts_alone_excuse_nothing(tmp_path: Path) -> None:
    of, _ = sample_run.recovered_run(tmp_path / "run")
    sample_run.write(tmp_path / "run", "redactions.json", {"counts": {}, "changed_at_sealing": ["decision.json", "sources/config.bak"]})
    sample_run.write(tmp_path / "run", f"sources/{of.sources[0].role}", b"other\n")
    assert "sources/config is not what the plan was made of" in verify(sealed(tmp_path / "run", tmp_path / "b.tar").path).problems


def test_an_event_that_cannot_be_cleaned_says_only_that_it_was(tmp_path: Path) -> None:
    with PartRecorder(tmp_path / "run", "plan", sample_run.SetClock()) as part:
        part.enter(State.RECEIVED)
        part.note("n", text="x")
        part.enter(State.REJECTED, why="x")
    when = "2026-11-23T03:04:31Z"
    ended = Result(run_id=sample_run.RUN, outcome=State.REJECTED, exit_code=3, headline="x", started_at=when, ended_at=when)
    breaks = lambda data: data.replace(b'"x"', b'"') if b"manifest" not in data else data  # noqa: E731 - shorter than a function
    bundle = seal(tmp_path / "run", ended, to=tmp_path / "b.tar", clock=sample_run.SetClock(), scrub=breaks)
    said = [(event.name, event.data) for event in read_chain(tmp_path / "run")]
    assert said == [("RECEIVED", {}), ("redacted", {"redacted": "all of it"}), ("REJECTED", {"redacted": "all of it"})]
    assert [problem.partition(" at:")[0] for problem in verify(bundle.path).problems] == [
        "result.json is no Result: not JSON: Invalid control character"
    ]


@given(data=st.binary(max_size=100) | st.just(b"[" * 100_000) | st.just(b'{"changed_at_sealing": [1, {"a": 2}, "b"]}'))
def test_any_bytes_name_files_or_none(data: bytes) -> None:
    assert changed_at_sealing(data) <= {"b"}


KILLER = """
import os, shutil, signal, sys
from pathlib import Path
from hyops_ci.evidence.verify import verify
from tests.unit.evidence.test_scrubbing import CANARY, leaking_run, sealed

os.fsync = lambda handle: None  # a killed process loses nothing that was written
base = Path(sys.argv[1])
leaking_run(base / "fresh")
shutil.copytree(base / "fresh", base / "whole")
whole = sealed(base / "whole", base / "whole.tar").sha256
point = 0
while True:
    point += 1
    run, out = base / f"run-{point}", base / f"out-{point}"
    shutil.copytree(base / "fresh", run)
    child = os.fork()
    if child == 0:
        left = point
        def hook(event, args):
            global left
            if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate") and str(base) in str(args[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        sealed(run, out / "b.tar")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    bundle = out / "b.tar"
    if bundle.exists():
        assert verify(bundle).ok, point
    assert sealed(run, bundle).sha256 == whole, point
    assert [path.name for path in out.iterdir()] == ["b.tar"], point
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, (point, status)
print(point)
"""


@pytest.mark.slow
def test_sealing_survives_kill_9_at_every_file_it_touches(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", KILLER, str(tmp_path)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 20


@pytest.mark.parametrize("path", ["../x", "/etc/x", "events.jsonl", "a/../../x", "."])
def test_a_stage_keeps_files_in_its_own_part(tmp_path: Path, path: str) -> None:
    with PartRecorder(tmp_path, "check", sample_run.SetClock()) as part:
        part.keep("logs/a.txt", b"a")
        with pytest.raises(ValueError, match="no place"):
            part.keep(path, b"x")
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["a.txt", "events.jsonl"]


def test_a_part_does_not_go_on_behind_a_later_one(tmp_path: Path) -> None:
    sample_run.record(tmp_path, sample_run.SetClock(), sample_run._TRANSITIONS[:3])
    with pytest.raises(ValueError, match="cannot go on after check has begun"):
        PartRecorder(tmp_path, "plan", sample_run.SetClock())
    with pytest.raises(ValueError, match="no stage"):
        PartRecorder(tmp_path, "watch", sample_run.SetClock())
