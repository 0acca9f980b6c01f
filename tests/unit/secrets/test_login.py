from __future__ import annotations

import json
from base64 import urlsafe_b64encode

from hyops_ci.secrets.authorities.login import sent_claims


def test_claims_are_read_without_belief() -> None:
    head, body = (
        urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in ({"alg": "RS256"}, {"environment": "dr-prod"})
    )
    assert sent_claims(f"{head}.{body}.{head}") == {"environment": "dr-prod"}
    listed = urlsafe_b64encode(b"[1]").decode()
    for broken in ("", "x", "x.y", "x.é.z", f"{head}.{listed}.{head}", f"{head}.////.{head}", f"{head}.{body}"):
        assert sent_claims(broken) == {}
