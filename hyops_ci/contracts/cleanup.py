"""What an isolated drill removed, what is left of it, and what was seen of production before and after (`cleanup.json`)."""

from typing import Final, Literal

from hyops_ci.contracts.base import Clean, Document, Model, ServiceId, Short

CLEANUP: Final = "cleanup.json"


class Removed(Model):
    """What one destroy did, by the ids of the steps."""

    destroyed: tuple[Short, ...] = ()
    retained: tuple[Short, ...] = ()
    """Kept because the overlay says so (`retain_on_destroy`)."""
    left: tuple[Clean, ...] = ()
    """Still there, or not known to be gone: each with what its state says."""
    reason: Clean = ""
    """Why HyOps did not end well; empty where it did."""


class Answering(Model):
    """One probe of the service, asked again when everything was destroyed."""

    target: Clean
    answers: bool
    text: Clean = ""


class Glance(Model):
    """One thing of production, as it was seen before the drill changed anything and after it had removed what it made."""

    service: ServiceId
    what: Literal["lock", "DNS", "repository"]
    name: Clean = ""
    """The DNS name, or the repository."""
    before: Clean = ""
    after: Clean = ""
    reason: Clean = ""
    """Why it was not looked at; empty where it was, both times."""

    @property
    def untouched(self) -> bool | None:
        """Whether it is as before; None where it was not looked at, both times."""
        return None if self.reason or not self.after else self.before == self.after


class Cleanup(Document):
    """The clean-up of an isolated drill. What was not looked at is said to be so, never taken for untouched."""

    kind: Literal["Cleanup"] = "Cleanup"
    first: Removed | None = None
    """What an earlier drill had left, removed before this one began; None where it had left nothing."""
    removed: Removed | None = None
    """None where nothing was removed, and `withheld` says why."""
    withheld: Clean = ""
    """Why HyOps was not asked to remove anything."""
    probes: tuple[Answering, ...] = ()
    provider: Clean = "not looked at: HyOps' states and the probes are what this runner can read"
    production: tuple[Glance, ...] = ()

    @property
    def left(self) -> tuple[str, ...]:
        """What may still be there, in words."""
        removed = self.removed.left if self.removed is not None else ()
        return (*removed, *(f"{each.target} still answers" for each in self.probes if each.answers))

    @property
    def clean(self) -> bool:
        """Whether nothing is left that should be gone."""
        return self.removed is not None and not self.left and not self.removed.reason

    def touched(self) -> tuple[str, ...]:
        """Return what of production is not as before, in words."""
        return tuple(
            f"production's {each.what} of {each.service} changed while the drill ran: {each.before}, then {each.after}"
            for each in self.production
            if each.untouched is False
        )
