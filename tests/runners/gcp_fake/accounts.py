"""Who asks: Google's token service, tokens of accounts, and OS Login with a memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hyops_ci.contracts.base import stamp
from tests.runners.gcp_fake.answers import Answer, denied, not_found
from tests.runners.gcp_fake.discovery import Call
from tests.support.clock import Clock

PROVIDER = "projects/123456789012/locations/global/workloadIdentityPools/github/providers/dr-dispatch"
ACCOUNT = "dr-bootstrap@net-prod-1.iam.gserviceaccount.com"
JOB_TOKEN = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.planted-job-token-0123456789abcdef.signature-of-the-job-token"
LIFETIME = timedelta(hours=1)


@dataclass
class Accounts:
    """Tokens that were given, and the profile of the account."""

    clock: Clock
    believes: bool = True
    """Whether the provider's condition lets this job in."""
    federated: set[str] = field(default_factory=set)
    tokens: dict[str, float] = field(default_factory=dict)
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    audiences: list[str] = field(default_factory=list)
    of_job: Callable[[str], bool] = lambda token: token == JOB_TOKEN
    """Whether a token is the one that GitHub gave the job for the last of `audiences`."""

    def identity_token(self, audience: str) -> str:
        """What GitHub gives the job."""
        self.audiences.append(audience)
        return JOB_TOKEN

    def sts_token(self, call: Call) -> dict[str, Any]:
        body = call.body
        if body["audience"] != f"//iam.googleapis.com/{PROVIDER}" or not self.of_job(body["subjectToken"]) or not self.believes:
            raise OAuthError("unauthorized_client", "The given credential is rejected by the attribute condition.")
        assert self.audiences[-1:] == [f"https://iam.googleapis.com/{PROVIDER}"]
        made = f"ya29.d.federated-{len(self.federated)}"
        self.federated.add(made)
        return {
            "access_token": made,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 3599,
        }

    def generate(self, call: Call, bearer: str) -> dict[str, Any]:
        if bearer not in self.federated:
            raise Answer(401, "Request had invalid authentication credentials.")
        if call.path["name"] != f"projects/-/serviceAccounts/{ACCOUNT}":
            raise denied("iam.serviceAccounts.getAccessToken", call.path["name"])
        made = f"ya29.c.account-{len(self.tokens)}"
        self.tokens[made] = self.clock.seconds + LIFETIME.total_seconds()
        return {"accessToken": made, "expireTime": stamp((self.clock.now() + LIFETIME).replace(year=2099, microsecond=0))}

    def authentic(self, bearer: str) -> None:
        """Raise an Answer unless this is a token of the account that has not run out."""
        if self.tokens.get(bearer, -1.0) < self.clock.seconds:
            raise Answer(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.", "authError")

    def oslogin(self, call: Call) -> dict[str, Any]:
        if not call.path.get("name", call.path.get("parent", "")).startswith(f"users/{ACCOUNT}"):
            raise denied("oslogin.users", str(call.path))
        if call.id.endswith("importSshPublicKey"):
            fingerprint = hashlib.sha256(call.body["key"].encode()).hexdigest()
            self.keys[fingerprint] = {**call.body, "fingerprint": fingerprint, "name": f"users/{ACCOUNT}/sshPublicKeys/{fingerprint}"}
            return {"loginProfile": self._profile()}
        if call.id.endswith("getLoginProfile"):
            return self._profile()
        if call.id.endswith("sshPublicKeys.delete"):
            if self.keys.pop(call.path["name"].rpartition("/")[2], None) is None:
                raise not_found(call.path["name"])
            return {}
        raise Answer(501, call.id)

    def live_keys(self) -> set[str]:
        """Return the keys of the profile that count now."""
        now = self.clock.now().timestamp() * 1_000_000
        return {" ".join(each["key"].split()[:2]) for each in self.keys.values() if int(each["expirationTimeUsec"]) > now}

    def _profile(self) -> dict[str, Any]:
        return {
            "name": "115300000000000000001",
            "posixAccounts": [
                {"primary": True, "username": "sa_115300000000000000001", "uid": "3001", "gid": "3001", "accountId": "net-prod-1"}
            ],
            "sshPublicKeys": {fingerprint: dict(each) for fingerprint, each in self.keys.items()},
        }


class OAuthError(Exception):
    """An answer of the token service."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}
