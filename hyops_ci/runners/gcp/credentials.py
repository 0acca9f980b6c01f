"""Who asks: the account of the bootstrap, for an hour at most, with nothing on disk.

A job hands its identity token to Google's token service, which believes it by the workload identity provider's condition; what it gets
may become the account and nothing else. From a shell, a person's own application default credentials become the same account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hyops_ci.dataclass import dataclass
from hyops_ci.runners.gcp.site import Site

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

IdentityToken = Callable[[str], str]
"""Returns a new identity token of the job for an audience."""
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
LIFETIME: Final = 3600
"""Seconds that a token of the account lives, Google's least longest."""


def audience(site: Site) -> str:
    """Return the audience that the job's identity token is asked for: the provider's default one."""
    return f"https://iam.googleapis.com/{site.machine.identity_provider}"


@dataclass(frozen=True)
class _JobToken:
    """Google's `SubjectTokenSupplier`: asked again whenever a token is needed, since each lives minutes only."""

    site: Site
    identity_token: IdentityToken

    def get_subject_token(self, context: Any, request: Any) -> str:
        """Return a new identity token."""
        return self.identity_token(audience(self.site))


def of_job(site: Site, identity_token: IdentityToken) -> Credentials:
    """Return credentials of the account by the job's own identity."""
    from google.auth import identity_pool

    account, at = site.machine.bootstrap_account, site.machine.endpoints
    made: Credentials = identity_pool.Credentials(
        audience=f"//iam.googleapis.com/{site.machine.identity_provider}",
        subject_token_type=JWT,
        token_url=f"{at.sts}/v1/token",
        subject_token_supplier=_JobToken(site, identity_token),
        service_account_impersonation_url=f"{at.iam_credentials}/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
        service_account_impersonation_options={"token_lifetime_seconds": LIFETIME},
        scopes=[SCOPE],
    )
    return made


def of_person(site: Site) -> Credentials:
    """Return credentials of the account by the application default credentials of whoever runs this."""
    import google.auth
    from google.auth import impersonated_credentials

    account, at = site.machine.bootstrap_account, site.machine.endpoints
    own, _ = google.auth.default(scopes=[SCOPE])
    made: Credentials = impersonated_credentials.Credentials(
        source_credentials=own,
        target_principal=account,
        target_scopes=[SCOPE],
        lifetime=LIFETIME,
        iam_endpoint_override=f"{at.iam_credentials}/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
    )
    return made
