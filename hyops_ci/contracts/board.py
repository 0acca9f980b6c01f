"""The board: where every service stands, how ready it is, and how its drills and runs went (docs/board.md)."""

from typing import Annotated, Literal

from pydantic import Field

from hyops_ci.contracts.base import WHOLE, Clean, Count, Digest, Document, Model, ServiceId, Short, Utc
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.ledger import Position
from hyops_ci.contracts.readiness import ReadinessFact
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import Obligation

MAX_RUNS = 200
"""Runs and drills of one service on a board, the newest."""
Level = Literal["alarm", "warning", "unknown"]
"""`alarm`: a recovery would fail, or what was promised is not kept. `warning`: it soon will. `unknown`: nobody could look."""
Lock = Literal["free", "held", "unknown"]


class Alarm(Model):
    """One thing that somebody has to do something about, or that nobody could look at."""

    level: Level
    kind: Short
    """What it is, such as `readiness.stale`."""
    service: ServiceId | None = None
    """The service that it is about; absent where it is about more than one."""
    text: Clean
    """What was found."""
    fix: Clean = ""
    """What to do about it."""
    exit_code: Annotated[int, Field(ge=0, le=255), WHOLE] = 0
    """The exit code of an alarm; 0 for anything less."""


class BoardRun(Model):
    """One run, drill or settlement of a service that has ended, as its ledger says."""

    run_id: Short
    service: ServiceId
    """In whose ledger it stands: a drill is that of an env of class drill."""
    url: Clean = ""
    """Its page on GitHub, as the ledger has it."""
    decision_type: DecisionType
    drill: bool
    state: State
    claimed_at: Utc
    ended_at: Utc
    figures: Figures | None = None
    """What it took and restored; absent where nobody measured it."""
    bundle_sha256: Digest | None = None
    """Of its sealed evidence; absent where none is known."""
    evidence: Clean = ""
    """The file of that bundle, where it was given and its bytes are these."""
    approvers: Annotated[tuple[Short, ...], Field(max_length=20)] = ()
    """Who approved it, as far as that is known."""
    deviations: Annotated[tuple[Clean, ...], Field(max_length=50)] = ()
    """What it accepted, as far as that is known."""


class Trend(Model):
    """A figure over the history of a service: seconds."""

    of: Literal["rto", "rpo"]
    drills: bool
    """Whether it is about drills, or about real runs."""
    count: Count
    """Runs that measured it."""
    median: Count
    p90: Count
    """What nine of ten runs kept."""
    worst: Count


class Recurring(Model):
    """A deviation that came more than once."""

    text: Clean
    runs: Annotated[tuple[Short, ...], Field(min_length=2)]
    """The runs that had it, the newest first."""


class BoardService(Model):
    """One service. What could not be read is absent, and `trouble` says why."""

    service: ServiceId
    env_class: EnvClass
    approvers: Clean = ""
    """Who may approve."""
    position: Position | None = None
    serves: Clean = ""
    """The site that serves clients."""
    lock: Lock | None = None
    holder: Clean = ""
    """Which run holds the lock, in words."""
    epoch: Count | None = None
    vouched: Clean = ""
    """Who vouches for the ledger."""
    trouble: Clean = ""
    """Why the ledger is not known or not believed."""
    readiness: ReadinessFact | None = None
    rto: Count | None = None
    """The objective of today, in seconds."""
    rpo: Count | None = None
    obligations: tuple[Obligation, ...] = ()
    """What is owed for it, and whether it was done."""
    runs: Annotated[tuple[BoardRun, ...], Field(max_length=MAX_RUNS)] = ()
    """Newest first."""
    trends: tuple[Trend, ...] = ()
    recurring: tuple[Recurring, ...] = ()


class Board(Document):
    """Everything that the page shows, from ledgers, readiness records and the bundles that were given."""

    kind: Literal["Board"] = "Board"
    """What this document is."""
    made_at: Utc
    """When it was made: ages and what is due are as of then."""
    repository: Clean = ""
    """Whose recoveries these are."""
    config_sha256: Digest
    """Of the config file that it was made with."""
    github: bool = False
    """Whether GitHub was asked, too: for runs that wait, schedules and runners."""
    alarms: tuple[Alarm, ...] = ()
    services: tuple[BoardService, ...] = ()

    @property
    def exit_code(self) -> int:
        """The largest code of its alarms; 0 where there is none."""
        return max((alarm.exit_code for alarm in self.alarms if alarm.level == "alarm"), default=0)
