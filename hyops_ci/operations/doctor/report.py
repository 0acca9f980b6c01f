"""What a look by hand found, as the lines of docs/design/texts.md 6: one for each topic where all is well, one for each no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar

from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.facts import CheckFacts, canonical_ref, upstream_states
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import TERMINAL
from hyops_ci.errors import DispatchError
from hyops_ci.ledger.rules import DONE
from hyops_ci.planning.case import Answers

Status = Literal["ok", "warn", "FAIL"]
T = TypeVar("T")
TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "config": (),
    "overlay": ("overlay.", "specs.", "effective.", "restore.pin", "drill.shares"),
    "restore": ("restore.skipped", "commit."),
    "backup set": (),
    "runner": ("runner.identity", "trust.runner", "host.disk", "host.clock"),
    "host": ("runner.trust", "trust."),
    "hyops": ("hyops.",),
    "secrets": ("secrets.",),
    "vault": ("authority.",),
    "gate": ("approval.",),
    "states": ("states.",),
    "lock": ("lock.", "ledger."),
    "drill": (),
}
"""Topic -> the gates whose answers it sums up, in the order in which topics are told. A gate of no topic is the config's."""
DRILL_AGE: Final = timedelta(days=100)
"""A drill older than a quarter says little of tonight."""


@dataclass(frozen=True)
class Line:
    """One answer."""

    status: Status
    topic: str
    text: str

    def words(self) -> str:
        """As a person reads it."""
        return f"{self.status:<5} {self.topic:<11} {self.text}"


@dataclass
class Diagnosis:
    """All answers, and every no in the order in which a run would meet it."""

    action: str
    service: str
    lines: list[Line] = field(default_factory=list)
    refused: list[DispatchError] = field(default_factory=list)

    def say(self, status: Status, topic: str, text: str) -> None:
        """One answer more."""
        self.lines.append(Line(status, topic, text))

    def ask(self, topic: str, question: Callable[[], T]) -> T | None:
        """The answer, or None where it was a no, which is then kept: under its gate's topic, or under this one."""
        try:
            return question()
        except DispatchError as error:
            known = topic_of(error.gate)
            self.refuse(topic if known == "config" else known, error)
            return None

    def refuse(self, topic: str, error: DispatchError) -> None:
        """A no, kept once. One that asks for nothing (exit 0: this incident is handled) is worth a warning."""
        if any((each.gate, each.found) == (error.gate, error.found) for each in self.refused):
            return
        self.refused.append(error)
        said = f"{error.gate}: {error.reason}"
        self.say("FAIL" if error.exit_code else "warn", topic, f"{said}; {error.found}" if error.found else said)

    def judge(self, answers: Answers) -> None:
        """Every no of these gates, each under its topic."""
        for refusal in answers.refused:
            self.refuse(topic_of(refusal.gate), refusal)

    def good(self, topic: str, text: str, *, warn: bool = False) -> None:
        """What is said of a topic where nothing was wrong with it."""
        if not any(line.topic == topic for line in self.lines):
            self.say("warn" if warn else "ok", topic, text)

    def told(self) -> list[Line]:
        """All answers, by topic."""
        order = list(TOPICS)
        return sorted(self.lines, key=lambda line: order.index(line.topic))

    def verdict(self) -> str:
        """The last line: what would happen now."""
        if not self.refused:
            return f"A {self.action} now would be planned and checked: nothing seen from here stands in its way"
        first, more = self.refused[0], f" (and {len(self.refused) - 1} more)" if len(self.refused) > 1 else ""
        if not first.exit_code:
            return f"A {self.action} now would do nothing, {first.gate}: {first.reason}{more}"
        return f"A {self.action} now would be REFUSED at {first.gate}{more}. Fix: {first.fix or first.expected}"

    @property
    def exit_code(self) -> int:
        """That of the first no."""
        return int(self.refused[0].exit_code) if self.refused else 0


