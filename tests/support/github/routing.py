"""Routes of the fake: which function answers which operation, and which permission GitHub asks for it.

The permissions stand in GitHub's page *Permissions required for GitHub Apps*; they are written here a second time, apart
from the library's own table, so that a mistake there meets a refusal here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.support.github.description import Json, pattern

if TYPE_CHECKING:
    from tests.support.github.accounts import Account
    from tests.support.github.apps import App
    from tests.support.github.repositories import Repository
    from tests.support.github.runs import Run
    from tests.support.github.state import State
    from tests.support.github.tokens import Token

DOCS = "https://docs.github.com/rest"
APP_KEY = "the App's key"
"""Instead of a permission: a JWT signed by the App."""
REMOTE_AUTH = "a registration token"
"""Instead of a permission: an agent that registers itself."""
NOTHING = "any token"
"""Instead of a permission: every token that is valid may ask."""


@dataclass(frozen=True)
class Answer:
    """What goes back. `body` is JSON, None for no body; `raw` are bytes of another media type."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    media: str = "application/json"


class Refused(Exception):
    """GitHub says no: raised by a route, turned into an answer by the server."""

    def __init__(self, status: int, message: str, errors: list[Json] | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        body: Json = {"message": message, "documentation_url": DOCS, "status": str(status)}
        self.answer = Answer(status, body | ({"errors": errors} if errors else {}), headers or {})


def not_found() -> Refused:
    """What GitHub says of the missing and of the invisible alike."""
    return Refused(404, "Not Found")


def invalid(message: str, resource: str = "Resource", name: str = "field") -> Refused:
    """422 in the form of validation errors."""
    return Refused(422, "Validation Failed", [{"resource": resource, "field": name, "code": "custom", "message": message}])


@dataclass
class Ask:
    """One request on its way to its route."""

    method: str
    path: str
    state: State
    token: Token
    values: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    accept: str = ""
    app: App | None = None
    """Who asks, on the routes that need `APP_KEY`."""

    @property
    def repository(self) -> Repository:
        """The repository of the path."""
        return self.state.repository(f"{self.values['owner']}/{self.values['repo']}")

    @property
    def run(self) -> Run:
        """The run of the path."""
        found = self.repository.runs.get(self.number("run_id"))
        if found is None:
            raise not_found()
        return found

    @property
    def organization(self) -> Account:
        """The organization of the path."""
        return self.state.organization(self.values["org"])

    def number(self, name: str) -> int:
        """A path parameter that is an id."""
        return int(self.values[name])

    def page(self, items: list[Any], key: str, show: Callable[[Any], Json]) -> Answer:
        """One page of `items`, only these rendered, with the Link header; `key` is empty for a bare list."""
        size = min(max(int(self.query.get("per_page", 30)), 1), 100)
        number = max(int(self.query.get("page", 1)), 1)
        last = max(-(-len(items) // size), 1)
        shown = [show(item) for item in items[(number - 1) * size : number * size]]
        links = {"first": 1, "prev": number - 1} if number > 1 else {}
        links |= {"next": number + 1, "last": last} if number < last else {}
        query = {name: value for name, value in self.query.items() if name != "page"}
        link = ", ".join(f'<{self.state.url}{self.path}?{urlencode({**query, "page": n})}>; rel="{rel}"' for rel, n in links.items())
        body: Any = {"total_count": len(items), key: shown} if key else shown
        return Answer(200, body, {"Link": link} if link else {})


Function = Callable[[Ask], Answer]


@dataclass(frozen=True)
class Route:
    """How one operation is answered. `needs` is a permission such as `actions: read`, `APP_KEY` or `NOTHING`."""

    method: str
    template: str
    needs: str
    answer: Function
    documented: str = ""
    """Where GitHub documents an operation that its OpenAPI description does not have; such are not validated."""

    @property
    def name(self) -> str:
        """As documentation writes it."""
        return f"{self.method} {self.template}"


ROUTES: dict[str, Route] = {}


def route(method: str, template: str, needs: str, *, documented: str = "") -> Callable[[Function], Function]:
    """Registers the function below it; `template` is written as in the description."""

    def register(function: Function) -> Function:
        made = Route(method, template, needs, function, documented)
        if made.name in ROUTES:
            raise ValueError(f"{made.name} has two routes")
        ROUTES[made.name] = made
        return function

    return register


def undescribed(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of an operation that is only in the documentation, and its path parameters."""
    for found in ROUTES.values():
        if found.documented and found.method == method and (values := pattern(found.template).fullmatch(path)):
            return found, dict(zip(re.findall(r"{([^}]+)}", found.template), values.groups(), strict=True))
    return None


def rendered(answer: Answer) -> bytes:
    """The bytes of the body."""
    if answer.raw is not None:
        return answer.raw
    return b"" if answer.body is None else json.dumps(answer.body).encode()
