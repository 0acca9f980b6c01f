"""Every caller of `tests/cases/caller/`, before a host: accepted with its facts, or refused with exit 7 and the claim named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.errors import Exit, Refusal
from hyops_ci.identity.replay import NAME
from tests.unit.identity.token_cases import load, names


@pytest.mark.parametrize("name", names("accept"))
def test_accepted(name: str, tmp_path: Path) -> None:
    case = load("accept", name)
    caller = case.come(tmp_path)
    assert {fact: getattr(caller, fact) for fact in case.expect} == case.expect
    assert caller.token_id in (tmp_path / NAME).read_text()
    assert case.payload()["jti"] not in (tmp_path / NAME).read_text()


@pytest.mark.parametrize("name", names("refuse"))
def test_refused(name: str, tmp_path: Path) -> None:
    case = load("refuse", name)
    token = case.made()
    with pytest.raises(Refusal) as refused:
        case.come(tmp_path)
    refusal, expect = refused.value, dict(case.expect)
    assert (refusal.gate, refusal.exit_code) == (expect.pop("gate"), Exit.RUNNER)
    for part, text in expect.items():
        assert text in getattr(refusal, part)
    assert refusal.found
    assert refusal.expected
    assert refusal.fix
    assert (tmp_path / NAME).exists() is case.used, "only an accepted token is remembered"
    assert_no_token(refusal, token)


def assert_no_token(error: BaseException, token: str) -> None:
    """Neither the text of an error nor one that it came from holds a part of the token."""
    parts = [part for part in token.split(".") if len(part) > 20]
    chain: BaseException | None = error
    while chain is not None:
        text = repr(chain) + "".join(map(str, vars(chain).values()))
        assert not any(part in text for part in parts)
        chain = chain.__context__
