"""What execute has done so far, or what can be read back of it once it has died."""

from __future__ import annotations

from typing import Any

from hyops_ci.contracts.approval import Approval, Person
from hyops_ci.contracts.cleanup import Cleanup
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.dataclass import dataclass, field
from hyops_ci.evidence.conclusions import RECOVERED, is_seen
from hyops_ci.execution.outcome import Outcome
from hyops_ci.execution.verification import Verification
from hyops_ci.redaction import Redactor, scrub_patterns
from hyops_ci.room import Reserve


@dataclass
class ExecutionState:
    """What sealing and the ledger need to know of an execution. A value is absent where it did not get that far."""

    plan: Plan | None = None
    claim: Claim | None = None
    asked_by: tuple[Person, ...] = ()
    """Who asked, as GitHub says now: they may not approve."""
    approvals: tuple[Approval, ...] = ()
    steps: list[dict[str, Any]] = field(default_factory=list)
    """HyOps' step events, as `steps.jsonl` keeps them."""
    outcome: Outcome | None = None
    alarms: tuple[str, ...] = ()
    """What the ledger refused while HyOps worked: somebody else wrote to it."""
    verification: Verification | None = None
    cleanup: Cleanup | None = None
    """Of an isolated drill: what it removed, and what is left."""
    at_work: bool | None = None
    """Whether HyOps was left at work; None where this process cannot see that."""
    last_word: str = ""
    """What the supervisor of HyOps last wrote on this host, where this process is not the one that waited for it."""
    begun: bool = False
    """Whether HyOps may have been started: from then on an effect may have happened."""
    reserve: Reserve | None = None
    """Room for the end of this run on a disk that fills up."""
    redactor: Redactor | None = None
    """Knows the secrets of this run; None in a process that never had them."""
    figures: Figures | None = None
    """What the run took, once it was sealed: the ledger keeps that with its end."""
    previous_bundle: str | None = None
    """Digest of the last bundle that the ledger knew before this run."""

    def clean(self, text: str) -> str:
        """Return `text` without the secrets that are known by now, and without what looks like one."""
        return scrub_patterns(self.redactor.text(text) if self.redactor is not None else text)

    @property
    def done(self) -> bool:
        """Whether HyOps ended well."""
        return self.outcome is not None and self.outcome.state in RECOVERED

    @property
    def proofs(self) -> tuple[str, ...]:
        """What probes have seen, where every one of them held."""
        return self.verification.proofs() if self.verification is not None and self.verification.proven else ()

    @property
    def unseen(self) -> bool:
        """Whether only HyOps says that the service has moved: no step moved clients, or no probe saw the service."""
        return self.plan is not None and not is_seen(self.plan, self.proofs)

    @property
    def past_no_return(self) -> bool:
        """Whether clients may have moved, and are not known to be back: of a drill that removed what it made nothing is left to look at."""
        gone = self.cleanup is not None and self.cleanup.clean
        return self.outcome is not None and self.outcome.past_no_return and not gone
