"""The whole dispatch under act, warm, beside a workflow of the same jobs with the same artifact steps and nothing else to do.

Both run in turn on one site: the shipped caller, GitHub's fake, Git over TLS, an OpenBao server, one runner host with the HyOps double.
The peer is dispatch.yml itself with each step of ours replaced by a `run` step that sets the outputs which the jobs behind it need. The
figure is what ours takes beyond the peer and beyond HyOps: wall seconds of the fastest of `ROUNDS` rounds each, since whatever else this
machine does can only add to them. HyOps' time is from the start of its process to its end, as a wrapper around the double notes it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import yaml

from bench import Result
from hyops_ci.contracts.base import stamp
from tests.act.rewriting import REPOSITORY, rewritten
from tests.act.running import ActRun
from tests.act.site import DISPATCH, SECRETS, SERVICE, Site, make_site
from tests.support.issuer import WORKFLOW_SHA
from tests.support.openbao import OpenBao, start_openbao

ROUNDS: Final = 5
GOAL: Final = 3.0
"""Seconds beyond the peer, HyOps left out."""
CHAIN: Final = ("plan", "check", "execute", "conclude")
"""The jobs that wait for one another; the watches run beside them."""
HANDOVER_BYTES: Final = 65536
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only a folder of its own in it is used


@dataclass(frozen=True)
class Took:
    """Wall seconds of one run and of its parts. `steps` and `artifacts` are of the jobs in `CHAIN`, `act` is what is left of the run."""

    total: float
    artifacts: float
    steps: Mapping[str, float] = field(default_factory=dict)
    hyops: float = 0.0

    @property
    def own(self) -> float:
        """Without HyOps."""
        return self.total - self.hyops

    @property
    def act(self) -> float:
        """What act itself takes: set-up of jobs, copies of actions, their Post steps."""
        return self.total - self.artifacts - sum(self.steps.values())


def run() -> Result:
    """Warm up, measure in turn, compare."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-dispatch-", dir=_memory()) as folder,
        _authority() as bao,
        make_site(Path(folder) / "site", bao) as site,
    ):
        site.config["verification"][SERVICE][0]["hold"] = "PT0S"  # a probe that is held is waited for, and no cost of ours
        site.write_config()
        log = _time_hyops(site)
        shutil.copytree(site.env_root, site.root / "env")
        peer = _peer(Path(folder) / "peer")
        ours, theirs = [_ours(site, log, 0)], [_theirs(site, peer)]
        for number in range(1, ROUNDS + 1):
            ours.append(_ours(site, log, number))
            theirs.append(_theirs(site, peer))
    best, other = min(ours[1:], key=lambda took: took.own), min(theirs[1:], key=lambda took: took.total)
    notes = (
        f"dispatch {best.total:.1f} s, of it HyOps {best.hyops:.1f} s; peer {other.total:.1f} s: the fastest of {ROUNDS} rounds each",
        f"dispatch: {_parts(best)}",
        f"peer: {_parts(other)}",
        "every round: dispatch without HyOps "
        + " ".join(f"{took.own:.1f}" for took in ours[1:])
        + "; peer "
        + " ".join(f"{took.total:.1f}" for took in theirs[1:]),
    )
    return Result("dispatch", "seconds_over_peer", best.own - other.total, "<=", GOAL, notes)


def _memory() -> Path | None:
    """A folder in memory where there is one: act copies each action for each step, and a busy disk would be what is measured."""
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    return MEMORY if usable else None


def _parts(took: Took) -> str:
    steps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in took.steps.items())
    return f"steps of ours {sum(took.steps.values()):.2f} s ({steps}), artifact steps {took.artifacts:.2f} s, act itself {took.act:.2f} s"


@contextmanager
def _authority() -> Iterator[OpenBao]:
    with start_openbao() as server:
        for path, fields in SECRETS.items():
            server.put(path, **fields)
        server.add_env("lab", list(SECRETS))
        yield server


def _time_hyops(site: Site) -> Path:
    """Put a wrapper around the double that notes when each call began and ended; the file it writes."""
    program = site.double.hyops
    real, log = program.with_name("hyops-itself"), site.root / "hyops-times"
    program.rename(real)
    quoted = shlex.quote(str(real))
    program.write_text(
        f'#!/bin/bash\nbegan=$EPOCHREALTIME\n{quoted} "$@"\nrc=$?\necho "$began $EPOCHREALTIME" >>{shlex.quote(str(log))}\nexit $rc\n'
    )
    program.chmod(0o755)
    return log


