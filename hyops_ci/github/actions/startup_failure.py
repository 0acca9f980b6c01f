"""Why a run ended before its first job: found in the caller's workflow file, as `startup_failure` has no message (docs/design/github.md 7).

A called workflow can only keep or reduce what the calling job grants. One permission too few, and GitHub starts
nothing: no job and no log. So the file is read at the run's commit and checked here, by pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hyops_ci.dataclass import dataclass
from hyops_ci.github.actions.workflow_file import mapping

NEEDED: Final = {"contents": "write", "actions": "write", "id-token": "write"}
"""What the job that calls dispatch.yml grants, exactly; frozen within v1 (docs/design/workflows.md 1)."""
INPUTS: Final = frozenset(
    "decision decision_ref action service reason restore old_primary serves approvals resume bootstrap_reason index wheelhouse".split()
)
"""What dispatch.yml of this release takes."""
NOT_KNOWN: Final = (
    "whether the commit behind @ exists in that repository, whether the settings of repository and organization allow its actions, "
    "and whether billing or GitHub itself stopped it: the run's page says it, on top"
)
"""What this cannot see in a file."""
CALLED: Final = re.compile(r"(?P<repository>[A-Za-z0-9-]+/dr-dispatch)/\.github/workflows/dispatch\.yml(?:@(?P<ref>.*))?", re.DOTALL)
_OF_A_CALL: Final = frozenset({"name", "uses", "with", "secrets", "strategy", "needs", "if", "concurrency", "permissions"})
_LEVELS: Final = {"none": 0, "read": 1, "write": 2}
_KNOWN: Final = frozenset(
    "actions artifact-metadata attestations checks contents deployments discussions id-token issues models packages pages pull-requests "
    "repository-projects security-events statuses vulnerability-alerts".split()
)


@dataclass(frozen=True)
class Cause:
    """One thing in the file that keeps the run from starting."""

    job: str
    reason: str
    found: str
    fix: str

    def line(self) -> str:
        """Return what is wrong and where, in one line."""
        return f"{f'job {self.job}: ' * bool(self.job)}{self.reason} ({self.found})"


def explain_startup(document: Mapping[str, Any]) -> list[Cause]:
    """Return what in a caller's workflow keeps GitHub from starting the job that calls dispatch.yml; empty when nothing is found."""
    jobs = mapping(document.get("jobs"))
    calling = [(str(name), mapping(job), found) for name, job in jobs.items() if (found := _called(mapping(job)))]
    if not calling:
        used = ", ".join(str(mapping(job)["uses"]) for job in jobs.values() if "uses" in mapping(job))
        fix = "write uses: hybridops/dr-dispatch/.github/workflows/dispatch.yml@<commit> into one"
        return [Cause("", "no job calls dispatch.yml of dr-dispatch", used or "no job with uses:", fix)]
    return [cause for name, job, found in calling for cause in _causes(name, job, found, document)]


def granted(job: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Return the level that a job's token has, for each name in `NEEDED`, and where that is written."""
    for where, holder in (("the job", job), ("the workflow's top", document)):
        if "permissions" in holder:
            return {name: _level(holder["permissions"], name) for name in NEEDED}, f"{where}: {_written(holder['permissions'])}"
    # Whether the repository's default is to read or to write is a setting; id-token is never in it.
    return dict.fromkeys(NEEDED, "read") | {"id-token": "none"}, "no permissions: the repository's default, which never has id-token"


def _causes(name: str, job: Mapping[str, Any], called: re.Match[str], document: Mapping[str, Any]) -> Iterator[Cause]:
    yield from _missing(name, job, document)
    yield from _misspelt(name, job, document)
    yield from _reference(name, called)
    for key in sorted(set(map(str, job)) - _OF_A_CALL):
        yield Cause(
            name, f"a job that calls a workflow cannot have {key}", f"{key}:", f"delete it: {', '.join(sorted(_OF_A_CALL))} are all"
        )
    for each in sorted(set(map(str, mapping(job.get("with")))) - INPUTS):
        fix = f"dispatch.yml of this release takes {', '.join(sorted(INPUTS))}"
        yield Cause(name, f"dispatch.yml takes no input {each}", f"with: {each}", fix)


def _missing(name: str, job: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Cause]:
    have, where = granted(job, document)
    lacking = [each for each, level in NEEDED.items() if _LEVELS.get(have[each], 0) < _LEVELS[level]]
    if lacking:
        words = ", ".join(f"{each}: {NEEDED[each]}" for each in lacking)
        everything = ", ".join(f"{each}: {level}" for each, level in NEEDED.items())
        yield Cause(name, f"it does not grant {words}", where, f"write permissions: {{{everything}}} on the job")


def _misspelt(name: str, job: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Cause]:
    """Names and levels that GitHub does not know make the whole file invalid."""
    for where, holder in ((name, job), ("", document)):
        written = holder.get("permissions")
        if isinstance(written, str) and written not in ("read-all", "write-all"):
            yield Cause(where, "permissions has no such value", written, "write read-all, write-all or a mapping")
        for each, level in mapping(written).items():
            if each not in _KNOWN:
                yield Cause(where, "GitHub knows no such permission", f"{each}: {level}", f"one of {', '.join(sorted(_KNOWN))}")
            elif str(level) not in _LEVELS or (each == "id-token" and level == "read"):
                yield Cause(where, "GitHub knows no such level", f"{each}: {level}", "write, read (not of id-token) or none")


def _reference(name: str, called: re.Match[str]) -> Iterator[Cause]:
    ref = called["ref"]
    fix = f"write the commit of a release of {called['repository']} behind @, 40 hex digits"
    if not ref:
        yield Cause(name, "the call names no commit", called[0], fix)
    elif set(ref) == {"0"}:
        yield Cause(name, "the template's placeholder is still there", f"@{ref}", fix)
    elif re.search(r"\$\{\{|\s", ref):
        yield Cause(name, "GitHub puts nothing into uses:", f"@{ref}", fix)
    elif re.fullmatch(r"[0-9a-fA-F]{7,39}", ref):
        yield Cause(name, "a short commit is not a reference", f"@{ref}", fix)


def _called(job: Mapping[str, Any]) -> re.Match[str] | None:
    uses = job.get("uses")
    return CALLED.fullmatch(uses) if isinstance(uses, str) else None


def _level(written: object, name: str) -> str:
    if written == "write-all":
        return "write"
    if written == "read-all":
        return "none" if name == "id-token" else "read"
    return str(mapping(written).get(name, "none"))


def _written(permissions: object) -> str:
    if not isinstance(permissions, dict):
        return f"permissions: {permissions}"
    return f"permissions: {{{', '.join(f'{name}: {level}' for name, level in permissions.items())}}}"
