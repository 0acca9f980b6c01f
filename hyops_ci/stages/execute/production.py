"""What a drill can see of production of its service, from its own runner, before it changes anything and when it is over.

Three things that a drill must leave alone: the lock on the ledger, the DNS names, and the backup repository. Of the repository this is
HyOps' record on this runner, where the env of production is on the same host: its content is behind credentials that a drill does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Literal

from hyops_ci.blueprints.backup_identity import backup_identities
from hyops_ci.config.settings import env_of, overlays_of, production_services
from hyops_ci.contracts.base import STATE_REF
from hyops_ci.contracts.cleanup import Glance
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError
from hyops_ci.execution.verification import ProbeFailed, resolve
from hyops_ci.hyops_access.port import HyOpsAccess
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.stages.host_key import vouched_ledger
from hyops_ci.stages.module_specs import effective
from hyops_ci.stages.planned_run import PlannedRun

_STATE: Final = re.compile(STATE_REF, re.ASCII)


class NotSeen(Exception):
    """Why something was not looked at."""


@dataclass(frozen=True)
class Thing:
    """One thing of production, and how it is looked at: the answer changes when somebody changes the thing."""

    service: str
    what: Literal["lock", "DNS", "repository"]
    name: str
    look: Callable[[], str]
    """Raises NotSeen."""


def things(run: PlannedRun, access: HyOpsAccess) -> tuple[Thing, ...]:
    """Return what a drill of the run's service must leave alone."""
    return tuple(each for service in production_services(run.config, run.plan.service) for each in _of(service, run, access))


def seen(found: Sequence[Thing]) -> tuple[Glance, ...]:
    """Look at everything once. Never raises for what cannot be seen."""
    glances = []
    for thing in found:
        try:
            before, reason = thing.look(), ""
        except NotSeen as why:
            before, reason = "", str(why) or "not seen"
        glances.append(Glance(service=thing.service, what=thing.what, name=thing.name, before=before, reason=reason))
    return tuple(glances)


def seen_again(found: Sequence[Thing], before: Sequence[Glance]) -> tuple[Glance, ...]:
    """Look once more at what was seen before."""
    again = seen(found)
    return tuple(
        was if was.reason else was.model_copy(update={"after": now.before, "reason": f"not seen again: {now.reason}" if now.reason else ""})
        for was, now in zip(before, again, strict=True)
    )


def not_seen_again(before: Sequence[Glance]) -> tuple[Glance, ...]:
    """Return what was seen before, of a drill that ends without another look."""
    return tuple(was if was.reason else was.model_copy(update={"reason": "not looked at again"}) for was in before)


def _of(service: str, run: PlannedRun, access: HyOpsAccess) -> Iterator[Thing]:
    yield Thing(service, "lock", service, partial(_lock, service, run))
    overlays = overlays_of(run.config, service)
    identities = [
        identity
        for source in run.plan.sources
        if source.role == "sibling" and source.path in overlays
        for identity in backup_identities(
            effective(read_yaml(run.folder.read(source.file), source.path), source.sha256, access.place.runtime.core_root)
        )
    ]
    probes = [probe for probe in run.config.verification.get(service, ()) if probe.kind == "dns"]
    for name in dict.fromkeys(each.dns_name for each in identities if each.dns_name) or ("",):
        resolvers = next((probe.resolvers for probe in probes if probe.target == name), ())
        yield Thing(service, "DNS", name, partial(_dns, name, resolvers))
    for name in dict.fromkeys(each.repository for each in identities if each.repository) or ("",):
        yield Thing(service, "repository", name, partial(_repository, name, env_of(service), run, access))


def _lock(service: str, run: PlannedRun) -> str:
    try:
        tip = vouched_ledger(run.allowed, service, run.context).tip()
    except DispatchError as error:
        raise NotSeen(error.title()) from None
    claim = f"run {tip.claim.run_id} in {tip.state}" if tip.claim is not None else "no claim"
    return f"epoch {tip.epoch}, {claim}, serves from {tip.serves or 'unknown'}"


def _dns(name: str, resolvers: Sequence[str]) -> str:
    if not name:
        raise NotSeen("production's overlays name none")
    said = []
    for resolver in resolvers or ("",):
        try:
            said.append(f"{resolver or 'system resolver'}: {', '.join(sorted(resolve(name, resolver)))}")
        except ProbeFailed as gone:
            raise NotSeen(f"{name}: {gone}") from None
    return "; ".join(said)


def _repository(name: str, env: str, run: PlannedRun, access: HyOpsAccess) -> str:
    if not name:
        raise NotSeen("production's overlays name none")
    if not _STATE.fullmatch(name):
        raise NotSeen(f"{name} is behind credentials that a drill does not have")
    state = access.states_of(env, (name,), run.context.clock.now())[0]
    if state.status == "missing":
        raise NotSeen(f"no state {name} of env {env} on this runner")
    return f"state {state.status}, run {state.run_id or 'unknown'} of {state.updated_at or 'unknown time'}"
