"""The HTTP API of one Vault address, through hvac's adapter and a bounded session. No error carries a token.

hvac's `Client` reads `VAULT_TOKEN`, `~/.vault-token`, `VAULT_CACERT` and more by itself; its adapter reads nothing, so that is used.
Vault and OpenBao speak the same API here; OpenBao is what the tests run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hyops_ci.dataclass import dataclass, field
from hyops_ci.http.client import HttpClient, Limits, Reply, host_ca
from hyops_ci.http.retry import ATTEMPTS, repeat

LIMITS: Final = Limits(seconds=15.0, connect=5.0, max_bytes=16 << 20)


class Unreachable(Exception):
    """No usable response from this address after its retries; another address may have one."""


@dataclass(frozen=True, slots=True)
class VaultReply:
    """A response of the authority. The body is never shown: it may hold values."""

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
        """The error messages of the body on one line."""
        errors = self.body.get("errors")
        return " ".join(" ".join(str(error) for error in errors).split()) if isinstance(errors, list) else ""


def _passing(reply: Reply) -> bool:
    """Return whether the next attempt may end differently. 412: a standby that has not heard of this login yet."""
    return reply.passing or reply.status == 412


class VaultApi:
    """Requests to one origin. Its token is set after login and shown nowhere."""

    def __init__(
        self, origin: str, *, namespace: str, proxy: str, ca_bundle: str | None, limits: Limits, sleep: Callable[[float], None]
    ) -> None:
        from hvac.adapters import RawAdapter

        self.origin = origin
        self._sleep = sleep
        # No proxy, no .netrc, no CA file that the environment names.
        self._http = HttpClient(limits, ca=ca_bundle or host_ca(), proxies={"https": proxy} if proxy else {})
        self._adapter = RawAdapter(base_uri=origin, session=self._http.session, namespace=namespace or None, ignore_exceptions=True)

    def use_token(self, token: str) -> None:
        """Send `token` from now on."""
        self._adapter.token = token

    def ask(self, method: str, path: str, *, body: Mapping[str, object] | None = None, attempts: int = ATTEMPTS) -> VaultReply:
        """Return the response to one request to `/v1/<path>`; network trouble, 5xx and 412 are tried again. Raises Unreachable."""

        def once() -> Reply:
            return self._http.reply(lambda: self._adapter.request(method, f"/v1/{path}", json=body))

        reply = repeat(once, _passing, sleep=self._sleep, fits=lambda made, _: made < attempts)
        if 300 <= reply.status < 400:
            raise Unreachable(f"redirects (HTTP {reply.status}), which is never followed")
        answer = VaultReply(reply.status, reply.fields())
        # Not inside any except block: the failed request, with its headers, is not even this exception's context.
        if _passing(reply) or not reply.status:
            raise Unreachable(reply.outcome + (": sealed" if "sealed" in answer.errors else ""))
        return answer

    def close(self) -> None:
        """Forget the token and the connection."""
        self._adapter.token = None
        self._http.close()
