"""Where workflows pin dr-dispatch, to the character, and the same text with another commit there.

Read as GitHub reads a workflow: `uses` of a job, and of a step. A comment or a script that looks like one is none. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import yaml

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.releases import COMMIT
from hyops_ci.parsing.yaml_loader import Yaml12Loader, YamlError, nodes
from hyops_ci.text import shell

NOT_YET: Final = "0" * 40
"""What a template has until somebody writes the commit of a release."""
UNRELEASED: Final = "unreleased"
_USES: Final = re.compile(r"(?P<repository>[\w-]+/dr-dispatch)(?P<path>/[^@\s]*)?@(?P<ref>\S+)", re.IGNORECASE)
_COMMENT: Final = re.compile(
    r"[ \t}\]]*[ \t]#[ \t]*(?:tag=)?(?P<said>v?\d+(?:\.\d+){0,2}(?:-[\w.-]+)?|unreleased|write the commit of the release here)(?=\s|$)"
)
"""As Dependabot and Renovate keep it, and as the templates have it before there is a release."""


@dataclass(frozen=True)
class Pin:
    """One `uses` of dr-dispatch."""

    file: str
    line: int
    repository: str
    path: str
    """Below the repository, with its slash; empty for its root action."""
    ref: str
    start: int
    """The character at which `ref` begins."""
    comment: tuple[int, int] | None = None
    """From where to where the comment behind it names a version."""

    @property
    def calls(self) -> bool:
        """Whether it is one of its workflows, whose jobs come to the hosts; else a step on a hosted machine."""
        return self.path.startswith("/.github/workflows/")

    @property
    def place(self) -> str:
        """Where it stands, and what is there."""
        return f"{self.file}:{self.line} @{self.ref}"


def pins_in(file: str, data: bytes) -> tuple[Pin, ...]:
    """Return the pins of a workflow in their order; none of a text that GitHub could not read either.

    Raises Refusal (exit 2) `upgrade.pin` for one that is not written in one piece: it cannot be changed alone.
    """
    try:
        root = nodes(data, Yaml12Loader)
    except YamlError:
        return ()
    text = data.decode("utf-8")
    found = {node.start_mark.index: node for node in _uses(root) if _USES.fullmatch(node.value)}
    return tuple(_pin(file, text, found[start]) for start in sorted(found))


def with_commit(data: bytes, pins: Sequence[Pin], commit: str, tag: str) -> bytes:
    """Return a workflow with `commit` in place of each pin, and `tag` in a comment that named a version; all else byte for byte."""
    text = data.decode("utf-8")
    for pin in sorted(pins, key=lambda each: each.start, reverse=True):
        if pin.comment is not None:
            start, end = pin.comment
            text = text[:start] + (tag or UNRELEASED) + text[end:]
        text = text[: pin.start] + commit + text[pin.start + len(pin.ref) :]
    return text.encode("utf-8")


def pinned(pins: Sequence[Pin]) -> frozenset[str]:
    """Return the commits that are pinned, at least one, all of one repository.

    Raises Refusal (exit 2): `upgrade.caller` without a pin, `upgrade.pin` for a branch, a tag or no commit yet, `upgrade.pins` for several
    owners.
    """
    if not pins:
        raise _refuse(
            "upgrade.caller",
            "no workflow here uses dr-dispatch",
            "no `uses: <owner>/dr-dispatch...@<commit>` below .github/workflows",
            "the checkout of a repository that calls it",
            "say which with --into; hyops-ci init writes a caller",
        )
    loose = [pin for pin in pins if not COMMIT.fullmatch(pin.ref) or pin.ref == NOT_YET]
    if loose:
        pin = loose[0]
        meant = shell("gh api {} --jq .sha", f"repos/{pin.repository}/commits/{pin.ref}")
        raise _refuse(
            "upgrade.pin",
            "a workflow does not pin dr-dispatch by a commit",
            ", ".join(each.place for each in loose),
            "the 40 digits of a commit, which nobody can move" + ("; 40 zeros are the place for them" if pin.ref == NOT_YET else ""),
            "write the commit of a release there" if pin.ref == NOT_YET else f"write there what it means today: {meant}",
        )
    if len({pin.repository.lower() for pin in pins}) > 1:
        raise _refuse(
            "upgrade.pins",
            "workflows use dr-dispatch of several owners",
            ", ".join(f"{pin.file}:{pin.line} {pin.repository}" for pin in pins),
            "one for all: hosts and authority know that one",
            "bring them to one by hand; then again",
        )
    return frozenset(pin.ref for pin in pins)


def one_commit(pins: Sequence[Pin], *, besides: str = "") -> str:
    """Return the one commit that all pins have; where they are to go to `besides`, some may have that already.

    Raises as `pinned`, and Refusal (exit 2) `upgrade.pins` for several commits.
    """
    commits = pinned(pins)
    left = sorted(commits - {besides} or commits)
    if len(left) > 1:
        raise _refuse(
            "upgrade.pins",
            "workflows pin several commits of dr-dispatch",
            ", ".join(pin.place for pin in pins),
            "one for all: hosts and authority know that one",
            "bring them to one by hand, the one that the hosts accept; then again",
        )
    return left[0]


def _uses(root: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Yield the `uses` of each job, and of each of its steps."""
    for jobs in _values(root, "jobs"):
        for _, job in jobs.value if isinstance(jobs, yaml.MappingNode) else ():
            steps = [step for each in _values(job, "steps") if isinstance(each, yaml.SequenceNode) for step in each.value]
            for place in (job, *steps):
                yield from (each for each in _values(place, "uses") if isinstance(each, yaml.ScalarNode))


def _values(node: yaml.Node | None, name: str) -> list[yaml.Node]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return [value for key, value in pairs if isinstance(key, yaml.ScalarNode) and key.value == name]


def _pin(file: str, text: str, node: yaml.ScalarNode) -> Pin:
    match = _USES.fullmatch(node.value)
    start, end, line = node.start_mark.index, node.end_mark.index, node.start_mark.line + 1
    written = text[start:end]
    if match is None or "\n" in written or not written.rstrip("'\"").endswith(node.value):
        raise _refuse(
            "upgrade.pin",
            "a workflow pins dr-dispatch in a form that cannot be changed alone",
            f"{file}:{line}",
            "uses: <owner>/dr-dispatch...@<commit>, on one line",
            "write it on one line",
        )
    ref = match["ref"]
    comment = _COMMENT.match(text, end)
    return Pin(
        file,
        line,
        match["repository"],
        match["path"] or "",
        ref,
        start + written.rindex(f"@{ref}") + 1,
        comment.span("said") if comment else None,
    )


def _refuse(gate: str, reason: str, found: str, expected: str, fix: str) -> Refusal:
    return Refusal(gate, reason, exit_code=Exit.USAGE, found=found, expected=expected, fix=fix, docs="upgrade.md")
