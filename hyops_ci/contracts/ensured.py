"""What became of a missing runner (`ensured.json`), as the job that made or repaired it hands it to the report."""

from typing import Final

from hyops_ci.contracts.base import Clean, Count, Model
from hyops_ci.contracts.run import RefusalRecord
from hyops_ci.contracts.runner_machine import BootstrapReason

DOCUMENT: Final = "ensured.json"


class Phase(Model):
    """One stretch of the work."""

    name: Clean
    seconds: Count


class Found(Model):
    """What was seen of the runner, from three sides."""

    queue: Clean
    agent: Clean
    machine: Clean
    words: Clean = ""
    """What provider and GitHub said beside that."""


class Ensured(Model):
    """What was found, which row of the table decided, what was done, and what it cost."""

    reason: BootstrapReason
    approved_by: tuple[Clean, ...] = ()
    """Who let the job through its gate."""
    found: tuple[Found, ...] = ()
    """Each different look, in order."""
    decided: tuple[Clean, ...] = ()
    """`<action>: <why>` of each row that decided, in order."""
    changed: bool = False
    """Whether anything was changed."""
    machine: Clean = ""
    """Place, name and id of the machine."""
    host_key: Clean = ""
    """Fingerprint of the SSH host key that was pinned and met."""
    script_sha256: Clean = ""
    """Of the one script that set the host up."""
    agent_version: Clean = ""
    public_key: Clean = ""
    """The host's evidence key, for `host_keys` of the config."""
    left_to_people: tuple[Clean, ...] = ()
    """What only people bring to the host."""
    taken_by: Clean = ""
    """The runner that took the check in the end."""
    phases: tuple[Phase, ...] = ()
    seconds: Count = 0
    """All of it: part of the time of the recovery."""
    refusal: RefusalRecord | None = None
    """Why there is no runner in the end."""

    def lines(self) -> list[str]:
        """Return it for people."""
        took = ", ".join(f"{each.name} {each.seconds} s" for each in self.phases if each.seconds)
        done = "; ".join(dict.fromkeys(self.decided))
        by = f", approved by {' and '.join(self.approved_by)}" if self.approved_by else ""
        rows = [
            ("Did", done or "nothing: it was not looked at"),
            ("Because", f"{self.reason}{by}"),
            ("Cost", f"{self.seconds} s of the recovery{f': {took}' if took else ''}"),
            ("Taken", f"the check was taken by {self.taken_by}" if self.taken_by else ""),
            *(("To do", text) for text in self.left_to_people),
        ]
        made = "changed, and no runner in the end" if self.refusal else "made or repaired"
        headline = f"RUNNER {self.machine or 'without a machine'}: {made if self.changed else 'nothing was changed'}"
        return [headline, *(f"{label:<10} {text}" for label, text in rows if text)]
