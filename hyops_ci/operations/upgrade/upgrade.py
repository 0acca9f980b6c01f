"""Move a checkout to another release of dr-dispatch: what it pins, who vouches for what it is to pin, and what else has to know it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hyops_ci import files
from hyops_ci.config.file import MAX_CONFIG
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.actions.workflow_file import dispatch_inputs, read_workflow
from hyops_ci.github.api.client import Client
from hyops_ci.operations.callers import recovering, workflows_of
from hyops_ci.operations.init.commands import Adopter
from hyops_ci.operations.init.files import existing_config
from hyops_ci.operations.upgrade import steps
from hyops_ci.operations.upgrade.checkout import Change, changes, others, pins_of
from hyops_ci.operations.upgrade.pins import Pin, one_commit, pinned
from hyops_ci.operations.upgrade.steps import Step
from hyops_ci.operations.upgrade.trust_file import accepting
from hyops_ci.operations.upgrade.vouching import Target, named, target

DISPATCH: Final = "/.github/workflows/dispatch."


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade does to a checkout, and what it asks of people."""

    target: Target
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    others: tuple[str, ...]
    """Other files below .github that name the commit that is pinned today."""


def upgrade(checkout: Path, client: Client, adopter: Adopter, version: str, commit: str) -> Upgrade:
    """Return the upgrade of a checkout; nothing is written. `client` is of the repository that its pins name.

    Raises Refusal (exit 2) for pins that are not one commit (`pins.one_commit`), and as `vouching.named` and `vouching.target`.
    """
    pins = pins_of(checkout)
    pinned(pins)
    wanted = named(client, version, commit)
    was = one_commit(pins, besides=wanted.commit)
    found = target(client, wanted, was)
    made = changes(checkout, pins, found.commit, found.tag)
    if was == found.commit:
        return Upgrade(found, made, (), ())
    config = existing_config(checkout)
    changed = [each.file for each in made]
    asked = steps.before_the_caller(config, _known(adopter, pins, found.commit, was)) if any(pin.calls for pin in pins) else []
    asked += steps.the_caller(config, changed, found.name, _started_by_hand(checkout))
    return Upgrade(found, made, tuple(asked), others(checkout, was, changed))


def finish(checkout: Path, adopter: Adopter) -> tuple[str, tuple[Step, ...]]:
    """Return the commit that a checkout pins, and how all others are taken out. Raises Refusal (exit 2) as `one_commit`."""
    pins = pins_of(checkout)
    now = one_commit(pins)
    calls = any(pin.calls for pin in pins)
    return now, tuple(steps.at_the_end(existing_config(checkout), _known(adopter, pins, now)) if calls else ())


def on_host(path: Path, commit: str, *, alone: bool) -> Change:
    """Return the change of a host's trust file, by which it accepts a commit; `alone`: that one only. Nothing is written.

    Raises Refusal (exit 2) `upgrade.trust` for a file that cannot be read or changed, and as `read_trust`.
    """
    try:
        before = files.read(path, MAX_CONFIG)
    except OSError as error:
        raise _unreadable(f"{path}: {error.strerror}") from None
    except files.UnsafeFile as no:
        raise _unreadable(no.found) from None
    return Change(str(path), before, accepting(before, str(path), commit, alone=alone), 1)


def _unreadable(found: str) -> Refusal:
    return Refusal(
        "upgrade.trust",
        "the host's trust file cannot be read",
        exit_code=Exit.USAGE,
        found=found,
        expected="the trust file of a host that was prepared",
        fix="as root on the host; hyops-ci init prints the file and the command that puts it there",
        docs="host-trust.md",
    )


def _known(adopter: Adopter, pins: Sequence[Pin], commit: str, *former: str) -> Adopter:
    """Return what is known of the repository with the workflow that it calls, and the commits that are accepted."""
    calls = [pin for pin in pins if pin.calls]
    own = next((pin for pin in calls if pin.path.startswith(DISPATCH)), None)
    workflow = f"{own.repository}{own.path}" if own is not None else f"{calls[0].repository}{DISPATCH}yml"
    return replace(adopter, workflow=workflow, release=commit, former=former)


def _started_by_hand(checkout: Path) -> str:
    """Return the workflow by which a person starts a check; empty where none of the checkout takes an action."""
    for path, text in workflows_of(checkout).items():
        if recovering({path: text}) and "action" in (dispatch_inputs(read_workflow(text, path)) or {}):
            return path.rpartition("/")[2]
    return ""
