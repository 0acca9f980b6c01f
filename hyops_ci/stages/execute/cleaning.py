"""The end of an isolated drill: what it made is destroyed with HyOps, and shown to be gone, whether its restore went well or not.

Nothing more is started once somebody asked the drill to stop, or another run has its lock: then it says what is left, and the next
drill of the service begins by removing that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hyops_ci.blueprints.cleaned import left_over
from hyops_ci.contracts.cleanup import CLEANUP, Answering, Cleanup, Glance, Removed
from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError, Refusal, shown
from hyops_ci.evidence.conclusions import CLEANUP_LOOK
from hyops_ci.execution.removal import Removal, judge_removal
from hyops_ci.execution.verification import ask_until_refused
from hyops_ci.hyops_access.port import DESTROY_FIRST_JOURNAL, DESTROY_JOURNAL
from hyops_ci.stages.execute.heartbeat import SUPERSEDED
from hyops_ci.stages.execute.production import not_seen_again, seen, seen_again, things
from hyops_ci.stages.execute.progress import RemovalProgress
from hyops_ci.stages.execute.refusals import not_cleaned
from hyops_ci.stages.execute.working import Worked, Working
from hyops_ci.stages.preview import command_of

INTENT: Final = "cleanup.destroy"
"""Intent and result of HyOps' destroy. Its seconds are none of the recovery's."""
UNFINISHED: Final = "the drill ended while it removed what it had made"


class Cleaning:
    """The clean-up of one drill, and what it saw of production before."""

    def __init__(self, working: Working) -> None:
        """Look at production, before anything changes."""
        self.working, self.plan, self.context = working, working.plan, working.context
        self._things = things(working.run, working.access)
        self._before = seen(self._things)
        self._once = not_seen_again(self._before)
        self._first: Removed | None = None

    @property
    def began(self) -> bool:
        """Whether this drill removed what an earlier one had left."""
        return self._first is not None

    def remove_earlier(self) -> None:
        """Destroy what an earlier drill left. Raises Refusal (exit 14) where something of it stays."""
        left = self._left()
        if not left:
            return
        working = self.working
        self.context.say(f"found in env {self.plan.env}: {', '.join(left)}. A drill begins with nothing, so this is removed first")
        # From here on an effect may happen. The push comes first: a run that was superseded stops here.
        working.state.begun = True
        working.run.ledger.advance(working.claim, State.EXECUTING, at=working.now(), mutating=True)
        with working.lent():
            removal = self._destroy(DESTROY_FIRST_JOURNAL)
        self._first = _document(removal)
        if not removal.clean:
            raise self._refuse(
                Cleanup(removed=self._first, production=self._once),
                f"nothing was recovered: {removal.reason or 'what was there before could not be removed'}",
                at_work=removal.at_work,
            )

    def end(self, worked: Worked | None, failed: str) -> Cleanup:
        """Enter CLEANING_UP, remove what the drill made, and return what was seen. `failed` is why the drill itself did not go well.

        `worked` is what the deploy left, None where the drill was interrupted after it. Raises Refusal (exit 14) where something stays.
        """
        working, stopped, left = self.working, _stopped(worked), self._left()
        if stopped and not left:
            return self._keep(Cleanup(first=self._first, removed=Removed(), production=self._once))
        # Before the state: whatever stops the drill from here on, its bundle says what was there.
        self._write(Cleanup(first=self._first, removed=Removed(left=left, reason=UNFINISHED), production=self._once))
        working.part.enter(State.CLEANING_UP)
        if stopped:
            raise self._refuse(Cleanup(first=self._first, removed=Removed(left=left), withheld=stopped, production=self._once), stopped)
        try:
            return self._remove(failed)
        except KeyboardInterrupt:
            # What execute itself is busy with is no matter of HyOps' supervisor, who hands on a cancel while HyOps is at work.
            why = "interrupted before it was seen that nothing is left"
            kept = Cleanup(first=self._first, removed=Removed(left=self._left(), reason=why), production=self._once)
            raise self._refuse(kept, "; ".join(filter(None, (failed, why)))) from None

    def _remove(self, failed: str) -> Cleanup:
        """Destroy what the drill made, look that it is gone, and return what was seen. Raises Refusal (exit 14) where something stays."""
        working = self.working
        self._still_ours(failed)
        self.context.say(f"clean-up: destroying what the drill made in env {self.plan.env}")
        with working.secrets_again():
            removal = self._destroy(DESTROY_JOURNAL)
        probes = () if removal.reason else self._asked_again()
        kept = Cleanup(first=self._first, removed=_document(removal), probes=probes, production=seen_again(self._things, self._before))
        if not kept.clean:
            raise self._refuse(kept, removal.reason or failed, at_work=removal.at_work)
        self._keep(kept)
        self.context.say(f"clean-up: {len(removal.destroyed)} destroyed, 0 left")
        return kept

    def _destroy(self, journal: str) -> Removal:
        working, plan = self.working, self.plan
        working.part.intent(INTENT, argv=list(command_of(plan, "destroy").argv), journal=journal)
        with working.cleaned_up(journal):
            worked = working.work("destroy", journal, RemovalProgress(plan, self.context, [], working.part))
        steps = [(step.id, step.retain_on_destroy) for step in working.view.blueprint.steps]
        removal = judge_removal(steps, worked.states, worked.view, worked.ended, plan.blueprint)
        working.keep_records(worked.since)
        if removal.reason:
            working.show_end_of_log(worked.since, None)
        working.part.result(
            INTENT, rc=worked.ended.rc if worked.ended is not None else None, asked=list(worked.asked), **_document(removal).document()
        )
        return removal

    def _still_ours(self, failed: str) -> None:
        """Push CLEANING_UP. Raises Refusal (exit 14) where another run has the lock: what is in the env is that run's to judge."""
        working = self.working
        try:
            working.run.ledger.advance(working.claim, State.CLEANING_UP, at=working.now(), mutating=True)
        except DispatchError as error:
            if error.gate != SUPERSEDED:  # what was made costs money, whatever the ledger answers
                self.context.say(f"the ledger does not know that this drill cleans up: {error.title()}")
                return
            why = "another run has taken the lock"
            kept = Cleanup(first=self._first, removed=Removed(left=self._left()), withheld=why, production=self._once)
            raise self._refuse(kept, "; ".join(filter(None, (failed, why)))) from None

    def _asked_again(self) -> tuple[Answering, ...]:
        working = self.working
        found = ask_until_refused(self.plan.verification, self.context.clock, working.probe_logins)
        return tuple(Answering(target=each.target, answers=each.proven, text=shown(working.state.clean(each.text))) for each in found)

    def _left(self) -> tuple[str, ...]:
        """Return the steps behind whose states something is, with their statuses."""
        found = left_over(self.working.view.blueprint, list(self.working.states().values()))
        return tuple(f"{name} (state {state.status})" for name, state in found.items())

    def _refuse(self, kept: Cleanup, why: str, *, at_work: bool = False) -> Refusal:
        self._keep(kept)
        return not_cleaned(self.plan, kept, why, self.working.access.place.runtime.root, at_work=at_work)

    def _keep(self, kept: Cleanup) -> Cleanup:
        self._write(kept)
        self.working.part.note(CLEANUP_LOOK, left=list(kept.left), deviations=list(kept.touched()), production=_told(kept.production))
        return kept

    def _write(self, kept: Cleanup) -> None:
        self.working.run.folder.write_model(CLEANUP, kept)
        self.working.state.cleanup = kept


def _stopped(worked: Worked | None) -> str:
    """Return why nothing more may be started, empty where it may."""
    if worked is None:
        return "the drill was interrupted"
    return "; ".join(worked.asked)


def _document(removal: Removal) -> Removed:
    return Removed(
        destroyed=removal.destroyed, retained=removal.retained, left=tuple(map(shown, removal.left)), reason=shown(removal.reason)
    )


def _told(glances: Sequence[Glance]) -> list[str]:
    """Return in a line each what was seen of production."""
    return [
        f"{each.what} of {each.service}: {each.reason or (each.before if each.untouched else f'{each.before}, then {each.after}')}"
        for each in glances
    ]
