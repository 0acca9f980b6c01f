"""`hyops-ci upgrade`: another release of dr-dispatch, in a checkout that calls it and on the hosts that accept it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.options import format_option, gather, repository_option
from hyops_ci.dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyops_ci.operations.init.commands import Adopter
    from hyops_ci.operations.upgrade.steps import Step
    from hyops_ci.operations.upgrade.upgrade import Upgrade


@dataclass(frozen=True)
class UpgradeOptions:
    """Where to, and what is changed."""

    version: str
    commit: str
    into: Path
    repository: str
    trust: Path | None
    dry_run: bool
    finish: bool

    def refuse_contradictions(self) -> None:
        """Raise click.UsageError for words that do not go together."""
        if self.commit and not re.fullmatch("[0-9a-f]{40}", self.commit):
            raise click.UsageError("--commit is a commit in full: 40 hex digits")
        if self.trust is not None and (self.version or not self.commit):
            raise click.UsageError("--trust takes --commit, in full, and no version: a host asks nobody what one is")
        if self.trust is None and self.finish and (self.version or self.commit):
            raise click.UsageError("--finish takes no version: what stays is the commit that the checkout pins")
        if self.trust is None and not self.finish and not (self.version or self.commit):
            raise click.UsageError("name a version, such as v1.2.3, or --commit")


@click.command("upgrade")
@click.argument("version", default="")
@click.option("--commit", default="", help="The commit, 40 hex digits: instead of a version, or to say which one you expect.")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path(), help="The checkout.")
@repository_option
@click.option("--trust", type=click.Path(path_type=Path), help="On a host, as root: accept --commit in this trust file, beside the others.")
@click.option("--dry-run", is_flag=True, help="Show the difference, and change nothing.")
@click.option("--finish", is_flag=True, help="Print how the old commit is taken out everywhere; with --trust, take it out there.")
@format_option
@gather(UpgradeOptions)
def command(options: UpgradeOptions, output: str) -> int:
    """Move the workflows of a checkout to VERSION of dr-dispatch, and print what hosts, authority and runner groups need before that.

    A version is a published release of the repository that they pin. All else in the files stays as it is.
    """
    from hyops_ci.cli.connect import connect
    from hyops_ci.cli.init import top_of
    from hyops_ci.cli.render import emit
    from hyops_ci.operations.upgrade.checkout import pins_of, write
    from hyops_ci.operations.upgrade.pins import pinned
    from hyops_ci.operations.upgrade.upgrade import finish, upgrade

    options.refuse_contradictions()
    if options.trust is not None:
        return _on_host(options, options.trust, output)
    checkout = top_of(options.into)
    pins = pins_of(checkout)
    pinned(pins)
    known = adopter(options.repository)
    if options.finish:
        commit, steps = finish(checkout, known)
        lines = [f"stays   {commit}, which this checkout pins", *step_lines(steps)]
        emit(output, lines, {"commit": commit, "steps": documents(steps)})
        return 0
    done = upgrade(checkout, connect(pins[0].repository), known, options.version, options.commit)
    if not options.dry_run:
        write(checkout, done.changes)
    emit(output, result_lines(done, dry_run=options.dry_run), document(done))
    return 0


def _on_host(options: UpgradeOptions, trust: Path, output: str) -> int:
    from hyops_ci.cli.render import emit
    from hyops_ci.operations.upgrade.checkout import replace
    from hyops_ci.operations.upgrade.upgrade import on_host

    path = Path(os.path.realpath(trust))  # no traceback for links in a circle: nothing is read at their end
    change = on_host(path, options.commit, alone=options.finish)
    changed = change.before != change.after
    if changed and not options.dry_run:
        replace(path, change.before, change.after)
    said = "is as it should be" if not changed else "would be changed" if options.dry_run else "is changed"
    lines = [f"{path} {said}: it accepts {options.commit}{' alone' if options.finish else ''}"]
    if options.finish and not options.dry_run:
        lines += _former_libraries(options.commit)
    emit(output, [*lines, *([change.diff()] if changed and options.dry_run else [])], {"changed": changed, "commit": options.commit})
    return 0


def _former_libraries(commit: str) -> list[str]:
    """Remove what earlier releases left for HyOps' side of this host, and return what is to be said of it."""
    from hyops_ci.hyops_access.rule import RELEASES
    from hyops_ci.operations.prepare.environment import commit_of
    from hyops_ci.operations.prepare.former_libraries import remove_former

    if commit_of() != commit:  # of another release nobody here knows which library is its own
        return [f"libraries of other commits in {RELEASES} stay: this is no checkout of {commit}"] if Path(RELEASES).exists() else []
    done = remove_former()
    return [
        *(f"removed {RELEASES}/{each}" for each in done.removed),
        *(f"kept {RELEASES}/{each}: HyOps works by it. Once it has ended, the same command again" for each in done.at_work),
    ]


