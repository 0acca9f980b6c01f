"""A look at a runner's own host, by a job on it: agent, room, certificates, keys, and what the release needs there. Changes nothing.

What GitHub, the provider and the plan's gates say of a runner is asked elsewhere; this is what only the host knows, and what goes bad
while nobody looks (docs/runner-recovery.md).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from hyops_ci.config.file import TRUST_FILE, read_trust
from hyops_ci.config.settings import addresses, host_key_path
from hyops_ci.contracts.base import Clean, Model, moment, stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.facts import DiskSpace
from hyops_ci.contracts.readiness import HostNote
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, shown
from hyops_ci.execution.question import ask
from hyops_ci.github.runner_versions import objection
from hyops_ci.operations.prepare.environment import PreparedState, prepared_state
from hyops_ci.secrets.certificate import certificate_ends
from hyops_ci.signing.dsse import load_host_key, public_of
from hyops_ci.stages.host_needs import others

SOON: Final = timedelta(days=30)
"""A certificate that ends within this is said."""
OLD: Final = timedelta(days=400)
"""A key that is older than this is said: its copies had time to get around."""
_WORKER: Final = re.compile(r"(?P<folder>/.+)/bin(?:\.[0-9.]+)?/Runner\.(?:Worker|Listener)")
_VERSION: Final = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}")


class HostLine(Model):
    """One thing that was looked at."""

    status: Literal["ok", "warn", "FAIL", "?"]
    topic: Clean
    text: Clean


class HostLook(Model):
    """A look at one host."""

    host: Clean
    at: Clean
    lane: Clean
    agent_version: Clean = ""
    lines: tuple[HostLine, ...]

    @property
    def failed(self) -> bool:
        """Whether a recovery would fail on it, or will soon be refused."""
        return any(line.status == "FAIL" for line in self.lines)


@dataclass(frozen=True)
class HostSenses:
    """How the host is looked at."""

    environ: Mapping[str, str]
    root: Path = Path("/")
    proc: Path = Path("/proc")
    pid: int = 0
    certificate: Callable[[str], datetime | str] = certificate_ends
    prepared: Callable[[], PreparedState] = prepared_state


def host_look(config: DispatchConfig, lane: str, now: datetime, senses: HostSenses) -> HostLook:
    """Return what this host says of itself."""
    version = agent_version(senses)
    lines = [
        _agent(version, now),
        *_disks(config, senses),
        *_certificates(config, now, senses),
        *_keys(config, now, senses),
        *_release(senses),
        *_approvers(now, senses),
    ]
    return HostLook(host=socket.gethostname(), at=stamp(now), lane=lane, agent_version=version, lines=tuple(lines))


def host_notes(config: DispatchConfig, lane: str, now: datetime) -> tuple[HostNote, ...]:
    """Return what this host says that somebody has to do something about, for the readiness of a check."""
    levels: dict[str, Literal["alarm", "warning"]] = {"FAIL": "alarm", "warn": "warning"}
    looked = host_look(config, lane, now, HostSenses(os.environ))
    return tuple(
        HostNote(level=levels[line.status], topic=line.topic, text=shown(line.text, 290)) for line in looked.lines if line.status in levels
    )


def agent_folder(senses: HostSenses) -> Path | None:
    """Return the folder of the agent that this process is a job of, by the processes above it; None outside of a job."""
    pid = senses.pid or os.getpid()
    for _ in range(64):
        place = senses.proc / str(pid)
        with suppress(OSError):  # a process of another user shows its parent, not its program
            if hit := _WORKER.fullmatch(str((place / "exe").readlink())):
                return Path(hit["folder"])
        try:
            parent = re.search(r"^PPid:\s+([1-9]\d*)$", (place / "status").read_text(), re.MULTILINE)
        except OSError:
            return None
        if parent is None:
            return None
        pid = int(parent[1])
    return None


def agent_version(senses: HostSenses) -> str:
    """Return the agent's version as its own program says it, empty where it cannot be asked."""
    folder = agent_folder(senses)
    if folder is None:
        return ""
    try:
        said = ask([str(folder / "bin" / "Runner.Listener"), "--version"], {"PATH": "/usr/bin:/bin", "HOME": str(folder)}, timeout=20.0)
    except OSError:
        return ""
    found = said.stdout.strip().rpartition("\n")[2].strip()
    return found if _VERSION.fullmatch(found) else ""


