"""Attack: a machine that is not the plan's registers the label and takes the job, or the watch is made to say something else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import EXIT_OF, RefusalRecord, State
from hyops_ci.stages.job import check_job_name, execute_job_name
from hyops_ci.stages.watch.queue import ExpectedJob, Verdict
from hyops_ci.stages.watch.stage import Watched, WatchRequest, watch
from tests.security.incident import RUNNER, Incident, assert_refused
from tests.support.github.runners import Runner

CHECK = "Check gcp-ops-runner (changes nothing)"
LABELS = ("self-hosted", "gcp-ops-runner")


def watched(incident: Incident, runner: Runner, **wanted: Any) -> Watched:
    """The check's job is in the queue, and this runner has just taken it."""
    incident.run.add_job(f"dr / {CHECK}", LABELS).take(runner)
    return watch(
        WatchRequest(
            "check", ExpectedJob(**{"job": CHECK, "attempt": 1, "labels": LABELS, "names": (RUNNER,), **wanted}), "gcp-ops-runner"
        ),
        incident.client(),
        incident.world("plan"),
    )


def test_the_plans_runner_takes_the_job(incident: Incident) -> None:
    found = watched(incident, incident.repository.add_runner(RUNNER, ["gcp-ops-runner"]), group="Default")
    assert (found.verdict, found.refusal, incident.run.conclusion) == (Verdict.TAKEN, None, None)


@pytest.mark.parametrize("strange", ["name", "group", "look-alike", "escapes"])
def test_a_stranger_takes_the_job_and_the_run_is_ended(incident: Incident, strange: str) -> None:
    """Of another name; of the same name, which another group may have too; of a name that reads alike; of one that draws on terminals."""
    name = {"look-alike": "gcp-ops-runner-0l", "escapes": "gcp\x1b[2K\u202e-runner", "name": "mallory"}.get(strange, RUNNER)
    runner = incident.repository.add_runner(name, ["gcp-ops-runner"])
    found = watched(incident, runner, **({"group": "dr-runners"} if strange == "group" else {}))
    assert found.refusal is not None
    assert (found.verdict, found.refusal.gate, found.refusal.exit_code) == (Verdict.STRANGER, "runner.stranger", 7)
    assert incident.run.conclusion == "cancelled"
    assert found.refusal.found.isprintable()
    assert incident.plan().state is State.PLANNED
    ended = incident.conclude({"plan": "success", "check": "cancelled"}, watches=[found])
    assert (ended.result.outcome, ended.result.exit_code) == (State.NO_RUNNER, 7)
    assert ended.result.refusal == found.refusal
    assert ended.verdict.ok


def dispatch_name(job: str, **inputs: str) -> str:
    """The name of a job of dispatch.yml, as GitHub fills it in."""
    name = yaml.safe_load((Path(__file__).parents[2] / ".github" / "workflows" / "dispatch.yml").read_text("utf-8"))["jobs"][job]["name"]
    return re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: inputs.get(found[1], ""), str(name))


@pytest.mark.parametrize("whose", ["plan of dispatch.yml", "a job of the caller's"])
def test_an_input_that_reads_like_the_name_of_the_watched_job(incident: Incident, whose: str) -> None:
    """An input may say anything; a job whose name holds it must not hide who took the check."""
    service = f"x / {CHECK}"
    name = dispatch_name("plan", action="failover", service=service) if whose.startswith("plan") else f"Build {service}"
    incident.run.add_job(f"dr / {name}", ["ubuntu-latest"]).finish()
    found = watched(incident, incident.repository.add_runner("mallory", ["gcp-ops-runner"]))
    assert found.refusal is not None
    assert (found.verdict, found.refusal.gate) == (Verdict.STRANGER, "runner.stranger")
    assert incident.run.conclusion == "cancelled"


def test_an_input_of_any_length_and_the_plans_runner(incident: Incident) -> None:
    """The twin: with a service of 77 characters the names of all jobs are whole (GitHub cuts them at 100), and the runner is known."""
    long = f"{'s' * 38}/{'e' * 38}"
    incident.run.add_job(f"dr / {dispatch_name('plan', action='failover', service=long)}", ["ubuntu-latest"]).finish()
    found = watched(incident, incident.repository.add_runner(RUNNER, ["gcp-ops-runner"]))
    assert (found.verdict, found.refusal) == (Verdict.TAKEN, None)
    assert all(len(f"dr / {job.name}") < 100 for job in incident.run.jobs)
    names = Plan.model_construct(service=long, runner_ref="r" * 38, target_site="t" * 38, digest=lambda: "sha256:" + "0" * 64)
    called = (check_job_name(names), check_job_name(names, resumes=10**12 - 1), execute_job_name(names))
    assert max(len(f"{'c' * 30} / {name}") for name in called) <= 100


def test_a_host_of_another_runner_checks_nothing(incident: Incident) -> None:
    """On the host itself: it knows by its own trust file which runner it is."""
    incident.trust["runner_refs"] = ["proxmox-ops-runner"]
    incident.pinned = True
    assert incident.plan().state is State.PLANNED
    assert_refused(incident, incident.check(), "trust.runner", 7, "gcp-ops-runner")


@pytest.mark.parametrize(
    ("job", "found"),
    [
        ({"runner_name": "mallory"}, "mallory"),
        ({"runner_name": ""}, "a runner answered that the config does not list"),
        ({"runner_environment": "github-hosted"}, "a GitHub-hosted machine took the job"),
    ],
)
def test_a_host_that_the_config_does_not_list_checks_nothing(incident: Incident, job: dict[str, Any], found: str) -> None:
    incident.configure(lambda config: config.update(lanes={"gcp": {"names": [RUNNER]}}))
    assert incident.plan().state is State.PLANNED
    assert_refused(incident, incident.check(**job), "runner.identity", 7, found)


def test_the_host_that_the_config_lists(incident: Incident) -> None:
    incident.configure(lambda config: config.update(lanes={"gcp": {"names": [RUNNER]}}))
    incident.reach_gate()


# ------------------------------------------------------------------ what the watch said travels by job outputs, as text


def said(gate: str, exit_code: int, which: str = "execute") -> Watched:
    refusal = RefusalRecord(gate=gate, reason="the attacker's words", exit_code=exit_code)
    return Watched.model_validate({"watched": which, "verdict": Verdict.MISSING, "job": "x", "attempt": 1, "refusal": refusal})


@pytest.mark.parametrize(("gate", "exit_code"), [("runner.silent", 0), ("lock.held", 0), ("approval.denied", 6), ("x", 99), ("x", 130)])
def test_a_forged_word_of_the_watch_makes_no_good_end(at_the_gate: Incident, gate: str, exit_code: int) -> None:
    """It may change the reason of a run that changed nothing, and nothing else."""
    ended = at_the_gate.conclude(watches=[said(gate, exit_code)])
    assert EXIT_OF[ended.result.outcome] != 0
    assert ended.result.exit_code != 0
    assert ended.verdict.ok
    assert at_the_gate.ledger().tip().epoch == 0
