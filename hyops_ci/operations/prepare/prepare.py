"""What root puts on a runner's host: its key, its trust file, the job-started hook and the environment of this release.

    /etc/dr-dispatch/{host.key, trust.json}    /opt/dr-dispatch/{job-started.sh, <key of the environment>/}

and where HyOps has a user of its own what `hyops_user` names.

All of it is root's alone to write; the group of the runner's user, who is alone in it, may read the key. Done again, it changes only what
differs.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from hyops_ci import files
from hyops_ci.config.file import MAX_TRUST, read_trust
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal
from hyops_ci.operations.prepare import environment, hyops_user
from hyops_ci.signing.dsse import load_host_key, new_key, public_of
from hyops_ci.stages.preview import JOB_HOOK
from hyops_ci.text import shell

SETTINGS, PROGRAMS = "etc/dr-dispatch", "opt/dr-dispatch"
HOOK: Final = "job-started.sh"
"""The agent starts nothing that is not called `.sh`, `.ps1` or `.js`."""
HOOK_TEXT: Final = Path(__file__).with_name(HOOK)
ROOT: Final = 0
Done = Literal["made", "changed", "kept"]


@dataclass(frozen=True)
class HostOrder:
    """What is to be on the host. `root` is `/` on a real one."""

    user: str
    uid: int
    gid: int
    """The user that the agent runs as."""
    trust: bytes = b""
    """The trust file as `hyops-ci init` prints it; empty: the one that is there."""
    wheels: str = ""
    """Folder with the one wheel of each requirement, for the environment."""
    agent: Path | None = None
    """Folder of GitHub's agent, whose `.env` names the hook."""
    root: Path = Path("/")
    only_say: bool = False

    @property
    def key(self) -> Path:
        """The private key of the host."""
        return self.root / SETTINGS / "host.key"

    @property
    def trust_file(self) -> Path:
        """What the host accepts."""
        return self.root / SETTINGS / "trust.json"

    @property
    def hook(self) -> Path:
        """What the agent starts before a job."""
        return self.root / PROGRAMS / HOOK


@dataclass
class PreparedHost:
    """What was done, in order, as (what, path); and what else a person does."""

    steps: list[tuple[Done, str]] = field(default_factory=list)
    public_key: str = ""
    """Empty where the key would only have been made."""
    runner_refs: tuple[str, ...] = ()
    environment_line: str = ""
    """What the agent's `.env` must hold."""


def prepare_host(order: HostOrder) -> PreparedHost:
    """Put everything in its place. Raises Refusal (exit 2), where that can be known before the first change."""
    try:
        return _prepare(order)
    except OSError as error:
        problem = _refuse(f"{error.filename}: {error.strerror}", "a place that root can write", "look at it; then once more")
    raise problem


def _prepare(order: HostOrder) -> PreparedHost:
    requirements = environment.requirements_of(order.root)
    given = _trust(order)
    side = _hyops_user(order, given)
    for folder in (SETTINGS, PROGRAMS):
        _require_roots(order, order.root / folder)
    _require_own_group(order)
    _require_python(order)
    is_there = requirements.ready
    packages = {} if is_there or order.only_say else environment.packages_of(requirements, order.wheels)
    done = PreparedHost(environment_line=f"{JOB_HOOK}={Path('/') / PROGRAMS / HOOK}")
    for folder in (SETTINGS, PROGRAMS):
        _folder(order, order.root / folder)
    done.public_key = _key(order, done)
    _write_trust(order, given, done)
    _write(order, order.hook, HOOK_TEXT.read_bytes(), 0o755, done)
    if packages:
        environment.make(requirements, packages)
    done.steps.append(("kept" if is_there else "made", str(requirements.home)))
    if side is not None:
        _separate(order, side, requirements.home, done)
    if order.agent is not None:
        _name_hook(order, order.agent, done)
    return done


def _hyops_user(order: HostOrder, trust: HostTrust) -> hyops_user.HyOpsUser | None:
    """Return what a user of HyOps' own needs, where the trust file names one. Raises Refusal."""
    if trust.host is None or not trust.host.user:
        return None
    try:
        return hyops_user.hyops_user(trust.host.user, order.user, order.gid, order.root)
    except hyops_user.Unfit as problem:
        refused = _refuse(problem.found, problem.expected, problem.fix)
    raise refused


def _separate(order: HostOrder, side: hyops_user.HyOpsUser, home: Path, done: PreparedHost) -> None:
    """Put the one program that the runner's user may start as HyOps' user in its place, and the rule that lets it, last."""
    for folder in (side.library.parent, side.rules.parent):
        _folder(order, folder)
    made = not order.only_say and hyops_user.put_library(side, home)
    done.steps.append(("made" if made or not side.library.exists() else "kept", str(side.library)))
    changed = not order.only_say and hyops_user.put_journals(side)
    done.steps.append(("made" if changed or not side.journals.exists() else "kept", str(side.journals)))
    for path, content, mode in side.files:
        _write(order, path, content, mode, done)


def _trust(order: HostOrder) -> HostTrust:
    """Return what the host is to accept. Raises Refusal for a document that is none, and where there is none at all."""
    if order.trust:
        return read_trust(order.trust, "--trust")
    before = _trust_before(order)
    if before is None:
        raise _refuse(f"no {order.trust_file}", "a trust file, there or given", "pass --trust what hyops-ci init prints")
    return before


