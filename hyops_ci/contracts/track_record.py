"""What is known of a service before a run: its readiness, what is owed, and how long recoveries took (docs/design/contracts.md 8).

Told to people, and kept with the run. No document of a run's digest chain holds it: it was observed.
"""

from typing import Final, Literal

from hyops_ci.contracts.base import Clean, Count, Document, Model, ServiceId, Short, Span, Utc
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.readiness import ReadinessFact
from hyops_ci.contracts.run import State

TRACK_RECORD: Final = "track-record.json"
"""Its file in the folder of a run, and in the bundle."""
Owed = Literal["check", "isolated"]
Due = Literal["done", "due", "missed", "unknown"]
"""`done` until it is due again, `missed` once it was due for longer than a schedule may be late; `unknown`: nobody could say."""


class Obligation(Model):
    """One thing that the config owes for a service, and whether it was done."""

    service: ServiceId
    level: Owed
    practised_on: ServiceId | None = None
    """The service that is checked or restored for it; absent where the config names none."""
    every: Span
    state: Due
    done_at: Utc | None = None
    """When it was last done, and passed; absent: never, as far as anybody vouches for it."""
    due_at: Utc | None = None
    """From when on it is to be done again."""
    missed_at: Utc | None = None
    """From when on it counts as missed, where it is not done before."""
    last: Clean = ""
    """How the newest try ended that does not count; empty where there is none since."""
    why: Clean = ""
    """Why nothing is known."""


class Ended(Model):
    """One run or drill that has ended, as a host signed it."""

    at: Utc
    run_id: Short
    decision_type: DecisionType
    state: State
    figures: Figures | None = None
    """Absent where it sealed nothing, or a release before recorded it."""


class Series(Model):
    """The newest runs of one kind whose figures are known. Seconds are from the request to the proof."""

    runs: Count = 0
    """How many have ended, with figures or without."""
    proven: tuple[Count, ...] = ()
    """Of the newest that were proven, newest first."""
    p50: Count | None = None
    p90: Count | None = None
    worst: Count | None = None
    met: Count = 0
    """How many of the newest with a verdict met what was promised then."""
    judged: Count = 0
    """How many had a verdict."""
    last: Ended | None = None
    """The newest that was proven."""


class TrackRecord(Document):
    """All of it, at one moment."""

    kind: Literal["TrackRecord"] = "TrackRecord"
    service: ServiceId
    at: Utc
    readiness: ReadinessFact
    obligations: tuple[Obligation, ...] = ()
    drills: Series = Series.model_construct()
    """Drills of level isolated of this service, in its env of class drill."""
    runs: Series = Series.model_construct()
    """Real runs of this service."""

    def missed(self) -> tuple[Obligation, ...]:
        """Return what was missed."""
        return tuple(each for each in self.obligations if each.state == "missed")
