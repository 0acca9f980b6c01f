"""What a stage needs from outside, made once by the command line or a rehearsal: job, clock, host trust, ledger, GitHub."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typing_extensions import override

from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.dataclass import dataclass, field, replace
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.repository import repository
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.standby import ChosenLedger, choose
from hyops_ci.ledger.vouching import Vouchers
from hyops_ci.readiness.store import ReadinessStore
from hyops_ci.stages.job import Job
from hyops_ci.stages.notifier import Notifier


class SystemClock:
    """This host's time."""

    def now(self) -> datetime:
        """Return the present instant, UTC, to the microsecond."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class ShiftedClock(SystemClock):
    """This host's time moved so that it began at `start`: what `--at` means, for rehearsals of another day."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self._shift: timedelta = start - datetime.now(UTC)

    @override
    def now(self) -> datetime:
        """Return the shifted instant, UTC."""
        return datetime.now(UTC) + self._shift


def no_output(_: str) -> None:
    """Print nothing."""


@dataclass(frozen=True)
class RunContext:
    """Where one stage of a run works. Identities are callables that fetch one; no value of a secret is shown by `repr`."""

    job: Job
    clock: Clock
    home: Path
    state_dir: Path
    """Where this host remembers the ledger tips it saw."""
    ledger_remote: str
    """Path or URL of the repository that holds the ledger branches."""
    ledger_token: str = field(default="", repr=False)
    """The job's token, for an https remote."""
    standby_remote: str = ""
    """Path or URL of the second repository, used while the first does not answer."""
    standby_token: str = field(default="", repr=False)
    """Its own token: the job's is for the first."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    say: Callable[[str], None] = no_output
    """Prints one line of progress."""
    hyops_line: Callable[[str], None] = no_output
    """Prints one line of HyOps' own output, already prefixed with `hyops | `."""
    trust: HostTrust | None = None
    """What this host accepts, where it pins its callers."""
    github: Client | None = None
    """GitHub's API, where there is one to ask."""
    min_quorum: int = 1
    """2 for break-glass, whatever config and trust say."""
    token_for: Callable[[str], str] | None = field(default=None, repr=False)
    """The job's identity for an audience; None in a shell."""

    notifier: Notifier = field(default_factory=Notifier, repr=False, compare=False)
    """Tells people of the run; silent where nobody asked for it."""
    chosen: dict[str, ChosenLedger] = field(default_factory=dict, repr=False, compare=False)
    """Service -> the ledger in use, once it was asked for: a run does not change ledgers in its middle."""

    def cleaned(self, clean: Callable[[str], str]) -> RunContext:
        """Return this context with every line that it prints or tells passed through `clean`, such as a redactor's `text`."""
        say, hyops_line = self.say, self.hyops_line
        notifier = replace(self.notifier, clean=clean)
        return replace(self, say=lambda line: say(clean(line)), hyops_line=lambda line: hyops_line(clean(line)), notifier=notifier)

    def clock_ahead(self) -> float | None:
        """Return the seconds by which this host's clock is ahead of GitHub's; None where GitHub was not asked, or did not say."""
        if self.github is None:
            return None
        try:
            if self.github.ahead is None:
                repository(self.github)
        except DispatchError:
            return None
        return self.github.ahead

    def judged_at(self) -> datetime:
        """Return the instant that lifetimes are judged at: by the later of this host's clock and GitHub's (docs/design/contracts.md 5)."""
        return self._later(self.clock_ahead())

    def latest_known(self) -> datetime:
        """Return the later of this host's clock and GitHub's, as far as GitHub has said its own. It is not asked for that."""
        return self._later(self.github.ahead if self.github is not None else None)

    def _later(self, ahead: float | None) -> datetime:
        now = self.clock.now()
        return now - timedelta(seconds=ahead) if ahead is not None and ahead < 0 else now

    def ledger(self, service: str, vouchers: Vouchers | None = None) -> Ledger:
        """Return the ledger of one service, as this run uses it; `vouchers` are for its first opening. Raises as `ledger_in_use`."""
        return self.ledger_in_use(service, vouchers).ledger

    def ledger_in_use(self, service: str, vouchers: Vouchers | None = None) -> ChosenLedger:
        """Return the first ledger; with GitHub down, for a run from a shell, its standby, with the risk that an approval must name.

        Raises Refusal: exit 2 where nothing names its repository, exit 5 while the standby is ahead.
        """
        if service not in self.chosen:
            primary, standby = self._primary(service), self.standby(service)
            primary.vouchers = vouchers
            self.chosen[service] = choose(primary, standby, break_glass=not self.job.on_github) if standby else ChosenLedger(primary)
            if note := self.chosen[service].note:
                self.say(note)
        return self.chosen[service]

    def standby(self, service: str) -> Ledger | None:
        """Return the second ledger of a service. From GitHub it is asked once and quickly: a job usually cannot reach it."""
        if not self.standby_remote:
            return None
        return Ledger.over_git(self.standby_remote, service, state_dir=self.state_dir, token=self.standby_token, hasty=self.job.on_github)

    def checks(self, service: str, *, hasty: bool = False) -> ReadinessStore:
        """Return where the checks of a service are kept: beside its ledger. Raises Refusal (exit 2) where nothing names its repository."""
        self._require_remote()
        return ReadinessStore.over_git(self.ledger_remote, service, state_dir=self.state_dir, token=self.ledger_token, hasty=hasty)

    def _primary(self, service: str) -> Ledger:
        self._require_remote()
        return Ledger.over_git(self.ledger_remote, service, state_dir=self.state_dir, token=self.ledger_token)

    def _require_remote(self) -> None:
        if not self.ledger_remote:
            raise Refusal(
                "ledger.remote",
                "no ledger is configured",
                exit_code=Exit.USAGE,
                found="no ledger in the host trust, no ledger.repository in the config",
                expected="a path or URL of the repository that holds dr-ledger/*",
                fix="name it in /etc/dr-dispatch/trust.json (ledger), or in the config (ledger.repository)",
                docs="ledger.md",
            )
