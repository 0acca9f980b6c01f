"""Everything an approval is validated against."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hyops_ci.contracts.approval import Person, Subject
from hyops_ci.contracts.plan import ApprovalDemand

Window = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class ApprovalContext:
    """Everything an approval is validated against: the demand, the run it must be about, the people, and the time."""

    demand: ApprovalDemand
    subject: Subject
    """As the run sees it. Its nonce is not compared; risks it names must be accepted."""
    requesters: tuple[Person, ...]
    now: datetime
    spent_nonces: Collection[str] = frozenset()
    requested_at: datetime | None = None
    """End of the check, where it is known: then nobody can move it."""
    validity: Mapping[str, Window] = field(default_factory=dict)
    """Public key -> when it may be used, from the host trust. A key that is not in it has no window."""
    approvers: Mapping[int, str] | None = None
    """Numeric id -> login of the approvers that the host pins; None where it pins none."""
    apps: Collection[int] | None = None
    """Numeric user ids of the machines that may ask; None where no host was asked."""
    gate_passed: bool = False
    """Whether the job behind the approval gate runs: then GitHub let it through, and without any review that was a bypass."""

    def ids(self, person: Person) -> set[int]:
        """The numbers that a person goes by: GitHub's, and the host's for that login."""
        known = self.approvers or {}
        return {person.id} - {0} | {number for number, login in known.items() if login.lower() == person.login.lower()}

    def names(self, person: Person) -> set[str]:
        """The logins that a person goes by: whoever signs with one key is one person, under however many names it stands."""
        key = self.demand.approvers.get(person.login)
        return {person.login} | {login for login, known in self.demand.approvers.items() if known == key}

    def asked(self, person: Person, requesters: Sequence[Person]) -> bool:
        """Whether a person is among those who asked, under any name or number that is known of them."""
        known = [Person(login=name) for name in self.names(person)]
        return any(Person(login=each.login, id=number).among(requesters) for each in (person, *known) for number in (0, *self.ids(each)))