def _agent(version: str, now: datetime) -> HostLine:
    if not version:
        return HostLine(status="?", topic="agent", text="its version is not known: this is no job of an agent, or its program does not say")
    bad = objection(version, None, now)
    return HostLine(status="FAIL" if bad else "ok", topic="agent", text=bad or f"agent {version}")


def _disks(config: DispatchConfig, senses: HostSenses) -> Iterator[HostLine]:
    """Yield one line for each file system that a run writes to."""
    home = Path(senses.environ.get("HOME") or "/")
    base = Path(config.host.envs_base) if config.host.envs_base else home / ".hybridops" / "envs"
    there = next((each for each in (base, *base.parents) if each.exists()), Path("/"))
    env = DiskSpace(place=str(there), free_bytes=shutil.disk_usage(there).free, holds_env=True)
    beside = (Path(senses.environ.get("RUNNER_TEMP") or tempfile.gettempdir()), home)
    for each in (env, *others(there.stat().st_dev, beside)):
        text = f"{each.place}: {each.free_bytes // 1024**2} MiB free, at least {each.wanted // 1024**2} MiB"
        yield HostLine(status="ok" if each.free_bytes >= each.wanted else "FAIL", topic="disk", text=text)


def _certificates(config: DispatchConfig, now: datetime, senses: HostSenses) -> Iterator[HostLine]:
    for origin, _ in addresses(config):
        if config.vault is not None and config.vault.proxy:
            yield HostLine(status="?", topic="certificate", text=f"{origin}: behind a proxy, not looked at")
            continue
        until = senses.certificate(origin)
        if isinstance(until, str):
            yield HostLine(status="FAIL" if until.startswith("not believed") else "warn", topic="certificate", text=f"{origin}: {until}")
            continue
        left = until - now
        status: Literal["ok", "warn", "FAIL"] = "FAIL" if left <= timedelta(0) else "warn" if left <= SOON else "ok"
        yield HostLine(status=status, topic="certificate", text=f"{origin}: until {stamp(until)}, {left.days} d")


def _keys(config: DispatchConfig, now: datetime, senses: HostSenses) -> Iterator[HostLine]:
    """Yield the host's evidence key, whether the config believes it, and the age of the bundle's password."""
    path = senses.root / host_key_path(config).lstrip("/")
    if config.host_keys:
        try:
            public = public_of(load_host_key(path))
        except DispatchError as error:
            yield HostLine(status="FAIL", topic="key", text=f"{path}: {error.reason}; {error.found}")
        else:
            believed = public in config.host_keys.values()
            yield _aged("key", path, now, "" if believed else "not among host_keys of the config: nobody believes what it signs")
    password = config.host.vault_password_file
    if password and (senses.root / password.lstrip("/")).exists():
        yield _aged("password", senses.root / password.lstrip("/"), now, "")


def _aged(topic: str, path: Path, now: datetime, wrong: str) -> HostLine:
    made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    age = now - made
    text = f"{path}: of {made:%Y-%m-%d}, {max(age.days, 0)} d"
    if wrong:
        return HostLine(status="FAIL", topic=topic, text=f"{text}; {wrong}")
    return HostLine(status="warn" if age > OLD else "ok", topic=topic, text=text + ("; make a new one" if age > OLD else ""))


def _release(senses: HostSenses) -> Sequence[HostLine]:
    state, trust = senses.prepared(), senses.root / str(TRUST_FILE).lstrip("/")
    return [
        _there("environment", state.environment, f"{state.home}", "a job on a host with a trust file starts with no other"),
        _there("hook", state.hook, f"{state.hook_path}", "a stranger's job is not ended before its first step"),
        _there("trust", trust.is_file(), f"{trust}", "this host pins no callers"),
    ]


def _approvers(now: datetime, senses: HostSenses) -> Iterator[HostLine]:
    """Yield the keys of approvers that this host soon takes no signature from, or does no more."""
    path = senses.root / str(TRUST_FILE).lstrip("/")
    try:
        trust = read_trust(path.read_bytes(), str(path))
    except (OSError, DispatchError):
        return  # without a trust file, or with another document in its place: a line of its own, and a refusal of every job
    for person in trust.approvers:
        left = moment(person.not_after) - now if person.key and person.not_after else None
        if left is not None and left <= SOON:
            word = "counts no more since" if left <= timedelta(0) else f"counts for {left.days} d, until"
            yield HostLine(status="warn", topic="approver", text=f"the key of {person.login} {word} {person.not_after}")


def _there(topic: str, there: bool, what: str, without: str) -> HostLine:
    return HostLine(status="ok" if there else "FAIL", topic=topic, text=what if there else f"no {what}: {without}")
