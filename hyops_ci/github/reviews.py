"""A run's review history: who approved or denied which environment. It has neither times nor pages (docs/design/github.md 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.github_facts import ReviewFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client

GHOST: Final = Person(login="ghost")
"""A deleted account, as GitHub shows it. Without an id its approval does not count; its denial does."""


def reviews(client: Client, run_id: int) -> tuple[ReviewFact, ...]:
    """Return every review of a run, of any of its attempts, in GitHub's order.

    Raises what `Client.ask` raises, and Refusal (`approval.history`, exit 6) for a record that cannot be read:
    skipping a denial would approve.
    """
    found = client.ask(endpoints.REVIEWS, run_id=run_id)
    try:
        if not isinstance(found, list):
            raise TypeError("no list")
        return tuple(read_review(each) for each in found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refusal(
            "approval.history",
            "the run's review history cannot be read",
            exit_code=Exit.APPROVAL,
            found=f"a record that this release does not know ({type(error).__name__})",
            expected="state, user and environments of every review",
            fix="update dr-dispatch; until then use signed approvals",
        ) from None


def read_review(record: Mapping[str, Any]) -> ReviewFact:
    """Return the facts of one record. Raises KeyError, TypeError or ValueError for another form."""
    user = record["user"]
    comment = str(record.get("comment") or "")
    return ReviewFact(
        state=record["state"],
        person=Person(login=user["login"], id=user["id"]) if user else GHOST,
        bot=bool(user) and user.get("type") == "Bot",
        comment=comment,
        environments=tuple(str(each["name"]) for each in record["environments"]),
    )
