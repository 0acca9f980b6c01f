"""The host trust learns a commit and forgets others, and nothing else of the file changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.config.file import read_trust
from hyops_ci.errors import Refusal
from hyops_ci.operations.upgrade.trust_file import accepting

OLD, NEW, OTHER = "3f2a" + "0" * 36, "4b1c" + "1" * 36, "5d3e" + "2" * 36
TRUST: dict[str, Any] = {
    "api_version": "hybridops/v1",
    "kind": "HostTrust",
    "repository_id": 1,
    "repository_owner_id": 2,
    "ref": "refs/heads/main",
    "workflow_shas": [OLD],
    "runner_refs": ["gcp-ops-runner"],
    "gates": {"prod": "dr-prod"},
    "approvers": [{"id": 3, "login": "jonas"}],
}


def file(indent: int | None = None, *shas: str) -> bytes:
    return json.dumps(TRUST | {"workflow_shas": list(shas) or [OLD]}, indent=indent).encode()


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_a_commit_comes_beside_the_others_and_then_stays_alone(indent: int | None) -> None:
    before = file(indent)
    both = accepting(before, "trust.json", NEW, alone=False)
    assert both == file(indent, NEW, OLD)
    assert accepting(both, "trust.json", NEW, alone=False) == both, "again it changes nothing"
    assert accepting(both, "trust.json", OLD, alone=False) == both, "what is accepted already keeps its place"
    assert accepting(both, "trust.json", NEW, alone=True) == file(indent, NEW)
    assert accepting(both, "trust.json", OLD, alone=True) == before, "and back"


@given(
    st.lists(st.sampled_from([OLD, OTHER]), unique=True, min_size=1),
    st.sampled_from(["", " ", "\n    ", "\r\n  "]),
    st.sampled_from(["", " ", "\n"]),
    st.sampled_from([",", ", ", " ,\n"]),
)
def test_whatever_the_white_space_only_the_list_differs(shas: list[str], lead: str, trail: str, between: str) -> None:
    head, tail = json.dumps(TRUST).split(json.dumps([OLD]))
    text = f"{head}[{lead}{between.join(json.dumps(each) for each in shas)}{trail}]{tail}"
    after = accepting(text.encode(), "trust.json", NEW, alone=False).decode()
    assert after.startswith(f'{head}[{lead}"{NEW}"')
    assert after.endswith(f"{trail}]{tail}")
    assert read_trust(after.encode(), "t").workflow_shas == (NEW, *shas)
    assert accepting(after.encode(), "trust.json", NEW, alone=True).decode() == f'{head}[{lead}"{NEW}"{trail}]{tail}'


def test_a_commit_that_is_not_accepted_is_not_left_alone() -> None:
    with pytest.raises(Refusal, match="does not accept the commit that would be left alone") as refused:
        accepting(file(), "trust.json", NEW, alone=True)
    assert (refused.value.gate, refused.value.exit_code) == ("upgrade.trust", 2)
    assert OLD in refused.value.found


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", json.dumps(TRUST | {"workflow_shas": []}).encode()])
def test_what_is_no_trust_file_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        accepting(data, "trust.json", NEW, alone=False)
    assert refused.value.exit_code == 2


def test_a_list_in_another_form_is_left_to_a_person() -> None:
    escaped = file().replace(b'"3f2a', b'"\\u0033f2a')
    with pytest.raises(Refusal, match="another form") as refused:
        accepting(escaped, "trust.json", NEW, alone=False)
    assert f"{NEW}, {OLD}" in refused.value.fix
