"""A run's review history: who answered at which environment. It has no time in it, and no paging (docs/design/github.md 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.control import ReviewFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client

GHOST: Final = Person(login="ghost")
"""How GitHub shows an account that is gone. It has no id here, so its yes counts for nothing; its no counts."""


def reviews(client: Client, run_id: int) -> tuple[ReviewFact, ...]:
    """Every answer given in a run, at any of its attempts, in GitHub's order.

    Raises what `Client.ask` raises, and Refusal (`approval.history`, exit 6) for a record that cannot be understood:
    a no that is read past would be a yes.
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
    """One record. Raises KeyError, TypeError or ValueError for another form."""
    user = record["user"]
    comment = str(record.get("comment") or "")
    return ReviewFact(
        state=record["state"],
        person=Person(login=user["login"], id=user["id"]) if user else GHOST,
        bot=bool(user) and user.get("type") == "Bot",
        comment=comment,
        environments=tuple(str(each["name"]) for each in record["environments"]),
    )
