"""What a token must be before any claim of it is read: damaged in any byte it is none, and no text of ours repeats it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.identity.token import LEEWAY, MAX_CHARACTERS, token_unavailable, verify_token
from tests.support.examples import examples
from tests.support.issuer import ISSUER, signing_key
from tests.unit.identity.test_caller_cases import assert_no_token
from tests.unit.identity.token_cases import NOW, TokenCase, assemble

AUDIENCE = "dr-dispatch:gcp-ops-runner"


def read(token: str, now: float = NOW) -> dict[str, Any]:
    return verify_token(
        token, lambda kid: signing_key().private.public_key() if kid == "key-1" else None, issuer=ISSUER, audience=AUDIENCE, now=now
    )


@settings(max_examples=examples(200))
@given(st.data())
def test_a_token_changed_in_any_character_is_none(data: st.DataObject) -> None:
    token = TokenCase().made()
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~ \n\u0660"))
    changed = token[:at] + other + token[at + 1 :]
    if changed == token or at == len(token) - 1:  # the spare bits of the last character of base64 carry nothing
        return
    with pytest.raises(Refusal) as refused:
        read(changed)
    assert (refused.value.gate, refused.value.exit_code) == ("host.token", Exit.RUNNER)
    assert_no_token(refused.value, token)


@given(st.one_of(st.text(max_size=200), st.text(alphabet="eyJ.hbGci0iUzI1NiJ9_-", max_size=200)))
def test_text_is_no_token(text: str) -> None:
    with pytest.raises(Refusal, match=r"host\.token"):
        read(text)


@given(now=st.integers(NOW - 5000, NOW + 5000))
def test_it_is_valid_from_its_beginning_to_its_end_and_not_a_second_longer(now: int) -> None:
    token = TokenCase(times={"iat": 0, "nbf": 0, "exp": 300}).made()
    valid = NOW - LEEWAY <= now < NOW + 300 + LEEWAY
    if valid:
        assert read(token, now)["aud"] == AUDIENCE
        return
    with pytest.raises(Refusal, match="expired" if now > NOW else "not valid yet"):
        read(token, now)


def test_a_service_that_does_not_answer_stays_a_fault() -> None:
    fault = Fault("secrets.oidc", "GitHub gave none", exit_code=Exit.UNAVAILABLE, found="HTTP 503", expected="an answer", fix="wait")
    told = token_unavailable(fault)
    assert isinstance(told, Fault)
    assert (told.gate, told.exit_code, told.found, told.fix) == ("host.token", Exit.UNAVAILABLE, "HTTP 503", "wait")


def test_a_job_without_the_permission_is_refused() -> None:
    refusal = Refusal("secrets.oidc", "why", exit_code=Exit.SECRETS, found="not set", expected="id-token: write", fix="grant it")
    told = token_unavailable(refusal)
    assert isinstance(told, Refusal)
    assert (told.gate, told.exit_code, told.fix) == ("host.token", Exit.RUNNER, "grant it")


def test_a_header_that_changes_what_is_signed_is_not_read() -> None:
    token = assemble(TokenCase().payload(), {"alg": "RS256", "kid": "key-1", "b64": True}, signing_key())
    with pytest.raises(Refusal, match=r"host\.token") as refused:
        read(token)
    assert refused.value.found == "crit or b64 in the header"


def test_a_token_without_end_is_not_decoded() -> None:
    token = signing_key().sign({**TokenCase().payload(), "more": "x" * MAX_CHARACTERS})
    with pytest.raises(Refusal, match=r"host\.token") as refused:
        read(token)
    assert refused.value.found == f"{len(token)} characters"
