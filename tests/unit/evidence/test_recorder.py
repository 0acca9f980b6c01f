from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.run import TERMINAL, TRANSITIONS, State, may_follow
from hyops_ci.evidence.recorder import GENESIS, MAX_LINE, BrokenChain, PartReader, PartRecorder, chain, read_chain
from tests.unit.evidence.sample_run import SetClock


def names(root: Path) -> list[str]:
    return [event.name for event in read_chain(root)]


def test_parts_chain_in_the_order_of_the_stages(tmp_path: Path) -> None:
    with PartRecorder(tmp_path, "plan", SetClock()) as part:
        part.enter(State.RECEIVED)
        part.note("n", value=1)
    with PartRecorder(tmp_path, "check", SetClock()) as part:
        assert part.state is State.RECEIVED
        part.enter(State.PLANNED)
    events = list(read_chain(tmp_path))
    assert [event.seq for event in events] == [0, 1, 2]
    assert [event.prev for event in events] == [GENESIS, events[0].hash, events[1].hash]
    assert [event.stage for event in events] == ["plan", "plan", "check"]


@pytest.mark.parametrize("before", [None, *State])
def test_only_the_table_is_walked(tmp_path: Path, before: State | None) -> None:
    with PartRecorder(tmp_path, "plan", SetClock()) as part:
        for after in State:
            part.state = before
            legal = after is State.RECEIVED if before is None else may_follow(before, after)
            if legal:
                part.enter(after)
                continue
            with pytest.raises(ValueError, match="does not go"):
                part.enter(after)


@given(data=st.data())
def test_every_walk_over_the_table_reads_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("walk")
    walked = [State.RECEIVED]
    while walked[-1] not in TERMINAL:
        walked.append(data.draw(st.sampled_from(sorted(TRANSITIONS[walked[-1]]))))
    with PartRecorder(root, "plan", SetClock()) as part:
        for state in walked:
            part.enter(state)
    assert names(root) == walked


def test_a_torn_line_is_cut_off_and_said(tmp_path: Path) -> None:
    with PartRecorder(tmp_path, "execute", SetClock()) as part:
        part.enter(State.RECEIVED)
    path = tmp_path / "parts/execute/events.jsonl"
    path.write_bytes(path.read_bytes() + b'{"seq":1,"at":"20')
    with pytest.raises(BrokenChain, match="ends inside a line"):
        list(read_chain(tmp_path))
    with PartRecorder(tmp_path, "conclude", SetClock()) as part:
        assert part.state is State.RECEIVED
    events = list(read_chain(tmp_path))
    assert [(event.stage, event.name, event.data) for event in events[1:]] == [("conclude", "journal.torn", {"bytes": 17})]


def test_redaction_happens_before_the_disk(tmp_path: Path) -> None:
    hide = lambda value: json.loads(json.dumps(value).replace("canary", "***"))  # noqa: E731 - shorter than a function
    with PartRecorder(tmp_path, "plan", SetClock(), hide) as part:
        part.note("n", text="a canary")
    assert b"canary" not in (tmp_path / "parts/plan/events.jsonl").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [lines[0], *lines],
        lambda lines: [lines[0].replace(b"RECEIVED", b"PLANNED"), *lines[1:]],
        lambda lines: [lines[0].replace(b'"seq":0', b'"seq": 0'), *lines[1:]],
        lambda lines: [b"", *lines],
        lambda lines: [b"[" * 5000, *lines],
    ],
)
def test_a_changed_chain_is_broken(tmp_path: Path, change: object) -> None:
    with PartRecorder(tmp_path, "plan", SetClock()) as part:
        part.enter(State.RECEIVED)
        part.enter(State.PLANNED)
        part.note("n")
    path = tmp_path / "parts/plan/events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in change(path.read_bytes().splitlines())))  # type: ignore[operator]  # changes of several forms
    with pytest.raises(BrokenChain):
        list(read_chain(tmp_path))


@given(data=st.binary(max_size=200))
def test_no_bytes_are_an_event_by_chance(data: bytes) -> None:
    if data:
        with pytest.raises(BrokenChain):
            list(chain([("plan", data)]))


WRITER = """
import sys
from pathlib import Path
from hyops_ci.evidence.recorder import PartRecorder
from tests.unit.evidence.sample_run import SetClock
with PartRecorder(Path(sys.argv[1]), "plan", SetClock()) as part:
    number = 0
    while True:
        part.note("n", number=number)
        print(number, flush=True)
        number += 1
"""


def test_what_was_said_to_be_written_survives_kill_9(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout if line.endswith("\n")]
    with PartRecorder(tmp_path, "conclude", SetClock()):
        pass
    kept = [event.data["number"] for event in read_chain(tmp_path) if event.stage == "plan"]
    assert kept[: len(said)] == said


def test_an_event_that_no_reader_would_take_is_recorded_without_its_data(tmp_path: Path) -> None:
    with PartRecorder(tmp_path, "execute", SetClock()) as part:
        part.result("hyops.deploy", reasons=["x" * MAX_LINE])
        part.note("n")
    said = list(read_chain(tmp_path))
    assert [event.name for event in said] == ["hyops.deploy", "n"]
    assert said[0].data["left_out"].endswith(" bytes")


@given(data=st.data())
def test_read_in_pieces_it_is_the_same(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("pieces")
    with PartRecorder(root, "plan", SetClock()) as part:
        for number in range(data.draw(st.integers(0, 5))):
            part.refusal("gate", number=number)
    path = root / "parts/plan/events.jsonl"
    content = path.read_bytes()
    changed = content[: data.draw(st.integers(0, len(content)))] + data.draw(st.sampled_from([b"", b"\n", b"{}\n", content]))
    reader = PartReader("plan")
    for at in range(0, len(changed), size := data.draw(st.integers(1, 400))):
        reader.feed(changed[at : at + size])
    try:
        whole = list(chain([("plan", changed)]))
    except BrokenChain:
        assert reader.follows(None)
    else:
        assert (reader.follows(None), reader.events) == ("", whole)
