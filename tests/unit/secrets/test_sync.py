from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.secrets.ansible_vault import encrypt
from hyops_ci.secrets.bundle import LOCK, NAME, open_bundle, read_values
from hyops_ci.secrets.bundle_text import render
from hyops_ci.secrets.password import Password
from hyops_ci.secrets.sync import SyncManifest, check_names, sync
from tests.unit.secrets.doubles import ORIGIN, FakeAuthority, FakeClock, plan_of

PASSWORD = Password("/etc/test-password", b"canary-password")
VALUES = {"A_KEY": "canary-value-a", "B_KEY": "canary-value-b"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "prod").mkdir()
    return tmp_path / "prod" / "vault" / NAME


def test_values_reach_the_bundle_and_names_the_manifest(path: Path) -> None:
    authority = FakeAuthority(VALUES)
    synced = sync(
        plan_of("B_KEY", "A_KEY", "UNNEEDED"), authority, open_bundle(path, PASSWORD), ["B_KEY", "A_KEY", "A_KEY"], clock=FakeClock()
    )
    assert read_values(path.read_bytes(), PASSWORD) == VALUES == synced.values
    assert authority.asked == ["read A_KEY", "read B_KEY"]
    assert authority.closed == 1
    manifest = synced.manifest
    assert [(secret.key, secret.version) for secret in manifest.secrets] == [("A_KEY", "3"), ("B_KEY", "3")]
    assert (manifest.origin, manifest.site, manifest.role, manifest.revoked) == (ORIGIN, "gcp", "dr-prod", True)
    assert (manifest.started_at, manifest.ended_at) == ("2026-11-23T03:09:20Z", "2026-11-23T03:09:21Z")
    assert SyncManifest.model_validate_json(json.dumps(manifest.document())) == manifest
    assert manifest.digest().startswith("sha256:")
    assert "canary" not in json.dumps(manifest.document()) + repr(synced) + str(synced)


def test_what_the_plan_does_not_need_is_kept_and_said(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(encrypt(render({"OLD_KEY": "canary-old", "A_KEY": VALUES["A_KEY"]}).encode(), PASSWORD.secret))
    (path.parent / "hyops.vaultenv.x1").write_text("")
    authority = FakeAuthority({"A_KEY": VALUES["A_KEY"] + "\n"})
    synced = sync(plan_of("A_KEY"), authority, open_bundle(path, PASSWORD), ["A_KEY"], clock=FakeClock())
    manifest = synced.manifest
    assert synced.values == {"A_KEY": VALUES["A_KEY"]}
    assert synced.hidden == ("canary-old", "canary-password", VALUES["A_KEY"])
    assert "canary" not in repr(synced)
    assert manifest.kept == ("OLD_KEY",)
    assert manifest.changed == ()
    assert manifest.notes == (
        "A_KEY: one trailing line end dropped",
        "plaintext left beside the bundle by an earlier HyOps: hyops.vaultenv.x1; delete it",
    )


@pytest.mark.parametrize(
    "error",
    [
        Refusal("secrets.denied", "no", exit_code=Exit.SECRETS),
        Fault("secrets.authority", "no", exit_code=Exit.UNAVAILABLE),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("there", [True, False])
def test_whatever_fails_nothing_is_touched_and_the_login_ends(path: Path, error: Refusal | KeyboardInterrupt, there: bool) -> None:
    path.parent.mkdir()
    if there:
        path.write_bytes(encrypt(render({"A_KEY": "of before"}).encode(), PASSWORD.secret))
    before = path.read_bytes() if there else None
    authority = FakeAuthority(VALUES, error)
    with pytest.raises(type(error)):
        sync(plan_of("A_KEY"), authority, open_bundle(path, PASSWORD), ["A_KEY"], clock=FakeClock())
    assert authority.closed == 1
    assert (path.read_bytes() if path.exists() else None) == before
    assert [file.name for file in path.parent.iterdir() if file.name != LOCK] == [NAME] * there


def test_one_bad_value_stops_all(path: Path) -> None:
    authority = FakeAuthority({"A_KEY": "canary-fine", "B_KEY": "canary\x0ccut"})
    with pytest.raises(Refusal) as refused:
        sync(plan_of("A_KEY", "B_KEY"), authority, open_bundle(path, PASSWORD), ["A_KEY", "B_KEY"], clock=FakeClock())
    assert refused.value.found == "B_KEY: holds FF, where HyOps cuts a value"
    assert not path.exists()
    assert authority.closed == 1


def test_a_wrong_password_stops_before_the_authority_is_asked(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(encrypt(b"A=1\n", b"another"))
    authority = FakeAuthority(VALUES)
    with pytest.raises(Refusal, match=r"secrets\.bundle"):
        sync(plan_of("A_KEY"), authority, open_bundle(path, PASSWORD), ["A_KEY"], clock=FakeClock())
    assert authority.asked == []


def test_a_name_without_a_place_stops_before_anything(path: Path) -> None:
    authority = FakeAuthority(VALUES)
    with pytest.raises(Refusal) as refused:
        sync(plan_of("A_KEY"), authority, open_bundle(path, PASSWORD), ["A_KEY", "Z_KEY", "Y_KEY"], clock=FakeClock())
    assert (refused.value.gate, refused.value.found) == ("secrets.names", "Y_KEY, Z_KEY")
    assert authority.asked == []
    assert not path.parent.exists()


def test_check_answers_for_every_name_without_reading() -> None:
    authority = FakeAuthority({"A_KEY": "canary"})
    assert check_names(plan_of("A_KEY", "B_KEY"), authority, ["B_KEY", "A_KEY", "Z_KEY"]) == {"A_KEY": True, "B_KEY": False, "Z_KEY": False}
    assert authority.asked == ["names A_KEY", "names B_KEY"]
    assert authority.closed == 1


def test_check_ends_the_login_when_it_fails() -> None:
    authority = FakeAuthority({}, Fault("secrets.authority", "no", exit_code=Exit.UNAVAILABLE))
    with pytest.raises(Fault):
        check_names(plan_of("A_KEY"), authority, ["A_KEY"])
    assert authority.closed == 1


def test_names_with_control_characters_in_an_old_bundle_do_not_stop_a_run(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(encrypt(b"A\x1b[2JB=old value\n", PASSWORD.secret))
    (path.parent / "hyops.vaultenv.\x1b").write_text("")
    manifest = sync(plan_of("A_KEY"), FakeAuthority(VALUES), open_bundle(path, PASSWORD), ["A_KEY"], clock=FakeClock()).manifest
    assert manifest.kept == ("A\\u001b[2JB",)
    assert "hyops.vaultenv.\\u001b" in manifest.notes[0]


def test_nothing_needed_asks_nobody(path: Path) -> None:
    authority = FakeAuthority({})
    assert sync(plan_of(), authority, open_bundle(path, PASSWORD), [], clock=FakeClock()).manifest.secrets == ()
    assert check_names(plan_of(), authority, []) == {}
    assert authority.asked == []
