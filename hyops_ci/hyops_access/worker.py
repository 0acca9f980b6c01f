"""HyOps' side of the sudo rule: answers the questions of one stage as HyOps' user, and ends with it.

What runs and where comes from the host's trust file, which root wrote. The one who asks brings the overlay of a blueprint, and values of
secrets; no program, no path, no other command than the planned ones. What HyOps' bundle holds is taken out of every answer.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import select
import shutil
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from typing_extensions import override

from hyops_ci import files
from hyops_ci.config.file import MAX_TRUST, TRUST_FILE, read_trust
from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.config import Host
from hyops_ci.contracts.facts import PreflightFact
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.plan import Command
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.execution.command import DEFAULT_PATH, Runtime, another_env_at
from hyops_ci.execution.leftovers import BUNDLE
from hyops_ci.execution.prctl import close_to_others
from hyops_ci.hyops_access import wire
from hyops_ci.hyops_access.own import OwnAccess
from hyops_ci.hyops_access.port import Place
from hyops_ci.hyops_access.rule import JOURNALS
from hyops_ci.parsing.documents import read_json
from hyops_ci.planning.planner import commands_for
from hyops_ci.secrets.bundle import Written, held
from hyops_ci.secrets.password import read_password

MAX_QUESTION: Final = 64 << 20
KEPT: Final = 30 * 86400.0
"""Seconds that the journals of a run are kept."""
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,79}")


class WorkerAccess(OwnAccess):
    """Access for somebody who may not see what HyOps' user can."""

    _given: tuple[dict[str, str], dict[str, str], tuple[str, ...]] = ({}, {}, ())
    """What `give` brought."""
    _known: tuple[str, ...] = ()
    """What was seen in the bundle."""
    _began: datetime | None = None
    """When this access first started something: of older records nobody knows any more which secrets are in them."""
    destroys = False
    """Whether root lets a drill destroy what is in this env."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._overlays: set[str] = set()

    @override
    def lock(self) -> None:
        """Also before whatever would spoil the run of who has the env: who asks need not have asked for it."""
        if self._lock is None:
            super().lock()

    @override
    def bundle_values(self) -> tuple[str, ...]:
        return ()

    @override
    def sweep(self) -> dict[str, object]:
        self.lock()
        for each in self.place.runs.parent.iterdir():
            if each != self.place.runs and each.lstat().st_mtime < time.time() - KEPT:
                shutil.rmtree(each, ignore_errors=True)
        return super().sweep()

    @override
    def write_overlay(self, run_id: str, content: bytes) -> None:
        super().write_overlay(run_id, content)
        self._overlays.add(run_id)

    @override
    def remove_overlay(self, run_id: str) -> None:
        if run_id in self._overlays:  # another run's would be exchanged: that file is what was approved
            super().remove_overlay(run_id)

    @override
    def open_bundle(self) -> bool | None:
        self.lock()
        return super().open_bundle()

    @override
    def merge_bundle(self, values: dict[str, str]) -> Written:
        self._in_bundle()
        return super().merge_bundle(values)

    @override
    def give(self, secrets: dict[str, str], hidden: dict[str, str], public: tuple[str, ...]) -> None:
        self._given = (secrets, hidden, public)
        self._hide_bundle()

    @override
    def states(self, references: tuple[str, ...], now: datetime) -> tuple[StateFact, ...]:
        return self._cleaned(super().states(references, now))

    @override
    def states_of(self, env: str, references: tuple[str, ...], now: datetime) -> tuple[StateFact, ...]:
        return self._cleaned(super().states_of(env, references, now))

    def _cleaned(self, found: tuple[StateFact, ...]) -> tuple[StateFact, ...]:
        self._hide_bundle()
        clean = self._redactor.text
        return tuple(each.model_copy(update={"status": clean(each.status), "run_id": clean(each.run_id)}) for each in found)

    @override
    def preflight(self, run_id: str, command: Command, present: dict[str, str]) -> PreflightFact:
        self._require_planned(command)
        self._hide_bundle()
        found = super().preflight(run_id, command, present)
        self._hide_bundle()  # a run may have brought its secrets meanwhile
        clean = self._redactor.text
        said = {"status": clean(found.status), "error": clean(found.error), "required_failures": tuple(map(clean, found.required_failures))}
        steps = [each.model_copy(update={name: clean(getattr(each, name)) for name in ("id", "reason", "rerun")}) for each in found.steps]
        return found.model_copy(update={**said, "steps": tuple(steps)})

    @override
    def start(self, run_id: str, command: Command, journal: str) -> None:
        self._require_planned(command)
        self.lock()
        self._hide_bundle()
        self.place.journal(journal).mkdir(parents=True)
        self._began = self._began or datetime.now(UTC)
        super().start(run_id, command, journal)

    @override
    def records(self, since: datetime) -> tuple[str, ...]:
        if self._began is None:
            return ()
        self._hide_bundle()
        return super().records(max(since, self._began))

    @override
    def clean_up(self, since: datetime | None) -> dict[str, object]:
        self.lock()
        # Files of other runs are not theirs to name: what a file holds counts only since this access began a run.
        own = None if since is None or self._began is None else max(since, self._began)
        return super().clean_up(own)

    def _hide_bundle(self) -> None:
        """Hide what is in the bundle now, what was in it before, and what this access was given to hide."""
        secrets, hidden, public = self._given
        ours = {f"bundle-{number}": value for number, value in enumerate(self._in_bundle(), 1)}
        # Whoever asks chooses the names of what they bring: none of them may stand for a value of the bundle.
        theirs = {f"{name}+" if name in ours else name: value for name, value in hidden.items()}
        super().give(secrets, theirs | ours, public)

    def _in_bundle(self) -> tuple[str, ...]:
        """Return all that this access saw in the bundle, and its password. Read anew: runs bring their secrets, and take them away."""
        self._known = tuple(dict.fromkeys((*self._known, *self._read_bundle())))
        return self._known

    def _read_bundle(self) -> tuple[str, ...]:
        if not (self.root / BUNDLE).exists():
            return ()
        try:
            return held(self.root / BUNDLE, read_password(self.place.password_file))
        except DispatchError:  # what cannot be opened HyOps cannot read either; `troubles` says so
            return ()

    def _require_planned(self, command: Command) -> None:
        if command not in commands_for(self.place.runtime.env, destroys=self.destroys):
            raise Refusal(
                "hyops.command",
                "this host starts planned HyOps commands only",
                exit_code=Exit.POLICY,
                found=" ".join(command.argv),
                expected="preflight or deploy as this release plans them; destroy in an env that the host trust names (drill_envs) alone",
                fix="plan again with the release that this host was prepared for",
                docs="host-trust.md",
            )


def place_of(hello: wire.Hello, host: Host, home: str, environ: dict[str, str]) -> Place:
    """Return the place that root allows. Raises ValueError for a run id that is none."""
    if not _RUN.fullmatch(hello.run_id):
        raise ValueError("a run id is letters, digits and dashes")
    base = {"HOME": home, "PATH": files.path_of_root(environ.get("PATH", "")) or DEFAULT_PATH, "LANG": environ.get("LANG", "C.UTF-8")}
    passed = {name: value for name, value in hello.passed.items() if name in host.env_pass}
    runtime = Runtime(
        hyops=Path(host.hyops),
        core_root=Path(host.core_root),
        envs_base=Path(host.envs_base) if host.envs_base else Path(home) / ".hybridops" / "envs",
        env=hello.env,
        vault_password_file=Path(host.vault_password_file) if host.vault_password_file else None,
        settings=tuple(host.env.items()),
    )
    return Place(runtime, Path(JOURNALS) / hello.run_id, passed | base, host.env_pass)


def host_of(user: str) -> tuple[Host, tuple[str, ...]]:
    """Return what the trust file says of HyOps on this host, and the envs that a drill may destroy.

    Raises Refusal (exit 7) where it does not name this user.
    """
    trust: HostTrust | None = None
    try:
        content = files.read(TRUST_FILE, MAX_TRUST, owned=True)
        trust = read_trust(content, str(TRUST_FILE)) if files.only_root_writes(TRUST_FILE) else None
    except (OSError, files.UnsafeFile):
        pass
    found = trust.host if trust is not None else None
    if trust is None or found is None or found.user != user or user == "root":
        raise Refusal(
            "hyops.user",
            "this host does not let HyOps run as this user",
            exit_code=Exit.RUNNER,
            found=f"{TRUST_FILE}: host.user {found.user if found is not None else 'absent'}, started as {user}",
            expected=f"a file of root whose host.user is {user}, and another user than root",
            fix="as root on the runner: bash actions/setup/setup.sh runner prepare --trust FILE, with what hyops-ci init prints",
            docs="host-trust.md",
        )
    return found, trust.drill_envs


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer one stage's questions until it ends."""
    access: WorkerAccess | None = None

    def say(number: object, value: object) -> None:
        answers.write(json.dumps([number, value]).encode() + b"\n")
        answers.flush()

    try:
        account = pwd.getpwuid(os.geteuid())
        number, asked = read_json(questions.readline(MAX_QUESTION), most=MAX_QUESTION)
        hello = wire.Hello.model_validate(asked)
        try:
            host, drill_envs = host_of(account.pw_name)
            access = WorkerAccess(place_of(hello, host, account.pw_dir, dict(os.environ)))
            access.destroys = hello.env in drill_envs and another_env_at(access.root) is None
        except DispatchError as error:
            say(number, wire.refused(error))
            return
        say(number, {"welcome": wire.Welcome(root=str(access.root), runs=str(access.place.runs)).model_dump(mode="json")})
        while (line := questions.readline(MAX_QUESTION)).endswith(b"\n"):
            number, asked = read_json(line, most=MAX_QUESTION)
            say(number, _answered(access, asked))
    except BrokenPipeError:  # nobody waits for the answer any more
        return
    finally:
        if access is not None:
            access.close()


def _answered(access: WorkerAccess, asked: Any) -> dict[str, Any]:
    try:
        return wire.answer(access, asked)
    except (OSError, ValueError, KeyError, files.UnsafeFile) as error:
        what = error.strerror if isinstance(error, OSError) else ""
        problem = f"{asked.get('call') if isinstance(asked, dict) else 'a question'}: {what or type(error).__name__}"
    said = "HyOps' side of this host could not do it"
    return wire.refused(Fault("hyops.user", said, exit_code=Exit.HYOPS, found=problem, expected="an answer", fix="hyops-ci doctor"))


def _end_with_caller(questions: int) -> None:
    """End when nobody can ask any more, in mid-work too: what is begun is undone as after any signal."""
    poll = select.poll()
    poll.register(questions, 0)
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _terminated(*_: object) -> None:
    raise SystemExit(143)


def main() -> None:
    """Entry point behind `sudo`."""
    close_to_others()
    os.umask(0o027)
    signal.signal(signal.SIGTERM, _terminated)
    questions, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    threading.Thread(target=_end_with_caller, args=(questions,), daemon=True).start()
    with os.fdopen(questions, "rb") as asked, os.fdopen(answers, "wb") as said:
        serve(asked, said)
    sys.exit(0)
