"""What changed is what one changelog says and the other does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.operations.upgrade.changes import added, sections
from tests.unit.operations.upgrade.calling import changelog


def test_versions_that_came_newest_first() -> None:
    before, after = changelog("1.0.0"), changelog("2.0.0", "1.1.0", "1.0.0")
    assert list(added(before, after)) == ["2.0.0", "1.1.0"]
    assert added(before, after)["1.1.0"] == "### Added\n\n- What 1.1.0 has."
    assert added(after, before) == {}
    assert added(after, after) == {}
    assert added("", before) == sections(before)


def test_unreleased_counts_where_it_says_something_else() -> None:
    before, after = changelog("1.0.0", unreleased="- One."), changelog("1.0.0", unreleased="- One.\n- Two.")
    assert added(before, after) == {"Unreleased": "- One.\n- Two."}
    assert added(changelog("1.0.0"), changelog("1.0.0")) == {}
    assert "Unreleased" not in sections(changelog("1.0.0"))


def test_line_ends_of_windows_are_no_change() -> None:
    assert added(changelog("1.0.0"), changelog("1.1.0", "1.0.0").replace("\n", "\r\n")) == added(
        changelog("1.0.0"), changelog("1.1.0", "1.0.0")
    )


@given(st.lists(st.from_regex(r"\d\.\d\.\d", fullmatch=True), unique=True), st.integers(0, 9))
def test_a_changelog_that_begins_with_another_adds_the_rest(versions: list[str], at: int) -> None:
    assert list(added(changelog(*versions[at:]), changelog(*versions))) == versions[:at]


@given(st.text())
def test_other_text_has_no_sections_or_says_them_whole(text: str) -> None:
    assert all(body and body == body.strip() for body in sections(text).values())
