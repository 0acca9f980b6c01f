"""The ledger of one service: claims, transitions and settling, over a store (docs/design/contracts.md 6)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, Unpack

from hyops_ci.contracts.approval import Subject
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.errors import DispatchError
from hyops_ci.ledger import pending_approvals, rules, transitions, vouched_history, vouching
from hyops_ci.ledger.claiming import may_claim
from hyops_ci.ledger.git_process import absolute
from hyops_ci.ledger.git_store import GitStore
from hyops_ci.ledger.host_word import renewed, settled
from hyops_ci.ledger.last_seen import TipMemory, must_hold
from hyops_ci.ledger.pending_approvals import AnswerTerms, Asked
from hyops_ci.ledger.refusals import another_service, busy, ended, exists, missing, no_claim
from hyops_ci.ledger.rules import ClaimRequest
from hyops_ci.ledger.store import Head, Store
from hyops_ci.ledger.succession import later
from hyops_ci.ledger.vouching import Sign, Vouched, Vouchers
from hyops_ci.text import shell

__all__ = ["ClaimRequest", "Ledger"]
TRIES: Final = 200
"""Lost races before giving up; each one means that another process moved the branch."""


class Ledger:
    """One branch, one service."""

    def __init__(self, store: Store, service: str, memory: TipMemory | None = None, place: str = "", known: Head | None = None) -> None:
        self._store, self._service, self._memory = store, service, memory
        self.known = known
        """The newest head that this process read or made. The next change is tried on top of it: the push fails where the branch moved."""
        self.branch = f"dr-ledger/{service}"
        self.place = place
        """The remote as it is configured, without credentials."""
        self.vouchers: Vouchers | None = None
        """Whose word counts. Without it nothing is verified or remembered: for looking and leaving an answer, never for acting."""
        self.sign: Sign | None = None
        """Signs transitions with this host's key."""
        self._vouched: Vouched | None = None
        self._ended: set[str] = set()
        """Claims whose end was recorded here."""

    @classmethod
    def over_git(cls, remote: str, service: str, *, state_dir: Path, token: str = "", hasty: bool = False) -> Ledger:
        """Return the ledger on a Git remote: a URL, or the path of a bare repository. `state_dir` is this host's memory.

        `hasty`: asked once, for at most 15 seconds; for a remote that a run can do without.
        """
        key = digest_bytes(f"{absolute(remote)}\n{service}".encode())[7:23]
        store = GitStore(remote, f"dr-ledger/{service}", state_dir / f"ledger-{key}.git", token, hasty=hasty)
        return cls(store, service, TipMemory(state_dir / f"ledger-{key}.json"), remote)

    def init(self, home_site: str, at: str) -> Tip:
        """Create the branch. Raises Refusal (exit 5) where it exists, or this host has seen it."""
        head = self.read()
        if head is not None:
            raise exists(
                "this service has a ledger",
                f"{self.branch} at {head.commit[:12]}",
                shell("none: hyops-ci ledger show --service {}", self._service),
            )
        tip = transitions.first_tip(self._service, secrets.token_hex(16), home_site, at)
        commit = self._store.append(None, tip, f"init {self._service}: serves from {home_site}")
        if commit is None:
            raise exists("another process made it at the same time", self.branch, "none")
        self.known = Head(commit, (tip,), (commit,))
        if self._memory is not None:  # nobody can have written to it yet
            self._memory.keep(self.known)
        return tip

    def read(self, last: Head | None = None) -> Head | None:
        """Return the head with its history, None where there is no branch. `last` was read a moment ago, and cannot have gone.

        Raises Refusal (exit 5) for another service's branch, one that has not grown from what this host saw, or what nobody vouches for:
        none of them is remembered, so that the branch is right again once somebody has put it right.
        """
        # What this host had seen before the read must be in it; what other processes see meanwhile need not.
        seen = self._memory.seen() if self._memory is not None else None
        head = self._store.read()
        if self._memory is not None:
            self._memory.check(seen, head, self.branch)
        must_hold(last.commit if last is not None else None, head, self.branch)
        if head is None:
            return None
        if head.tip.service != self._service:
            raise another_service(head.tip.service, self._service)
        self._vouch(head)
        self._keep(head)
        return head

    def head(self, last: Head | None = None) -> Head:
        """Return the newest commit with its history, grown from `last`.

        Raises Refusal (exit 5) for a missing, older or unrelated branch, and for what nobody vouches for.
        """
        head = self.read(last)
        if head is None:
            raise missing(self.branch, self._service)
        return head

    @property
    def _host_keys(self) -> Mapping[str, str]:
        return self.vouchers.host_keys if self.vouchers is not None else {}

    @property
    def lacks_key(self) -> bool:
        """Whether hosts sign this ledger, and this process cannot: then it may end a run, and nothing more."""
        return bool(self._host_keys and self.sign is None)

    def vouched(self) -> Vouched:
        """Return who vouches for the newest commit. Raises as `head`; ValueError where nothing says whose word counts."""
        self.head()
        if self._vouched is None:
            raise ValueError("a ledger without vouchers")
        return self._vouched

    def tip(self) -> Tip:
        """Return the newest tip. Raises as `head`."""
        return self.head().tip

    def history(self) -> tuple[Tip, ...]:
        """Return every tip, newest first, whoever wrote it."""
        return self.head().tips

    def vouched_history(self) -> tuple[Tip, ...]:
        """Return the tips that a host vouches for, newest first."""
        return vouched_history.vouched_tips(self.head(), self.vouchers)

    def spent_nonces(self) -> frozenset[str]:
        """Return the nonces of every claim so far."""
        return self.head().spent_nonces()

    def look(self, request: ClaimRequest) -> Tip:
        """Return the tip if this request could claim now; nothing is claimed. Raises what `claim` would."""
        head = self.head()
        may_claim(head, request, self.vouchers, self._vouched)
        return head.tip

    def claim(self, request: ClaimRequest) -> Claim:
        """Take the lock; a crashed run gets its claim back while it has changed nothing. Raises Duplicate or Refusal."""

        def next_tip(head: Head) -> Tip | None:
            if rules.is_mine(head.tip, request):
                return None
            asked = request.model_copy(update={"at": later(request.at, head.tip.at)})
            may_claim(head, asked, self.vouchers, self._vouched)
            return transitions.claimed(head.tip, asked, f"claim-{secrets.token_hex(8)}")

        tip = self._change(next_tip, f"claim {request.decision_type} by run {request.run_id}")
        if tip.claim is None:
            raise no_claim()
        return tip.claim

    def advance(self, claim: Claim, state: State, *, at: str, **move: Unpack[transitions.Move]) -> Tip:
        """Record that the claim's run moved on.

        Raises Refusal (exit 5): `lock.superseded` where the lock is another run's, `lock.transition` where the ledger knows better.
        """
        tip = self._change(
            lambda head: transitions.advanced(head.tip, claim, state, at=later(at, head.tip.at), **move),
            f"{state} epoch {claim.epoch} by run {claim.run_id}",
        )
        self._ended |= {claim.claim_id} if state in TERMINAL else set()
        return tip

    def renew(self, claim: Claim, *, at: str) -> Tip:
        """Renew the claim: same state, new time. After ten minutes without renewal other runs take it for cut off.

        Raises Refusal (exit 5): `lock.superseded` where another run holds the lock, which is how a drill learns to stop; `lock.ended` where
        the ledger holds an end of this run, which works on; `ledger.unvouched` for anything that nobody vouches for. Of an end that no
        host signed this host says with its signature that the run is alive, so that nobody settles it meanwhile.
        """
        keys = self._host_keys if self.sign is not None else {}
        over = claim.claim_id in self._ended

        def next_tip(head: Head) -> Tip | None:
            return renewed(head, claim, later(at, head.tip.at), keys, over=over)

        tip = self._change(next_tip, f"alive, epoch {claim.epoch} by run {claim.run_id}")
        if tip.state in TERMINAL and not over:
            raise ended(tip)
        return tip

    def settle(
        self,
        signed: Callable[[Head], dict[str, Any]] | None = None,
        *,
        host_keys: Mapping[str, str] | None = None,
        **said: Unpack[transitions.SettledSide],
    ) -> Tip:
        """Record which side serves after a run that was cut off. `signed` makes the approvers' envelope for the head that is settled.

        Raises Refusal as `host_word.settled`.
        """

        def next_tip(head: Head) -> Tip:
            tip = settled(head, self._host_keys if host_keys is None else host_keys, **said)  # nothing is signed that is refused
            return tip if signed is None else tip.model_copy(update={"settlement": signed(head)})

        return self._change(next_tip, f"settle: serves from {said['serves']}, by {said['settled_by']}")

    def answer(self, envelope: Any, *, subject: Subject, at: str, approvers: Collection[str], lifetime: int) -> Tip:
        """Add a person's signed answer for the run that asked about `subject`. The claim in the tip stays as it is.

        An answer that is there already is not added twice. `approvers` are the public keys of those who may answer, `lifetime` the seconds
        that an answer may be valid for. Raises Refusal (exit 6) `ledger.answer` for anything but an approval by one of them, one for
        another request, repository or ledger, an expired or used one, and where 20 are pending.
        """
        signed = pending_approvals.read_answer(envelope)

        def next_tip(head: Head) -> Tip | None:
            terms = AnswerTerms(at, approvers, lifetime, rules.history_of(head.tips).nonces)
            return pending_approvals.answered(head.tip, signed, subject, terms)

        return self._change(next_tip, signed.title)

    def answers(self, asked: Asked) -> tuple[dict[str, Any], ...]:
        """Return the pending envelopes for exactly this decision, plan and check; `approvals` verifies them."""
        return tuple(each.document() for each in pending_approvals.waiting_for(self.head().tip, asked))

    def take(self, other: Ledger, mine: Head | None, theirs: Head) -> bool:
        """Fast-forward this branch to a vouched head of `other`. Return False where another process came first. For Git remotes only."""
        self._vouch(theirs)
        if not isinstance(self._store, GitStore) or not isinstance(other._store, GitStore):
            raise TypeError("only branches on Git remotes can be brought together")
        done = self._store.forward(other._store, mine.commit if mine is not None else None, theirs.commit)
        if done:
            self._keep(theirs)
        return done

    def recalled(self) -> Head | None:
        """Return the last head that this host saw, from its own copy; None where there is none. Raises Refusal unless it is vouched for."""
        if self._memory is None or not isinstance(self._store, GitStore):
            return None
        seen = self._memory.trusted()
        head = self._store.recall(seen) if seen is not None else None
        if head is not None:
            self._vouch(head)
        return head

    def _change(self, next_tip: Callable[[Head], Tip | None], message: str) -> Tip:
        """Append the next tip to the known head; where the branch has moved on, or would refuse, read it and decide again.

        `next_tip` returns None where nothing is to be changed. Only a head that was read in this call decides that, or a refusal.
        """
        head, is_fresh = self._unmoved(), False
        for _ in range(TRIES):
            if head is None:
                head, is_fresh = self.head(), True
            try:
                self._vouch(head)
                tip = next_tip(head)
                tip = self._signed(head, tip) if tip is not None else None
            except DispatchError:
                if is_fresh:
                    raise
                tip = None
            if tip is None and is_fresh:
                return head.tip
            commit = self._store.append(head.commit, tip, message) if tip is not None else None
            if tip is not None and commit is not None:
                self._keep(Head(commit, (tip, *head.tips), (commit, *head.commits)))
                return tip
            head, is_fresh = self.head(head), True
        raise busy(TRIES)

    def _signed(self, head: Head, tip: Tip) -> Tip:
        """Return the tip as it is pushed on top of `head`: signed, where this process has a host's key."""
        if self.sign is not None:
            return vouching.sign_transition(tip, head.commit, self.sign)
        if self.vouchers is not None:
            vouching.refuse_unsigned(head, tip, self.vouchers)
        return tip

    def _vouch(self, head: Head) -> None:
        """Raise Refusal (exit 5) unless somebody vouches for this head. What was vouched for stays so."""
        if self.vouchers is not None:
            self._vouched = vouching.vouched(head, self.vouchers, self._vouched)

    def _unmoved(self) -> Head | None:
        """Return the known head, unless another process of this host has seen another one since: then the branch is to be read."""
        shared = self._memory if self.vouchers is not None else None
        return None if self.known is None or (shared is not None and shared.seen() != self.known.commit) else self.known

    def _keep(self, head: Head) -> None:
        """Know this head, and let this host remember it where somebody vouched for it."""
        self.known = head
        if self._memory is not None and self.vouchers is not None:
            self._memory.keep(head)
