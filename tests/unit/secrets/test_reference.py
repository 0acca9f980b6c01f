from __future__ import annotations

import pytest

from hyops_ci.secrets.reference import expand, parse_ref, slug


@pytest.mark.parametrize("key, expected", [("A_KEY", "a-key"), ("__A__B_", "a-b"), ("PG2", "pg2")])
def test_slug(key: str, expected: str) -> None:
    assert slug(key) == expected


def test_placeholders_are_replaced_once() -> None:
    assert expand("{env}/{scope}", env="{scope}", scope="dr", key="A") == "{scope}/dr"


def test_a_value_that_is_replaced_cannot_move_the_address() -> None:
    with pytest.raises(ValueError, match="another address"):
        parse_ref("A", "secret/{env}/x", expand("secret/{env}/x", env="data", scope="dr", key="A"))
