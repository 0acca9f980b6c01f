"""Places of the config, and the lab's file instead of an authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.plan import SecretPlan
from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.places import read_places, secret_ref
from hyops_ci.secrets.port import Access, Purpose

LAB = Access(EnvClass.LAB, Purpose.EXECUTE)


def test_a_place_is_below_the_mount() -> None:
    ref = secret_ref("dr/github-app#private_key", "kv")
    assert (ref.path, ref.field, ref.key) == ("kv/dr/github-app", "private_key", "private_key")


def test_a_lab_has_them_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "lab.yml"
    file.write_text('private_key: "a private key of the lab"\ntoken: "a token of the lab"\n')
    plan = SecretPlan(kind="file", addresses=(), path=str(file))
    found = read_places(plan, ("dr/github-app#private_key", "dr/pve#token", "dr/pve#token"), LAB)
    assert found.values == {"dr/github-app#private_key": "a private key of the lab", "dr/pve#token": "a token of the lab"}
    assert (found.account.origin, found.account.login, found.account.revoked) == ("file", "none", None)
    with pytest.raises(Refusal) as refused:
        read_places(plan, ("dr/github-app#private_key",), Access(EnvClass.PRODUCTION, Purpose.EXECUTE))
    assert (refused.value.gate, refused.value.exit_code) == ("secrets.file", Exit.POLICY)


def test_what_cannot_be_hidden_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lab.yml"
    file.write_text('token: "abc"\n')
    with pytest.raises(Refusal) as refused:
        read_places(SecretPlan(kind="file", addresses=(), path=str(file)), ("dr/pve#token",), LAB)
    assert refused.value.gate == "secrets.value"
