"""What is read, and each way in which it is not."""

from __future__ import annotations

from typing import Any

import pytest

from hyops_ci.contracts.plan import SecretRef
from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.authorities.vault_api import VaultApi, VaultReply
from hyops_ci.secrets.port import Purpose
from tests.secrets.conftest import KEYS, REFS, VALUES, open_as, plan_for
from tests.support.openbao import OWN_TOKEN, OpenBao

pytestmark = pytest.mark.bao
PATH = "secret/hybridops/prod/extra"


@pytest.fixture(scope="module", autouse=True)
def _extra_role(bao: OpenBao) -> None:
    """A role that also sees `extra`, where tests write what they like, and `absent`, where nothing is."""
    rules = [
        f'path "secret/{kind}/hybridops/prod/{name}" {{ capabilities = ["read"] }}'
        for kind in ("data", "subkeys")
        for name in ("extra", "absent")
    ]
    bao.add_role("dr-extra", OWN_TOKEN + "\n".join(rules), claims={"environment": "dr-prod"})


def ref(key: str, field: str = "", path: str = PATH) -> SecretRef:
    return SecretRef(key=key, path=path, field=field or key)


def read(bao: OpenBao, *refs: SecretRef) -> dict[str, str]:
    authority = open_as(bao, plan=plan_for(bao, role="dr-extra"))
    try:
        return {secret.key: secret.value for secret in authority.read(refs)}
    finally:
        authority.close()


def refusal(bao: OpenBao, *refs: SecretRef) -> Refusal:
    with pytest.raises(Refusal) as refused:
        read(bao, *refs)
    assert refused.value.exit_code is Exit.SECRETS
    assert "canary" not in "\n".join(refused.value.lines()) + repr(refused.value.__context__)
    return refused.value


def test_values_and_versions_one_request_for_each_path(bao: OpenBao, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = VaultApi.ask

    def ask(self: VaultApi, method: str, path: str, **rest: Any) -> VaultReply:
        asked.append(path)
        return real(self, method, path, **rest)

    monkeypatch.setattr(VaultApi, "ask", ask)
    authority = open_as(bao)
    secrets = authority.read(REFS)
    assert {secret.key: secret.value for secret in secrets} == VALUES
    assert {secret.version for secret in secrets} == {"1"}
    paths = {ref.path.replace("/", "/data/", 1) for ref in REFS}
    assert sorted(path for path in asked if "/data/" in path) == sorted(paths)
    assert len(paths) < len(REFS)
    authority.close()


def test_names_are_told_by_a_role_that_can_read_no_value(bao: OpenBao) -> None:
    authority = open_as(bao, Purpose.CHECK)
    assert dict(authority.names([*REFS, ref("MISSING_KEY", path=REFS[0].path)])) == dict.fromkeys(KEYS, True) | {"MISSING_KEY": False}
    with pytest.raises(Refusal) as refused:
        authority.read(REFS)
    assert refused.value.gate == "secrets.denied"
    authority.close()


def test_names_of_a_path_that_is_absent_or_deleted(bao: OpenBao) -> None:
    bao.put(PATH, A_KEY="canary-old")
    bao.delete_latest(PATH)
    authority = open_as(bao, plan=plan_for(bao, role="dr-extra"))
    assert dict(authority.names([ref("A_KEY"), ref("B_KEY", path="secret/hybridops/prod/absent")])) == {"A_KEY": False, "B_KEY": False}
    authority.close()


def test_nested_names_do_not_count_as_fields(bao: OpenBao) -> None:
    bao.put(PATH, OUTER={"INNER": "canary-inner"})
    authority = open_as(bao, plan=plan_for(bao, role="dr-extra"))
    assert dict(authority.names([ref("OUTER"), ref("INNER")])) == {"OUTER": True, "INNER": False}
    authority.close()


def test_a_field_of_another_name(bao: OpenBao) -> None:
    version = bao.put(PATH, password="canary-password")
    assert version >= 1
    assert read(bao, ref("A_KEY", "password")) == {"A_KEY": "canary-password"}


def test_everything_missing_is_named_at_once(bao: OpenBao) -> None:
    version = bao.put(PATH, A_KEY="canary-value")
    refused = refusal(bao, ref("A_KEY"), ref("B_KEY"), ref("C_KEY", path="secret/hybridops/prod/absent"))
    assert refused.gate == "secrets.missing"
    assert f"B_KEY: no field B_KEY in {PATH} (version {version})" in refused.found
    assert "C_KEY: no secret at secret/hybridops/prod/absent" in refused.found
    assert "A_KEY" not in refused.found


def test_a_deleted_and_a_destroyed_version(bao: OpenBao) -> None:
    version = bao.put(PATH, A_KEY="canary-value")
    bao.delete_latest(PATH)
    assert f"A_KEY: version {version} of {PATH} is deleted (since 20" in refusal(bao, ref("A_KEY")).found
    bao.admin.secrets.kv.v2.destroy_secret_versions("hybridops/prod/extra", versions=[version], mount_point="secret")
    assert f"A_KEY: version {version} of {PATH} is destroyed" in refusal(bao, ref("A_KEY")).found


def test_denied_is_told_from_missing(bao: OpenBao) -> None:
    refused = refusal(bao, ref("A_KEY", path="secret/hybridops/stage/dns"))
    assert refused.gate == "secrets.denied"
    assert "dr-extra at secret/data/hybridops/stage/dns" in refused.found
    assert refused.expected.startswith('path "secret/data/hybridops/stage/dns" { capabilities = ["read"] }')


@pytest.mark.parametrize(
    "value, says",
    [(42, "a number"), (0, "a number"), (True, "true or false"), (None, "null"), ({"canary": 1}, "an object"), (["canary"], "a list")],
)
def test_values_that_are_no_text_are_refused_by_name(bao: OpenBao, value: object, says: str) -> None:
    bao.put(PATH, A_KEY=value)
    refused = refusal(bao, ref("A_KEY"))
    assert refused.gate == "secrets.value"
    assert refused.found == f"A_KEY: is {says}, not text"


@pytest.mark.parametrize(
    "path",
    [
        "secret",
        "secret/../sys/seal",
        "secret/a/..",
        "secret/a?version=1",
        "secret/a%2fb",
        "/secret/a",
        "secret//a",
        "secret/a#b",
        "secret/ä",
    ],
)
def test_a_path_that_could_be_read_as_another_is_never_sent(bao: OpenBao, path: str) -> None:
    assert refusal(bao, ref("A_KEY", path=path)).gate == "secrets.path"


def test_a_mount_without_versions_has_no_subkeys(bao: OpenBao) -> None:
    bao.admin.sys.enable_secrets_engine("kv", path="flat", options={"version": "1"})
    bao.admin.adapter.post("/v1/flat/app", json={"A_KEY": "canary-value"})
    bao.add_role("dr-flat", OWN_TOKEN + 'path "flat/*" { capabilities = ["read"] }', claims={"environment": "dr-prod"})
    authority = open_as(bao, plan=plan_for(bao, role="dr-flat"))
    for question in (authority.names, authority.read):
        with pytest.raises(Refusal) as refused:
            question([ref("A_KEY", path="flat/app")])
        assert refused.value.gate == "secrets.mount"
    authority.close()
    bao.admin.sys.disable_secrets_engine("flat")