def _trust_before(order: HostOrder) -> HostTrust | None:
    try:
        return read_trust(files.read(order.trust_file, MAX_TRUST), str(order.trust_file))
    except FileNotFoundError:
        return None
    except (OSError, files.UnsafeFile) as error:
        raise _refuse(f"{order.trust_file}: {error}", "a file of root", shell("look at it; rm {}", order.trust_file)) from None


def _require_roots(order: HostOrder, folder: Path) -> None:
    """Refuse a folder that somebody else than root can write, before anything is put into it."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not order.only_say and os.geteuid() != 0:
        raise _refuse(f"user id {os.geteuid()}", "root", "sudo")
    if not files.only_root_writes(there):
        raise _refuse(
            f"{there} is not root's alone to write",
            "a folder of root, and so all on the way to it",
            shell("look what lies in it; chown root:root {}; chmod go-w {}", there, there),
        )


def _require_python(order: HostOrder) -> None:
    """Refuse a Python that the agent's user could not start, or could change: one of somebody's home, as version managers put it there."""
    python = environment.interpreter().resolve()
    if not files.only_root_writes(python):
        raise _refuse(
            f"{python}, which somebody else than root can change",
            "a Python that only root can change: it runs every job's hyops-ci",
            "install the distribution's python3, and name it first on the PATH of root",
        )
    for each in (python, *python.parents):
        facts = each.stat()
        if order.uid not in (0, facts.st_uid) and not facts.st_mode & 0o001:
            raise _refuse(
                f"{python}, where {order.user} may not pass {each}",
                "a Python that everybody may start",
                "install the distribution's python3, and name it first on the PATH of root",
            )


def _require_own_group(order: HostOrder) -> None:
    """Refuse a group that others are in, too: it may read the host's key."""
    import grp
    import pwd

    if order.uid == 0:
        return
    members = {each.pw_name for each in pwd.getpwall() if each.pw_gid == order.gid}
    with suppress(KeyError):  # a number without a name
        members |= set(grp.getgrgid(order.gid).gr_mem)
    if others := sorted(members - {order.user}):
        raise _refuse(
            f"group {order.gid} of {order.user} has {', '.join(others)}, too",
            f"a group that is {order.user}'s alone",
            shell("groupadd --system {}; usermod --gid {} {}", order.user, order.user, order.user),
        )


def _folder(order: HostOrder, folder: Path) -> None:
    if not order.only_say and not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _key(order: HostOrder, done: PreparedHost) -> str:
    """Return the public half of the host's key, which is made once and never replaced."""
    path = order.key
    if path.exists():
        public = public_of(load_host_key(path))
        facts, right = path.stat(), (ROOT, order.gid, 0o440)
        differs = (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) != right
        done.steps.append(("changed" if differs else "kept", str(path)))
    else:
        public, differs = "" if order.only_say else new_key(path), True
        done.steps.append(("made", str(path)))
    if differs and not order.only_say:
        os.chown(path, ROOT, order.gid)
        path.chmod(0o440)
    return public


def _write_trust(order: HostOrder, given: HostTrust, done: PreparedHost) -> None:
    """Write the trust file with the host's key among those that sign evidence; keys of a file before, other hosts' among them, are kept."""
    before = _trust_before(order)
    earlier = before.evidence_keys if before is not None else ()
    keys = tuple(dict.fromkeys((*given.evidence_keys, *earlier, *filter(None, [done.public_key]))))
    trust = HostTrust.model_validate({**given.model_dump(exclude_unset=True), "evidence_keys": keys})
    done.runner_refs = trust.runner_refs
    content = json.dumps(trust.model_dump(mode="json", exclude_unset=True), indent=2).encode() + b"\n"
    if trust == before:  # as it was written, by hand or here
        content = files.read(order.trust_file, MAX_TRUST)
    _write(order, order.trust_file, content, 0o644, done)


def _write(order: HostOrder, path: Path, content: bytes, mode: int, done: PreparedHost) -> None:
    """Write a file of root as a whole, where it differs."""
    if path.is_symlink() or not path.exists():
        how: Done = "made"
    else:
        facts = path.stat()
        same = facts.st_uid == ROOT and facts.st_mode & 0o777 == mode and path.read_bytes() == content
        how = "kept" if same else "changed"
    if how != "kept" and not order.only_say:
        files.write(path, content, mode=mode)
        path.chmod(mode)  # whatever the umask is
    done.steps.append((how, str(path)))


def _name_hook(order: HostOrder, agent: Path, done: PreparedHost) -> None:
    """Name the hook in the agent's `.env`, a file of root. In a sticky folder of root its user can neither write nor exchange that."""
    if not (agent / "config.sh").is_file():
        raise _refuse(f"{agent} holds no config.sh", "the folder of GitHub's agent", "name it: --agent FOLDER")
    path = agent / ".env"
    old = files.read(path, MAX_TRUST).decode("utf-8", "replace").splitlines() if path.exists() else []
    lines = [*(line for line in old if not line.startswith(f"{JOB_HOOK}=")), done.environment_line]
    facts = agent.stat()
    if not order.only_say and (facts.st_uid, facts.st_gid, facts.st_mode & 0o7777) != (ROOT, order.gid, 0o1775):
        os.chown(agent, ROOT, order.gid)
        agent.chmod(0o1775)
    _write(order, path, "".join(f"{line}\n" for line in lines).encode(), 0o644, done)


def _refuse(found: str, expected: str, fix: str) -> Refusal:
    return Refusal(
        "runner.prepare",
        "this host cannot be prepared like that",
        exit_code=Exit.USAGE,
        found=found,
        expected=expected,
        fix=fix,
        docs="host-trust.md",
    )
