"""A recovery plan of three services in two waves, by the command lines of several people, each run the shipped caller under act."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from hyops_ci.contracts.recovery import RecoveryRecord
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.parsing.documents import read_document
from tests.act.dispatched import CarriedOut, carried_out
from tests.act.people import Person
from tests.act.services import add_services
from tests.act.site import SERVICE, Site
from tests.act.test_dispatch import bundle

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]
SECOND = ["web/east", "api/west"]
SERVICES = [SERVICE, *SECOND]
PLAN = "site-loss"


@dataclass
class Night:
    """Three services that fail at once, and three people."""

    site: Site
    runs: CarriedOut

    def __post_init__(self) -> None:
        """Maria asks, Jonas has the key of an approver, Priya is there, too."""
        self.maria, self.jonas, self.priya = (Person(self.site, login) for login in ("maria", "jonas", "priya"))

    def asked_and_approved(self) -> str:
        """Return the id of the recovery, once every check waits and has its answer: nothing was changed."""
        code, out, said = self.maria.says(f"hyops-ci recovery start {PLAN} --reason 'INC-4242 the site is lost' --format json")
        assert code == 0, said
        found = str(json.loads(out)["recovery_id"])
        key = self.site.approver_key
        code, out, said = self.jonas.says(f"hyops-ci recovery approve {found} --key {key} --yes")
        assert (code, out) == (0, f"signed: approve by jonas, 3 services; then: hyops-ci recovery go-on {found}\n"), said
        assert said.count("APPROVE?  FAILOVER") == 3
        assert self.positions() == dict.fromkeys(SERVICES, "primary")
        return found

    def positions(self) -> dict[str, str]:
        """Service -> where it is, by its ledger."""
        return {service: self.ledger(service).tip().position for service in SERVICES}

    def ledger(self, service: str) -> Ledger:
        """A service's ledger as an onlooker sees it."""
        return self.site.ledger(service)

    def record(self, recovery: str) -> RecoveryRecord:
        """What `go-on` left in the checkout."""
        return read_document(RecoveryRecord, (self.site.repository / f"recovery-{recovery}" / "recovery.json").read_bytes())


@contextmanager
def night_of(site: Site, scenario: str) -> Iterator[Night]:
    site.config["recovery_plans"] = {PLAN: {"action": "failover", "waves": [[SERVICE], SECOND]}}
    add_services(site, *SECOND)
    with carried_out(site, scenario) as runs:
        yield Night(site, runs)


def test_three_services_come_back_in_two_waves(site: Site) -> None:
    with night_of(site, "plan, good") as night:
        recovery = night.asked_and_approved()
        code, out, said = night.priya.says(f"hyops-ci recovery go-on {recovery}")
        assert (code, out.splitlines()[0]) == (0, f"RECOVERED: all 3 services of {PLAN} are proven"), said
        assert night.runs.executed() == SERVICES
        assert night.positions() == dict.fromkeys(SERVICES, "failed_over")
        assert night.record(recovery).outcome == "DONE"
        assert all(each.evidence for wave in night.record(recovery).waves for each in wave.services)
        assert night.priya.says(f"hyops-ci recovery verify recovery-{recovery}")[:2] == (0, "VALID\n")
        code, out, said = night.maria.says(f"hyops-ci recovery status {recovery}")
        assert (code, out.splitlines()[0]) == (0, f"RECOVERED: all 3 services of {PLAN} are proven"), said
    for number in list(night.runs.acted)[-3:]:
        recovered = night.runs.acted[number]
        sealed = bundle(site, recovered, recovered.answers["outcome"])
        assert sealed["decision.json"]["part_of"] == {"recovery_plan": PLAN, "recovery_id": recovery}


