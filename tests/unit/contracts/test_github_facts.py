"""What GitHub counts as one environment."""

from __future__ import annotations

import pytest

from hyops_ci.contracts.github_facts import same_environment


@pytest.mark.parametrize("other", ["dr-week", "DR-Week", "dr-WEEK"])
def test_case_does_not_matter(other: str) -> None:
    assert same_environment("dr-week", other)


@pytest.mark.parametrize("other", ["dr-wee\u212a", "dr-week ", "dr-weeks", "dr_week", ""])
def test_what_only_looks_alike_is_another(other: str) -> None:
    assert not same_environment("dr-week", other)