def result_lines(done: Upgrade, *, dry_run: bool) -> list[str]:
    """Return what is known of the release, what changed in it and here, and what is asked of people, in order."""
    from hyops_ci.operations.upgrade.vouching import told
    from hyops_ci.text import counted

    lines = told(done.target)
    word = "would change" if dry_run else "changed"
    lines += [f"{word} {each.file}: {counted(each.pins, 'pin')}" for each in done.changes]
    lines += [f"names the old commit, too: {each}" for each in done.others]
    if not done.changes:
        lines.append("nothing to change: every workflow pins it. When checks are green: hyops-ci upgrade --finish")
    for heading, sections in (("What comes", done.target.added), ("What goes", done.target.dropped)):
        if sections:
            lines += ["", f"## {heading} (CHANGELOG.md)"]
        for version, body in sections.items():
            lines += ["", f"[{version}]", *(f"| {line}".rstrip() for line in body.splitlines())]
    if dry_run:
        lines += [text for each in done.changes for text in ("", each.diff())]
    return [*lines, *step_lines(done.steps)]


def step_lines(steps: Sequence[Step]) -> list[str]:
    """Return steps as they are pasted one after the other, and the words in them that a person replaces."""
    from hyops_ci.operations.init.commands import placeholders

    lines = [line for number, (title, text) in enumerate(steps, 1) for line in ("", f"## {number}. {title}", text.rstrip())]
    words = placeholders("\n".join(text for _, text in steps))
    return [*lines, "", f"replace {', '.join(words)}"] if words else lines


def documents(steps: Sequence[Step]) -> list[dict[str, str]]:
    """Return steps as JSON."""
    return [{"title": title, "text": text} for title, text in steps]


def document(done: Upgrade) -> dict[str, object]:
    """Return the result as JSON."""
    found = done.target
    return {
        "from": {"commit": found.was, "version": found.was_tag},
        "to": {"commit": found.commit, "version": found.tag, "prerelease": found.prerelease},
        "vouched": found.vouched,
        "relation": found.relation,
        "added": found.added,
        "dropped": found.dropped,
        "changed": [{"file": each.file, "pins": each.pins, "diff": each.diff()} for each in done.changes],
        "others": done.others,
        "steps": documents(done.steps),
    }


def adopter(named: str) -> Adopter:
    """Return what is known of the repository that calls: its numbers from GitHub where there is a token, else words to replace."""
    from hyops_ci.cli.connect import TOKENS, connect, repository_named, server_url
    from hyops_ci.operations.init.commands import Adopter

    name = repository_named(named)
    if not name or not any(os.environ.get(each) for each in TOKENS):
        return Adopter(name or Adopter.repository, server=server_url())
    from hyops_ci.github.repository import repository

    facts = repository(connect(name))
    return Adopter(facts.name, facts.id, facts.owner_id, facts.default_branch, server=server_url())
