"""Errors of git, recognised by their texts in the C locale and by GitHub's own.

Permanent errors become a refusal with a fix; all others are transient and retried. Whether a race was lost is read from the branch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.ledger.git_process import first_line

_SLOW_DOWN: Final = re.compile(r"returned error: 429|rate limit|abuse detection", re.I)
_NOISE: Final = re.compile(r"^(error:|-)\s*|^Review all repository rules.*|^\s*See https?://.*|^Learn more.*", re.I)
_REJECTED: Final = re.compile(r"\[(?:remote )?rejected\] \((.*)\)")
RULES: Final = "ledger.rules"


@dataclass(frozen=True)
class _Rejection:
    """A permanent error: the texts that mean it, and the refusal it becomes."""

    words: re.Pattern[str]
    gate: str
    reason: str
    expected: str
    fix: str


_REJECTIONS: Final = (
    _Rejection(
        re.compile(r"GH0(06|13):|rule violations|protected branch|protected ref|hook declined|deny updating", re.I),
        RULES,
        "a rule of the repository forbids this push",
        "rules for refs/heads/dr-ledger/** that forbid deletion and force-push, and nothing else",
        "take dr-ledger/** out of the other rulesets and branch protections; hyops-ci ledger init prints the one to keep",
    ),
    _Rejection(
        re.compile(r"was archived so it is", re.I),
        "ledger.denied",
        "the ledger's repository is archived",
        "a repository that can be written",
        "unarchive it, or name another one: ledger.repository",
    ),
    _Rejection(
        re.compile(r"SAML SSO|IP allow list", re.I),
        "ledger.denied",
        "the organization does not accept this token",
        "a token that the organization has authorized, from an address that it allows",
        "authorize the token for the organization, or let the runner's address in",
    ),
    _Rejection(
        re.compile(
            r"returned error: 401|authentication failed|could not read (username|password)|invalid username|bad credentials"
            r"|permission denied \(",
            re.I,
        ),
        "ledger.token",
        "the ledger's host does not accept the token",
        "a token that is valid now, in DR_TOKEN",
        "in a job: pass github.token, which lives as long as its job, and start a new run; in a shell: make a new token",
    ),
    _Rejection(
        re.compile(r"returned error: 403|permission to .* denied|access denied|access to repository not granted", re.I),
        "ledger.denied",
        "the token may not write the ledger",
        "a job with permissions: contents: write",
        "give the calling job contents: write, and the repository's workflow permissions must allow it (docs/ledger.md)",
    ),
    _Rejection(
        re.compile(r"insufficient permission|read-only file system", re.I),
        "ledger.denied",
        "the ledger's repository cannot be written",
        "a repository that this user of this host may write",
        "give it to the user that runs hyops-ci",
    ),
    _Rejection(
        re.compile(r"returned error: 404|repository .*not found|repository not found", re.I),
        "ledger.missing",
        "there is no such repository, or this token cannot see it",
        "a repository that this token can read; a private one that it cannot see looks the same",
        "a job's own token sees its own repository only: for another one use an App's token; or correct ledger.repository",
    ),
    _Rejection(
        re.compile(r"does not appear to be a git repository|does not exist|invalid gitfile|not a git repository", re.I),
        "ledger.missing",
        "there is no such ledger",
        "a bare Git repository at this place",
        "git init --bare there, then hyops-ci ledger init; or correct ledger.repository",
    ),
)


def slow_down(output: str) -> bool:
    """Return whether the host limits the rate: transient, whatever its status."""
    return _SLOW_DOWN.search(output) is not None


def refusal(output: str, branch: str) -> Refusal | None:
    """Return the refusal for a permanent error in git's output, None for a transient one."""
    if slow_down(output):
        return None
    found = next((each for each in _REJECTIONS if each.words.search(output)), None)
    if found is None:
        return None
    return Refusal(
        found.gate,
        found.reason,
        exit_code=Exit.CONFLICT,
        found=f"{branch}: {quoted(output)}",
        expected=found.expected,
        fix=found.fix,
        docs="ledger.md",
    )


def unreachable(output: str, tries: int) -> Fault:
    """Return the fault after the last try: no answer, or a rate limit."""
    limited = slow_down(output)
    return Fault(
        "ledger.limited" if limited else "ledger.unreachable",
        "the ledger's host limits the rate of requests" if limited else "the ledger does not answer",
        exit_code=Exit.UNAVAILABLE,
        found=f"{tries} tries; {quoted(output)}",
        expected="fewer requests from this account" if limited else "an answer of the Git remote",
        fix="start a new run in a few minutes" if limited else "wait and start a new run; with GitHub down: hyops-ci run on the runner",
        docs="ledger.md",
    )


def quoted(output: str) -> str:
    """Return what the remote printed, its first lines joined; else git's most telling line."""
    lines = [_NOISE.sub("", line.removeprefix("remote:").strip()).strip() for line in output.splitlines() if line.startswith("remote:")]
    rejected = _REJECTED.search(output)
    return "; ".join([line for line in lines if line][:3]) or (rejected.group(1) if rejected else first_line(output))
