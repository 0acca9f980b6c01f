"""Access to HyOps as a user of its own, through the one sudo rule (docs/host-trust.md)."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from typing_extensions import override

from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.config import Host
from hyops_ci.contracts.facts import PreflightFact, Trouble
from hyops_ci.contracts.plan import Command
from hyops_ci.errors import Exit, Refusal
from hyops_ci.execution.as_user import Conversation, NoAnswer, allowed_commands, by_sudo
from hyops_ci.execution.command import Runtime
from hyops_ci.execution.leftovers import BUNDLE
from hyops_ci.files import only_root_writes
from hyops_ci.hyops_access import wire
from hyops_ci.hyops_access.port import HyOpsAccess, Place
from hyops_ci.hyops_access.rule import ENTRY, SUDOERS, as_listed, release_of, rules_of
from hyops_ci.portable import user_name
from hyops_ci.secrets.bundle import Written
from hyops_ci.text import shell


class SudoAccess(HyOpsAccess):
    """Each method asks the same one of HyOps' user."""

    def __init__(self, host: Host, env: str, run_id: str, environ: Mapping[str, str], command: Sequence[str] = ()) -> None:
        """Start the other side. `command` stands for sudo.

        Raises Refusal (exit 7) `hyops.user` where the rule, the user or the release is not there.
        """
        self._user = host.user or ""
        passed = {name: environ[name] for name in host.env_pass if name in environ}
        try:
            self._talk = Conversation(command or by_sudo(self._user, ENTRY), release_of())
        except NoAnswer as problem:
            raise self._refuse(str(problem)) from None
        try:
            answered = self._ask(wire.Hello(env=env, run_id=run_id, passed=passed).model_dump(mode="json"))
            if isinstance(said := answered.get("refused"), dict):
                wire.raise_refused(said)
            welcome = wire.Welcome.model_validate(answered.get("welcome"))
        except BaseException:
            self._talk.close()
            raise
        root = Path(welcome.root)
        runtime = Runtime(Path(host.hyops), Path(host.core_root), root.parent, root.name)
        self.place = Place(runtime, Path(welcome.runs), {}, host.env_pass)
        self._password_file = host.vault_password_file or ""

    @override
    def close(self) -> None:
        self._talk.close()

    def require_wall(self) -> None:
        """Raise Refusal (exit 7) `hyops.user` where one of the two users reaches what is the other's."""
        if found := self._weakness():
            raise Refusal(
                "hyops.user",
                f"{self._user} is no wall between HyOps and the runner's user on this host",
                exit_code=Exit.RUNNER,
                found=found,
                expected=f"one rule for sudo, {_rule(self._user)}; env and password file of {self._user} alone; no group of both",
                fix="as root: take other rules out of /etc/sudoers.d; give each file to its user, mode 0600; gpasswd --delete USER GROUP",
                docs="host-trust.md",
            )

    def _weakness(self) -> str:
        rules = allowed_commands()
        if rules is None or len(rules) != 1 or not as_listed(rules[0], self._user):
            return f"{user_name()} has other rights by sudo: {'; '.join(rules or ()) or 'what sudo -l does not say'}"
        if not only_root_writes(Path(ENTRY)):
            return f"{ENTRY} is not root's alone to write"
        theirs = (str(self.place.runtime.root / BUNDLE), str(self.place.runtime.root / "state"), self._password_file)
        if mine := [path for path in theirs if path and os.access(path, os.R_OK)]:
            return f"{user_name()} can read {', '.join(mine)}"
        if shared := set(os.getgrouplist(self._user, pwd.getpwnam(self._user).pw_gid)) & {os.getegid(), *os.getgroups()}:
            return f"{user_name()} and {self._user} are both in group {min(shared)}"
        return ""

    @override
    def user(self) -> str:
        return str(self._call("user"))

    @override
    def require_env(self, *, alone: bool = False) -> None:
        self._call("require_env", alone)

    @override
    def version(self) -> str:
        return str(self._call("version"))

    @override
    def room(self) -> tuple[int, int]:
        device, free = self._call("room")
        return int(device), int(free)

    @override
    def troubles(self) -> tuple[Trouble, ...]:
        return tuple(self._call("troubles"))

    @override
    def states(self, references: tuple[str, ...], now: datetime) -> tuple[StateFact, ...]:
        return tuple(self._call("states", references, now))

    @override
    def states_of(self, env: str, references: tuple[str, ...], now: datetime) -> tuple[StateFact, ...]:
        return tuple(self._call("states_of", env, references, now))

    @override
    def lock(self) -> None:
        self._call("lock")

    @override
    def sweep(self) -> dict[str, object]:
        return dict(self._call("sweep"))

    @override
    def write_overlay(self, run_id: str, content: bytes) -> None:
        self._call("write_overlay", run_id, content)

    @override
    def remove_overlay(self, run_id: str) -> None:
        self._call("remove_overlay", run_id)

    @override
    def preflight(self, run_id: str, command: Command, present: dict[str, str]) -> PreflightFact:
        found: PreflightFact = self._call("preflight", run_id, command, present)
        return found

    @override
    def open_bundle(self) -> bool | None:
        there: bool | None = self._call("open_bundle")
        return there

    @override
    def bundle_leftovers(self) -> tuple[str, ...]:
        return tuple(self._call("bundle_leftovers"))

    @override
    def bundle_values(self) -> tuple[str, ...]:
        return tuple(self._call("bundle_values"))

    @override
    def merge_bundle(self, values: dict[str, str]) -> Written:
        written: Written = self._call("merge_bundle", values)
        return written

    @override
    def close_bundle(self) -> None:
        self._call("close_bundle")

    @override
    def give(self, secrets: dict[str, str], hidden: dict[str, str], public: tuple[str, ...]) -> None:
        self._call("give", secrets, hidden, public)

    @override
    def start(self, run_id: str, command: Command, journal: str) -> None:
        self._call("start", run_id, command, journal)

    @override
    def cancel(self, journal: str) -> bool:
        return bool(self._call("cancel", journal))

    @override
    def records(self, since: datetime) -> tuple[str, ...]:
        return tuple(self._call("records", since))

    @override
    def record_files(self, name: str) -> dict[str, bytes]:
        return dict(self._call("record_files", name))

    @override
    def record_end(self, name: str) -> tuple[str, ...]:
        return tuple(self._call("record_end", name))

    @override
    def clean_up(self, since: datetime | None) -> dict[str, object]:
        return dict(self._call("clean_up", since))

    def _call(self, name: str, *values: object) -> Any:
        return wire.result_of(name, self._ask(wire.question(name, *values)))

    def _ask(self, question: object) -> Any:
        try:
            return self._talk.ask(question)
        except NoAnswer as problem:
            raise self._refuse(str(problem)) from None

    def _refuse(self, found: str) -> Refusal:
        return Refusal(
            "hyops.user",
            f"HyOps cannot be started as {self._user} on this host",
            exit_code=Exit.RUNNER,
            found=found,
            expected=f"in {SUDOERS}: {_rule(self._user)}",
            fix=shell("as root, in a checkout of the release: bash actions/setup/setup.sh runner prepare --user {}", user_name()),
            docs="host-trust.md",
        )


def _rule(hyops_user: str) -> str:
    return rules_of(user_name(), hyops_user).splitlines()[-1]
