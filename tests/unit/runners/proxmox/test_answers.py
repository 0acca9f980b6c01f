"""Any answer is read, or refused as one that cannot be read; no other exception, and no half of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.runners.proxmox import answers
from hyops_ci.runners.proxmox.api import ApiError

UPID = "UPID:pve1:0003D5E2:01A2B3C4:673F0A11:qmclone:9000:dr@pve!bootstrap:"
READERS: dict[str, Callable[[Any], Any]] = {
    "guests": answers.guests,
    "config": answers.config,
    "status": answers.status,
    "task": answers.task,
    "tasks": answers.tasks,
    "task_end": answers.task_end,
    "log": answers.log,
    "bridges": answers.bridges,
    "file_content": answers.file_content,
    "addresses": answers.addresses,
}
FIELDS = st.sampled_from(
    [
        "vmid",
        "node",
        "type",
        "name",
        "status",
        "exitstatus",
        "digest",
        "upid",
        "t",
        "iface",
        "content",
        "result",
        "ip-addresses",
        "ip-address",
    ]
)
WORDS = st.sampled_from(["qemu", "running", "stopped", "pve1", UPID, "ipv4", ""]) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=12,
)


@pytest.mark.parametrize("name", READERS)
@given(found=JSON)
def test_whatever_is_answered_is_read_or_refused(name: str, found: Any) -> None:
    refused: list[ApiError] = []
    try:
        READERS[name](found)
    except ApiError as error:
        refused.append(error)
    assert not [error for error in refused if error.readable or error.passing]


@pytest.mark.parametrize(
    "upid",
    [
        "",
        "UPID",
        UPID[:-1],
        UPID.replace("pve1", ".."),
        UPID.replace("pve1", "a/b"),
        UPID.replace("9000", "9/0"),
        f"{UPID}\n",
        UPID.replace(":", "/"),
        7,
        None,
    ],
)
def test_what_would_leave_the_path_of_a_task_is_none(upid: object) -> None:
    with pytest.raises(ApiError):
        answers.task(upid)


@pytest.mark.parametrize("node", ["", "..", "a/b", "a b", "-a", "a" * 64, "pve1\n", 1, None])
def test_what_would_leave_the_path_of_a_node_is_none(node: object) -> None:
    with pytest.raises(ApiError):
        answers.guests([{"vmid": 130, "type": "qemu", "node": node}])


def test_settings_are_read_as_text() -> None:
    found = answers.config({"digest": "0" * 40, "cores": 2, "name": "x", "pending": {"a": 1}})
    assert (found.get("cores"), found.get("name"), found.get("pending"), found.get("digest")) == ("2", "x", "", "")


def test_a_task_that_ended_without_a_word_did_not_end_well() -> None:
    assert answers.task_end({"status": "stopped"}) == answers.task_end({"status": "stopped", "exitstatus": None}) == "unexpected status"
    assert answers.task_end({"status": "running"}) == ""
