"""What the ledger holds (docs/design/contracts.md 6): one branch per service, one commit per transition."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from hyops_ci.contracts.base import WHOLE, Digest, Document, Model, ServiceId, Short, Text, Utc
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.run import State

Position = Literal["primary", "failed_over"]
"""`primary`: the service lives at its data home. `failed_over`: it lives where the last failover put it."""
MAX_ANSWERS = 20
"""Signed answers that wait on one branch."""
MAX_ANSWER = 16 * 1024
"""Bytes of one of them."""
MAX_APPROVALS = 100
"""Approvals that one claim may name, and nonces that it may spend."""
MAX_TIP = MAX_ANSWERS * MAX_ANSWER + 64 * 1024
"""Bytes of a tip: as many answers as may wait, and all else."""
MAX_EPOCH = 1_000_000_000
"""Claims of one ledger, and moves: no number that a run could not count on from."""
TRANSITION_PAYLOAD = "application/vnd.hybridops.ledger-transition.v1+json"
"""DSSE payload type of a signed transition."""

_BASE64 = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
"""One spelling for the same bytes: padded, and no unused bits at the end."""

Line = Annotated[str, Text(at_most=1000)]
"""A text that people read: a reason, an address, a name."""
Base64 = Annotated[str, Text(_BASE64, at_most=MAX_ANSWER)]


class Signature(Model):
    """One signature of an envelope. The key id is a hint: the verifier tries every key that it trusts; empty is as if there were none."""

    keyid: Annotated[str, Text(at_most=200)] | None = None
    sig: Base64


class Answer(Model):
    """A person's signed yes or no as it travels: a DSSE envelope of one `Approval`. Nothing here says that it is genuine.

    Stricter than DSSE, on purpose: a ledger stores no member that nobody reads, and one spelling of the same bytes.
    """

    payload_type: Literal["application/vnd.hybridops.approval.v1+json"] = Field(alias="payloadType")
    payload: Base64
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=16)]


class TransitionStatement(Model):
    """What a host signs of a transition. The parent's commit id names everything below it."""

    ledger_id: Digest
    parent: Short
    tip: Digest
    """Of the tip without its signature."""


class TransitionSignature(Model):
    """A transition signed by the host that made it: a DSSE envelope of one `TransitionStatement`."""

    payload_type: Literal["application/vnd.hybridops.ledger-transition.v1+json"] = Field(alias="payloadType")
    payload: Base64
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=16)]


class ClaimTerms(Model):
    """What a run claims a service for."""

    decision_id: Short
    decision_type: DecisionType
    drill: bool = False
    source_sha256: Digest
    decision_digest: Digest
    plan_digest: Digest
    check_digest: Digest
    approvals: Annotated[tuple[Digest, ...], Field(max_length=MAX_APPROVALS)] = ()
    nonces: Annotated[tuple[Short, ...], Field(max_length=MAX_APPROVALS)] = ()
    """Spent by the claim; no later claim may carry one of them."""
    run_id: Short
    run_url: Line = ""

    def terms(self) -> dict[str, Any]:
        """Return the fields of these terms, by name."""
        return {name: getattr(self, name) for name in ClaimTerms.model_fields}


class Claim(ClaimTerms):
    """The right to act on one service, held by one run."""

    claim_id: Short
    epoch: Annotated[int, Field(ge=1, le=MAX_EPOCH), WHOLE]
    incident: Short
    """service + type + moves: equal for every decision about the same outage."""
    claimed_at: Utc


class Tip(Document):
    """The newest commit of a branch: where the service is, and who is acting on it."""

    kind: Literal["LedgerTip"] = "LedgerTip"
    ledger_id: Digest
    """Digest of the branch's first commit's nonce: tells this ledger from any other with the same name."""
    service: ServiceId
    position: Position
    serves: Line = ""
    """Site that serves clients, by the last completed move or settle."""
    moves: Annotated[int, Field(ge=0, le=MAX_EPOCH), WHOLE]
    epoch: Annotated[int, Field(ge=0, le=MAX_EPOCH), WHOLE]
    claim: Claim | None = None
    state: State | None = None
    """State of the claim's run; a terminal state frees the lock, INDETERMINATE does not."""
    mutating: bool = False
    """Whether the claim has reached its first mutating intent."""
    past_no_return: bool = False
    at: Utc
    bundle_sha256: Digest | None = None
    figures: Figures | None = None
    """What the claim's run took, since it has ended. Absent where it sealed nothing, or a release before wrote it."""
    reason: Line = ""
    settled_by: Line = ""
    settlement: dict[str, Any] | None = None
    """The signed settlement: a DSSE envelope."""
    answers: Annotated[tuple[Answer, ...], Field(max_length=MAX_ANSWERS)] = ()
    """Signed approvals and denials that wait for the run that will claim. Not yet verified."""
    signature: TransitionSignature | None = None
    """Of the host that made this transition. Absent where a person or a job without a key wrote it."""

    def unsigned(self) -> Self:
        """Return the tip without the host's signature: what that signature is about."""
        return self.model_copy(update={"signature": None})
