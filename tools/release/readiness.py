"""May this commit be released under this tag? Pure: what git and GitHub know is an argument, `repository` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.documents import read_json
from tools.release.changelog import notes

TAG: Final = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
"""A version of SemVer without a pre-release: what `release.yml` starts on, too."""


MAX_LISTED: Final = 16 << 20
"""Bytes of a list of runs; GitHub gives thirty, of some 15 KB each."""
_KNOWN: Final = {"id", "run_attempt", "head_sha", "event", "head_branch", "status", "conclusion", "html_url"}


@dataclass(frozen=True)
class Facts:
    """What is known of the checkout and of its remote."""

    commit: str
    """40 digits."""
    version: str
    """Of the package, `hyops_ci.__version__`."""
    changelog: str
    """The text of CHANGELOG.md."""
    changed: tuple[str, ...]
    """Paths that differ from the commit, those that git does not know among them."""
    main: str
    """The commit of the remote's main; empty where it has none."""
    on_main: bool
    """Whether main holds the commit."""
    tagged: str
    """The commit of the tag on the remote; empty where there is no such tag."""


def refusals(facts: Facts, tag: str, *, pushed: bool) -> list[Refusal]:
    """Return everything that stands against the release. `pushed`: the tag must be there and name the commit; else it must be free."""
    return [*_of_the_commit(facts), *_of_the_version(facts, tag), *_of_the_tag(facts, tag, pushed=pushed)]


def _of_the_commit(facts: Facts) -> Iterator[Refusal]:
    if facts.changed:
        yield _no(
            "tree",
            "the checkout differs from its commit",
            found=", ".join(facts.changed),
            expected="a clean checkout: the files of a release are those of a commit",
            fix="commit or remove them: git status",
        )
    if not facts.on_main:
        yield _no(
            "main",
            "the commit is not on main",
            found=f"{facts.commit}; main is {facts.main or 'missing'}",
            expected="a commit that origin's main holds",
            fix="merge it first, then release what main holds: git switch main, git pull --ff-only",
        )


def _of_the_version(facts: Facts, tag: str) -> Iterator[Refusal]:
    if not TAG.fullmatch(tag):
        yield _no("tag", "not a tag of a release", found=tag, expected="vMAJOR.MINOR.PATCH", fix=f"this commit is v{facts.version}")
    elif tag != f"v{facts.version}":
        yield _no(
            "version",
            "the tag is not the version of the package",
            found=f"tag {tag}, hyops_ci/__init__.py {facts.version}",
            expected=f"v{facts.version}",
            fix=f"./dev release prepare {tag[1:]}, and merge that first",
        )
    try:
        notes(facts.changelog, facts.version)
    except Refusal as no:
        yield no


def _of_the_tag(facts: Facts, tag: str, *, pushed: bool) -> Iterator[Refusal]:
    if not pushed and facts.tagged:
        yield _no(
            "tag",
            "the tag is there already: a release is never made again",
            found=f"{tag} is {facts.tagged}",
            expected="a version that was not released",
            fix="./dev release prepare with the next version",
        )
    if pushed and facts.tagged != facts.commit:
        yield _no(
            "tag",
            "the tag does not name this commit",
            found=f"{tag} is {facts.tagged or 'missing'}",
            expected=facts.commit,
            fix="tags of releases never move: delete it where no release has it yet, and tag the commit of main",
        )


def runs_in(data: bytes) -> list[dict[str, Any]]:
    """Return the `workflow_runs` of GitHub's answer. Raises Refusal `release.ci` for what is no such list: then nobody knows."""
    try:
        listed = read_json(data, most=MAX_LISTED)
        runs: list[dict[str, Any]] = listed["workflow_runs"]
        if all(run.keys() >= _KNOWN for run in runs):
            return runs
        found = "a run without its commit, branch, event or end"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        found = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    raise _no(
        "ci",
        "the list of runs cannot be read",
        found=found,
        expected="GitHub's answer, JSON with workflow_runs",
        fix="see what gh api said before; then run this workflow again",
    )


def not_green(runs: Sequence[Mapping[str, Any]], commit: str) -> Refusal | None:
    """Return why the checks of a commit do not allow a release, None where they do.

    `runs` are GitHub's `workflow_runs` of ci.yml. What counts is the latest run that a push to main started for this commit.
    """
    of_main = [run for run in runs if run["head_sha"] == commit and run["event"] == "push" and run["head_branch"] == "main"]
    latest = max(of_main, key=lambda run: (int(run["id"]), int(run["run_attempt"])), default=None)
    if latest is not None and latest["status"] == "completed" and latest["conclusion"] == "success":
        return None
    found = "no run of ci.yml" if latest is None else f"{latest['html_url']}: {latest['conclusion'] or latest['status']}"
    return _no(
        "ci",
        "the checks of this commit are not green",
        found=found,
        expected=f"ci.yml on main, of {commit}, completed with success",
        fix="let it end or mend it, then run this workflow again",
    )


def _no(gate: str, reason: str, *, found: str, expected: str, fix: str) -> Refusal:
    code = Exit.CONFLICT if gate == "tag" else Exit.POLICY
    return Refusal(f"release.{gate}", reason, exit_code=code, found=found, expected=expected, fix=fix)
