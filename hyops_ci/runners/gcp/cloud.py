"""Google's clients for one site, and the one way in which a request is made: tried again on our clock, errors in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError
from hyops_ci.http.retry import Backoff, repeat
from hyops_ci.runners import troubles
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.gcp.site import Site

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import compute_v1

T = TypeVar("T")
PATIENCE: Final = 60.0
"""Seconds for which a request that is not answered is tried again."""
PAUSES: Final = Backoff(first=1.0, factor=2.0, longest=15.0)
REQUEST_SECONDS: Final = 30.0
"""Seconds that one request may take."""
QUOTA_REASONS: Final = frozenset({"quotaExceeded", "limitExceeded"})
BUSY_REASONS: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_TOKENS: Final = re.compile(r"[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]*|ya29\.\S+")


class NotThere(Exception):
    """The resource of the request does not exist."""


class Taken(Exception):
    """A resource of this name exists, or was changed meanwhile, or is on its way to another state."""


class _Again(Exception):
    """No answer that counts; another try may bring one."""


@dataclass(frozen=True)
class Cloud:
    """The clients. Each is made when it is first used."""

    site: Site
    make_credentials: Callable[[], Credentials]

    @cached_property
    def credentials(self) -> Credentials:
        """Return the account's credentials; no request is sent yet."""
        with _errors(self.site.machine.bootstrap_account):
            return self.make_credentials()

    @cached_property
    def instances(self) -> compute_v1.InstancesClient:
        """Return the client of machines."""
        from hyops_ci.runners.gcp.clients import compute_v1

        return compute_v1.InstancesClient(**self._options)

    @cached_property
    def zone_operations(self) -> compute_v1.ZoneOperationsClient:
        """Return the client of a zone's operations.

        The one that an operation brings along asks Google's public endpoint, whatever is set.
        """
        from hyops_ci.runners.gcp.clients import compute_v1

        return compute_v1.ZoneOperationsClient(**self._options)

    @cached_property
    def region_operations(self) -> compute_v1.RegionOperationsClient:
        """Return the client of a region's operations."""
        from hyops_ci.runners.gcp.clients import compute_v1

        return compute_v1.RegionOperationsClient(**self._options)

    @cached_property
    def routers(self) -> compute_v1.RoutersClient:
        """Return the client of routers and their NATs."""
        from hyops_ci.runners.gcp.clients import compute_v1

        return compute_v1.RoutersClient(**self._options)

    @cached_property
    def session(self) -> Any:
        """Return a session for what has no client here: its requests carry the account's token."""
        from google.auth.transport.requests import AuthorizedSession

        return AuthorizedSession(self.credentials)

    @property
    def _options(self) -> dict[str, Any]:
        from hyops_ci.runners.gcp.clients import ClientOptions

        return {"credentials": self.credentials, "client_options": ClientOptions(api_endpoint=self.site.machine.endpoints.compute)}

    def token(self, resource: str) -> str:
        """Return an access token of the account that lives a while yet."""
        from google.auth.transport.requests import Request

        def fresh() -> str:
            if not self.credentials.valid:
                self.credentials.refresh(Request())
            return str(self.credentials.token)

        return self.tried(resource, fresh)

    def ask(self, resource: str, method: Callable[..., T], request: object) -> T:
        """Return what a method of a client answers to a request that may be sent twice. Its tries are counted here, none in the client."""
        return self.tried(resource, lambda: method(request, retry=None, timeout=REQUEST_SECONDS))

    def tried(self, resource: str, request: Callable[[], T]) -> T:
        """Return the answer to a request that may be sent twice.

        Raises NotThere and Taken, a Refusal for a no, a Fault for no answer or one that cannot be read; both name the resource.
        """
        clock, until = self.site.clock, Deadline(self.site.clock, PATIENCE)

        def once() -> T | _Again:
            try:
                with _errors(resource):
                    return request()
            except _Again as none:
                return none

        found = repeat(
            once,
            lambda found: isinstance(found, _Again),
            sleep=clock.sleep,
            backoff=PAUSES,
            fits=lambda _, wait: until.left > wait,
        )
        if isinstance(found, _Again):
            raise troubles.no_answer(resource, str(found))
        return found


def every(listing: Callable[..., Iterable[T]]) -> Callable[..., list[T]]:
    """Return the method that answers with all pages of a listing."""
    return lambda request, **settings: list(listing(request, **settings))


@contextmanager
def _errors(resource: str) -> Iterator[None]:
    """Say Google's errors in our words. No word of a credential gets into them."""
    from google.auth import exceptions as auth
    from google.protobuf.json_format import ParseError

    from hyops_ci.runners.gcp.clients import exceptions as api

    try:
        yield
    except (DispatchError, NotThere, Taken, _Again):
        raise
    except api.GoogleAPICallError as error:
        raise _said(resource, error) from None
    except auth.RefreshError as error:
        if error.retryable:
            raise _Again(_plain(error)) from None
        raise troubles.permission(resource, f"no token of the account: {_plain(error)}") from None
    except auth.TransportError as error:
        raise _Again(_plain(error)) from None
    except auth.GoogleAuthError as error:
        raise troubles.permission(resource, f"no credentials: {_plain(error)}") from None
    except (ParseError, ValueError, TypeError) as error:
        raise troubles.nonsense(resource, f"{type(error).__name__}: {_plain(error)}") from None
    except OSError as error:  # what the clients' own HTTP library raises
        raise _Again(type(error).__name__) from None


def _said(resource: str, error: Any) -> Exception:
    """Return what an answer of the service means."""
    code, words = int(error.code or 0), _plain(error.message)
    reasons = {str(each.get("reason", "")) for each in error.errors if isinstance(each, dict)}
    if code == 404:
        return NotThere(words)
    if code in {409, 412} or "resourceNotReady" in reasons:
        return Taken(words)
    if code in {429, 500, 502, 503, 504} or reasons & BUSY_REASONS:
        return _Again(f"{code} {words}")
    if reasons & QUOTA_REASONS:
        return troubles.quota(resource, words)
    if code in {401, 403}:
        return troubles.permission(resource, words)
    if code == 400:
        return troubles.unmakeable(resource, words)
    return troubles.nonsense(resource, f"{code} {words}")


def _plain(error: object) -> str:
    return _TOKENS.sub("***", " ".join(str(error).split()))[:300]