def test_what_stops_in_the_first_wave_begins_no_second_one_whoever_starts_it(site: Site) -> None:
    with night_of(site, "plan, stopped") as night:
        recovery = night.asked_and_approved()
        site.double.script(steps={"postgresql_restore": {"do": "fail"}})
        code, out, said = night.priya.says(f"hyops-ci recovery go-on {recovery}")
        stopped = f"STOPPED in wave 1 of 2: {SERVICE} STOPPED; 1 later wave not begun"
        assert (code, out.splitlines()[0]) == (9, stopped), said
        assert len(night.runs.acted) == 4, "three checks, and the one service of the first wave"
        assert night.positions() == dict.fromkeys(SERVICES, "primary")
        assert night.priya.says(f"hyops-ci recovery verify recovery-{recovery}")[:2] == (0, "VALID\n")
        code, out, said = night.maria.says(f"hyops-ci recovery status {recovery}")
        assert (code, out.splitlines()[0]) == (9, stopped), said
        site.double.script()
        waiting = next(run for run in site.control.repository.runs.values() if night.runs.service_of(run) == SECOND[0])
        jumped = site.control.workflow.start("main", "workflow_dispatch", "priya", {"resume": str(waiting.id)})
    refused = night.runs.acted[jumped.id]
    assert (refused.jobs["check"], refused.jobs["execute"]) == ("success", "failure"), refused.log()
    assert (refused.answers["outcome"], refused.answers["exit_code"]) == ("BLOCKED", "5"), refused.log()
    refusal = bundle(site, refused, "BLOCKED")["refusal.json"]
    assert (refusal["gate"], refusal["fix"].rpartition("; ")[2]) == ("recovery.wave", f"then hyops-ci recovery go-on {recovery}")
    assert refusal["found"].startswith(f"{SERVICE}: FAILED since ")
    assert night.ledger(SECOND[0]).tip().epoch == 0


def killed(process: subprocess.Popen[str]) -> Callable[..., None]:
    """The end of a command without a goodbye, once."""

    def kill(*_: object) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait(30)  # before whoever it asked answers

    return kill


def test_whoever_is_killed_stops_nothing_and_the_next_one_starts_nothing_twice(site: Site) -> None:
    """Killed while the first wave is at work, then between the waves, then while GitHub makes the first run of the second one."""
    with night_of(site, "plan, cut off") as night:
        recovery = night.asked_and_approved()
        going_on = f"hyops-ci recovery go-on {recovery}"

        first = night.priya.begins(going_on)
        night.runs.at_work = killed(first)
        assert ended(first) == -signal.SIGKILL
        night.runs.at_work = lambda _: None

        second = night.jonas.begins(going_on)
        site.git.on_request = lambda _: killed(second)() if wave_ended(night) else None
        assert ended(second) == -signal.SIGKILL, "reads the ledgers when the wave has ended"
        site.git.on_request = lambda _: None
        assert night.runs.executed() == [SERVICE]
        assert len(night.runs.acted) == 4
        assert night.positions() == {SERVICE: "failed_over"} | dict.fromkeys(SECOND, "primary")

        third = night.maria.begins(going_on)
        night.runs.listed = killed(third)
        assert ended(third) == -signal.SIGKILL
        night.runs.listed = lambda _: None

        code, out, said = night.priya.says(going_on)
        assert (code, out.splitlines()[0]) == (0, f"RECOVERED: all 3 services of {PLAN} are proven"), said
        assert night.runs.executed() == SERVICES
        assert len(night.runs.acted) == 6, "three checks and three recoveries: nothing was started twice"
        assert {service: night.ledger(service).tip().epoch for service in SERVICES} == dict.fromkeys(SERVICES, 1)
        assert night.priya.says(f"hyops-ci recovery verify recovery-{recovery}")[:2] == (0, "VALID\n")


def ended(process: subprocess.Popen[str]) -> int:
    """How a command ended; what it said is shown with a failed test."""
    print(*process.communicate(timeout=300), sep="\n")
    return process.returncode


def wave_ended(night: Night) -> bool:
    """Whether the run of the first wave is over on GitHub."""
    runs = [run for run in night.site.control.repository.runs.values() if run.inputs.get("resume")]
    return bool(runs) and runs[0].status == "completed"
