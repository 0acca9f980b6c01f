"""Who asked, and may therefore not approve (docs/design/contracts.md 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final

from pydantic import ValidationError

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.control import RunFact
from hyops_ci.errors import Exit, Refusal

ISSUER: Final = "github:"
WORKFLOW_TOKEN: Final = "github-actions[bot]"
_SCHEDULE: Final = "schedule"


def requesters_of(run: RunFact, *, issuer: str = "", sources: Sequence[RunFact] = ()) -> tuple[Person, ...]:
    """Everybody who had a hand in asking: who started the run, who started the runs that led to it, and the issuer if a login.

    A schedule has no requester: GitHub names whoever last touched its line in the workflow, who did not ask for this run.
    """
    people: list[Person] = []
    for each in (run, *sources):
        if each.event != _SCHEDULE:
            people.append(marked(each.actor, each.actor_is_bot))
            people.append(marked(each.triggering_actor, each.triggering_actor_is_bot))
    return everybody(people, issuer=issuer)


def everybody(people: Iterable[Person], *, issuer: str = "") -> tuple[Person, ...]:
    """Those people, each once, and the decision's issuer where it is a login."""
    found = list(people)
    if issuer.startswith(ISSUER):
        with suppress(ValidationError):  # what can be no login can approve nothing
            found.append(Person(login=issuer.removeprefix(ISSUER)))
    unique: list[Person] = []
    for person in found:
        if not any(person.login.lower() == each.login.lower() and person.id in (0, each.id) for each in unique):
            unique.append(person)
    return tuple(unique)


def marked(person: Person, bot: bool) -> Person:
    """A machine's account under a name that shows it, whatever GitHub calls it."""
    return person if not bot or person.bot else Person(login=f"{person.login}[bot]", id=person.id)


def refuse_machines(requesters: Iterable[Person], apps: Collection[int] | None) -> None:
    """That no machine asked which this host does not know by its number. Raises Refusal (exit 6).

    `apps` None: no host was asked, and it will judge. A workflow's own token is never known: whoever started that workflow
    stands behind it unseen, and could approve.
    """
    for person in requesters:
        if person.login.lower() == WORKFLOW_TOKEN or (apps is not None and person.bot and person.id not in apps):
            listed = ", ".join(map(str, sorted(apps or ()))) or "none"
            raise Refusal(
                "approval.requester",
                "a machine asked that this host does not know",
                exit_code=Exit.APPROVAL,
                found=f"asked by {person.login} (user id {person.id or 'unknown'})",
                expected=f"a person, or an App that the host trust lists: {listed}; never {WORKFLOW_TOKEN}",
                fix="start the run by hand; or, as root on the runner, add the App's user id to apps in /etc/dr-dispatch/trust.json",
                docs="approvals.md",
            )
