"""Protection of an environment of the repository: reviewers, self-review, wait timer, branches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.facts import EnvironmentFact
from hyops_ci.errors import Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import NotFound
from hyops_ci.github.repository import repository


def environment(client: Client, name: str, *, private: bool | None = None) -> EnvironmentFact:
    """Return the facts of one environment, in one call; one more for custom branch patterns.

    `private`: whether the repository is; None asks, for an environment without reviewers, where it hints at the tier. A
    refusal is a fact: 404 is an environment that is not there, anything else one that cannot be read. Raises Fault (exit 12) where
    GitHub does not respond.
    """
    try:
        found = client.ask(endpoints.ENVIRONMENT, name=name)
    except NotFound:
        return EnvironmentFact(name=name, private=_private(client) if private is None else private)
    except Refusal as error:
        return EnvironmentFact(name=name, readable=False, note=f"{error.found}; {error.expected}")
    try:
        fact = read_environment(found)
        if fact.branches == () and not fact.protected_branches:
            listed = client.pages(endpoints.BRANCH_POLICIES, "branch_policies", name=name)
            fact = fact.model_copy(update={"branches": tuple(_pattern(each) for each in listed)})
    except Refusal as error:
        return EnvironmentFact(name=name, readable=False, note=f"{error.found}; {error.expected}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return EnvironmentFact(name=name, readable=False, note=f"an answer that this release does not know ({type(error).__name__})")
    if fact.reviewers or fact.teams:
        return fact
    return fact.model_copy(update={"private": _private(client) if private is None else private})


def read_environment(found: Mapping[str, Any]) -> EnvironmentFact:
    """Return the facts in a response. Custom branch patterns are listed elsewhere: then `branches` is empty and `protected_branches` false.

    Raises KeyError, TypeError or ValueError for another form.
    """
    rules = {rule["type"]: rule for rule in found.get("protection_rules") or ()}
    review = rules.get("required_reviewers", {})
    listed = [(each["type"], each["reviewer"]) for each in review.get("reviewers") or ()]
    policy = found.get("deployment_branch_policy")
    bypass = found.get("can_admins_bypass")
    return EnvironmentFact(
        name=found["name"],
        exists=True,
        reviewers=tuple(Person(login=each["login"], id=each["id"]) for kind, each in listed if kind == "User"),
        teams=tuple(str(each["slug"]) for kind, each in listed if kind == "Team"),
        prevent_self_review=review.get("prevent_self_review") is True,
        branches=None if policy is None else (),
        protected_branches=policy is not None and policy["protected_branches"] is True,
        wait_minutes=int(rules.get("wait_timer", {}).get("wait_timer") or 0),
        admins_bypass=bypass if isinstance(bypass, bool) else None,
    )


def _pattern(policy: Mapping[str, Any]) -> str:
    name = str(policy["name"])
    return f"tag:{name}" if policy.get("type") == "tag" else name


def _private(client: Client) -> bool:
    """Return whether the repository is not public; False where GitHub does not say, as this only adds a hint."""
    try:
        return repository(client).private
    except Refusal:
        return False
