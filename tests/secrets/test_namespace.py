"""Secrets of a namespace, and of a mount that is not KV v2, at a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from hyops_ci.contracts.plan import SecretRef
from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.port import Purpose
from tests.secrets.conftest import open_as, plan_for
from tests.support.issuer import ISSUER
from tests.support.openbao import OWN_TOKEN, ROOT_TOKEN, OpenBao, start_openbao

pytestmark = pytest.mark.bao
REF = SecretRef(key="POWERDNS_API_KEY", path="secret/prod/dns", field="POWERDNS_API_KEY")
V1 = SecretRef(key="POWERDNS_API_KEY", path="kv1/prod/dns", field="POWERDNS_API_KEY")
POLICY = OWN_TOKEN + "".join(
    f'path "{mount}{kind}prod/dns" {{ capabilities = ["read"] }}\n' for mount in ("secret/", "kv1/") for kind in ("data/", "subkeys/", "")
)


def root(bao: OpenBao, path: str, body: object, namespace: str = "") -> None:
    headers = {"X-Vault-Token": ROOT_TOKEN, **({"X-Vault-Namespace": namespace} if namespace else {})}
    answer = requests.post(f"{bao.origin}/v1/{path}", headers=headers, data=json.dumps(body), timeout=60)
    assert answer.ok, answer.text


def furnish(bao: OpenBao, namespace: str = "") -> None:
    """Login, a role and a secret in a namespace, as in the root."""
    if namespace:
        root(bao, f"sys/namespaces/{namespace}", {})
        root(bao, "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, namespace)
        root(bao, "sys/auth/jwt", {"type": "jwt"}, namespace)
        root(bao, "auth/jwt/config", {"jwt_validation_pubkeys": [bao.key.pem().decode()], "bound_issuer": ISSUER}, namespace)
    root(bao, "sys/policies/acl/dr-prod", {"policy": POLICY}, namespace)
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": [bao.origin],
        "bound_claims": {"environment": "dr-prod"},
        "token_policies": ["dr-prod"],
        "token_no_default_policy": True,
        "token_explicit_max_ttl": "15m",
    }
    root(bao, "auth/jwt/role/dr-prod", role, namespace)
    root(bao, "secret/data/prod/dns", {"data": {"POWERDNS_API_KEY": f"canary-of-{namespace or 'root'}"}}, namespace)


@pytest.fixture(scope="module")
def server() -> Iterator[OpenBao]:
    with start_openbao() as bao:
        furnish(bao)
        furnish(bao, "admin")
        root(bao, "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
        root(bao, "kv1/prod/dns", {"POWERDNS_API_KEY": "canary-of-v1"})
        yield bao


@pytest.mark.parametrize("namespace", ["", "admin"])
def test_the_secrets_are_those_of_the_namespace(server: OpenBao, namespace: str) -> None:
    plan = plan_for(server, refs=(REF,)).model_copy(update={"namespace": namespace})
    authority = open_as(server, plan=plan)
    assert [secret.value for secret in authority.read([REF])] == [f"canary-of-{namespace or 'root'}"]
    authority.close()
    assert authority.revoked


def test_a_namespace_that_is_not_there_is_a_refused_login(server: OpenBao) -> None:
    with pytest.raises(Refusal, match=r"secrets\.login"):
        open_as(server, plan=plan_for(server, refs=(REF,)).model_copy(update={"namespace": "nowhere"})).read([REF])


@pytest.mark.parametrize("how", ["names", "read"])
def test_a_mount_without_versions_is_refused_by_name(server: OpenBao, how: str) -> None:
    authority = open_as(server, Purpose.EXECUTE, plan=plan_for(server, refs=(V1,)))
    with pytest.raises(Refusal) as refused:
        getattr(authority, how)([V1])
    authority.close()
    assert (refused.value.gate, refused.value.exit_code) == ("secrets.mount", Exit.SECRETS)
    assert refused.value.found == f"kv1/ at {server.origin} is KV v1"
    assert "vault kv enable-versioning kv1/" in refused.value.fix
