"""Claims against the trust: any one that changes is refused; and the plan must be one of the accepted caller's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.errors import Exit, Refusal
from hyops_ci.identity.claims import Caller, Expected, accept_caller, audience_of, require_plan, token_id
from tests.unit.identity.token_cases import SAID, SHA, TRUST, TokenCase

COMPARED = (
    "repository_id",
    "repository_owner_id",
    "ref",
    "ref_protected",
    "event_name",
    "job_workflow_sha",
    "job_workflow_ref",
    "workflow_ref",
    "environment",
    "runner_environment",
    "run_id",
    "run_attempt",
    "sha",
    "actor_id",
)
"""docs/design/workflows.md 6, and what the job's environment says of itself."""
anything = st.one_of(
    st.text(max_size=60), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False), st.lists(st.text(max_size=5), max_size=2)
)


def trust(**changes: Any) -> HostTrust:
    return HostTrust.model_validate_json(json.dumps({**TRUST, **changes}))


def expected(stage: str) -> Expected:
    return Expected(("dr-check",) if stage == "check" else ("dr-prod", "dr-lab"), stage == "execute", SAID)


def judged(claims: dict[str, Any], stage: str) -> Caller:
    return accept_caller(claims, trust(), expected(stage))


@given(stage=st.sampled_from(["check", "execute"]), claim=st.sampled_from(COMPARED), value=anything)
def test_any_single_claim_changed_is_refused(stage: str, claim: str, value: Any) -> None:
    claims = TokenCase(stage).payload()
    known = claims[claim]
    judged(claims, stage)
    if value == known and type(value) is str:
        return
    with pytest.raises(Refusal) as refused:
        judged({**claims, claim: value}, stage)
    assert (refused.value.gate, refused.value.exit_code) == ("host.caller", Exit.RUNNER)
    assert claim in refused.value.reason
    assert refused.value.found.startswith(claim)
    with pytest.raises(Refusal):
        judged({name: known for name, known in claims.items() if name != claim}, stage)


@given(stage=st.sampled_from(["check", "execute"]), claim=st.sampled_from(COMPARED), data=st.data())
def test_a_claim_that_only_looks_the_same_is_refused(stage: str, claim: str, data: st.DataObject) -> None:
    claims = TokenCase(stage).payload()
    known = claims[claim]
    near = [
        known.upper(),
        known + " ",
        " " + known,
        known + "\n",
        known + "\0",
        known[:-1],
        known + "/..",
        f"{known},{known}",
        f'"{known}"',
    ]
    if claim == "job_workflow_ref":  # what stands behind the path and its @ is not compared: the commit is a claim of its own
        near = [known.upper(), " " + known, known.replace("@", " @"), known.replace("@", "/x@"), known.partition("@")[0]]
    changed = data.draw(st.sampled_from([each for each in near if each != known]))
    with pytest.raises(Refusal):
        judged({**claims, claim: changed}, stage)


@given(claims=st.dictionaries(st.sampled_from([*COMPARED, "iss", "jti", "x"]), anything))
def test_claims_of_any_kind_never_raise_anything_else(claims: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        judged(claims, "execute")


def test_claims_that_are_not_compared_may_be_anything() -> None:
    claims = TokenCase().payload() | {"sub": 7, "repository_visibility": None, "enterprise": ["x"]}
    assert judged(claims, "check").environment == "dr-check"


def test_the_audience_is_the_hosts_first_name() -> None:
    assert audience_of(trust(runner_refs=["gcp-ops-runner", "gcp-drill-runner"])) == "dr-dispatch:gcp-ops-runner"


def test_ids_of_tokens_differ_by_issuer_and_hide_theirs() -> None:
    first, second = token_id({"iss": "https://a", "jti": "1"}), token_id({"iss": "https://b", "jti": "1"})
    assert first != second
    assert first.startswith("sha256:")
    assert len(first) == 71


def test_evidence_holds_facts_and_no_token() -> None:
    evidence = judged(TokenCase("execute").payload(), "execute").evidence()
    assert {name: evidence[name] for name in ("repository_id", "environment", "event", "run_attempt", "sha")} == {
        "repository_id": 4242,
        "environment": "dr-prod",
        "event": "workflow_dispatch",
        "run_attempt": 1,
        "sha": SHA,
    }
    json.dumps(evidence)


# ------------------------------------------------------------------------------------ the plan it brings


def accepted(stage: str) -> Caller:
    return judged(TokenCase(stage).payload(), stage)


def test_a_plan_of_its_env_and_commit_belongs_to_it() -> None:
    require_plan(accepted("execute"), trust(), env="prod", commit=SHA, approved=True)
    require_plan(accepted("execute"), trust(), env="prod", commit="", approved=True)
    require_plan(accepted("check"), trust(), env="lab", commit=SHA, approved=False)


@pytest.mark.parametrize(
    ("stage", "env", "commit", "found", "wanted"),
    [
        ("execute", "lab", SHA, "environment dr-prod, env lab in the plan", "environment dr-lab"),
        ("execute", "staging", SHA, "env staging in the plan", "lab or prod"),
        ("check", "staging", SHA, "env staging in the plan", "lab or prod"),
        ("check", "prod", "d" * 40, f"sha {SHA}", f"sha {'d' * 40}"),
        ("execute", "prod", "d" * 40, f"sha {SHA}", f"sha {'d' * 40}"),
    ],
)
def test_any_other_plan_is_refused(stage: str, env: str, commit: str, found: str, wanted: str) -> None:
    with pytest.raises(Refusal) as refused:
        require_plan(accepted(stage), trust(), env=env, commit=commit, approved=stage == "execute")
    assert (refused.value.gate, refused.value.exit_code) == ("host.caller", Exit.RUNNER)
    assert (refused.value.found, refused.value.expected) == (found, wanted)
    assert refused.value.fix


def test_a_caller_without_a_commit_brings_no_plan_of_one() -> None:
    with pytest.raises(Refusal, match=r"host\.caller") as refused:
        require_plan(replace(accepted("check"), sha=""), trust(), env="prod", commit=SHA, approved=False)
    assert refused.value.found == "sha absent"


def test_a_host_without_gates_says_so() -> None:
    with pytest.raises(Refusal, match=r"host\.caller") as refused:
        require_plan(accepted("check"), trust(gates={}), env="prod", commit="", approved=False)
    assert "there is none" in refused.value.expected
