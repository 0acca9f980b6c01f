"""Published releases of a repository: the commit of a version, the version of a commit, and how two commits lie to each other.

A tag is a name that somebody can move, so it is never taken for the release alone: what the release itself says is compared with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.errors import reading
from hyops_ci.text import shell

VERSION: Final = re.compile(r"v?(\d{1,6}\.\d{1,6}\.\d{1,6}(?:-[0-9A-Za-z.-]{1,60})?)")
"""A version that names one release for good; `v1` and `v1.2` are moved with each release."""
COMMIT: Final = re.compile(r"[0-9a-f]{40}")
Relation = Literal["identical", "ahead", "behind", "diverged"]
"""Of a commit to another one, which it is compared with."""
_SHOWN: Final = 5
_PAGES: Final = 5
_ANNOTATED: Final = 3
"""Tags of tags that are followed."""


@dataclass(frozen=True)
class Release:
    """A published release."""

    tag: str
    commit: str
    prerelease: bool = False
    immutable: bool = False
    """Whether neither its tag nor what it says can be changed any more. A GitHub that does not know of that does not say so."""

    @property
    def version(self) -> str:
        """The version without its v."""
        return self.tag.removeprefix("v")


def release(client: Client, version: str) -> Release:
    """Return the published release of a version, such as `v1.2.3` or `1.2.3`, with the commit that its tag points at.

    Raises as `Client.ask`, and Refusal (exit 2) `upgrade.version` for what was not published; Refusal (exit 4) `upgrade.moved` where the
    release was made of another commit than its tag points at now.
    """
    named = VERSION.fullmatch(version)
    tag = f"v{named[1]}" if named else version
    found = client.exists(endpoints.RELEASE, tag=tag) if named else None
    if found is None or found.get("draft"):
        there = ", ".join(published(client)) or "none yet"
        raise Refusal(
            "upgrade.version",
            f"{client.repository} has published no such version",
            exit_code=Exit.USAGE,
            found=version,
            expected=f"a published version: {there}",
            fix=shell("all of them: gh api {} --jq '.[].tag_name'", f"repos/{client.repository}/releases"),
            docs="upgrade.md",
        )
    with reading(endpoints.RELEASE):
        made_of, prerelease, immutable = str(found["target_commitish"]), bool(found["prerelease"]), found.get("immutable") is True
    commit = _tagged(client, tag)
    if COMMIT.fullmatch(made_of) and made_of != commit:
        raise moved(tag, f"the tag points at {commit}", f"{made_of}, which the release was made of", client.repository)
    return Release(tag, commit, prerelease, immutable)


def published(client: Client, most: int = _SHOWN) -> tuple[str, ...]:
    """Return the tags of the newest published releases, at most `most` of them. Raises as `Client.pages`."""
    return _published(client)[:most]


def versions_of(client: Client, commits: Iterable[str]) -> dict[str, str]:
    """Return commit -> tag, of those commits that a published release with a version is at. Raises as `Client.pages`."""
    wanted = frozenset(commits)
    with reading(endpoints.TAGS):
        listed = [(str(each["name"]), str(each["commit"]["sha"])) for each in client.pages(endpoints.TAGS, "", most=_PAGES)]
    tagged = {commit: tag for tag, commit in reversed(listed) if commit in wanted and VERSION.fullmatch(tag)}
    known = frozenset(_published(client)) if tagged else frozenset()
    return {commit: tag for commit, tag in tagged.items() if tag in known}


def relation(client: Client, base: str, commit: str) -> Relation | None:
    """Return how `commit` lies to `base`, a commit or a branch; None where GitHub knows one of them not. Raises as `Client.ask`."""
    found = client.exists(endpoints.COMPARISON, base=base, head=commit)
    if found is None:
        return None
    with reading(endpoints.COMPARISON):
        status: Relation = found["status"]
    return status


def moved(tag: str, found: str, expected: str, repository: str) -> Refusal:
    """Return the refusal of a tag that does not point where its release was made."""
    return Refusal(
        "upgrade.moved",
        f"the tag {tag} is not where its release was made",
        exit_code=Exit.POLICY,
        found=found,
        expected=expected,
        fix=f"stay where you are, and ask those who keep {repository} who moved the tag",
        docs="upgrade.md",
    )


def _published(client: Client) -> tuple[str, ...]:
    with reading(endpoints.RELEASES):
        return tuple(str(each["tag_name"]) for each in client.pages(endpoints.RELEASES, "", most=_PAGES) if not each["draft"])


def _tagged(client: Client, tag: str) -> str:
    """Return the commit of a tag, through annotated tags."""
    with reading(endpoints.TAG_REF):
        found = client.ask(endpoints.TAG_REF, ref=f"tags/{tag}")["object"]
        for _ in range(_ANNOTATED):
            if found["type"] == "tag":
                found = client.ask(endpoints.TAG_OBJECT, sha=found["sha"])["object"]
        kind, commit = str(found["type"]), str(found["sha"])
    if kind != "commit" or not COMMIT.fullmatch(commit):
        raise moved(tag, f"the tag points at a {kind}", "a commit", client.repository)
    return commit