def topic_of(gate: str) -> str:
    """Where a gate's answer belongs."""
    exact = next((topic for topic, prefixes in TOPICS.items() if gate in prefixes), "")
    return exact or next((topic for topic, prefixes in TOPICS.items() if any(gate.startswith(each) for each in prefixes)), "config")


def note_of(answers: Answers, topic: str) -> str:
    """What the gates of a topic say of their yes."""
    return next((each.note for each in answers.passed if topic_of(each.id) == topic and each.note), "")


def runner_lines(told: Diagnosis, plan: Plan, facts: CheckFacts) -> None:
    """What this host is and has, where nothing is wrong with it."""
    told.good("overlay", "committed = on runner, 0 CHANGE_ME inputs, guards closed")
    restores = [step.id for step in plan.steps if step.restores]
    told.good("restore", f"would run: {', '.join(restores)}" if restores else "nothing is restored")
    if restores:
        told.good("backup set", backup_set(plan), warn=True)
    clock = "" if facts.clock_offset_seconds is None else f", clock {facts.clock_offset_seconds:+.1f} s"
    disk = "free space not known" if facts.disk_free_bytes is None else f"{facts.disk_free_bytes // 1024**3} GiB free"
    name = facts.runner.name or facts.runner.hostname
    who = f"{name} is {plan.runner_ref}" if facts.runner.trusted else f"{name}, taken for {plan.runner_ref}"
    told.good("runner", f"{who}, {disk}{clock}")
    pins = facts.runner_verified
    told.good("host", "pins its callers (trust.json)" if pins else "does not pin its callers (trust.json)", warn=not pins)
    stand_in = facts.hyops_is_stand_in
    told.good("hyops", f"{facts.hyops_version}{', a stand-in: it recovers nothing' if stand_in else ''}", warn=stand_in)
    told.good("states", states(facts))


def backup_set(plan: Plan) -> str:
    """Return what would be restored. Which backups the repository has is not known before HyOps reads it: that is a warning."""
    named = "the newest one" if plan.restore_point == "latest" else f"{plan.restore_point}, as named"
    return f"{named}; labels of the repository are not readable here, HyOps reads them at restore time"


def states(facts: CheckFacts) -> str:
    """How many of the states that must be there are, and how old the oldest is."""
    known = {canonical_ref(state.ref): state for state in facts.states}
    needed = [known.get(ref) for ref in dict.fromkeys(canonical_ref(ref) for _, ref in upstream_states(facts.blueprint.steps))]
    good = [state for state in needed if state is not None and state.status == "ok"]
    ages = [state.age_seconds for state in good if state.age_seconds is not None]
    return f"{len(good)} of {len(needed)}{f', oldest {span(max(ages))}' if ages else ''}"


def lock_line(told: Diagnosis, tip: Tip) -> None:
    """Who holds the service, and where it is."""
    claim = tip.claim if tip.state not in TERMINAL else None
    who = "free" if claim is None else f"held by run {claim.run_id} ({tip.state})"
    where = f"{tip.position.replace('_', ' ')} {tip.serves}".rstrip()
    told.good("lock", f"{who}, epoch {tip.epoch}, {where}", warn=claim is not None)


def drill_line(told: Diagnosis, history: Sequence[Tip], now: datetime) -> None:
    """When a drill of this service last came to its end, and how."""
    last = next((each for each in history if each.claim is not None and each.claim.drill and each.state in TERMINAL), None)
    if last is None:
        told.good("drill", "never run", warn=True)
        return
    age, passed = now - moment(last.at), last.state in DONE
    how = "passed" if passed else f"ended {last.state}"
    told.good("drill", f"{how} {stamp(moment(last.at))}, {age.days} d ago", warn=not passed or age > DRILL_AGE)


def span(seconds: int) -> str:
    """A length of time in its largest unit."""
    return next((f"{seconds // size} {unit}" for size, unit in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= size), f"{seconds} s")
