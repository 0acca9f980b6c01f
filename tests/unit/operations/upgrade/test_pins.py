"""Pins are found where GitHub reads them, and nothing but them is written."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import Refusal
from hyops_ci.operations.init.files import template
from hyops_ci.operations.upgrade.pins import Pin, one_commit, pinned, pins_in, with_commit
from hyops_ci.parsing.yaml_loader import Yaml12Loader, load

OLD, NEW = "3f2a" + "0" * 36, "4b1c" + "1" * 36
OURS = "hybridops/dr-dispatch"
CALL = f"{OURS}/.github/workflows/dispatch.yml"


def job(uses: str) -> bytes:
    return f"jobs:\n  dr:\n    uses: {uses}\n".encode()


def moved(data: bytes, tag: str = "v1.1.0") -> bytes:
    return with_commit(data, pins_in("a.yml", data), NEW, tag)


@pytest.mark.parametrize("name", ["dr-manual.yml", "dr-decision.yml", "dr-drill.yml", "dr-readiness.yml", "dr-runner.yml", "dr-board.yml"])
def test_a_template_has_one_pin_that_moves(name: str) -> None:
    data = template(name).read_bytes().replace(b"0" * 40, OLD.encode())
    [pin] = pins_in(name, data)
    assert (pin.file, pin.repository, pin.ref) == (name, OURS, OLD)
    assert pin.calls is (name != "dr-board.yml")
    expected = data.replace(OLD.encode(), NEW.encode()).replace(b"# write the commit of the release here", b"# v1.1.0")
    assert moved(data) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{CALL}@{OLD}", f"{CALL}@{NEW}"),
        (f"{CALL}@{OLD} # v1.0.0", f"{CALL}@{NEW} # v1.1.0"),
        (f"{CALL}@{OLD}   #v1.0.0 until INC-7 is over", f"{CALL}@{NEW}   #v1.1.0 until INC-7 is over"),
        (f"{CALL}@{OLD} # v1", f"{CALL}@{NEW} # v1.1.0"),
        (f"{CALL}@{OLD} # tag=v1.0.0-rc.1", f"{CALL}@{NEW} # tag=v1.1.0"),
        (f"{CALL}@{OLD} # the commit {OLD}, v1.0.0", f"{CALL}@{NEW} # the commit {OLD}, v1.0.0"),
        (f'"{CALL}@{OLD}" # v1.0.0', f'"{CALL}@{NEW}" # v1.1.0'),
        (f"'{OURS}@{OLD}'", f"'{OURS}@{NEW}'"),
        (f"{CALL}@{OLD} # v1.0.0\r\n    with: {{a: b}}\r", f"{CALL}@{NEW} # v1.1.0\r\n    with: {{a: b}}\r"),
    ],
)
def test_quotes_comments_and_line_ends_stay(before: str, after: str) -> None:
    assert moved(job(before)) == job(after)


def test_a_commit_without_a_version_leaves_no_version_behind() -> None:
    assert moved(job(f"{CALL}@{OLD} # v1.0.0"), tag="") == job(f"{CALL}@{NEW} # unreleased")
    assert moved(job(f"{CALL}@{OLD} # unreleased")) == job(f"{CALL}@{NEW} # v1.1.0")
    assert moved(job(f"{CALL}@{OLD}"), tag="") == job(f"{CALL}@{NEW}")


def test_a_byte_order_mark_and_letters_of_several_bytes_move_nothing() -> None:
    data = "\ufeff# grüße, 世界 🙂\njobs: {ü: {uses: '".encode() + f"{CALL}@{OLD}'}}}} # v1.0.0\n".encode()
    assert moved(data) == data.replace(OLD.encode(), NEW.encode()).replace(b"v1.0.0", b"v1.1.0")


@pytest.mark.parametrize(
    "text",
    [
        f"jobs:\n  a:\n    # uses: {CALL}@{OLD}\n    runs-on: x\n",
        f"jobs:\n  a:\n    steps:\n      - run: |\n          uses: {CALL}@{OLD}\n",
        f"env: {{uses: {CALL}@{OLD}}}\njobs: {{a: {{with: {{uses: {CALL}@{OLD}}}}}}}\n",
        f"jobs: {{a: {{uses: other/dispatch/.github/workflows/dispatch.yml@{OLD}}}}}\n",
        f"jobs: {{a: {{uses: ./.github/workflows/dispatch.yml}}, b: {{steps: [{{uses: actions/checkout@{OLD}}}]}}}}\n",
        f"jobs: [uses: {CALL}@{OLD}\n",
        "jobs: 4\n",
        "",
    ],
    ids=["comment", "script", "elsewhere", "another", "others", "broken", "no jobs", "empty"],
)
def test_what_only_looks_like_a_pin_is_none(text: str) -> None:
    assert pins_in("a.yml", text.encode()) == ()


@pytest.mark.parametrize("written", [f">-\n      {CALL}@{OLD}", f'"{CALL}\\u0040{OLD}"'], ids=["folded", "escaped"])
def test_a_pin_that_is_not_written_plainly_is_refused(written: str) -> None:
    with pytest.raises(Refusal, match="cannot be changed alone") as refused:
        pins_in("a.yml", job(written))
    assert (refused.value.gate, refused.value.found) == ("upgrade.pin", "a.yml:3")


def test_an_anchored_pin_is_changed_where_it_stands() -> None:
    data = f"jobs:\n  a: {{uses: &pin {CALL}@{OLD}}}\n  b: {{uses: *pin}}\n".encode()
    assert moved(data) == data.replace(OLD.encode(), NEW.encode())


def pins(*refs: str, owner: str = "hybridops") -> list[Pin]:
    return [pin for ref in refs for pin in pins_in("a.yml", job(f"{owner}/dr-dispatch@{ref}"))]


@pytest.mark.parametrize("ref", ["v1", "main", "v1.0.0", OLD[:12], OLD.upper(), "0" * 40])
def test_a_branch_a_tag_and_no_commit_yet_are_refused(ref: str) -> None:
    with pytest.raises(Refusal) as refused:
        one_commit(pins(OLD, ref))
    assert (refused.value.gate, refused.value.exit_code) == ("upgrade.pin", 2)
    assert refused.value.found == f"a.yml:3 @{ref}"
    assert ("gh api repos/hybridops/dr-dispatch/commits/" in refused.value.fix) is (ref != "0" * 40)
    assert ("40 zeros are the place for them" in refused.value.expected) is (ref == "0" * 40)


def test_several_commits_are_named_and_some_may_be_there_already() -> None:
    with pytest.raises(Refusal) as refused:
        one_commit(pins(OLD, NEW))
    assert (refused.value.gate, refused.value.found) == ("upgrade.pins", f"a.yml:3 @{OLD}, a.yml:3 @{NEW}")
    assert one_commit(pins(OLD, NEW, OLD), besides=NEW) == OLD
    assert one_commit(pins(NEW, NEW), besides=NEW) == NEW
    with pytest.raises(Refusal):
        one_commit(pins(OLD, "5" * 40, NEW), besides=NEW)


def test_no_pin_and_several_owners_are_refused() -> None:
    with pytest.raises(Refusal) as refused:
        pinned([])
    assert refused.value.gate == "upgrade.caller"
    with pytest.raises(Refusal, match="several owners"):
        pinned([*pins(OLD), *pins(OLD, owner="acme")])
    assert pinned([*pins(OLD), *pins(OLD, owner="HybridOps")]) == {OLD}


NAMES = st.text("abcdeö-_ ", min_size=1, max_size=6).map(str.strip).filter(lambda name: name[:1].isalpha())
NOISE = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cn", "Zl", "Zp", "Co", "Cf"]), max_size=20)
USES = st.sampled_from(
    [
        *(f"{CALL}@{OLD}", f"{OURS}@{OLD}", f"{OURS}/actions/readiness@{OLD}"),
        *(f"actions/checkout@{OLD}", "./local", f"x/y/.github/workflows/z.yml@{OLD}"),
    ]
)
STEP = st.one_of(st.fixed_dictionaries({"uses": USES, "name": NOISE}), st.fixed_dictionaries({"run": NOISE, "name": USES}))
CALLING = st.fixed_dictionaries({"uses": USES, "with": st.dictionaries(NAMES, USES, max_size=2)})
JOBS = st.dictionaries(NAMES, st.one_of(CALLING, st.fixed_dictionaries({"steps": st.lists(STEP, max_size=3)})), max_size=4)
STYLES = st.fixed_dictionaries(
    {
        "default_flow_style": st.sampled_from([None, True, False]),
        "default_style": st.sampled_from([None, "'", '"']),
        "allow_unicode": st.booleans(),
        "width": st.just(10_000),
    }
)


def substituted(value: Any, place: tuple[str, ...] = ()) -> Any:
    """The document with the new commit in the `uses` of jobs and steps."""
    if isinstance(value, dict):
        return {name: substituted(each, (*place, name)) for name, each in value.items()}
    if isinstance(value, list):
        return [substituted(each, (*place, "[]")) for each in value]
    uses = place[-1:] == ("uses",) and (len(place) == 3 or place[2:4] == ("steps", "[]"))
    return value.replace(OLD, NEW) if uses and str(value).startswith(f"{OURS}") else value


@given(jobs=JOBS, style=STYLES, noise=NOISE, ends=st.sampled_from(["\n", "\r\n"]), mark=st.booleans())
def test_rewriting_changes_nothing_but_the_pins(jobs: dict[str, Any], style: dict[str, Any], noise: str, ends: str, mark: bool) -> None:
    text = f"# {noise}\n" + yaml.safe_dump({"on": "push", "name": f"{CALL}@{OLD}", "jobs": jobs}, **style)
    data = ("\ufeff" * mark + text.replace("\n", ends)).encode()
    after = moved(data)
    assert load(after, Yaml12Loader) == substituted(load(data, Yaml12Loader))
    found = pins_in("a.yml", data)
    assert len(after) == len(data), "without a comment that names a version only the 40 digits differ"
    assert [(pin.start, pin.path, pin.ref) for pin in pins_in("a.yml", after)] == [(pin.start, pin.path, NEW) for pin in found]
    back = after.decode()
    for pin in found:
        back = back[: pin.start] + OLD + back[pin.start + 40 :]
    assert back.encode() == data
    assert moved(after) == after


@given(st.binary(max_size=300))
def test_bytes_that_are_no_workflow_have_no_pin(data: bytes) -> None:
    assert pins_in("a.yml", data) == ()
