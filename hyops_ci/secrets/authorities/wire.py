"""One Vault address: requests through hvac's adapter, bounded in time and number, whose failures carry no token.

hvac's `Client` reads `VAULT_TOKEN`, `~/.vault-token`, `VAULT_CACERT` and more by itself; its adapter reads nothing, so that is used.
Vault and OpenBao speak the same API here; OpenBao is what the tests run.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ATTEMPTS: Final = 3
TIMEOUT: Final = (5.0, 10.0)
"""Seconds to connect, seconds without a byte."""
_RETRIED: Final = frozenset({429, 500, 502, 503, 504})


class Unreachable(Exception):
    """This address gives no answer that can be used, after its retries; another address might."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the authority said. The body is never shown: it may hold values."""

    status: int
    body: Mapping[str, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the request was granted."""
        return 200 <= self.status < 300

    @property
    def data(self) -> Mapping[str, Any]:
        """The `data` object, or an empty one."""
        data = self.body.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def errors(self) -> str:
        """The authority's own words on one line."""
        errors = self.body.get("errors")
        return " ".join(" ".join(str(error) for error in errors).split()) if isinstance(errors, list) else ""


class Wire:
    """A connection to one origin. Its token is set after login and shown nowhere."""

    def __init__(
        self,
        origin: str,
        *,
        namespace: str,
        ca_bundle: str | None,
        timeout: tuple[float, float],
        sleep: Callable[[float], None],
    ) -> None:
        import requests
        from hvac.adapters import RawAdapter

        session = requests.Session()
        session.trust_env = False  # no proxy, no .netrc, no CA file that the environment names
        session.verify = verify = ca_bundle or host_ca_bundle()
        self.origin = origin
        self._sleep = sleep
        self._adapter = RawAdapter(
            base_uri=origin,
            session=session,
            verify=verify,
            timeout=timeout,
            allow_redirects=False,
            namespace=namespace or None,
            ignore_exceptions=True,
        )

    def use_token(self, token: str) -> None:
        """Send `token` from now on."""
        self._adapter.token = token

    def ask(self, method: str, path: str, *, body: Mapping[str, object] | None = None, attempts: int = ATTEMPTS) -> Answer:
        """The answer to one request to `/v1/<path>`; network trouble and 5xx are tried again. Raises Unreachable."""
        problem = ""
        for attempt in range(attempts):
            if attempt:
                self._sleep(0.3 * 3 ** (attempt - 1))
            answer, problem, final = self._once(method, path, body)
            if answer is not None:
                return answer
            if final:
                break
        # Raised outside any except block: the failed request, with its headers, is not even this exception's context.
        raise Unreachable(problem)

    def _once(self, method: str, path: str, body: Mapping[str, object] | None) -> tuple[Answer | None, str, bool]:
        """The answer, or the problem and whether trying again is pointless."""
        import requests

        try:
            response = self._adapter.request(method, f"/v1/{path}", json=body)
        except requests.exceptions.SSLError as error:
            return None, _tls_problem(error), True
        except requests.exceptions.Timeout:
            return None, "no answer in time", False
        except requests.RequestException as error:
            return None, "refused the connection" if "refused" in str(error) else f"no connection ({type(error).__name__})", False
        status = int(response.status_code)
        if 300 <= status < 400:
            return None, f"redirects (HTTP {status}), which is never followed", True
        answer = Answer(status, _json(response.content))
        if status in _RETRIED:
            return None, f"HTTP {status}" + (": sealed" if "sealed" in answer.errors else ""), False
        return answer, "", True

    def close(self) -> None:
        """Forget the token and the connection."""
        self._adapter.token = None
        self._adapter.close()


def host_ca_bundle() -> str | bool:
    """The host's own trust store, where an organisation installs its CA; Python's bundled one when the host has none. Never False."""
    cafile = ssl.get_default_verify_paths().cafile
    return cafile if cafile and Path(cafile).is_file() else True


def _tls_problem(error: Exception) -> str:
    text = str(error)
    for known in (
        "certificate has expired",
        "unable to get local issuer certificate",
        "self-signed certificate",
        "Hostname mismatch",
        "not valid for",
    ):
        if known in text:
            return f"TLS: {known}"
    return "TLS: the certificate was not accepted" if "CERTIFICATE" in text else "TLS: no secure connection"


def _json(content: bytes) -> dict[str, Any]:
    import json

    try:
        body = json.loads(content) if content else {}
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
