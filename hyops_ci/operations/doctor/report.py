"""The report of the doctor, as the lines of docs/design/texts.md 6: one for each topic without a finding, one for each failed check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar

from hyops_ci.contracts.base import moment, stamp, whole_second
from hyops_ci.contracts.facts import CheckFacts, canonical_ref, demanded_states
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import TERMINAL
from hyops_ci.contracts.track_record import TrackRecord
from hyops_ci.dataclass import dataclass, field, replace
from hyops_ci.errors import DispatchError
from hyops_ci.ledger.rules import DONE, last_ended
from hyops_ci.operations.prepare.environment import SETUP, PreparedState
from hyops_ci.planning.case import GateResults
from hyops_ci.planning.needs import NEEDS, SeenFrom, need_of
from hyops_ci.planning.steps import newest_set
from hyops_ci.portable import user_name
from hyops_ci.report.track_record import last_check, obligation_line, passed_over, trend

Status = Literal["ok", "warn", "FAIL"]
T = TypeVar("T")
DRILL_AGE: Final = timedelta(days=100)
"""A drill older than a quarter proves little."""


@dataclass(frozen=True)
class Line:
    """One line of the report."""

    status: Status
    topic: str
    text: str

    def text_line(self) -> str:
        """As text."""
        return f"{self.status:<5} {self.topic:<11} {self.text}"


@dataclass
class Diagnosis:
    """All lines, and every refusal in the order in which a run would meet it."""

    action: str
    service: str
    lines: list[Line] = field(default_factory=list)
    refused: list[DispatchError] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """Topics that could not be looked at from here."""

    def add(self, status: Status, topic: str, text: str) -> None:
        """Add a line."""
        self.lines.append(Line(status, topic, text))

    def ask(self, topic: str, question: Callable[[], T]) -> T | None:
        """Return the answer; None where the question was refused, which is then reported under its gate's topic, else under this one."""
        try:
            return question()
        except DispatchError as error:
            known = need_of(error.gate).topic
            self.fail(topic if known == NEEDS[0].topic else known, error)
            return None

    def fail(self, topic: str, error: DispatchError) -> None:
        """Report a refusal, once. One with exit 0 (this incident is handled) is a warning."""
        if any((each.gate, each.found) == (error.gate, error.found) for each in self.refused):
            return
        self.refused.append(error)
        said = f"{error.gate}: {error.reason}"
        self.add("FAIL" if error.exit_code else "warn", topic, f"{said}; {error.found}" if error.found else said)

    def add_answers(self, answers: GateResults) -> None:
        """Report every refusal of these gates, each under its topic."""
        for refusal in answers.refused:
            self.fail(need_of(refusal.gate).topic, refusal)

    def add_ok(self, topic: str, text: str, *, warn: bool = False) -> None:
        """Add the line of a topic that has no finding."""
        if not any(line.topic == topic for line in self.lines):
            self.add("warn" if warn else "ok", topic, text)

    def add_unseen(self, why: str, *places: SeenFrom) -> None:
        """Add a line for each need without one, of these places or of any: nothing that was not looked at goes unsaid."""
        said = {line.topic for line in self.lines}
        for need in NEEDS:
            if need.topic not in said and (not places or need.seen_from in places):
                self.add("warn", need.topic, f"not looked at: {why}")
                self.unseen.append(need.topic)

    def rename(self, copy: str, original: str) -> None:
        """Name the original wherever something is said of the copy that was looked at: the copy is gone when this is read."""
        self.lines = [replace(line, text=line.text.replace(copy, original)) for line in self.lines]
        for error in self.refused:
            error.found, error.fix = error.found.replace(copy, original), error.fix.replace(copy, original)

    def by_topic(self) -> list[Line]:
        """Return all lines, in the order of topics."""
        order = [need.topic for need in NEEDS]
        return sorted(self.lines, key=lambda line: order.index(line.topic))

    def verdict(self) -> str:
        """Return the last line: what would happen now."""
        stops = self.stops
        unseen = f". Not looked at from here: {', '.join(self.unseen)}" if self.unseen else ""
        if not self.refused:
            return f"A {self.action} now would be planned and checked: nothing seen from here stands in its way{unseen}"
        first = (stops or self.refused)[0]
        others = len(self.refused) - 1
        more = f" (and {others} more)" if others else ""
        if not stops:
            return f"A {self.action} now would do nothing, {first.gate}: {first.reason}{more}{unseen}"
        return f"A {self.action} now would be REFUSED at {first.gate}{more}. Fix: {first.fix or first.expected}{unseen}"

    @property
    def stops(self) -> list[DispatchError]:
        """The refusals that are failures. One with exit 0 says that there is nothing to do, and hides none of the others."""
        return [error for error in self.refused if error.exit_code]

    @property
    def exit_code(self) -> int:
        """Exit code of the first failure: never 0 beside a line that says FAIL. 0: nothing that was seen stands in the way."""
        return int(self.stops[0].exit_code) if self.stops else 0


def note_of(answers: GateResults, topic: str) -> str:
    """Return the first note of the passed gates of a topic."""
    return next((each.note for each in answers.passed if need_of(each.id).topic == topic and each.note), "")


