"""Errors of git, recognised by their texts in the C locale and by GitHub's own.

A permanent error becomes a refusal with a fix (`git_rejections`). All others are retried; after the last try, only what nobody answered
is called silence, since a run without GitHub may then use the standby. Whether a race was lost is read from the branch.
"""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.ledger.git_process import first_line
from hyops_ci.ledger.git_rejections import REJECTIONS, RULES, TOKEN

__all__ = [
    "RULES",
    "TOKEN",
    "Unsent",
    "gone",
    "no_token",
    "quoted",
    "refusal",
    "silent",
    "slow_down",
    "trouble",
    "unfinished",
    "unreadable",
    "unsent",
]
_SLOW_DOWN: Final = re.compile(r"returned error: 429|rate limit|abuse detection", re.I)
_SILENCE: Final = re.compile(
    r"could not resolve (host|hostname|proxy)|name resolution|name or service not known|no address associated"
    r"|failed to connect|couldn't connect|connection (refused|reset|timed out|closed)|timed out|no route to host"
    r"|network is (unreachable|down)|no answer in time|operation too slow|empty reply|recv failure|send failure|transfer closed"
    r"|RPC failed; (curl|HTTP 5)|HTTP/2 stream|SSL_ERROR_SYSCALL|unexpected eof while reading|GnuTLS recv error"
    r"|gnutls_handshake\(\) failed: (the TLS connection was non-properly|error in the (pull|push) function)"
    r"|(returned error:|HTTP code|response) 5\d\d|kex_exchange_identification|lost connection",
    re.I,
)
"""What git, curl and ssh say where no answer came, or one of a server that is out of order."""
_CUT: Final = re.compile(r"hung up unexpectedly|early EOF|unexpected disconnect|broken pipe|failed to push some refs", re.I)
"""What git says of a connection that ended: silence where nothing else is said, else the consequence of that."""
_NOISE: Final = re.compile(r"^(error:|-)\s*|^Review all repository rules.*|^\s*See https?://.*|^Learn more.*", re.I)
_REJECTED: Final = re.compile(r"\[(?:remote )?rejected\] \((.*)\)")


class Unsent(Fault):
    """The remote has said where the branch is, and its history did not come. The branch may have changed in between."""


def slow_down(output: str) -> bool:
    """Return whether the host limits the rate: transient, whatever its status."""
    return _SLOW_DOWN.search(output) is not None


def silent(output: str) -> bool:
    """Return whether nobody answered, or git said nothing at all."""
    lines = [line for line in output.splitlines() if line.strip()]
    if any(_SILENCE.search(line) for line in lines if not line.startswith("remote:")):
        return True
    return all(_CUT.search(line) for line in lines if line.startswith(("fatal:", "error:", "remote:")))


def refusal(output: str, branch: str) -> Refusal | None:
    """Return the refusal for a permanent error in git's output, None for a transient one."""
    if slow_down(output):
        return None
    found = next((each for each in REJECTIONS if each.fits(output)), None)
    if found is None:
        return None
    said = quoted(output)
    if not found.fits(said):  # the line that says why is not the one that git is loudest about
        said = "; ".join([said, *(line.strip() for line in output.splitlines() if found.fits(line))])
    return found.refusal(f"{branch}: {said}")


def no_token(found: str) -> Refusal:
    """Return the refusal of a remote that asks for a token where none was sent: there is none to blame."""
    return Refusal(
        TOKEN,
        "the ledger's host asks for a token, and none was given",
        exit_code=Exit.CONFLICT,
        found=found,
        expected="a token that may read the repository, in DR_TOKEN; on GitHub's own server GH_TOKEN, too",
        fix="export GH_TOKEN=$(gh auth token), or set DR_TOKEN",
        docs="ledger.md",
    )


def trouble(output: str, tries: int) -> Fault:
    """Return the fault after the last try: a rate limit, no answer, or an answer that is not understood."""
    found = f"{tries} tries; {quoted(output)}"
    if slow_down(output):
        return _fault(
            "ledger.limited",
            "the ledger's host limits the rate of requests",
            found,
            "fewer requests from this account",
            "start a new run in a few minutes",
        )
    if silent(output):
        return _fault(
            "ledger.unreachable",
            "the ledger does not answer",
            found,
            "an answer of the Git remote",
            "wait and start a new run; with GitHub down: hyops-ci run on the runner",
        )
    return _fault(
        "ledger.failed",
        "the ledger answers, and does not do what it is asked",
        found,
        "a Git remote that works",
        "see what its text says, and repair that at the remote; if it passes by itself: start a new run",
    )


def unfinished(branch: str, seconds: float) -> Fault:
    """Return the fault for a history that did not come to its end, though the remote had answered."""
    found, wanted = f"{branch}: not complete after {seconds:.0f} s", "a branch of a few megabytes"
    fix = "see what the branch holds, and how fast this host is connected; then start a new run"
    return _fault("ledger.failed", "the ledger answers, but its history does not arrive", found, wanted, fix)


def unsent(branch: str, commit: str) -> Unsent:
    """Return the fault for a remote that names a commit and does not send it."""
    return Unsent(
        "ledger.failed",
        "the ledger names a commit that it does not send",
        exit_code=Exit.UNAVAILABLE,
        found=f"{branch} at {commit}",
        expected="the commit, with its history",
        fix="git fsck at the remote; then start a new run",
        docs="ledger.md",
    )


def unreadable(branch: str, commit: str, what: str) -> Refusal:
    """Return the refusal for a branch that holds what no ledger holds."""
    return Refusal(
        "ledger.unreadable",
        "the ledger cannot be read, so nothing is done and nothing is overwritten",
        exit_code=Exit.CONFLICT,
        found=f"{branch} at {commit[:12]}: {what}",
        expected="tips of this release or an older one",
        fix="look at the branch; something else wrote to it",
        docs="ledger.md",
    )


def gone(output: str) -> bool:
    """Return whether the remote has the branch no longer."""
    return "couldn't find remote ref" in output.lower()


def quoted(output: str) -> str:
    """Return what the remote printed, its first lines joined; else git's most telling line."""
    lines = [_NOISE.sub("", line.removeprefix("remote:").strip()).strip() for line in output.splitlines() if line.startswith("remote:")]
    rejected = _REJECTED.search(output)
    return "; ".join([line for line in lines if line][:3]) or (rejected.group(1) if rejected else first_line(output))


def _fault(gate: str, reason: str, found: str, expected: str, fix: str) -> Fault:
    return Fault(gate, reason, exit_code=Exit.UNAVAILABLE, found=found, expected=expected, fix=fix, docs="ledger.md")
