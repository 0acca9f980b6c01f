"""What root puts on a host where HyOps runs as a user of its own: one sudo rule, the one program it is about, and a place for journals.

/etc/sudoers.d/dr-dispatch    /opt/dr-dispatch/{as-hyops, hyops-access/<release>/}    /var/lib/dr-dispatch
"""

from __future__ import annotations

import compileall
import os
import pwd
import secrets
import shutil
from pathlib import Path
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.execution.as_user import VISUDO, wrong_rule
from hyops_ci.files import only_root_writes
from hyops_ci.hyops_access.rule import ENTRY, ENTRY_TEXT, JOURNALS, LIBRARY, RELEASES, SUDOERS, release_of, rules_of, start_text

INSTALL: Final = "as root: apt-get install sudo (or what the distribution calls it), then once more"


class Unfit(Exception):
    """Why HyOps cannot have this user here: what was found, what was expected, what mends it."""

    def __init__(self, found: str, expected: str, fix: str) -> None:
        self.found, self.expected, self.fix = found, expected, fix
        super().__init__(found)


@dataclass(frozen=True)
class HyOpsUser:
    """The users of both sides, and what root gives them. `root` is `/` on a real host."""

    user: str
    group: int
    """Of the runner's user, which reads the journals."""
    name: str
    uid: int
    root: Path

    @property
    def files(self) -> tuple[tuple[Path, bytes, int], ...]:
        """Path, content and mode of each file of root's that is the same for every release."""
        return (
            (self.at(ENTRY), ENTRY_TEXT.encode(), 0o755),
            (self.rules, rules_of(self.user, self.name).encode(), 0o440),
        )

    @property
    def rules(self) -> Path:
        """The file of the rule."""
        return self.at(SUDOERS)

    @property
    def library(self) -> Path:
        """The library of this release, as HyOps' side starts it."""
        return self.at(RELEASES) / release_of()

    @property
    def journals(self) -> Path:
        """Where HyOps' side writes and the runner's group reads."""
        return self.at(JOURNALS)

    def at(self, path: str) -> Path:
        """Return where a path of the host is."""
        return self.root / path.lstrip("/")


def hyops_user(name: str, user: str, group: int, root: Path) -> HyOpsUser:
    """Return what is to be made for HyOps' user. Raises Unfit, before anything was changed."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise Unfit(
            f"no user {name}", "the user that host.user of the trust file names", f"useradd --system --create-home {name}"
        ) from None
    runner = pwd.getpwnam(user)
    if 0 in (account.pw_uid, runner.pw_uid) or account.pw_uid == runner.pw_uid:
        raise Unfit(f"agent {user}, HyOps {name}", "two users, neither of them root", "a user of its own for each: useradd --system")
    if shared := set(os.getgrouplist(name, account.pw_gid)) & set(os.getgrouplist(user, runner.pw_gid)):
        raise Unfit(f"{user} and {name} are both in group {min(shared)}", "no group that has both", f"gpasswd --delete {name} GROUP")
    if not Path(VISUDO).exists():
        raise Unfit(f"no {VISUDO}", "sudo on the host", INSTALL)
    if wrong := wrong_rule(rules_of(user, name)):
        raise Unfit(wrong, "a rule that visudo takes", "report this: it must not happen")
    return HyOpsUser(user, group, name, account.pw_uid, root)


def put_library(side: HyOpsUser, home: Path) -> bool:
    """Put the library of this release beside the others, compiled; return whether it was made now. `home`: root's environment."""
    start = side.library / "start"
    content = start_text(side.library.name, Path("/") / home.relative_to(side.root))
    if start.is_file() and start.read_text(encoding="utf-8") == content and only_root_writes(start):
        return False
    draft = side.library.with_name(f".{side.library.name}.{secrets.token_hex(8)}")
    try:
        shutil.copytree(LIBRARY, draft / LIBRARY.name, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(draft, quiet=2, stripdir=str(draft), prependdir=f"{RELEASES}/{side.library.name}")
        (draft / "start").write_text(content, encoding="utf-8")
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.name == "start" else 0o644)
        shutil.rmtree(side.library, ignore_errors=True)
        draft.rename(side.library)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def put_journals(side: HyOpsUser) -> bool:
    """Make the folder of the journals; return whether it was not as it should be."""
    folder = side.journals
    folder.mkdir(parents=True, exist_ok=True)
    facts = folder.stat()
    if (facts.st_uid, facts.st_gid, facts.st_mode & 0o7777) == (side.uid, side.group, 0o2750):
        return False
    os.chown(folder, side.uid, side.group)
    folder.chmod(0o2750)
    return True
