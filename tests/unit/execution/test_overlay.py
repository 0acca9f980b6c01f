from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.execution.overlay import overlay_path, remove_leftovers, runtime_overlay, write_overlay


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "envs" / "prod"
    path.mkdir(parents=True)
    return path


def test_the_copy_is_there_for_the_block_and_for_its_owner(root: Path) -> None:
    with runtime_overlay(root, "212-1", b"steps: []\n") as path:
        assert path == root / "config" / "blueprints" / "dr-dispatch-212-1.yml"
        assert path.read_bytes() == b"steps: []\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_it_is_gone_however_the_block_ends(root: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), runtime_overlay(root, "212-1", b"x"):
        raise error
    assert not overlay_path(root, "212-1").exists()


def test_it_may_be_gone_already(root: Path) -> None:
    with runtime_overlay(root, "212-1", b"x") as path:
        path.unlink()


def test_a_copy_is_never_overwritten(root: Path) -> None:
    write_overlay(root, "212-1", b"first")
    with pytest.raises(Refusal, match="cannot be copied"):
        write_overlay(root, "212-1", b"second")
    assert overlay_path(root, "212-1").read_bytes() == b"first"


def test_a_link_in_place_of_the_copy_is_not_followed(root: Path, tmp_path: Path) -> None:
    path = overlay_path(root, "212-1")
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal):
        write_overlay(root, "212-1", b"x")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("link", ["config", "config/blueprints"])
def test_a_folder_that_leads_elsewhere_is_refused(root: Path, tmp_path: Path, link: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal):
        write_overlay(root, "212-1", b"x")
    assert not list((tmp_path / "elsewhere").rglob("*.yml"))


@pytest.mark.parametrize("run_id", ["", "..", "../x", "a/b", "a\n", ".hidden", "-x", "x" * 99])
def test_a_run_id_is_a_plain_name(root: Path, run_id: str) -> None:
    with pytest.raises(ValueError, match="run id"):
        overlay_path(root, run_id)


def test_leftovers_are_swept_and_nothing_else(root: Path) -> None:
    kept = write_overlay(root, "213-1", b"x")
    left = [write_overlay(root, run_id, b"x") for run_id in ("211-1", "local-20261124T100000Z-0badcafe")]
    others = [kept.parent / "postgresql-ha-failover-gcp.yml", kept.parent / "dr-dispatch-notes.txt"]
    for path in others:
        path.write_text("mine")
    (kept.parent / "dr-dispatch-folder.yml").mkdir()
    assert remove_leftovers(root, keep=["213-1"]) == tuple(sorted(left))
    assert all(path.exists() for path in [kept, *others])
    assert remove_leftovers(root) == (kept,)


def test_there_may_be_nothing_to_sweep(root: Path) -> None:
    assert remove_leftovers(root) == ()
