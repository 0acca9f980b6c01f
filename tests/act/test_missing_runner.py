"""A runner that is missing, under act: made, later restarted or started, and the run goes on; or it is refused, and nothing was made.

The machine is a real Debian with systemd, the provider Proxmox VE's API over TLS, everything between is what ships.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyops_ci.contracts.ensured import Ensured
from tests.act.missing import RUNNER, MissingRunner, missed_sooner, missing_runner
from tests.act.running import ActRun
from tests.act.site import SERVICE, Site
from tests.act.test_dispatch import bundle
from tests.runners.proxmox_fake.state import TEMPLATE, VMID
from tests.support.openbao import ROOT_TOKEN

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow]
FAILOVER = {"action": "failover", "service": SERVICE, "reason": "INC-4242 power lost", "old_primary": "confirmed-off"}
WITH_A_REASON = FAILOVER | {"bootstrap_reason": "runner-recovery"}


def ensured(site: Site, run: ActRun) -> Ensured:
    """What the job says, after all that holds for every run that went on: the check was taken by the runner, and the bundle has it.

    act carries the check out on this machine, which is not the one that was made, and has no user for HyOps: the check says so.
    """
    jobs = ("plan", "watch-check", "ensure-runner", "watch-runner", "conclude")
    assert {job: run.jobs[job] for job in jobs} == dict.fromkeys(jobs, "success"), run.log()
    assert run.outputs["watch-check"]["verdict"] == "missing"
    check = site.control.job("check")
    assert check is not None
    assert check.runner is not None
    assert check.runner.name == RUNNER
    documents = bundle(site, run, run.answers["outcome"])
    assert documents["refusal.json"]["gate"] == "hyops.user", documents["refusal.json"]
    found = Ensured.model_validate_json(run.outputs["ensure-runner"]["ensured"])
    assert documents["ensured.json"] == json.loads(run.outputs["ensure-runner"]["ensured"])
    assert (found.taken_by, found.approved_by, found.refusal) == (RUNNER, ("jonas",), None)
    assert f"{found.seconds} s of the recovery" in run.log()
    cost = documents["objectives.json"]["figures"]["runner_made"]["seconds"]
    assert cost > 30, "from the queue, the watch's patience too, until it was taken"
    assert f"{cost} s for it" in run.log()
    assert "BEGIN RSA PRIVATE KEY" not in run.log()
    assert ROOT_TOKEN not in run.log()
    return found


@pytest.mark.timeout(1500)  # three runs, one of them with the two minutes in which a runner might come
def test_a_missing_runner_is_made_and_later_restarted_and_started(site: Site, tmp_path: Path) -> None:
    with missing_runner(site, tmp_path / "machine") as world:
        made = ensured(site, site.start("no runner: made", WITH_A_REASON))
        assert made.decided[0] == "create: there is no machine"
        assert made.machine.endswith(f"(id {VMID})")
        assert (made.agent_version, made.changed) == ("2.399.0", True)
        assert made.public_key.startswith("ed25519:")
        assert sorted(world.cluster.vms) == sorted((VMID, TEMPLATE))
        assert world.keys == "", "the key of the run is taken back"
        took = {each.name for each in made.phases}
        assert {"machine", "proof", "setup", "waiting"} <= took
        assert_a_hardened_host(world)

        missed_sooner(site)
        world.agent_dies()
        restarted = ensured(site, site.start("agent dead: restarted", WITH_A_REASON))
        assert restarted.decided[0].startswith("restart agent: ")

        world.machine_stops()
        started = ensured(site, site.start("machine stopped: started", WITH_A_REASON))
        assert started.decided[0] == "start: the machine is there and stopped"
        assert started.script_sha256 == "", "nothing but its start was needed"
        assert sorted(world.cluster.vms) == sorted((VMID, TEMPLATE))


def assert_a_hardened_host(world: MissingRunner) -> None:
    """What the product made on the real machine, by its own words for the trust."""
    trust = json.loads((world.host.root / "etc/dr-dispatch/trust.json").read_text())
    assert trust["runner_refs"] == [RUNNER]
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
