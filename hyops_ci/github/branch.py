"""Protection of the branch that config and overlay were read from: branch protection, rulesets, owners of `.github/**`.

At most three calls, with the code owners given. Terms of classic protection, and who may bypass a ruleset, are shown to
administrators only (GitHub docs, *Permissions required for GitHub Apps*): what is not shown is not taken for granted.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from hyops_ci.contracts.facts import BranchRules, RefFact
from hyops_ci.errors import Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.errors import reading
from hyops_ci.github.api.responses import NotFound
from hyops_ci.github.codeowners import PLACES, unowned
from hyops_ci.github.repository import repository

HEADS: Final = "refs/heads/"
WATCHED: Final = (".github/dr-dispatch.yml", ".github/workflows/dr.yml", ".github/dr/prod/overlay.yml", ".github/CODEOWNERS")
"""Paths that decide a run, unless the caller names others."""


def newest_commit(client: Client, branch: str) -> str:
    """Return the commit that a branch points to. Raises as `Client.ask`, and Fault (exit 12) for a malformed response."""
    found = client.ask(endpoints.BRANCH, branch=branch)
    with reading(endpoints.BRANCH):
        return str(found["commit"]["sha"])


def ref_fact(
    client: Client, *, ref: str, sha: str, default_branch: str = "", code_owners: str | None = None, paths: Sequence[str] = WATCHED
) -> RefFact:
    """Return the facts of a ref such as `refs/heads/main` at a commit.

    `default_branch` is the name that the event gave: if GitHub has another one now, the ref does not count as the default branch.
    `code_owners` is the text of the code owners file at `sha`, empty for none; None asks GitHub. Raises what `Client.ask`
    raises for the repository itself; branch and rules that may not be read protect nothing, with a note.
    """
    about = repository(client)
    told = about.default_branch
    name = ref.removeprefix(HEADS) if ref.startswith(HEADS) else ""
    if name != told or default_branch not in ("", told):
        moved = f"the event named {default_branch} the default branch, now it is {told}" if default_branch not in ("", told) else ""
        return RefFact(commit=sha, ref=ref, private=about.private, note=moved)
    rules, notes = _rules(client, name)
    protected, classic = rules is not None and rules.pull_request, False
    if not protected:
        protected, classic, note = _protection(client, name, no_rules=rules == BranchRules())
        notes += note
    if protected and code_owners is None:
        code_owners, note = _code_owners(client, sha)
        notes += note
    return RefFact(
        commit=sha,
        ref=ref,
        default_branch=True,
        protected=protected,
        classic=classic,
        rules=rules,
        unowned=None if code_owners is None else unowned(code_owners, paths),
        private=about.private,
        note="; ".join(notes),
    )


def _rules(client: Client, name: str) -> tuple[BranchRules | None, list[str]]:
    try:
        return read_rules(client.pages(endpoints.BRANCH_RULES, "", branch=name)), []
    except Refusal as error:
        return None, [f"rules: {error.gate}"]


def read_rules(listed: Iterable[Mapping[str, Any]]) -> BranchRules:
    """Return all rules of a branch as one. Several rulesets add up: the strictest of each counts."""
    kinds: set[str] = set()
    approvals, said = 0, set()
    for rule in listed:
        kinds.add(str(rule.get("type")))
        if rule.get("type") == "pull_request":
            terms = rule.get("parameters") or {}
            approvals = max(approvals, int(terms.get("required_approving_review_count", 0)))
            said |= {key for key, value in terms.items() if value is True}
    return BranchRules(
        pull_request="pull_request" in kinds,
        approvals=approvals,
        code_owners="require_code_owner_review" in said,
        dismiss_stale="dismiss_stale_reviews_on_push" in said,
        last_push="require_last_push_approval" in said,
        no_deletion="deletion" in kinds,
        no_force_push="non_fast_forward" in kinds,
    )


def _protection(client: Client, name: str, *, no_rules: bool) -> tuple[bool, bool, list[str]]:
    """Return (protected, by classic protection, notes). GitHub reports `protected` for a ruleset of any kind, too."""
    try:
        found = client.ask(endpoints.BRANCH, branch=name)
    except Refusal as error:
        return False, False, [f"branch: {error.gate}"]
    protected = found.get("protected") is True
    terms = found.get("protection")
    by_rule = bool(terms.get("enabled")) if isinstance(terms, dict) and "enabled" in terms else no_rules
    return protected, protected and (by_rule or no_rules), []


def _code_owners(client: Client, sha: str) -> tuple[str | None, list[str]]:
    """Return the text of the first code owners file at a commit, in GitHub's order; empty for none."""
    for place in PLACES:
        try:
            found = client.ask(endpoints.CONTENT, params={"ref": sha}, path=place)
        except NotFound:
            continue
        except Refusal as error:
            return None, [f"code owners: {error.gate}"]
        if isinstance(found, dict) and found.get("type") == "file":
            return base64.b64decode(str(found.get("content", ""))).decode("utf-8", "replace"), []
    return "", []
