"""Installation tokens of a GitHub App: requested on first use, and renewed before they expire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.errors import reading

if TYPE_CHECKING:
    from github import Auth

EARLY: Final = 300.0
"""Seconds before its end that a token is renewed: more than one call's patience."""


@dataclass(frozen=True)
class AppKey:
    """A GitHub App that is installed on the repository."""

    app_id: str
    private_key: str = field(repr=False)
    permissions: Mapping[str, str] = field(default_factory=dict)
    """What the installation token may do, such as administration: read; empty means all that the App may."""

    def signer(self) -> Auth.AppAuth:
        """Return PyGithub's signer of the App. Raises Refusal (exit 2) for a key that cannot sign."""
        import jwt
        from github import Auth

        try:
            signer = Auth.AppAuth(self.app_id, self.private_key)
            signer.create_jwt()
        except (AssertionError, ValueError, TypeError, jwt.PyJWTError) as error:
            raise Refusal(
                "github.app",
                "the App's key signs nothing",
                exit_code=Exit.USAGE,
                found=f"App {self.app_id or 'without an id'}, key of {len(self.private_key)} characters: {type(error).__name__}",
                expected="the PEM file that the App's page gave",
                fix="make a new private key on the App's page, and put it where DR_APP_KEY_FILE or `registration.key` says",
            ) from None
        return signer


class AppClient(Protocol):
    """The client that authenticates as the App itself."""

    @property
    def calls(self) -> int:
        """Number of requests sent."""
        ...

    def ask(self, endpoint: endpoints.Endpoint, *, body: Any = None, **path: Any) -> Any:
        """Return the JSON of one endpoint."""
        ...


class Installation:
    """The App's installation on one repository."""

    def __init__(self, client: AppClient, repository: str, permissions: Mapping[str, str], now: Callable[[], float]) -> None:
        """`repository`: the one name that its tokens are for, whatever else the App serves."""
        self.client, self._repository = client, repository
        self._permissions, self._now = dict(permissions), now
        self._token, self._ends = "", 0.0
        with reading(endpoints.INSTALLATION):
            self.number = int(client.ask(endpoints.INSTALLATION)["id"])

    def token(self) -> str:
        """Return a token that is valid for at least another five minutes. Raises what `Client.ask` raises."""
        if self._now() > self._ends - EARLY:
            body: dict[str, object] = {"repositories": [self._repository]}
            body |= {"permissions": self._permissions} if self._permissions else {}
            answer = self.client.ask(endpoints.INSTALLATION_TOKEN, body=body, installation=self.number)
            with reading(endpoints.INSTALLATION_TOKEN):
                ends = datetime.fromisoformat(answer["expires_at"]).timestamp()
                self._token, self._ends = str(answer["token"]), ends
        return self._token
