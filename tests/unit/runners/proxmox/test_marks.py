"""Marks survive what Proxmox VE and people do with notes, and nothing that is not one mark is read as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.runners.ports import MachineOrder, Owner
from hyops_ci.runners.proxmox import marks
from tests.support.clock import Clock

OWNER = Owner(734021, "onprem", "proxmox-ops-runner")
ORDER = MachineOrder("proxmox-ops-runner", "5f0f5a54-7b0e-5d1c-8f2b-0d6a3c9e1b77", OWNER, "opsadmin", "ssh-ed25519 AAAAC3Nz dr-dispatch")
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", fullmatch=True)


def test_an_order_is_read_back_as_it_was_written() -> None:
    noted = marks.of_order(ORDER, Clock())
    assert marks.read(marks.write(noted)) == noted
    assert OWNER.owns(noted)
    assert noted[marks.MADE] == "2026-11-23T03:09:02Z"
    assert marks.SETTLED not in noted


@given(repository=st.integers(1, 2**53), lane=NAMES, runner=NAMES, before=st.text(), after=st.text())
def test_text_around_the_marks_changes_no_owner(repository: int, lane: str, runner: str, before: str, after: str) -> None:
    owner = Owner(repository, lane, runner)
    loose = [line for text in (before, after) for line in text.splitlines() if "=" not in line]
    notes = "\r\n".join([*loose, marks.write(owner.labels()), *loose, ""])
    assert owner.owns(marks.read(notes))


def test_a_mark_that_stands_there_twice_is_none() -> None:
    notes = marks.write(OWNER.labels())
    assert OWNER.owns(marks.read(f"{notes}\n{notes}"))
    for line in ("dr-repository=1", "managed-by=me", " dr-lane=gcp "):
        assert not OWNER.owns(marks.read(f"{notes}\n{line}"))


@given(st.text())
def test_any_notes_are_read(notes: str) -> None:
    assert all(name.startswith(("dr-", "managed-by")) for name in marks.read(notes))
