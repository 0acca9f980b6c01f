"""What config and ledger make of the actions `check`, `drill` and `settle` of a person's form: which move of which service they are about.

A check is about the move that comes next, a settlement about the run that was cut off, a drill about the service that stands for this one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hyops_ci.config.drills import is_practice, isolated_service, practice_services
from hyops_ci.config.settings import serving_sites
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import Exit, Refusal
from hyops_ci.intake.form import CHECK, DRILL, SETTLE, Form
from hyops_ci.ledger.settling import by_key
from hyops_ci.ledger.transitions import settled
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.host_key import vouched_ledger
from hyops_ci.text import shell

_ACTION_OF: Final = {
    DecisionType.FAILOVER: "failover",
    DecisionType.FAILBACK_ONPREM: "failback",
    DecisionType.BURST: "burst",
    DecisionType.HOLD: "hold",
}


def standing_form(form: Form, config: DispatchConfig, context: RunContext) -> Form:
    """Return the form with the action that `check` or `settle` is about; any other as it is.

    `config` is the reviewed one under the host's trust. Raises Refusal for a settlement that cannot be, and what the ledger raises.
    """
    if form.action == DRILL:
        return drill_form(form, config)
    if form.action not in (CHECK, SETTLE):
        return replace(form, serves="")
    if form.service not in config.services:
        return replace(form, action="failover", serves="", check_only=False)  # the gates name a service that the config does not know
    tip = vouched_ledger(config, form.service, context).tip()
    if form.action == CHECK:
        action = "failover" if tip.position == "primary" else "failback"
        return replace(form, action=action, serves="", check_only=True)
    sites = serving_sites(config, form.service)
    if form.serves not in sites:
        raise Refusal(
            "lock.site",
            "the config knows no such site for this service",
            exit_code=Exit.USAGE,
            found=f"serves={form.serves or 'nothing'}",
            expected=" or ".join(sites),
            fix=shell("look which site serves, then -f serves=<site> -f service={}", form.service),
            docs="ledger.md",
        )
    refuse_unsettled(tip, form.serves, config, form.service, context)
    return replace(form, action=_ACTION_OF[tip.claim.decision_type]) if tip.claim is not None else form


def drill_form(form: Form, config: DispatchConfig) -> Form:
    """Return the form of a drill: of the service in an env of class drill that stands for the one that was named.

    Raises Refusal (exit 4) where there is none.
    """
    service = form.service if is_practice(config, form.service) else isolated_service(config, form.service)
    entry = config.services.get(service)
    if entry is None:
        known = ", ".join(practice_services(config, form.service))
        raise Refusal(
            "drill.service",
            "the config names no service for this drill",
            exit_code=Exit.POLICY,
            found=f"{form.service or 'no service'}: {known or 'no service of its name in an env of class drill'}",
            expected="one service of the same name in an env of class drill, or drills.<service>.isolated.service",
            fix="name it in .github/dr-dispatch.yml, with an overlay of its own, in a pull request",
            docs="drills.md",
        )
    action = "failover" if entry.failover else "failback" if entry.failback else "burst"
    return replace(form, action=action, service=service, serves="", isolated=True)


def refuse_unsettled(tip: Tip, serves: str, config: DispatchConfig, service: str, context: RunContext) -> None:
    """Refuse a settlement that the ledger would refuse, or that nobody would believe. Raises Refusal (exit 5)."""
    if not config.host_keys:
        raise Refusal(
            "settle.key",
            "no host signs this ledger, so nobody would believe the settlement",
            exit_code=Exit.CONFLICT,
            found="no host_keys in the config",
            expected="the key of the runner's host in host_keys: it signs on the strength of the approval",
            fix=f"let an approver settle with a key: {by_key(service, serves)}",
            docs="ledger.md",
        )
    home = serving_sites(config, service)[0]
    settled(tip, serves=serves, home_site=home, reason="", settled_by="", at=stamp(context.clock.now()), epoch=tip.epoch)
