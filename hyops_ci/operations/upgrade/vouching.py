"""Who vouches for the commit that callers are to pin: a published release, or the person who names it in full.

That a commit is there and can be read says nothing of it. GitHub shows commits of forks below the repository's own address, too: only
a release, or the way from the default branch, makes one the repository's.
"""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import NotFound
from hyops_ci.github.contents import file_at
from hyops_ci.github.releases import Relation, Release, moved, relation, release, versions_of
from hyops_ci.github.repository import repository
from hyops_ci.operations.upgrade.changes import added

CHANGELOG: Final = "CHANGELOG.md"
PACKAGE: Final = "hyops_ci/__init__.py"
_VERSION: Final = re.compile(rb'^__version__ = "([^"\n]+)"\r?$', re.MULTILINE)
_CONTAINED: Final = frozenset({"identical", "behind"})


@dataclass(frozen=True)
class Target:
    """The commit that is moved to, and what is known of it."""

    commit: str
    tag: str
    """Of its published release; empty where there is none."""
    was: str
    """The commit that is pinned today."""
    was_tag: str
    relation: Relation
    """Of the new commit to the old one."""
    on_default_branch: bool
    default_branch: str
    prerelease: bool
    immutable: bool
    """Whether the release cannot be changed any more."""
    added: dict[str, str]
    """Version -> what it changes, of what comes with it."""
    dropped: dict[str, str]
    """The same, of what goes away: a downgrade."""

    @property
    def name(self) -> str:
        """Its version, else the begin of the commit."""
        return self.tag or self.commit[:12]

    @property
    def vouched(self) -> bool:
        """Whether anybody but the person who named it vouches for it."""
        return bool(self.tag) or self.on_default_branch

    @property
    def downgrade(self) -> bool:
        """Whether it is older than what is pinned."""
        return self.relation == "behind"


@dataclass(frozen=True)
class Named:
    """The commit that somebody named, by a version or in full."""

    commit: str
    release: Release | None = None


def named(client: Client, version: str, commit: str) -> Named:
    """Return the commit of the published release `version`, or `commit`; both where they are the same.

    Raises as `Client.ask`; Refusal (exit 2) `upgrade.version` for what was not published; Refusal (exit 4) `upgrade.moved` for a tag that
    points elsewhere than its release, its own files or the person say.
    """
    if not version:
        return Named(commit)
    found = _released(client, version)
    if commit and found.commit != commit:
        raise moved(found.tag, f"the tag points at {found.commit}", f"{commit}, as --commit says", client.repository)
    return Named(found.commit, found)


def target(client: Client, wanted: Named, was: str) -> Target:
    """Return what is known of a commit beside `was`, which is pinned today.

    A release that has the commit by its tag vouches for it only where its tag was not moved there: whoever names a commit is told no less
    than who names a version. Raises as `named`, and Refusal (exit 2) `upgrade.commit` where the repository does not have both.
    """
    commit = wanted.commit
    between = relation(client, was, commit)
    if between is None:
        raise _unknown(client, commit, was)
    branch = repository(client).default_branch
    known = versions_of(client, (commit, was))
    published = wanted.release or (_released(client, known[commit]) if commit in known else None)
    before, after = (_file(client, CHANGELOG, each).decode("utf-8", "replace") for each in (was, commit))
    return Target(
        commit=commit,
        tag=published.tag if published is not None else "",
        was=was,
        was_tag=known.get(was, ""),
        relation=between,
        on_default_branch=relation(client, branch, commit) in _CONTAINED,
        default_branch=branch,
        prerelease=published is not None and published.prerelease,
        immutable=published is not None and published.immutable,
        added=added(before, after),
        dropped=added(after, before),
    )


def told(found: Target) -> list[str]:
    """Return what a person has to know of it before it is pinned."""
    lines = [f"from    {found.was} {found.was_tag or '(no release)'}", f"to      {found.commit} {found.tag or '(no release)'}"]
    if found.tag:
        lines.append(f"vouched the published release {found.tag}{', a prerelease' if found.prerelease else ''}")
        if not found.immutable:
            lines.append(f"WARNING the release is not immutable: whoever may write there can move {found.tag} and have the release say so")
    if not found.on_default_branch:
        lines.append(f"WARNING it is not on {found.default_branch}")
    elif not found.tag:
        lines.append(f"WARNING no release: it is on {found.default_branch}, and that is all that vouches for it")
    if not found.vouched:
        lines.append("WARNING UNVOUCHED: it may be anybody's. GitHub shows commits of forks under this repository, too")
    if found.downgrade:
        lines.append("WARNING DOWNGRADE: it is older. What it does not know yet (ledger, config, host trust) it refuses")
    if found.relation == "diverged":
        lines.append("WARNING neither is the other's successor: something of both sides goes or comes")
    return lines


def _released(client: Client, version: str) -> Release:
    """Return a published release that is what it was made as. Raises Refusal: exit 2 `upgrade.version`, exit 4 `upgrade.moved`."""
    found = release(client, version)
    if (says := _version_at(client, found.commit)) != found.version:
        raise moved(found.tag, f"the files at {found.commit} are of version {says}", found.version, client.repository)
    return found


def _version_at(client: Client, commit: str) -> str:
    """Return the version that the files of a commit say, or what is there instead."""
    hit = _VERSION.search(_file(client, PACKAGE, commit))
    return hit[1].decode("utf-8", "replace") if hit else f"unknown ({PACKAGE} does not say)"


def _file(client: Client, path: str, commit: str) -> bytes:
    """Return a file of a commit, nothing where it has none."""
    try:
        return file_at(client, path, commit)
    except NotFound:
        return b""


def _unknown(client: Client, commit: str, was: str) -> Refusal:
    return Refusal(
        "upgrade.commit",
        f"{client.repository} does not have both commits",
        exit_code=Exit.USAGE,
        found=f"from {was} to {commit}",
        expected="two commits of that repository",
        fix="compare both with the repository's page; what is pinned today may be of another repository, or gone",
        docs="upgrade.md",
    )
