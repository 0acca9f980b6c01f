"""`GET /rate_limit`: what is left, without using it."""

from __future__ import annotations

from tests.support.github.description import example
from tests.support.github.routing import NOTHING, Answer, Ask, route


@route("GET", "/rate_limit", NOTHING)
def get_rate_limit(ask: Ask) -> Answer:
    seed = example("GET", "/rate_limit")
    core = {"limit": ask.token.limit, "used": ask.token.used, "remaining": max(ask.token.limit - ask.token.used, 0)}
    seed["resources"]["core"] |= core
    seed["rate"] |= core
    return Answer(200, seed)
