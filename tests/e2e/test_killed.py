"""Kill -9 at every moment of execute: what is on disk stays readable, the end is true, the lock is right, nothing runs twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from hyops_ci.contracts.base import moment as instant
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.run import Event, RefusalRecord, State
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.recorder import read_chain
from hyops_ci.execution.leftovers import clean_up
from hyops_ci.operations.break_glass import conclude_here
from hyops_ci.operations.rehearse.sandbox import Site, endpoint, set_up
from hyops_ci.operations.rehearse.scenarios import approve, example_decision
from hyops_ci.secrets.bundle import LOCK
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.conclude.stage import Conclusion
from hyops_ci.stages.context import ShiftedClock, SystemClock
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.runner import StageEnd
from tests.e2e.killed_execute import moment_of, world_of
from tests.e2e.rehearsal import SERVICE, hyops_ci, processes_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
S = State
STEPS = ("gcp_pg_vms", "postgresql_restore", "postgresql_backup_config", "postgresql_dns_cutover", "postgresql_dns_status")
NO_CLAIM = ("transition:APPROVED", "note:swept")
UNTOUCHED = (
    "push:claim",
    "transition:CLAIMED",
    "torn:transition:SECRETS_READY",
    "transition:SECRETS_READY",
    "intent:hyops.preflight",
    "result:hyops.preflight",
    "transition:PREFLIGHT_PASSED",
)
TOUCHED = (
    "push:EXECUTING",
    "transition:EXECUTING",
    "intent:hyops.deploy",
    "step:gcp_pg_egress:skipped",
    *(f"step:{step}:{status}" for step in STEPS for status in ("running", "ok")),
    "result:hyops.deploy",
    "note:leftovers",
    "torn:transition:VERIFYING",
    "transition:VERIFYING",
)
ENDED = ("transition:COMPLETED_WITH_EXCEPTIONS", "sealed", "push:COMPLETED_WITH_EXCEPTIONS")
MOMENTS = (*NO_CLAIM, *UNTOUCHED, *TOUCHED, *ENDED)
END_OF = (
    dict.fromkeys(NO_CLAIM, S.BLOCKED)
    | dict.fromkeys(UNTOUCHED, S.FAILED)
    | dict.fromkeys(TOUCHED, S.INDETERMINATE)
    | dict.fromkeys(ENDED, S.COMPLETED_WITH_EXCEPTIONS)
)


@dataclass
class Place:
    """A site where a run was planned, checked and approved; each test begins from the same bytes at the same path."""

    site: Site
    snapshot: Path

    def again(self) -> None:
        """Back to the moment before execute."""
        assert processes_of(self.site.root) == []
        shutil.rmtree(self.site.root, ignore_errors=True)
        shutil.copytree(self.snapshot, self.site.root, symlinks=True)

    @property
    def run(self) -> RunDir:
        return RunDir(self.site.root / "run-1" / "run")

    def execute(self, moment: str) -> int:
        """Execute in a process of its own; the answer is its return code."""
        driver = Path(__file__).with_name("killed_execute.py")
        root = driver.parents[2]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.site.root), "PYTHONPATH": str(root)}
        return subprocess.run([sys.executable, driver, self.site.root, moment], env=env, timeout=400, check=False).returncode

    def conclude(self) -> Conclusion:
        return conclude_here(self.run, world_of(self.site.root, self.run))

    def events(self) -> list[Event]:
        return list(read_chain(self.run.root))

    def tip(self) -> Tip:
        return self.site.world().ledger(SERVICE).tip()

    def next_run(self, action: str = "failover", after: timedelta = timedelta()) -> StageEnd:
        """What the plan of another run says of the same incident."""
        clock = ShiftedClock(SystemClock().now() + after)
        site = Site(self.site.root, clock)
        folder = self.site.root / f"next-{len(list(self.site.root.glob('next-*')))}"
        return plan(Ask(site.repository, example_decision(action, clock, 7)), RunDir(folder / "run"), site.world())

    def started(self) -> int:
        """How often HyOps began the first step that changes anything."""
        return len(list((self.site.runner / "envs").glob("*/logs/module/platform__gcp__platform-vm/apply-*")))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("killed")
    site = Site(root / "site", SystemClock())
    with endpoint() as port:
        set_up(site, port)
        run = RunDir(site.root / "run-1" / "run")
        assert plan(Ask(site.repository, example_decision("failover", site.clock, 1)), run, site.world()).state is S.PLANNED
        assert check(run, world_of(site.root, run)).state is S.CHECKED
        (site.root / "approvals.json").write_text(approve(site, run, "approve"))
        place = Place(site, root / "snapshot")
        assert processes_of(site.root) == []
        shutil.copytree(site.root, place.snapshot, symlinks=True)
        yield place


@pytest.fixture
def place(prepared: Place) -> Place:
    prepared.again()
    return prepared


def test_the_moments_are_all_there_are(place: Place) -> None:
    """A run that nobody kills says exactly these words, so that no moment is forgotten when one is added."""
    assert place.execute("never") == 0
    said = [moment_of(event.kind, event.name, event.data) for event in place.events() if event.stage == "execute"]
    assert said == [moment for moment in MOMENTS if not moment.startswith(("torn:", "push:", "sealed"))]
    assert place.conclude().result.outcome is S.COMPLETED_WITH_EXCEPTIONS


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed(moment: str, place: Place) -> None:
    assert place.execute(moment) == -signal.SIGKILL
    if not moment.startswith("torn:"):
        assert place.events(), "what was said is readable at once"
    next_run_waits(moment, place)
    assert processes_of(place.site.root) == []
    begun = place.started()
    ended = place.conclude()
    assert ended.result.outcome is END_OF[moment]
    assert (ended.verdict.ok, ended.verdict.problems) == (True, ())
    assert place.started() == begun <= 1
    if moment.startswith("torn:"):
        assert any(event.name == "journal.torn" for event in place.events())
    lock_is_right(moment, place, ended)
    for env in (place.site.runner / "envs").iterdir():  # as the next run does, before its lock
        assert not clean_up(env).bundle_kept
        assert [each.name for each in env.glob("vault/*")] in ([], [LOCK])


def next_run_waits(moment: str, place: Place) -> None:
    """While nobody has concluded, another run of the incident is a duplicate; once silent for long, it is told the truth."""
    soon, late = place.next_run(), place.next_run(after=timedelta(minutes=11))
    if moment in NO_CLAIM:
        assert soon.state is late.state is S.PLANNED
    elif moment in UNTOUCHED:
        assert (soon.state, late.state) == (S.DUPLICATE, S.PLANNED)
    elif moment in TOUCHED or moment in ENDED[:2]:
        assert soon.state is S.DUPLICATE
        assert gate_of(late) == "lock.unknown"
    else:
        assert soon.state is S.DUPLICATE, "the service is already there"


def lock_is_right(moment: str, place: Place, ended: Conclusion) -> None:
    """After conclude: free where nothing had begun, kept where nobody knows, moved where it is done."""
    tip, following = place.tip(), place.next_run()
    if moment in NO_CLAIM:
        assert tip.claim is None
        assert following.state is S.PLANNED
        return
    assert (tip.state, tip.bundle_sha256) == (END_OF[moment], ended.sha256)
    if moment in UNTOUCHED:
        assert following.state is S.PLANNED
        assert place.started() == 0
    elif moment in TOUCHED:
        assert gate_of(following) == "lock.unknown"
        assert following.refusal is not None
        assert following.refusal.exit_code == 5
        settles(place)
    else:
        assert (tip.position, tip.serves) == ("failed_over", "gcp")
        assert following.state is S.DUPLICATE
        assert place.next_run("failback").state is S.PLANNED


def settles(place: Place) -> None:
    """A signed word on which side serves frees the lock, and nothing else does."""
    remote, config = place.site.root / "ledger.git", place.site.repository / ".github" / "dr-dispatch.yml"
    words = ["--service", SERVICE, "--serves", "onprem", "--reason", "dig shows onprem", "--config", config]
    settled = hyops_ci(
        "ledger", "settle", "--remote", remote, *words, "--key", place.site.key, "--format", "json", HOME=str(place.site.root)
    )
    assert settled.returncode == 0, settled.stderr
    tip = json.loads(settled.stdout)
    assert (tip["position"], tip["serves"], tip.get("claim")) == ("primary", "onprem", None)
    assert place.next_run().state is S.PLANNED


def gate_of(end: StageEnd) -> str:
    record: RefusalRecord | None = end.refusal
    return record.gate if record is not None else ""


def test_a_run_cut_off_in_a_step_says_which(place: Place) -> None:
    place.execute("step:postgresql_dns_cutover:running")
    ended = place.conclude()
    assert ended.result.headline.startswith("UNKNOWN: look before you touch. Cut off inside step ")
    assert ended.result.refusal is not None
    assert ended.result.refusal.gate == "run.cut-off"
    assert any("settle" in line for line in ended.result.next)


def test_what_was_proven_is_still_said_after_a_kill_before_the_seal(place: Place) -> None:
    place.execute("transition:COMPLETED_WITH_EXCEPTIONS")
    result = place.conclude().result
    assert any("TCP" in proof for proof in result.proven)
    assert len(result.deviations) == 4
    assert result.headline.startswith("RECOVERED, 4 deviations")


def test_a_second_execute_on_the_same_folder_starts_nothing(place: Place) -> None:
    """A step that is run again by hand after a kill: the claim is open and acting, so it stops before HyOps."""
    place.execute("step:postgresql_restore:running")
    assert processes_of(place.site.root) == []
    begun = place.started()
    place.execute("never")
    assert place.started() == begun == 1
    files = read_files(place.conclude().bundle)
    assert json.loads(files["result.json"])["outcome"] == "INDETERMINATE"
    assert instant(json.loads(files["result.json"])["ended_at"])