def _ours(site: Site, log: Path, number: int) -> Took:
    """Run one dispatch, failover and failback in turn. A failover gets the states of the first one: no restore is skipped."""
    log.unlink(missing_ok=True)
    if not number % 2:
        shutil.rmtree(site.env_root)
        shutil.copytree(site.root / "env", site.env_root)
    run = site.start("bench dispatch", _decision(number))
    assert run.answers.get("outcome") in ("COMPLETED", "COMPLETED_WITH_EXCEPTIONS"), run.log()
    hyops = sum(float(end) - float(begin) for begin, end in (line.split() for line in log.read_text().splitlines()))
    return _took(run, hyops)


def _decision(number: int) -> dict[str, str]:
    document = {
        "api_version": "hybridops/v1",
        "kind": "Decision",
        "decision_id": f"bench-dispatch-{number}",
        "decision_type": "failback_onprem" if number % 2 else "failover",
        "service": SERVICE,
        "rationale": "bench dispatch",
        "issued_at": stamp(datetime.now(UTC).replace(microsecond=0)),
        "issuer": "github:maria",
        "requires_approval": False,
        "old_primary": "confirmed-off",
    }
    return {"decision": json.dumps(document)}


def _theirs(site: Site, peer: Path) -> Took:
    """Run the peer once for the same caller. GitHub's fake does not follow it: nothing in it asks."""
    form = {"action": "failover", "service": SERVICE, "reason": "peer"}
    with patch.dict(site.local, {f"{REPOSITORY}@{WORKFLOW_SHA}": peer}), patch.object(site.control, "saw"):
        run = site.start("bench dispatch: peer", form)
    assert all(run.jobs.get(job) == "success" for job in CHAIN), run.log()
    return _took(run)


def _took(run: ActRun, hyops: float = 0.0) -> Took:
    """Return the parts of a run from act's own lines: the result of each step with its time in nanoseconds."""
    artifacts, steps = 0.0, dict[str, float]()
    for entry in (json.loads(line) for line in run.lines if line.startswith("{")):
        job, seconds = entry.get("jobID"), entry.get("executionTime", 0) / 1e9
        if job not in CHAIN or entry.get("stage") != "Main" or "stepResult" not in entry:
            continue
        if "-artifact@" in entry["step"]:
            artifacts += seconds
        elif len(entry["stepID"]) > 1:  # inside an action of ours
            name = "setup" if "/setup@" in entry["step"] else job
            steps[name] = steps.get(name, 0.0) + seconds
    return Took(run.seconds, artifacts, steps, hyops)


def _peer(folder: Path) -> Path:
    """dispatch.yml with the same jobs, conditions and artifact steps, where each step of ours only sets its outputs."""
    document: dict[Any, Any] = yaml.safe_load(rewritten(DISPATCH.read_text(), WORKFLOW_SHA).replace("\non:", '\n"on":', 1))
    for job in document["jobs"].values():
        job["steps"] = [_trivial(step) if f"{REPOSITORY}/actions/" in step.get("uses", "") else step for step in job["steps"]]
    target = folder / DISPATCH.relative_to(DISPATCH.parents[2])
    target.parent.mkdir(parents=True)
    target.write_text(yaml.safe_dump(document, sort_keys=False, width=1000))
    return folder


def _trivial(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step that does nothing but hand on a file and the outputs of all stages."""
    lists = {"runs_on": ["self-hosted", "gcp-ops-runner"], "runner_names": []}
    words = {"outcome": "PLANNED", "exit_code": "0", "ready": "true", "check_title": "Check", "title": "Recover", "gate": "dr-lab"}
    words |= {"check_gate": "dr-check", "handover_digest": "0", "evidence_digest": "0", "watched": "null"}
    words |= {name: json.dumps(value) for name, value in lists.items()}
    files = {"handover": "handover.tar", "evidence": "evidence.tar", "report": "evidence.html", "github": "github.json"}
    lines = [f'head -c {HANDOVER_BYTES} /dev/urandom >"$RUNNER_TEMP/{name}"' for name in files.values()]
    lines += [f'echo "{output}=$RUNNER_TEMP/{name}" >>"$GITHUB_OUTPUT"' for output, name in files.items()]
    lines += [f'echo {shlex.quote(f"{name}={value}")} >>"$GITHUB_OUTPUT"' for name, value in words.items()]
    kept = {name: step[name] for name in ("id", "if") if name in step}
    return {**kept, "shell": "bash", "run": "\n".join(lines)}
