"""What can go wrong with a provider of machines: the same words for each of them, always with the name of the resource."""

from __future__ import annotations

from typing import Final

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.runners.ports import Machine, MachineState

TAIL: Final = 200
"""Characters of a console that an error repeats; `Provider.console` has the rest."""


def foreign(machine: Machine) -> Refusal:
    """Return the refusal to touch a machine that is not this owner's, or that is there twice."""
    return Refusal(
        "runner.foreign",
        "the machine of this name is not this lane's alone",
        found=f"{machine.resource}: {machine.words or machine.state}",
        expected="one machine, with the marks of this repository, lane and runner",
        fix="look at it with the provider's own tool; rename or remove what does not belong there, then a new run",
        exit_code=Exit.RUNNER,
        docs="runners.md",
    )


def quota(resource: str, words: str) -> Refusal:
    """Return the refusal of a provider whose quota is used up: no other zone would help."""
    return Refusal(
        "runner.quota",
        "the provider's quota does not allow the machine",
        found=f"{resource}: {words}",
        expected="quota for one more machine with its disk",
        fix="raise the quota, or free some of it; then a new run",
        exit_code=Exit.RUNNER,
        docs="runners.md",
    )


def permission(resource: str, words: str) -> Refusal:
    """Return the refusal of a provider that does not let the account of the bootstrap do this."""
    return Refusal(
        "runner.permission",
        "the provider does not let the account of the bootstrap do this",
        found=f"{resource}: {words}",
        expected="the permissions of the bootstrap's role, and no more",
        fix="compare the role of the account with the documentation; then a new run",
        exit_code=Exit.RUNNER,
        docs="runners.md",
    )


def unmakeable(resource: str, words: str) -> Refusal:
    """Return the refusal of a provider that will not make the machine as it is ordered: an image, a network, a type it does not know."""
    return Refusal(
        "runner.order",
        "the provider does not make the machine as the config orders it",
        found=f"{resource}: {words}",
        expected="names of lanes.<lane>.machine that the provider knows",
        fix="correct lanes.<lane>.machine; then a new run",
        exit_code=Exit.RUNNER,
        docs="runners.md",
    )


def no_capacity(resource: str, words: str) -> Fault:
    """Return the fault of a provider that has no room for the machine in any place that the config names."""
    return Fault(
        "runner.capacity",
        "the provider has no room for the machine",
        found=f"{resource}: {words}",
        expected="room in one of the places of lanes.<lane>.machine",
        fix="a new run later; or name another zone, node or machine type in lanes.<lane>.machine",
        exit_code=Exit.RUNNER,
        docs="runners.md",
    )


def not_up(machine: Machine, console: str, waited: float) -> Fault:
    """Return the fault of a machine that was begun and does not come up. It stays for a look; the next run adopts it, or it is deleted."""
    tail = " ".join(console.split())[-TAIL:]
    return Fault(
        "runner.halfway",
        f"the machine did not come up within {waited:.0f} s",
        found=f"{machine.resource} is {machine.words or machine.state}; its console ends: {tail or '(nothing)'}",
        expected=f"a machine that is {MachineState.RUNNING}",
        fix="look at its console; a new run takes it up again, or delete it with the provider's own tool",
        exit_code=Exit.RUNNER,
        docs="runners.md",
    )


def exposed(machine: Machine) -> Refusal:
    """Return the refusal of a machine that can be reached from outside: nothing of a recovery is put on it."""
    return Refusal(
        "runner.exposed",
        "the machine has an address outside",
        found=f"{machine.resource}: {machine.outside}",
        expected="a private address alone",
        fix="take the address away with the provider's own tool, and look who gave it; then a new run",
        exit_code=Exit.POLICY,
        docs="runners.md",
    )


def no_answer(resource: str, words: str) -> Fault:
    """Return the fault of a provider that did not answer after bounded retries."""
    return Fault(
        "runner.provider",
        "the provider of the machine did not answer",
        found=f"{resource}: {words}",
        expected="an answer",
        fix="look at the provider's status page, and at the network of this job; a new run takes up what is there",
        exit_code=Exit.UNAVAILABLE,
        docs="runners.md",
    )


def nonsense(resource: str, words: str) -> Fault:
    """Return the fault of an answer that cannot be read: nothing is concluded from it."""
    return Fault(
        "runner.provider",
        "the provider's answer cannot be read",
        found=f"{resource}: {words}",
        expected="an answer of the provider's published form",
        fix="look at the resource with the provider's own tool; a proxy or an endpoint between may not be the provider",
        exit_code=Exit.UNAVAILABLE,
        docs="runners.md",
    )


def not_gone(machine: Machine, waited: float) -> Fault:
    """Return the fault of a machine that is still there after it was deleted."""
    return Fault(
        "runner.halfway",
        f"the machine is still there {waited:.0f} s after it was deleted",
        found=f"{machine.resource} is {machine.words or machine.state}",
        expected="no machine of this name",
        fix="look at it with the provider's own tool",
        exit_code=Exit.RUNNER,
        docs="runners.md",
    )


def no_way_out(found: str, command: str) -> Refusal:
    """Return the refusal to make the way out of the network, which the config does not tell; `command` makes it by hand."""
    return Refusal(
        "runner.egress",
        "the machine would not reach GitHub",
        found=found,
        expected="a way out of its network, made beforehand or allowed by the config",
        fix=f"make it, as somebody who may: {command}",
        exit_code=Exit.RUNNER,
        docs="runners.md",
    )


def lacking(found: str) -> Refusal:
    """Return the refusal of a config that does not say all that making a runner needs."""
    return Refusal(
        "runner.tools",
        "what makes a runner is not all there",
        found=found,
        expected="a config that says how the machine is made, registered and reached (docs/config.md)",
        fix="correct .github/dr-dispatch.yml in a pull request",
        exit_code=Exit.RUNNER,
        docs="runner-recovery.md",
    )
