"""How many people a list of approvers is: as many as can sign, each with one key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.approval import people_of

APPROVERS = st.dictionaries(st.sampled_from(["maria", "Maria", "MARIA", "jonas", "Jonas", "priya", "night"]), st.sampled_from("abcd"))


@given(approvers=APPROVERS)
def test_every_login_is_one_persons(approvers: dict[str, str]) -> None:
    people = people_of(approvers)
    assert sorted(login for each in people for login in each) == sorted(approvers)
    names = [{login.lower() for login in each} for each in people]
    keys = [{approvers[login] for login in each} for each in people]
    for one, _ in enumerate(people):
        for other in range(one):
            assert not names[one] & names[other]
            assert not keys[one] & keys[other]


def test_a_chain_of_names_and_keys_is_one_person() -> None:
    assert people_of({"maria": "a", "Maria": "b", "night": "b", "jonas": "c"}) == (("Maria", "maria", "night"), ("jonas",))
