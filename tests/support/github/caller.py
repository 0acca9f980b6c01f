"""Plain requests to the fake, for tests of the fake."""

from __future__ import annotations

import requests

from tests.support.github.description import Json
from tests.support.github.server import FakeGitHub


class Caller:
    """Plain requests with a token: `call("GET", "/repos/acme/recovery")`."""

    def __init__(self, fake: FakeGitHub, secret: str) -> None:
        self.fake, self.session = fake, requests.Session()
        if secret:
            self.session.headers["Authorization"] = f"Bearer {secret}"

    def __call__(self, method: str, path: str, body: Json | None = None, *, follow: bool = True) -> requests.Response:
        """The answer, within five seconds."""
        return self.session.request(method, self.fake.url + path, json=body, timeout=60, allow_redirects=follow)
