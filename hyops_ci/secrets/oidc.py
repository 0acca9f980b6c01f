"""The job's identity: an OIDC token of the GitHub run for one audience, asked for at the moment it is used.

GitHub docs, *OpenID Connect reference*: a job with `id-token: write` gets `ACTIONS_ID_TOKEN_REQUEST_URL` and
`ACTIONS_ID_TOKEN_REQUEST_TOKEN`. The audience is the origin being called, so that a token sent to a wrong
address is worthless at the right one (docs/design/contracts.md 2).
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.secrets.address import is_loopback

URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
ATTEMPTS: Final = 3
_TIMEOUT: Final = (5.0, 15.0)
_RETRIED: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """Where this job asks for its tokens. Calling it with an audience gives a fresh token."""

    url: str = field(repr=False)
    bearer: str = field(repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    learn: Callable[[str], None] | None = field(default=None, repr=False)

    def __call__(self, audience: str) -> str:
        """A token for `audience`. Raises Fault (exit 12) after bounded retries, Refusal (exit 8) when GitHub gives none."""
        import requests

        separator = "&" if "?" in self.url else "?"
        address = f"{self.url}{separator}audience={quote(audience, safe='')}"
        problem = ""
        with requests.Session() as session:
            session.trust_env = False  # a .netrc entry would replace the Authorization header
            for attempt in range(ATTEMPTS):
                if attempt:
                    self.sleep(0.5 * 3 ** (attempt - 1))
                try:
                    answer = session.get(
                        address,
                        headers={"Authorization": f"bearer {self.bearer}", "Accept": "application/json"},
                        timeout=_TIMEOUT,
                        allow_redirects=False,
                        proxies=dict(self.proxies),
                    )
                    status, body = answer.status_code, answer.content
                except requests.RequestException as error:
                    problem = type(error).__name__
                    continue
                if status == 200 and (token := _token_in(body)):
                    if self.learn:
                        self.learn(token)
                    return token
                problem = f"HTTP {status}"
                if status not in _RETRIED:
                    break
            else:
                raise _unavailable(problem)
        raise _refuse(f"GitHub answered {problem} without a token", "a token for the audience " + audience)


def job_identity(
    environment: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep, learn: Callable[[str], None] | None = None
) -> JobIdentity:
    """The provider of this job's tokens, from the variables GitHub sets; `learn` is told each token, for the redactor.

    Raises Refusal (exit 8) `secrets.oidc` when the job has no `id-token: write`, or when the address is not https (loopback excepted).
    """
    url, bearer = environment.get(URL, ""), environment.get(TOKEN, "")
    if not url or not bearer:
        raise _refuse(f"{URL if not url else TOKEN} is not set", "a job with `permissions: id-token: write`")
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise _refuse(f"{URL} begins with {parts.scheme}://{parts.hostname}", "https")
    if learn:
        learn(bearer)
    return JobIdentity(url, bearer, proxies_for(environment, url), sleep, learn)


def claims(token: str) -> dict[str, object]:
    """What a token says of itself, unverified: only to tell a person what was sent. Empty when it is no JWT."""
    try:
        middle = token.split(".")[1]
        found = json.loads(urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _token_in(body: bytes) -> str:
    try:
        value = json.loads(body)["value"]
    except (ValueError, KeyError, TypeError):
        return ""
    return value if isinstance(value, str) else ""


def proxies_for(environment: Mapping[str, str], url: str) -> dict[str, str]:
    """The proxy that `environment` names for `url`, as requests takes it; empty where there is none, or `no_proxy` leaves it out."""
    from requests.utils import should_bypass_proxies

    def value(name: str) -> str:
        return environment.get(name, "") or environment.get(name.upper(), "")

    proxy = value("https_proxy")
    if not proxy or should_bypass_proxies(url, no_proxy=value("no_proxy") or "localhost"):
        return {}
    return {"https": proxy}


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
