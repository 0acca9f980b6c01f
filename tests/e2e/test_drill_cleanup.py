"""Isolated drills to their end: what they made is destroyed and shown to be gone, or what is left is said, and the next removes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.cleanup import CLEANUP, Cleanup
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.run import State
from hyops_ci.evidence.recorder import read_chain
from hyops_ci.evidence.verify import verify
from hyops_ci.ledger.ledger import ClaimRequest
from hyops_ci.ledger.rules import lock_of
from hyops_ci.operations.break_glass import conclude_here
from hyops_ci.operations.rehearse.sandbox import Site, served, set_up
from hyops_ci.operations.rehearse.scenarios import SCENARIOS, approve, example_decision, one_run
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.conclude.stage import Conclusion
from hyops_ci.stages.context import SystemClock
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.host_key import vouched_ledger
from hyops_ci.stages.plan.stage import Ask, plan
from tests.e2e.killed_execute import world_of
from tests.e2e.rehearsal import processes_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
S = State
DRILL = SCENARIOS["drill"]
VMS, RESTORE, DNS = "gcp_pg_vms", "postgresql_restore", "postgresql_dns_cutover"


class Drills:
    """Drills of one service, one after the other, on one site. The service stands in for what HyOps makes and destroys."""

    def __init__(self, root: Path, *, answers: bool = True) -> None:
        self.site, self.count = Site(root, SystemClock()), 0
        self.said: list[str] = []
        self.site.say = self.said.append
        self._open = served(answers=answers)
        self.service = self._open.__enter__()
        set_up(self.site, self.service.port)
        self.site.take_away = self.service.close

    def close(self) -> None:
        self._open.__exit__(None, None, None)
        assert processes_of(self.site.root) == []

    def drill(self, **changes: Any) -> Conclusion:
        """Run one more drill; `changes` are of the scenario."""
        self.count += 1
        decision = example_decision("drill", self.site.clock, self.count, self.site.service)
        return one_run(self.site, self.site.root / f"run-{self.count}", decision, replace(DRILL, **changes))

    @property
    def run(self) -> RunDir:
        """The folder of the last drill."""
        return RunDir(self.site.root / f"run-{self.count}" / "run")

    def cleanup(self) -> Cleanup:
        return self.run.read_model(CLEANUP, Cleanup)

    def lock(self) -> str:
        tip = self.site.world().ledger(self.site.service).tip()
        return lock_of(tip, tip.at)

    def states(self) -> dict[str, str]:
        """Step -> status, of every state that is in the env."""
        steps = self.run.read_json("plan.json")["steps"]
        folder = self.site.runner / "envs" / "lab" / "state" / "modules"
        found = {}
        for step in steps:
            name = f"instances/{step['state_instance']}.json" if step["state_instance"] else "latest.json"
            path = folder / step["module_ref"].replace("/", "__") / name
            found[step["id"]] = json.loads(path.read_text())["status"] if path.exists() else "missing"
        return found

    def overlay(self, edit: Callable[[dict[str, Any]], object]) -> None:
        path = self.site.repository / ".github" / "dr" / "lab" / "postgresql-ha-failover-gcp.yml"
        document = yaml.safe_load(path.read_text())
        edit(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False))


@pytest.fixture
def drills(tmp_path: Path) -> Iterator[Drills]:
    found = Drills(tmp_path / "site")
    yield found
    found.close()


def test_a_drill_that_passes_leaves_nothing(drills: Drills) -> None:
    ended = drills.drill()
    kept = drills.cleanup()
    assert ended.result.outcome is S.COMPLETED_WITH_EXCEPTIONS, ended.result.refusal
    assert set(drills.states().values()) == {"destroyed"}
    assert kept.removed is not None
    assert len(kept.removed.destroyed) == 6
    assert (kept.left, kept.clean, drills.lock()) == ((), True, "free")
    assert [(each.answers, "refused" in each.text) for each in kept.probes] == [(False, True)]
    assert ended.result.headline.startswith("DRILL PASSED, 3 deviations  isolated pg-ha/lab ")
    assert ": restored latest, 6 steps destroyed, 0 left; production not looked at: " in ended.result.headline
    assert ended.result.next == ()
    states = [event.name for event in read_chain(drills.run.root) if event.kind == "transition"]
    assert states[-3:] == ["VERIFYING", "CLEANING_UP", "COMPLETED_WITH_EXCEPTIONS"]
    assert verify(ended.bundle).ok


def test_a_drill_removes_first_what_was_there_and_is_checked_as_if_it_had(drills: Drills) -> None:
    """The restore would be skipped over its old state: for a real run that is a refusal, for a drill nothing of it is there any more."""
    drills.site.seed_state("platform/postgresql-ha#postgresql_restore_gcp_dr", 3)
    assert drills.drill().result.outcome is S.COMPLETED_WITH_EXCEPTIONS
    kept = drills.cleanup()
    assert kept.first is not None
    assert kept.first.destroyed == ("gcp_pg_egress", RESTORE)
    assert any(line.endswith("removed first") and RESTORE in line for line in drills.said)


def test_a_drill_whose_restore_fails_is_cleaned_up_all_the_same(drills: Drills) -> None:
    drills.site.script({RESTORE: {"fail": "no such backup set"}})
    ended = drills.drill()
    assert (ended.result.outcome, ended.result.exit_code, drills.lock()) == (S.FAILED, 9, "free")
    assert ended.result.headline.endswith("3 steps destroyed, 0 left. Lock free")
    assert drills.cleanup().clean
    assert set(drills.states().values()) == {"destroyed", "missing"}
    assert verify(ended.bundle).ok


def test_a_drill_after_its_commit_step_keeps_no_lock_once_it_is_gone(drills: Drills) -> None:
    drills.site.script({DNS: {"fail": "the zone is locked"}})
    ended = drills.drill()
    assert (ended.result.outcome, drills.lock()) == (S.FAILED, "free")
    assert "Lock free" in ended.result.headline


def test_a_drill_whose_step_was_cut_off_is_known_to_have_failed_once_everything_is_gone(drills: Drills) -> None:
    drills.site.script({RESTORE: {"cut_off": True}})
    ended = drills.drill()
    assert (ended.result.outcome, drills.lock()) == (S.FAILED, "free")
    assert set(drills.states().values()) == {"destroyed", "missing"}


def test_a_service_that_does_not_answer_is_not_proven_and_removed(tmp_path: Path) -> None:
    drills = Drills(tmp_path / "site", answers=False)
    ended = drills.drill()
    assert (ended.result.outcome, ended.result.exit_code, drills.lock()) == (S.NOT_PROVEN, 13, "free")
    assert "6 steps destroyed, 0 left" in ended.result.headline
    assert verify(ended.bundle).ok
    drills.close()


def test_a_failed_clean_up_is_louder_than_a_failed_drill_and_the_next_drill_begins_with_it(drills: Drills) -> None:
    drills.site.script({RESTORE: {"fail": "no such backup set"}, VMS: {"destroy_fail": "quota of API calls"}})
    ended = drills.drill()
    assert (ended.result.outcome, ended.result.exit_code, drills.lock()) == (S.NOT_CLEANED, 14, "unknown")
    assert ended.result.headline.startswith(
        "NOT CLEANED UP  the drill of pg-ha/lab left gcp_pg_egress (not reached, state ok); gcp_pg_vms "
    )
    refusal = ended.result.refusal
    assert refusal is not None
    assert "destroy of step gcp_pg_vms failed: quota of API calls (rc 2)" in refusal.found
    assert "hyops blueprint destroy --env lab --file " in refusal.fix
    assert verify(ended.bundle).ok
    drills.site.script({})
    again = drills.drill()
    assert again.result.outcome is S.NOT_PROVEN, again.result.refusal  # this site's service was taken away for good
    first = drills.cleanup().first
    assert first is not None
    assert first.destroyed == ("gcp_pg_egress", VMS)
    assert (drills.cleanup().clean, drills.lock()) == (True, "free")


def test_a_drill_that_cannot_remove_what_was_there_recovers_nothing(drills: Drills) -> None:
    drills.site.script({"gcp_pg_egress": {"destroy_fail": "still in use"}})
    ended = drills.drill()
    assert (ended.result.outcome, drills.lock()) == (S.NOT_CLEANED, "unknown")
    assert drills.states() == {**dict.fromkeys(drills.states(), "missing"), "gcp_pg_egress": "ok"}
    assert verify(ended.bundle).ok


def test_what_still_answers_is_left(drills: Drills, monkeypatch: pytest.MonkeyPatch) -> None:
    """HyOps' states say that everything is gone, and somebody takes connections where the service was."""
    monkeypatch.setattr("hyops_ci.execution.verification.CLOSING", 1.0)
    drills.site.take_away = lambda: None
    ended = drills.drill()
    assert ended.result.outcome is S.NOT_CLEANED
    assert "still answers" in ended.result.headline


