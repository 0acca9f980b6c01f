"""Everything an approval is validated against."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from hyops_ci.contracts.approval import Person, Subject, logins_with_one_key
from hyops_ci.contracts.plan import ApprovalDemand
from hyops_ci.dataclass import dataclass, field

ValidityWindow = tuple[datetime | None, datetime | None]


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
    """End of the check, if known: an approval that names another time is refused."""
    validity: Mapping[str, ValidityWindow] = field(default_factory=dict)
    """Public key -> when it may be used, from the host trust. A key that is not listed is valid at any time."""
    approvers: Mapping[int, str] | None = None
    """Numeric id -> login of the approvers that the host pins; None if it pins none."""
    host_keys: Mapping[str, str] = field(default_factory=dict)
    """Login -> key of those approvers: the host knows who is one person where the config leaves a login out."""
    apps: Collection[int] | None = None
    """Numeric user ids of the machines that may ask; None if no host was asked."""
    gate_passed: bool = False
    """Whether the job behind the approval gate runs: then GitHub released it, and without any review that was a bypass."""

    def ids_of(self, person: Person) -> set[int]:
        """Return the numeric ids of a person: GitHub's, and the host's for each of their logins."""
        logins = {login.lower() for login in self.logins_of(person)}
        return {person.id} - {0} | {number for number, login in (self.approvers or {}).items() if login.lower() in logins}

    def logins_of(self, person: Person) -> set[str]:
        """Return the logins of a person: all logins with one key are one person, however GitHub spells them, renamed ones too."""
        named = {login for number, login in (self.approvers or {}).items() if person.id and number == person.id}
        return {person.login, *named, *logins_with_one_key({**self.host_keys, **self.demand.approvers}, (person.login, *named))}

    def is_requester(self, person: Person, requesters: Sequence[Person]) -> bool:
        """Return whether a person is among the requesters, under any login or number that is known of them."""
        logins, numbers = self.logins_of(person), self.ids_of(person)
        return any(Person(login=login, id=number).among(requesters) for login in logins for number in (0, *numbers))