def runner_lines(report: Diagnosis, plan: Plan, facts: CheckFacts) -> None:
    """Add the lines on this host for topics without a finding."""
    report.add_ok("overlay", "committed = on runner, 0 CHANGE_ME inputs, guards closed")
    restores = [step.id for step in plan.steps if step.restores]
    report.add_ok("restore", f"would run: {', '.join(restores)}" if restores else "nothing is restored")
    if restores:
        report.add_ok("backup set", backup_set(plan), warn=True)
    clock = "" if facts.clock_offset_seconds is None else f", clock {facts.clock_offset_seconds:+.1f} s"
    disk = f"{facts.disks[0].free_bytes // 1024**3} GiB free" if facts.disks else "free space not known"
    name = facts.runner.name or facts.runner.hostname
    who = f"{name} is {plan.runner_ref}" if facts.runner.trusted else f"{name}, taken for {plan.runner_ref}"
    report.add_ok("runner", f"{who}, {disk}{clock}")
    pins = facts.runner_verified
    callers = "pins its callers (trust.json)" if pins else "does not pin its callers (trust.json)"
    whose = "the user of hyops-ci" if facts.runner.user == user_name() else "a user of its own"
    report.add_ok("host", f"{callers}; HyOps runs as {facts.runner.user}, {whose} (SECURITY.md)", warn=not pins)
    stand_in = facts.hyops_is_stand_in
    report.add_ok("hyops", f"{facts.hyops_version}{', a stand-in: it recovers nothing' if stand_in else ''}", warn=stand_in)
    report.add_ok("states", states(facts))
    report.add_ok("bundle", "there and opened by its password, or none there and none needed; nothing decrypted")


def host_lines(report: Diagnosis, host: PreparedState) -> None:
    """Add what root has prepared on this host. Whether the agent names the hook only its jobs can see: their check says so."""
    there = {f"the job-started hook {host.hook_path}": host.hook, f"the environment {host.home}": host.environment}
    if lacking := [what for what, found in there.items() if not found]:
        report.add("warn", "host", f"lacks {' and '.join(lacking)}, which only root can write: bash {SETUP} runner prepare")
    else:
        report.add("ok", "host", f"prepared by root: job-started hook, environment {host.home.name}")


def probe_line(report: Diagnosis, plan: Plan) -> None:
    """Add the line on what will prove the recovery."""
    probes = [f"{probe.kind} {probe.target}" for probe in plan.verification]
    none = f"none: a recovery will be called not proven. Set verification.{plan.service}, or endpoint_dns_name in {plan.overlay}"
    report.add_ok("probes", ", ".join(probes) or none, warn=not probes)


def backup_set(plan: Plan) -> str:
    """Return what would be restored. Which backups the repository has is not known before HyOps reads it: that is a warning."""
    named = newest_set(plan) if plan.restore_point == "latest" else f"{plan.restore_point}, as named"
    return f"{named}; labels of the repository are not readable here, HyOps reads them at restore time"


def states(facts: CheckFacts) -> str:
    """Return how many of the required states are there, and the age of the oldest."""
    known = {canonical_ref(state.ref): state for state in facts.states}
    needed = [
        known.get(ref)
        for ref in dict.fromkeys(canonical_ref(ref) for _, ref in demanded_states(facts.blueprint.steps, facts.preflight, facts.states))
    ]
    good = [state for state in needed if state is not None and state.status == "ok"]
    ages = [state.age_seconds for state in good if state.age_seconds is not None]
    return f"{len(good)} of {len(needed)}{f', oldest {age_text(max(ages))}' if ages else ''}"


def lock_line(report: Diagnosis, tip: Tip) -> None:
    """Add the line on the lock: the run that holds it, and where the service runs."""
    claim = tip.claim if tip.state not in TERMINAL else None
    who = "free" if claim is None else f"held by run {claim.run_id} ({tip.state})"
    where = f"{tip.position.replace('_', ' ')} {tip.serves}".rstrip()
    report.add_ok("lock", f"{who}, epoch {tip.epoch}, {where}", warn=claim is not None)


def past_lines(report: Diagnosis, known: TrackRecord) -> None:
    """Add the lines on the last check that was kept, on what is owed, and on how long drills and runs took."""
    fact = known.readiness
    strange = list(passed_over(fact))
    report.add("ok" if fact.standing == "ready" and not strange else "warn", "readiness", last_check(fact, moment(known.at)))
    for line in strange:
        report.add("warn", "readiness", line)
    for owed in known.obligations:
        report.add("ok" if owed.state == "done" else "warn", "drill", obligation_line(owed))
    for word, series in (("drills", known.drills), ("runs", known.runs)):
        if text := trend(series):
            report.add("ok", "drill", f"{word}: {text}")


def drill_line(report: Diagnosis, history: Sequence[Tip], now: datetime) -> None:
    """Add the line on the last drill of this service that ended."""
    last = last_ended(history, drill=True)
    if last is None:
        report.add_ok("drill", "never run", warn=True)
        return
    age, passed = now - moment(last.at), last.state in DONE
    how = "passed" if passed else f"ended {last.state}"
    report.add_ok("drill", f"{how} {whole_second(stamp(moment(last.at)))}, {age.days} d ago", warn=not passed or age > DRILL_AGE)


def age_text(seconds: int) -> str:
    """Return a length of time in its largest unit."""
    return next((f"{seconds // size} {unit}" for size, unit in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= size), f"{seconds} s")