def test_a_cancelled_drill_destroys_nothing_more_and_says_what_is_left(drills: Drills) -> None:
    drills.site.script({RESTORE: {"seconds": 30}})
    ended = drills.drill(at=f"{RESTORE} running", then=SCENARIOS["cancelled"].then)
    assert (ended.result.outcome, ended.result.exit_code, drills.lock()) == (S.NOT_CLEANED, 14, "unknown")
    kept = drills.cleanup()
    assert kept.withheld.startswith("asked by ")
    assert [name.partition(" ")[0] for name in kept.left] == ["gcp_pg_egress", VMS, RESTORE]
    assert "clean-up: destroying" not in "\n".join(drills.said)
    assert verify(ended.bundle).ok


def test_a_drill_that_is_cancelled_while_it_cleans_up_says_what_is_left(drills: Drills) -> None:
    drills.site.script({VMS: {"destroy_seconds": 30}})
    ended = drills.drill(at=f"clean-up: 2/6 {VMS} running", then=SCENARIOS["cancelled"].then)
    assert (ended.result.outcome, drills.lock()) == (S.NOT_CLEANED, "unknown")
    assert [name.partition(" ")[0] for name in drills.cleanup().left] == ["gcp_pg_egress", VMS]
    bundle = drills.site.runner / "envs" / "lab" / "vault" / "bootstrap.vault.env"
    assert not bundle.exists()


