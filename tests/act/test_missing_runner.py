"""A runner that is missing, under act: made, later restarted or started, and the run goes on; or it is refused, and nothing was made.

The machine is a real Debian with systemd, the provider Proxmox VE's API over TLS, everything between is what ships.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.ensured import Ensured
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from tests.act.lanes import on_google_cloud
from tests.act.missing import MissingRunner, missed_sooner, missing_runner
from tests.act.running import ActRun
from tests.act.site import SERVICE, Site
from tests.act.test_dispatch import bundle
from tests.runners.proxmox_fake.state import VMID
from tests.support.openbao import ROOT_TOKEN

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow]
FAILOVER = {"action": "failover", "service": SERVICE, "reason": "INC-4242 power lost", "old_primary": "confirmed-off"}
WITH_A_REASON = FAILOVER | {"bootstrap_reason": "runner-recovery"}


def ensured(world: MissingRunner, run: ActRun) -> tuple[Ensured, dict[str, Any]]:
    """What the job says and the documents of the evidence, after all that holds for every run whose runner came meanwhile."""
    site, runner = world.site, world.lane.runner
    jobs = ("plan", "watch-check", "ensure-runner", "watch-runner", "conclude")
    assert {job: run.jobs[job] for job in jobs} == dict.fromkeys(jobs, "success"), run.log()
    assert run.outputs["watch-check"]["verdict"] == "missing"
    check = site.control.job("check")
    assert check is not None
    assert check.runner is not None
    assert check.runner.name == runner
    documents = bundle(site, run, run.answers["outcome"])
    found = Ensured.model_validate_json(run.outputs["ensure-runner"]["ensured"])
    [beside] = (site.root / f"evidence-{run.number}").rglob("ensured.json")
    assert json.loads(beside.read_text()) == json.loads(run.outputs["ensure-runner"]["ensured"])
    assert (found.taken_by, found.approved_by, found.refusal) == (runner, ("jonas",), None)
    assert f"{found.seconds} s of the recovery" in run.log()
    assert "runner_made" in documents["objectives.json"]["figures"], documents["refusal.json"]
    cost = documents["objectives.json"]["figures"]["runner_made"]["seconds"]
    assert cost > 30, "from the queue, the watch's patience too, until it was taken"
    assert f"{cost} s for it" in run.log()
    assert "BEGIN RSA PRIVATE KEY" not in run.log()
    assert ROOT_TOKEN not in run.log()
    return found, documents


def recovered(world: MissingRunner, run: ActRun, documents: dict[str, Any], key: str) -> None:
    """It went on to an approval and to its end on the machine itself, whose own key signed the evidence."""
    assert {run.jobs.get(job, "skipped") for job in ("check", "execute")} == {"success"}, run.log()
    assert run.answers["outcome"] == "COMPLETED_WITH_EXCEPTIONS", run.log()
    assert documents["approvals/jonas.json"]["channel"] == "environment"
    assert documents["runner.json"]["hostname"] == world.host.run("hostname").strip()
    [bundle] = (world.site.root / f"evidence-{run.number}").rglob("*.tar")
    assert verify(bundle, trusted_keys=[key], require_signature=True).ok


@pytest.mark.timeout(1500)  # four runs and a recovery, one of them with the two minutes in which a runner might come
def test_a_missing_runner_on_prem(site: Site, tmp_path: Path) -> None:
    """Made; then its agent dies and the machine is stopped; and once more outside a recovery, where GitHub forgot it."""
    with missing_runner(site, tmp_path / "machine") as world:
        missed_sooner(site)
        run = site.start("no runner: made", WITH_A_REASON)
        made, documents = ensured(world, run)
        assert made.decided[0] == "create: there is no machine"
        assert made.machine.endswith(f"(id {VMID})")
        assert (made.agent_version, made.changed) == ("2.399.0", True)
        assert made.public_key.startswith("ed25519:")
        assert world.lane.machines() == 1
        assert world.keys == "", "the key of the run is taken back"
        took = {each.name for each in made.phases}
        assert {"machine", "proof", "setup", "waiting"} <= took
        assert_a_hardened_host(world)
        assert documents["refusal.json"]["gate"] == "hyops.env-dir", "the runtime of an env is brought by people"
        assert made.public_key in " ".join(made.left_to_people), "a pull request names the key, where the config names keys at all"

        world.people_bring_the_rest()
        site.config["host_keys"] |= {world.lane.runner: made.public_key}
        site.write_config()

        world.agent_dies()
        run = site.start("agent dead: restarted", WITH_A_REASON | {"action": "check"})
        restarted, documents = ensured(world, run)
        assert restarted.decided[0].startswith("restart agent: ")
        assert run.answers["outcome"] == "CHECK_PASSED", run.log()

        world.machine_stops()
        run = site.start("machine stopped: started", WITH_A_REASON)
        started, documents = ensured(world, run)
        assert started.decided[0] == "start: the machine is there and stopped"
        assert started.script_sha256 == "", "nothing but its start was needed"
        recovered(world, run, documents, made.public_key)

        world.github_forgets_it()
        run = world.recovered_outside("GitHub forgot it: recovered outside a run")
        assert {job: run.jobs.get(job) for job in ("lanes", "recover")} == dict.fromkeys(("lanes", "recover"), "success"), run.log()
        sealed = run.artifact(f"dr-runner-{run.number}-1", site.root / "recovered") / "evidence.tar"
        assert verify(sealed).ok
        again = Ensured.model_validate_json(read_files(sealed)["ensured.json"])
        assert (again.decided[0].partition(":")[0], again.approved_by, again.refusal) == ("register again", ("jonas",), None)
        assert world.service.online(world.lane.runner).labels == [world.lane.runner]
        assert len(world.service.asked) == 2
        assert world.lane.machines() == 1


@pytest.mark.timeout(900)
def test_a_missing_runner_on_google_cloud(site: Site, tmp_path: Path) -> None:
    """Made in the run that recovers, by the identity of its job and through Identity-Aware Proxy; and that run goes to its end.

    Its config names no key of a host, as a lab's may, and what only people bring was brought while the check waited.
    """
    with missing_runner(site, tmp_path / "machine", on_google_cloud) as world:
        world.brought = False
        del site.config["host_keys"]
        site.write_config()
        missed_sooner(site)
        run = site.start("no runner on Google Cloud: made", WITH_A_REASON)
        made, documents = ensured(world, run)
        assert made.decided[0] == "create: there is no machine"
        assert world.lane.machines() == 1
        assert world.keys == "", "the key of the run is taken back"
        assert_a_hardened_host(world)
        recovered(world, run, documents, made.public_key)


def assert_a_hardened_host(world: MissingRunner) -> None:
    """What the product made on the real machine, by its own words for the trust."""
    trust = json.loads((world.host.root / "etc/dr-dispatch/trust.json").read_text())
    assert trust["runner_refs"] == [world.lane.runner]
    assert trust["repository_id"] == world.site.control.repository.id
    assert world.host.run("systemctl is-active actions.runner.dr-dispatch.service").strip() == "active"
    assert len(world.service.asked) == 1, "registered once"


@pytest.mark.timeout(600)
def test_a_reason_that_the_config_does_not_allow_is_refused_before_any_runner(site: Site) -> None:
    refused = site.start("no runner: the reason is not allowed", WITH_A_REASON)
    assert refused.jobs["plan"] == "failure", refused.log()
    assert {refused.jobs.get(job, "skipped") for job in ("check", "ensure-runner", "watch-runner")} == {"skipped"}
    assert (refused.answers["outcome"], refused.answers["exit_code"]) == ("BLOCKED", "4"), refused.log()
    assert bundle(site, refused, "BLOCKED")["refusal.json"]["gate"] == "bootstrap.reason"
    assert site.tokens.asked == []
