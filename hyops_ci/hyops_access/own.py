"""Access to HyOps and its files as the user that this process runs as."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime

from typing_extensions import override

from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.facts import PreflightFact, Trouble
from hyops_ci.contracts.plan import Command
from hyops_ci.errors import DispatchError
from hyops_ci.execution.command import child_environment, command_line, hyops_version, require_env
from hyops_ci.execution.leftovers import BUNDLE, clean_up
from hyops_ci.execution.overlay import overlay_path, remove_leftovers, write_overlay
from hyops_ci.execution.question import Answer, ask
from hyops_ci.execution.records import read_preflight, read_states
from hyops_ci.execution.run_handle import SupervisedRun
from hyops_ci.execution.run_records import RunRecord, evidence_files, last_lines, new_runs
from hyops_ci.execution.supervisor import SupervisorOrder
from hyops_ci.hyops_access.port import HyOpsAccess, Place
from hyops_ci.ledger.host_lock import host_lock, require_unlocked
from hyops_ci.portable import user_name
from hyops_ci.redaction import Redactor
from hyops_ci.secrets.bundle import Bundle, Written, bundle_password, open_bundle, require_usable


class OwnAccess(HyOpsAccess):
    """Access as the user that this process runs as."""

    def __init__(self, place: Place) -> None:
        self.place, self.root = place, place.runtime.root
        self._open = ExitStack()
        self._bundle = ExitStack()
        self._opened: Bundle | None = None
        self._lock: int | None = None
        self._secrets: dict[str, str] = {}
        self._hidden: dict[str, str] = {}
        self._public: tuple[str, ...] = ()
        self._redactor = Redactor({})
        self._records: dict[str, RunRecord] = {}

    @override
    def close(self) -> None:
        self._bundle.close()
        self._open.close()

    @override
    def user(self) -> str:
        return user_name()

    @override
    def require_env(self, *, alone: bool = False) -> None:
        require_env(self.place.runtime, alone=alone)

    @override
    def version(self) -> str:
        return hyops_version(self.place.runtime.hyops, self._environment({}))

    @override
    def room(self) -> tuple[int, int]:
        return self.root.stat().st_dev, shutil.disk_usage(self.root).free

    @override
    def troubles(self) -> tuple[Trouble, ...]:
        asked: tuple[Callable[[], None], ...] = (
            lambda: require_usable(self.root / BUNDLE, self.place.password_file),
            lambda: require_unlocked(self.root),
        )
        return tuple(trouble for ask_now in asked if (trouble := _trouble(ask_now)) is not None)

    @override
    def states(self, references: tuple[str, ...], now: datetime) -> tuple[StateFact, ...]:
        return read_states(self.root, references, now)

    @override
    def states_of(self, env: str, references: tuple[str, ...], now: datetime) -> tuple[StateFact, ...]:
        return read_states(self.root.parent / env, references, now)

    @override
    def lock(self) -> None:
        self._lock = self._open.enter_context(host_lock(self.root))

    @override
    def sweep(self) -> dict[str, object]:
        files = [path.name for path in remove_leftovers(self.root)]
        return {"files": files, **clean_up(self.root).facts()}

    @override
    def write_overlay(self, run_id: str, content: bytes) -> None:
        write_overlay(self.root, run_id, content)

    @override
    def remove_overlay(self, run_id: str) -> None:
        overlay_path(self.root, run_id).unlink(missing_ok=True)

    @override
    def preflight(self, run_id: str, command: Command, present: dict[str, str]) -> PreflightFact:
        argv = command_line(command, self.place.runtime, overlay_path(self.root, run_id))
        try:
            answer = ask(argv, self._environment(self._secrets or present), timeout=seconds(command.timeout))
        except OSError as error:
            answer = Answer(None, error=f"{argv[0]}: {error.strerror}")
        if answer.rc is None:
            return PreflightFact(rc=-1, status="failed", error=answer.error)
        return read_preflight(self._redactor.text(answer.stdout), answer.rc)

    @override
    def open_bundle(self) -> bool | None:
        password = bundle_password(self.root / BUNDLE, self.place.password_file)
        if password is None:
            return None
        self._opened = self._bundle.enter_context(open_bundle(self.root / BUNDLE, password))
        return self._opened.original is not None

    @override
    def bundle_leftovers(self) -> tuple[str, ...]:
        return self._bundle_now.leftovers

    @override
    def bundle_values(self) -> tuple[str, ...]:
        return self._bundle_now.hidden

    @override
    def merge_bundle(self, values: dict[str, str]) -> Written:
        return self._bundle_now.merge(values)

    @override
    def close_bundle(self) -> None:
        self._bundle.close()

    @override
    def give(self, secrets: dict[str, str], hidden: dict[str, str], public: tuple[str, ...]) -> None:
        self._secrets, self._hidden, self._public = secrets, hidden, public
        self._redactor = Redactor(hidden, public)

    @override
    def start(self, run_id: str, command: Command, journal: str) -> None:
        overlay = overlay_path(self.root, run_id)
        order = SupervisorOrder(
            command_line(command, self.place.runtime, overlay),
            self._environment(self._secrets),
            self.place.journal(journal),
            timeout=seconds(command.timeout),
            secrets=self._hidden,
            public=self._public,
            remove_after=(overlay,),
            clean_up=self.root,
        )
        SupervisedRun.start(order, hold=(self._lock,) if self._lock is not None else ())

    @override
    def cancel(self, journal: str) -> bool:
        return SupervisedRun.attach(self.place.journal(journal)).cancel()

    @override
    def records(self, since: datetime) -> tuple[str, ...]:
        self._records = {f"{each.module}/{each.run_id}": each for each in new_runs(self.root, since)}
        return tuple(self._records)

    @override
    def record_files(self, name: str) -> dict[str, bytes]:
        return evidence_files(self._records[name], self._redactor.text)

    @override
    def record_end(self, name: str) -> tuple[str, ...]:
        return last_lines(self._records[name], self._redactor.text)

    @override
    def clean_up(self, since: datetime | None) -> dict[str, object]:
        return clean_up(self.root, since, self._redactor.find).facts()

    @property
    def _bundle_now(self) -> Bundle:
        if self._opened is None:
            raise ValueError("the bundle is not open")
        return self._opened

    def _environment(self, secrets: Mapping[str, str]) -> dict[str, str]:
        place = self.place
        return child_environment(place.runtime, base=place.base, secrets=secrets, env_pass=place.env_pass)


def _trouble(require: Callable[[], None]) -> Trouble | None:
    try:
        require()
    except DispatchError as error:
        return Trouble(gate=error.gate, reason=error.reason, found=error.found, expected=error.expected, fix=error.fix)
    return None
