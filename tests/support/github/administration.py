"""What an administrator sets up by hand: environments, their branches, rulesets, runner groups."""

from __future__ import annotations

from typing import Any

from tests.support.github.accounts import Account
from tests.support.github.description import Json, example
from tests.support.github.environments import HOME as ENVIRONMENT
from tests.support.github.environments import Environment, make_environment
from tests.support.github.groups import HOME as GROUPS
from tests.support.github.groups import RunnerGroup, groups_of
from tests.support.github.routing import Answer, Ask, invalid, not_found, route
from tests.support.github.runners import ORG_WRITE

ADMIN = "administration: write"
POLICIES = f"{ENVIRONMENT}/deployment-branch-policies"
RULESETS = "/repos/{owner}/{repo}/rulesets"


@route("PUT", ENVIRONMENT, ADMIN)
def put_environment(ask: Ask) -> Answer:
    """Make or change an environment: what is left out is taken off."""
    wanted: Json = ask.body or {}
    policy = wanted.get("deployment_branch_policy")
    name = ask.values["environment_name"]
    before = ask.repository.environments.get(name.lower())
    made = make_environment(
        ask.repository,
        name,
        {
            "reviewers": [_person(ask, each["id"]) for each in wanted.get("reviewers") or ()],
            "prevent_self_review": wanted.get("prevent_self_review", False),
            "wait_timer": wanted.get("wait_timer", 0),
            "branches": None if policy is None else "protected" if policy["protected_branches"] else _names(before),
        },
    )
    return Answer(200, made.show())


@route("POST", POLICIES, ADMIN)
def add_branch_policy(ask: Ask) -> Answer:
    """Let one more branch pass."""
    found = _found(ask)
    if not isinstance(found.branches, list):
        raise invalid("the environment takes no branch by name", "DeploymentBranchPolicy", "name")
    found.branches.append(ask.body["name"])
    number = found.id * 100 + len(found.branches) - 1
    return Answer(200, {"id": number, "node_id": f"GBP_{number}", "name": ask.body["name"], "type": "branch"})


@route("DELETE", f"{POLICIES}/{{branch_policy_id}}", ADMIN)
def delete_branch_policy(ask: Ask) -> Answer:
    """Take one branch off, by the number that the list shows."""
    found = _found(ask)
    place = ask.number("branch_policy_id") - found.id * 100
    if not isinstance(found.branches, list) or not 0 <= place < len(found.branches):
        raise not_found()
    del found.branches[place]
    return Answer(204)


@route("POST", RULESETS, ADMIN)
def add_ruleset(ask: Ask) -> Answer:
    """A ruleset; one for the default branch protects it."""
    wanted: Json = ask.body
    include = wanted["conditions"]["ref_name"]["include"]
    if "~DEFAULT_BRANCH" in include:
        ask.repository.protect(rules=wanted["rules"])
    rulesets: list[Any] = vars(ask.repository).setdefault("rulesets", [])
    rulesets.append(wanted)
    shown = example("POST", RULESETS, 201)
    return Answer(201, shown | {name: wanted[name] for name in ("name", "rules", "conditions")})


@route("POST", GROUPS, ORG_WRITE)
def add_group(ask: Ask) -> Answer:
    """A group of runners for some repositories and workflows."""
    wanted: Json = ask.body
    known = ask.state.repositories.values()
    chosen = [each for each in known if each.id in wanted.get("selected_repository_ids", ())]
    workflows = list(wanted.get("selected_workflows", ())) if wanted.get("restricted_to_workflows") else []
    group = RunnerGroup(
        ask.organization, len(groups_of(ask.organization)) + 1, wanted["name"], wanted["visibility"], chosen, workflows=workflows
    )
    groups_of(ask.organization).append(group)
    return Answer(201, group.show())


@route("PATCH", f"{GROUPS}/{{runner_group_id}}", ORG_WRITE)
def change_group(ask: Ask) -> Answer:
    """Change a group: what is left out stays."""
    wanted: Json = ask.body
    for group in groups_of(ask.organization):
        if group.id == ask.number("runner_group_id"):
            group.name = wanted.get("name", group.name)
            if "selected_workflows" in wanted:
                group.workflows = list(wanted["selected_workflows"]) if wanted.get("restricted_to_workflows") else []
            return Answer(200, group.show())
    raise not_found()


def _names(before: Environment | None) -> list[str]:
    return list(before.branches) if before is not None and isinstance(before.branches, list) else []


def _found(ask: Ask) -> Environment:
    found = ask.repository.environments.get(ask.values["environment_name"].lower())
    if found is None:
        raise not_found()
    return found


def _person(ask: Ask, number: int) -> Account:
    for account in ask.state.accounts.values():
        if account.id == number:
            return account
    raise invalid(f"no user {number}", "Environment", "reviewers")
