"""Each token counts once on a host, whoever asks at the same moment; a memory that cannot be trusted refuses."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Refusal
from hyops_ci.identity.replay import NAME, spend_token
from hyops_ci.identity.token import LEEWAY
from tests.support.examples import examples

NOW = 1_795_440_994.0


def test_once_and_not_twice(tmp_path: Path) -> None:
    spend_token(tmp_path / "state", "sha256:a", expires=int(NOW) + 300, now=NOW)
    spend_token(tmp_path / "state", "sha256:b", expires=int(NOW) + 300, now=NOW)
    with pytest.raises(Refusal) as refused:
        spend_token(tmp_path / "state", "sha256:a", expires=int(NOW) + 300, now=NOW + 60)
    assert (refused.value.gate, refused.value.exit_code) == ("host.token", Exit.RUNNER)
    path = tmp_path / "state" / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(json.loads(path.read_text())) == {"sha256:a", "sha256:b"}


def test_it_is_forgotten_only_when_it_can_no_longer_be_valid(tmp_path: Path) -> None:
    expires = int(NOW) + 300
    spend_token(tmp_path, "sha256:a", expires=expires, now=NOW)
    with pytest.raises(Refusal, match="used before"):
        spend_token(tmp_path, "sha256:a", expires=expires, now=expires + LEEWAY)
    spend_token(tmp_path, "sha256:b", expires=expires + 600, now=expires + 2 * LEEWAY)
    assert set(json.loads((tmp_path / NAME).read_text())) == {"sha256:b"}


@settings(max_examples=examples(50))
@given(used=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 40)), max_size=25))
def test_within_its_life_a_token_counts_once_in_any_order(used: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("state")
    counted: dict[str, int] = {}
    now = NOW
    for name, step in used:
        now += step
        if name in counted:
            with pytest.raises(Refusal, match="used before"):
                spend_token(folder, name, expires=counted[name], now=now)
        else:
            counted[name] = int(now) + 5000
            spend_token(folder, name, expires=counted[name], now=now)


def try_once(folder: str, start: object, won: object) -> None:
    start.wait()  # type: ignore[attr-defined]  # a barrier of another process's making, which has no type of its own
    try:
        spend_token(Path(folder), "sha256:raced", expires=int(NOW) + 300, now=NOW)
    except Refusal:
        return
    with won.get_lock():  # type: ignore[attr-defined]  # a shared number, likewise
        won.value += 1  # type: ignore[attr-defined]  # likewise


def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, won = context.Event(), context.Value("i", 0)
    racers = [context.Process(target=try_once, args=(str(tmp_path), start, won)) for _ in range(4)]
    for racer in racers:
        racer.start()
    start.set()
    for racer in racers:
        racer.join(60)
    assert won.value == 1


def full(path: Path) -> Path:
    path.write_text('{"sha256:a": 1795441294}')
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: full(path).chmod(0o666),
        lambda path: full(path).chmod(0o620),
        lambda path: full(path).write_text(""),
        lambda path: full(path).write_text("{"),
        lambda path: full(path).write_text("[]"),
        lambda path: full(path).write_text('{"sha256:a": "soon"}'),
        lambda path: full(path).write_text('{"sha256:a": true}'),
        lambda path: full(path).write_bytes(b"\xff\xfe"),
        lambda path: full(path).write_text(" " * (1024 * 1024 + 1)),
        lambda path: path.mkdir(),
        lambda path: (full(path.with_name("elsewhere")), path.symlink_to("elsewhere")),
    ],
    ids=["world-writable", "group-writable", "empty", "broken", "list", "text", "bool", "no-text", "endless", "folder", "link"],
)
def test_a_memory_that_cannot_be_trusted_refuses(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    spoil(tmp_path / NAME)
    with pytest.raises(Refusal) as refused:
        spend_token(tmp_path, "sha256:b", expires=int(NOW) + 300, now=NOW)
    assert (refused.value.gate, refused.value.exit_code) == ("host.token", Exit.RUNNER)
    assert "cannot tell" in refused.value.reason
    assert NAME.partition(".")[0] in refused.value.fix


def test_a_place_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(Refusal, match="cannot tell"):
        spend_token(tmp_path / "state", "sha256:b", expires=int(NOW) + 300, now=NOW)


def test_a_lock_that_is_not_given_back_is_not_waited_for_without_end(tmp_path: Path) -> None:
    slept: list[float] = []
    handle = os.open((tmp_path / NAME).with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(Refusal, match="cannot tell") as refused:
            spend_token(tmp_path, "sha256:b", expires=int(NOW) + 300, now=NOW, sleep=slept.append)
    finally:
        os.close(handle)
    assert "locked for 10 s" in refused.value.found
    assert sum(slept) == pytest.approx(10)


def test_a_crash_before_the_last_step_leaves_the_old_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spend_token(tmp_path, "sha256:a", expires=int(NOW) + 300, now=NOW)

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", crash)
        with pytest.raises(Refusal, match="cannot tell"):
            spend_token(tmp_path, "sha256:b", expires=int(NOW) + 300, now=NOW)
    with pytest.raises(Refusal, match="used before"):
        spend_token(tmp_path, "sha256:a", expires=int(NOW) + 300, now=NOW)
    spend_token(tmp_path, "sha256:b", expires=int(NOW) + 300, now=NOW)
