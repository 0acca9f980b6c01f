"""The requesters of a run, who may not approve it (docs/design/contracts.md 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final

from pydantic import ValidationError

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.github_facts import RunFact
from hyops_ci.errors import Exit, Refusal

ISSUER: Final = "github:"
WORKFLOW_TOKEN: Final = "github-actions[bot]"
_SCHEDULE: Final = "schedule"


def requesters_of_run(run: RunFact, *, issuer: str = "", sources: Sequence[RunFact] = ()) -> tuple[Person, ...]:
    """Return the actors of the run and of the runs that led to it, and the decision's issuer if it is a login.

    A schedule has no requester: GitHub names the last editor of its line in the workflow, who did not ask for this run.
    """
    people: list[Person] = []
    for each in (run, *sources):
        if each.event != _SCHEDULE:
            people.append(as_machine(each.actor, each.actor_is_bot))
            people.append(as_machine(each.triggering_actor, each.triggering_actor_is_bot))
    return unique_people(people, issuer=issuer)


def unique_people(people: Iterable[Person], *, issuer: str = "") -> tuple[Person, ...]:
    """Return each of `people` once, and the decision's issuer if it is a login."""
    found = list(people)
    if issuer.startswith(ISSUER):
        with suppress(ValidationError):  # an issuer that cannot be a login cannot approve
            found.append(Person(login=issuer.removeprefix(ISSUER)))
    unique: list[Person] = []
    for person in found:
        if not any(person.login.lower() == each.login.lower() and person.id in (0, each.id) for each in unique):
            unique.append(person)
    return tuple(unique)


def as_machine(person: Person, bot: bool) -> Person:
    """Return a machine's account under a login that ends in `[bot]`, whatever GitHub calls it."""
    return person if not bot or person.bot else Person(login=f"{person.login}[bot]", id=person.id)


def refuse_unknown_machines(requesters: Iterable[Person], apps: Collection[int] | None) -> None:
    """Raise Refusal (exit 6) if a machine is among the requesters whose numeric id is not in `apps`.

    `apps` is None before a host was asked; then only a workflow's own token is refused. That one is never accepted: the person
    who started the workflow is not visible behind it, and could approve.
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
