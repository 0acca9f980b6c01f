"""What an environment must do before its job may recover something, what one shortfalls, and what got weaker. Pure.

GitHub makes a missing environment by itself, without any rule, when a job names it first (docs/design/github.md 1):
whatever is missing or cannot be read protects nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.facts import EnvironmentFact
from hyops_ci.contracts.github_facts import same_environment
from hyops_ci.dataclass import dataclass
from hyops_ci.text import counted

TIER = "repository private, GitHub tier probably without reviewers there"
"""Only said where no reviewer is found: the plan itself is not shown to a job's token."""


@dataclass(frozen=True)
class Demand:
    """What one environment must do. `reviewers` 0: no review is demanded (an environment of checks)."""

    name: str
    reviewers: int
    branch: str = ""
    """The only branch that may pass, without `refs/heads/`; empty where any may."""


def demand_of(name: str, reviewers: int, env_class: EnvClass, default_branch: str) -> Demand:
    """Return what an approval gate must do for an env. In class production only the default branch may pass it.

    `default_branch` as a name or a ref; empty where it is not known, which a plan for production never is (gate `config.ref`).
    """
    return Demand(name, reviewers, default_branch.removeprefix("refs/heads/") if env_class is EnvClass.PRODUCTION else "")


def check_demand(name: str, classes: Collection[EnvClass], default_branch: str) -> Demand:
    """Return what an environment of checks must do for the envs that use it: no reviewer; for production, the default branch only."""
    return shared_demand(name, 0, classes, default_branch)


def shared_demand(name: str, reviewers: int, classes: Collection[EnvClass], default_branch: str) -> Demand:
    """Return what an environment must do for all the envs that use it: as for the most careful of them."""
    used_by = EnvClass.PRODUCTION if EnvClass.PRODUCTION in classes else EnvClass.LAB
    return demand_of(name, reviewers, used_by, default_branch)


@dataclass(frozen=True)
class Shortfall:
    """One rule that an environment lacks."""

    found: str
    expected: str


def eligible_reviewers(fact: EnvironmentFact, requesters: Sequence[Person]) -> list[str]:
    """Return who may approve: reviewers who did not ask, and teams, whose members are not known here."""
    return [*(each.login for each in fact.reviewers if not each.among(requesters)), *(f"team {slug}" for slug in fact.teams)]


def shortfalls(fact: EnvironmentFact, demand: Demand, requesters: Sequence[Person] = ()) -> list[Shortfall]:
    """Return what is missing, worst first; empty for an environment that meets the demand."""
    if not fact.readable:
        return [Shortfall(f"{demand.name}: {fact.note or 'no answer'}", "an environment whose rules can be read")]
    if not fact.exists:
        hint = f"; {TIER}" if fact.private and demand.reviewers else ""
        return [Shortfall(f"{demand.name} does not exist (GitHub would make it, unprotected){hint}", _approver(demand))]
    if not same_environment(fact.name, demand.name):
        return [Shortfall(f"{fact.name} exists, {demand.name} was not asked for", f"the rules of {demand.name}")]
    return [*_people(fact, demand, requesters), *_branches(fact, demand)]


def _people(fact: EnvironmentFact, demand: Demand, requesters: Sequence[Person]) -> Iterator[Shortfall]:
    if not demand.reviewers:
        return
    named, left = len(fact.reviewers) + len(fact.teams), eligible_reviewers(fact, requesters)
    if len(left) < demand.reviewers:
        count = counted(named, "reviewer") if named == len(left) else f"{counted(len(left), 'reviewer')} besides the requester"
        yield Shortfall(f"{fact.name} exists, {count}{f'; {TIER}' if fact.private and not named else ''}", _approver(demand))
    if named and not fact.prevent_self_review:
        yield Shortfall(f"{fact.name}: self-review allowed", "self-review prevented")


def _branches(fact: EnvironmentFact, demand: Demand) -> Iterator[Shortfall]:
    if not demand.branch or fact.protected_branches:
        return
    if fact.branches is None:
        yield Shortfall(f"{fact.name}: any branch may pass", f"{demand.branch} only")
    elif demand.branch not in fact.branches:
        yield Shortfall(f"{fact.name}: {demand.branch} may not pass, only {', '.join(fact.branches) or 'nothing'}", f"{demand.branch} only")
    elif others := [each for each in fact.branches if each != demand.branch]:
        yield Shortfall(f"{fact.name}: {', '.join(others)} may pass, too", f"{demand.branch} only")


def remarks(fact: EnvironmentFact, demand: Demand) -> list[str]:
    """Return remarks on an environment without shortfalls."""
    said = ["protected branches only" if fact.protected_branches else f"{', '.join(fact.branches)} only" if fact.branches else "any branch"]
    if demand.reviewers:
        said.insert(0, "no self-review" if fact.prevent_self_review else "self-review allowed")
    if fact.wait_minutes:
        said.append(f"holds every job {fact.wait_minutes} min")
    if demand.reviewers and fact.admins_bypass:
        said.append("administrators can bypass it (a bypass is refused at the claim)")
    return said


def weakened(before: EnvironmentFact, after: EnvironmentFact) -> str:
    """Return what of an environment's protection was taken off between two looks, in words; empty where nothing was.

    A reviewer less is none, as long as one is left; a reviewer more is: the plan was made for other people's yes.
    """
    if not after.readable:
        return f"can no longer be read: {after.note or 'no answer'}"
    if not after.exists:
        return "is gone" if before.exists else ""
    return "; ".join(_weaker(before, after))


def _weaker(before: EnvironmentFact, after: EnvironmentFact) -> Iterator[str]:
    held = bool(before.reviewers or before.teams)
    if held and not (after.reviewers or after.teams):
        yield "no reviewer is left"
    # By number, where there is one: a login that was taken over by another account is another person here.
    known = {each.id or each.login for each in before.reviewers}
    more = [each.login for each in after.reviewers if (each.id or each.login) not in known]
    more += [f"team {slug}" for slug in after.teams if slug not in before.teams]
    if held and more:
        yield f"{', '.join(more)} may approve, too"
    if before.prevent_self_review and not after.prevent_self_review:
        yield "self-review allowed"
    if _open(before):
        passing: list[str] = []
    elif _open(after):
        passing = ["any branch"]
    else:
        passing = [each for each in after.branches or () if each not in (before.branches or ())]
        passing += ["every protected branch"] if after.protected_branches and not before.protected_branches else []
    if passing:
        yield f"{', '.join(passing)} may pass, too"
    if after.wait_minutes < before.wait_minutes:
        yield f"holds a job {after.wait_minutes} min, held it {before.wait_minutes}"
    if after.admins_bypass and before.admins_bypass is False:
        yield "administrators can bypass it"


def _open(fact: EnvironmentFact) -> bool:
    return fact.branches is None and not fact.protected_branches


def _approver(demand: Demand) -> str:
    if not demand.reviewers:
        return f"{demand.name}, for {demand.branch or 'any branch'}"
    who = "a reviewer" if demand.reviewers == 1 else f"{demand.reviewers} reviewers"
    return f"{who} other than the requester, or approvers with keys"
