from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_ci import files
from hyops_ci.execution import leftovers
from hyops_ci.execution.leftovers import BUNDLE, CleanedUp, clean_up
from hyops_ci.redaction import Redactor

SECRET = "c4n4ry/S3cret+Value=="
SINCE = datetime(2026, 11, 23, 13, 52, 14, 999, tzinfo=UTC)
OLD, NEW = "apply-20261123T135213Z-3284b2c9", "apply-20261123T135214Z-3284b2c9"
holds = Redactor({"A": SECRET}).find


def put(root: Path, name: str, text: str = SECRET) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def left(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


def test_what_is_known_by_name_goes_whatever_run_left_it(tmp_path: Path) -> None:
    put(tmp_path, f"work/a__b/{OLD}/runtime.ssh.key", "a key")
    put(tmp_path, "vault/hyops.vaultenv.k3j2", "A=1")
    put(tmp_path, f"work/a__b/{OLD}/hyops.inputs.yml")
    put(tmp_path, "work/runtime.ssh.key")
    done = clean_up(tmp_path)
    assert done == CleanedUp(("vault/hyops.vaultenv.k3j2", f"work/a__b/{OLD}/runtime.ssh.key"))
    assert left(tmp_path) == [f"work/a__b/{OLD}/hyops.inputs.yml", "work/runtime.ssh.key"]
    assert clean_up(tmp_path) == CleanedUp()


def test_what_holds_a_secret_goes_where_it_is_of_this_run_and_no_record(tmp_path: Path) -> None:
    put(tmp_path, f"work/a__b/{NEW}/hyops.inputs.yml", f"password: {SECRET}")
    put(tmp_path, f"work/a__b/{NEW}/stack/.hyops.runtime.auto.pkrvars.hcl", f'password = "{SECRET}"')
    put(tmp_path, f"work/a__b/{NEW}/stack/terraform.tfstate.backup", SECRET)
    put(tmp_path, f"work/a__b/{NEW}/inventory.ini", "[all]")
    put(tmp_path, f"work/a__b/{OLD}/hyops.inputs.yml", SECRET)
    put(tmp_path, f"logs/module/a__b/{NEW}/ansible.log", f"fatal: {SECRET}")
    done = clean_up(tmp_path, SINCE, holds)
    assert done.removed == (f"work/a__b/{NEW}/hyops.inputs.yml", f"work/a__b/{NEW}/stack/.hyops.runtime.auto.pkrvars.hcl")
    assert done.kept == (f"work/a__b/{NEW}/stack/terraform.tfstate.backup", f"logs/module/a__b/{NEW}/ansible.log")
    assert not {*done.removed} & {*left(tmp_path)}
    assert {*done.kept, f"work/a__b/{OLD}/hyops.inputs.yml", f"work/a__b/{NEW}/inventory.ini"} == {*left(tmp_path)}


def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "env"
    put(outside, f"{NEW}/runtime.ssh.key")
    put(outside, f"{NEW}/x")
    (root / "work" / "b").mkdir(parents=True)
    (root / "work" / "a").symlink_to(outside)
    (root / "work" / "b" / NEW).symlink_to(outside / NEW)
    (root / "vault").symlink_to(outside / NEW)
    before = left(outside)
    assert clean_up(root, SINCE, holds).removed == ()
    assert left(outside) == before


def test_what_cannot_be_read_is_left_and_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "MAX_FILES", 20)
    folder = tmp_path / "work" / "m" / NEW
    folder.mkdir(parents=True)
    os.mkfifo(folder / "a")
    (folder / "b").symlink_to("/dev/zero")
    put(folder, "c", SECRET + " " * leftovers.MAX_FILE)
    for number in range(100):
        put(folder, f"d{number:03}")
    done = clean_up(tmp_path, SINCE, holds)
    assert len(done.removed) == 20 - 3
    assert clean_up(tmp_path / "absent", SINCE, holds) == CleanedUp()


def test_the_bundle_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / BUNDLE
    path.parent.mkdir()
    files.write(path, b"before")
    files.replace_for_now(path, b"now", b"before")
    assert not clean_up(tmp_path).bundle_kept
    assert path.read_bytes() == b"before"
    files.replace_for_now(path, b"now", b"before")
    path.write_bytes(b"theirs")
    assert clean_up(tmp_path).bundle_kept
    assert path.read_bytes() == b"theirs"
    path.unlink()
    path.symlink_to("elsewhere")
    files.write(path.with_name(f"{files.FORMER}{path.name}.x"), b"")
    assert clean_up(tmp_path).bundle_kept


def test_many_names_are_a_count() -> None:
    facts = CleanedUp(tuple(f"f{number}" for number in range(80))).facts()
    assert facts["removed"] == [*(f"f{number}" for number in range(50)), "and 30 more"]