def test_a_cancel_while_it_is_looked_whether_the_service_is_gone_says_what_was_not_seen(
    drills: Drills, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HyOps has ended, so no supervisor hands the cancel on: it meets execute itself."""

    def cancelled(*_: object) -> tuple[Any, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr("hyops_ci.stages.execute.cleaning.ask_until_refused", cancelled)
    ended = drills.drill()
    assert (ended.result.outcome, ended.result.exit_code, drills.lock()) == (S.NOT_CLEANED, 14, "unknown")
    kept = drills.cleanup()
    assert kept.removed is not None
    assert (kept.left, kept.removed.reason) == ((), "interrupted before it was seen that nothing is left")
    assert verify(ended.bundle).problems == ()


def test_a_drill_whose_lock_was_taken_leaves_the_env_to_whoever_has_it(drills: Drills) -> None:
    def real_run(site: Site) -> None:
        world, digest = site.world(), "sha256:" + "1" * 64
        asked = ClaimRequest(
            service=site.service,
            decision_id="real-1",
            decision_type=DecisionType.FAILOVER,
            source_sha256=digest,
            decision_digest=digest,
            run_id="999-1",
            at=stamp(world.clock.now()),
            target_site="gcp",
            home_site="onprem",
        )
        config = parsed_config((site.repository / ".github" / "dr-dispatch.yml").read_bytes())
        vouched_ledger(config, site.service, world).claim(asked)

    ended = drills.drill(at=f"3/6 {RESTORE} running", then=real_run)
    kept = drills.cleanup()
    assert ended.result.outcome is S.NOT_CLEANED
    assert kept.withheld == "another run has taken the lock"
    assert drills.states() == dict.fromkeys(drills.states(), "ok")
    tip = drills.site.world().ledger(drills.site.service).tip()
    assert tip.claim is not None
    assert tip.claim.run_id == "999-1"


def test_what_the_overlay_retains_stays_and_is_said(drills: Drills) -> None:
    drills.overlay(lambda document: document["steps"][0].update(retain_on_destroy=True))
    ended = drills.drill()
    assert "5 steps destroyed, 0 left, 1 retained by the overlay" in ended.result.headline
    assert drills.states()["gcp_pg_egress"] == "ok"
    assert drills.cleanup().first is None
    assert verify(ended.bundle).ok


@pytest.mark.parametrize(
    "moment", ["transition:CLEANING_UP", "intent:cleanup.destroy", "cleanup:postgresql_restore:ok", "note:cleanup.look"]
)
def test_a_drill_that_is_killed_while_it_cleans_up_is_unknown_and_the_next_begins_with_it(drills: Drills, moment: str) -> None:
    drills.count = 1
    decision = example_decision("drill", drills.site.clock, 1, drills.site.service)
    world = drills.site.world()
    assert plan(Ask(drills.site.repository, decision), drills.run, world).state is S.PLANNED
    assert check(drills.run, world).state is S.CHECKED
    (drills.site.root / "approvals.json").write_text(approve(drills.site, drills.run, "approve"))
    driver = Path(__file__).with_name("killed_execute.py")
    env = {"PATH": os.environ["PATH"], "HOME": str(drills.site.root), "PYTHONPATH": str(driver.parents[2])}
    done = subprocess.Popen([sys.executable, driver, drills.site.root, moment], env=env)
    if moment.startswith("note"):
        _when(drills.run, "cleanup.destroy", drills.service.close)
    assert done.wait(400) != 0
    drills.service.close()
    ended = conclude_here(drills.run, world_of(drills.site.root, drills.run))
    assert (ended.result.outcome, drills.lock()) == (S.INDETERMINATE, "unknown"), drills.said
    assert verify(ended.bundle).ok
    _over(drills.site.root)
    again = drills.drill()
    assert again.result.outcome is S.NOT_PROVEN, again.result.refusal  # the service of this site was taken away for good
    assert (drills.cleanup().clean, drills.lock()) == (True, "free")


def _when(run: RunDir, name: str, then: Callable[[], None]) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        try:
            if any(event.name == name for event in read_chain(run.root)):
                break
        except Exception:  # noqa: BLE001 - a torn line while it is written
            pass
        time.sleep(0.1)
    then()


def _over(root: Path) -> None:
    """Wait until HyOps has ended."""
    until = time.monotonic() + 240
    while processes_of(root) and time.monotonic() < until:
        time.sleep(0.1)


def test_a_real_run_still_refuses_the_state_that_a_drill_removes(drills: Drills) -> None:
    drills.site.seed_state("platform/postgresql-ha#postgresql_restore_gcp_dr", 3)
    decision = example_decision("failover", drills.site.clock, 1, drills.site.service)
    ended = one_run(drills.site, drills.site.root / "run-1", decision, SCENARIOS["recovered"])
    assert ended.result.refusal is not None
    assert ended.result.refusal.gate == "restore.skipped"
