from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.contracts.authorities import AUTHORITIES
from hyops_ci.contracts.config import EnvClass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.connect import open_authority
from hyops_ci.secrets.port import Access, Purpose
from tests.unit.secrets.doubles import ORIGIN, plan_of


@pytest.mark.parametrize("kind", AUTHORITIES)
def test_every_kind_of_the_table_has_its_adapter(kind: str, tmp_path: Path) -> None:
    addresses = ((ORIGIN, "gcp"),) if AUTHORITIES[kind].remote else ()
    plan = plan_of("A_KEY", kind=kind, path=str(tmp_path / "x"), addresses=addresses)
    assert open_authority(plan, Access(EnvClass.LAB, Purpose.CHECK, token_for=no_token)).origin in {ORIGIN, kind}
    if AUTHORITIES[kind].lab_only:
        with pytest.raises(Refusal) as refused:
            open_authority(plan, Access(EnvClass.DRILL, Purpose.CHECK, token_for=no_token))
        assert refused.value.exit_code is Exit.POLICY


def no_token(audience: str) -> str:
    raise AssertionError("nothing may be asked yet")


@pytest.mark.parametrize("purpose, role", [(Purpose.CHECK, "dr-check"), (Purpose.EXECUTE, "dr-prod")])
def test_the_purpose_chooses_the_role_and_nothing_is_asked(purpose: Purpose, role: str) -> None:
    authority = open_authority(plan_of("A_KEY"), Access(EnvClass.PRODUCTION, purpose, token_for=no_token))
    assert (authority.role, authority.origin, authority.login, authority.revoked) == (role, ORIGIN, "jwt", None)
    authority.close()
    assert authority.revoked is None


@pytest.mark.parametrize(
    "origin, env_class, allowed",
    [
        ("http://127.0.0.1:8200", EnvClass.LAB, True),
        ("http://localhost:8200", EnvClass.LAB, True),
        ("http://127.0.0.1:8200", EnvClass.DRILL, False),
        ("http://127.0.0.1:8200", EnvClass.PRODUCTION, False),
        ("http://vault.example.net", EnvClass.LAB, False),
        ("http://127.0.0.1.example.net", EnvClass.LAB, False),
        ("http://localhost.example.net", EnvClass.LAB, False),
        ("https://127.0.0.1:8200", EnvClass.PRODUCTION, True),
    ],
)
def test_in_clear_only_on_the_loopback_of_a_lab(origin: str, env_class: EnvClass, allowed: bool) -> None:
    plan = plan_of("A_KEY", addresses=((ORIGIN, "gcp"), (origin, "aws")))
    if allowed:
        open_authority(plan, Access(env_class, Purpose.EXECUTE, token_for=no_token))
        return
    with pytest.raises(Refusal) as refused:
        open_authority(plan, Access(env_class, Purpose.EXECUTE, token_for=no_token))
    assert (refused.value.gate, refused.value.exit_code) == ("secrets.address", Exit.POLICY)


@pytest.mark.parametrize("changes", [{"addresses": ()}, {"role": "dr-prod", "check_role": ""}])
def test_a_plan_without_a_way_in_is_refused(changes: dict[str, object]) -> None:
    changes = {"role": ""} if "role" in changes else changes
    plan = plan_of("A_KEY").model_copy(update=changes)
    with pytest.raises(Refusal, match=r"secrets\.login"):
        open_authority(plan, Access(EnvClass.PRODUCTION, Purpose.EXECUTE, token_for=no_token))


def test_a_file_authority_is_for_labs(tmp_path: Path) -> None:
    plan = plan_of("A_KEY", kind="file", path=str(tmp_path / "x"), addresses=())
    assert open_authority(plan, Access(EnvClass.LAB, Purpose.EXECUTE)).origin == "file"
    with pytest.raises(Refusal) as refused:
        open_authority(plan, Access(EnvClass.PRODUCTION, Purpose.EXECUTE))
    assert (refused.value.gate, refused.value.exit_code) == ("secrets.file", Exit.POLICY)


def test_no_identity_and_no_file_is_refused() -> None:
    with pytest.raises(Refusal, match=r"secrets\.login"):
        open_authority(plan_of("A_KEY"), Access(EnvClass.PRODUCTION, Purpose.EXECUTE))
