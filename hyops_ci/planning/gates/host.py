"""Gates on the host that answered: the right runner, the right HyOps, room and time to work."""

from __future__ import annotations

from typing import Final

from hyops_ci.contracts.config import EnvClass
from hyops_ci.errors import Exit
from hyops_ci.planning.case import CheckCase, GateFailure, GateOutcome, as_execute_says, check_gate, listed

MAX_CLOCK_OFFSET: Final = 60.0
"""Seconds."""


@check_gate("runner.identity", "anti-drift 2.7, workflows 6", Exit.RUNNER, "Did the planned runner answer?")
def runner_identity(case: CheckCase) -> GateOutcome:
    """The host's own `runner_ref`, a listed name; a hosted machine is never a recovery runner. GitHub alone compares labels."""
    runner, plan = case.facts.runner, case.plan
    fix = "stop the run; look who else carries these labels (docs/adopt.md)"
    if runner.hosted:
        return GateFailure("a GitHub-hosted machine took the job", runner.name or runner.hostname, f"runner {plan.runner_ref}", fix)
    if runner.runner_ref and runner.runner_ref != plan.runner_ref:
        return GateFailure("another runner took the job", f"{runner.name}: {runner.runner_ref}", plan.runner_ref, fix)
    if plan.runner_names and runner.name not in plan.runner_names:
        return GateFailure("a runner answered that the config does not list", runner.name, " or ".join(plan.runner_names), fix)
    if not (runner.runner_ref or runner.name or plan.env_class is EnvClass.LAB):
        return GateFailure("the runner does not say which one it is", "no name", f"host trust that names {plan.runner_ref}", fix)
    return runner.name or runner.hostname


@check_gate("runner.trust", "contracts 2, workflows 6", Exit.RUNNER, "Was the caller compared, where the host pins its callers?")
def runner_trust(case: CheckCase) -> GateOutcome:
    """A host with a trust file must have compared this caller with it. Without one the run carries the deviation."""
    if case.facts.runner.trusted and not case.facts.runner_verified:
        return GateFailure(
            "the host pins its callers, and this one was not compared",
            f"{case.facts.runner.name}: trust file present, caller not verified",
            "a caller that fits /etc/dr-dispatch/trust.json",
            "start the run from the pinned workflow; or correct the trust file on the host",
        )
    return "" if case.facts.runner_verified else "this host does not pin its callers"


@check_gate("host.key", "contracts 6", Exit.POLICY, "Does this host sign what it writes to the ledger?")
def host_key(case: CheckCase) -> GateOutcome:
    """In class production, and for a settlement. Elsewhere a config without `host_keys` is a deviation: rules alone judge its ledger."""
    why = case.facts.unsigned_ledger
    if why and (case.plan.env_class is EnvClass.PRODUCTION or case.facts.host_keys or case.plan.settles):
        return GateFailure(
            "what this host writes to the ledger would not be believed",
            why,
            "the key of this host, by its public half in host_keys of the config, and in evidence_keys where the host has a trust file",
            "hyops-ci runner prepare on the runner, as root; then what it prints, in a pull request",
            "ledger.md",
        )
    return why or "signs the ledger"


@check_gate("hyops.version", "contracts 2", Exit.HYOPS, "Is this a HyOps that the config accepts?")
def hyops_version(case: CheckCase) -> GateOutcome:
    """`hyops.versions` is a PEP 440 specifier. A stand-in recovers nothing and runs in class lab only."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    found, wanted = case.facts.hyops_version, case.plan.hyops_versions
    if case.facts.hyops_is_stand_in:
        if case.plan.env_class is not EnvClass.LAB:
            return GateFailure(
                "HyOps is a stand-in", f"{found}, env of class {case.plan.env_class}", "the real HyOps", f"install HyOps {wanted}"
            )
        return "a stand-in, in the lab"
    try:
        fits = SpecifierSet(wanted).contains(Version(found), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        fits = False
    if not fits:
        return GateFailure(
            "this HyOps was not what the config accepts",
            f"{found or 'no version'} at {case.plan.hyops}",
            wanted,
            "install that release on the runner; or widen hyops.versions in a pull request, after a drill",
            "hyops.md",
        )
    return found


@check_gate("host.disk", "contracts 3", Exit.RUNNER, "Is there room to work?")
def host_disk(case: CheckCase) -> GateOutcome:
    """Free bytes of each file system that the run writes to; an unknown value is reported, not guessed."""
    if not case.facts.disks:
        return "free space not measured"
    if full := [disk for disk in case.facts.disks if disk.free_bytes < disk.wanted]:
        return GateFailure(
            "the runner is out of room",
            listed(f"{disk.place}: {disk.free_bytes // 1024**2} MiB free" for disk in full),
            listed(f"{disk.place}: at least {disk.wanted // 1024**2} MiB" for disk in full),
            "make room there",
        )
    return f"{min(disk.free_bytes for disk in case.facts.disks) // 1024**3} GiB free"


@check_gate("lock.host", "contracts 6", Exit.CONFLICT, "Is the env of this host free?")
def lock_host(case: CheckCase) -> GateOutcome:
    """A run of another service of the env, or HyOps that still ends after a cancel, holds it."""
    return as_execute_says(case, "lock.host")


@check_gate("host.clock", "contracts 3", Exit.RUNNER, "Is the runner's clock right?")
def host_clock(case: CheckCase) -> GateOutcome:
    """Expiry is judged by it, tokens are too."""
    offset = case.facts.clock_offset_seconds
    if offset is None:
        return "clock not compared"
    if not abs(offset) <= MAX_CLOCK_OFFSET:
        return GateFailure(
            "the runner's clock is wrong", f"{offset:+.1f} s", f"at most {MAX_CLOCK_OFFSET:.0f} s off", "chronyc makestep, on the runner"
        )
    return f"clock {offset:+.1f} s"
