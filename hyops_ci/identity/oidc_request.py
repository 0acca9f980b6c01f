"""Requests for OIDC tokens of the GitHub job, each for one audience, at the moment of use.

GitHub docs, *OpenID Connect reference*: a job with `id-token: write` gets `ACTIONS_ID_TOKEN_REQUEST_URL` and
`ACTIONS_ID_TOKEN_REQUEST_TOKEN`. The audience is the origin being called, so that a token sent to a wrong
address is worthless at the right one (docs/design/contracts.md 2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from hyops_ci.address import is_protected
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.http.client import HttpClient, Limits, host_ca, proxies_of
from hyops_ci.http.retry import ATTEMPTS, repeat

URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
LIMITS: Final = Limits(seconds=20.0, connect=5.0, max_bytes=256 * 1024)


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """The token service of this job. Calling it with an audience returns a fresh token."""

    url: str = field(repr=False)
    bearer: str = field(repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    learn: Callable[[str], None] | None = field(default=None, repr=False)

    def __call__(self, audience: str) -> str:
        """Return a token for `audience`. Raises Fault (exit 12) after bounded retries, Refusal (exit 8) when GitHub gives none."""
        separator = "&" if "?" in self.url else "?"
        address = f"{self.url}{separator}audience={quote(audience, safe='')}"
        headers = {"Authorization": f"bearer {self.bearer}", "Accept": "application/json"}
        http = HttpClient(LIMITS, ca=host_ca(), proxies=self.proxies)
        try:
            reply = repeat(lambda: http.send("GET", address, headers=headers), lambda reply: reply.passing, sleep=self.sleep)
        finally:
            http.close()
        token = reply.fields().get("value") if reply.status == 200 else None
        if isinstance(token, str) and token:
            if self.learn:
                self.learn(token)
            return token
        if reply.passing:
            raise _unavailable(reply.outcome)
        raise _refuse(f"GitHub answered {reply.outcome} without a token", "a token for the audience " + audience)


def job_identity(
    environment: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep, learn: Callable[[str], None] | None = None
) -> JobIdentity:
    """Return the token service, from the variables that GitHub sets; `learn` is called with each token, for the redactor.

    Raises Refusal (exit 8) `secrets.oidc` when the job has no `id-token: write`, or when the address is not https (loopback excepted).
    """
    url, bearer = environment.get(URL, ""), environment.get(TOKEN, "")
    if not url or not bearer:
        raise _refuse(f"{URL if not url else TOKEN} is not set", "a job with `permissions: id-token: write`")
    parts = urlsplit(url)
    if not is_protected(url):
        raise _refuse(f"{URL} begins with {parts.scheme}://{parts.hostname}", "https")
    if learn:
        learn(bearer)
    return JobIdentity(url, bearer, proxies_of(environment, url), sleep, learn)


def _refuse(found: str, expected: str) -> Refusal:
    return Refusal(
        "secrets.oidc",
        "this job cannot prove to the authority what it is",
        exit_code=Exit.SECRETS,
        found=found,
        expected=expected,
        fix="grant `id-token: write` to the calling job (and to each workflow between), then a new run",
        docs="vault-role.md",
    )


def _unavailable(problem: str) -> Fault:
    return Fault(
        "secrets.oidc",
        f"GitHub gave no identity token in {ATTEMPTS} attempts",
        exit_code=Exit.UNAVAILABLE,
        found=problem,
        expected="an answer from the token service",
        fix="see githubstatus.com; then a new run, or `hyops-ci run` on the host",
        docs="vault-role.md",
    )
