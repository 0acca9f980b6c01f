"""A drill is checked as if what it removes first were gone."""

from __future__ import annotations

from hyops_ci.blueprints.cleaned import as_cleaned, left_over
from hyops_ci.blueprints.forecast import forecast
from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.facts import EffectiveBlueprint, EffectiveStep, PreflightFact, PreflightStep


def step(name: str, *, retained: bool = False) -> EffectiveStep:
    return EffectiveStep(id=name, module_ref=f"m/{name}", publishes=f"m/{name}", skip_if_state_ok=True, retain_on_destroy=retained)


BLUEPRINT = EffectiveBlueprint(
    ref="dr/x@v1", mode="hybrid", steps=(step("vms"), step("restore"), step("net", retained=True)), overlay_sha256="sha256:" + "0" * 64
)
STATES = tuple(
    StateFact(ref=f"m/{name}", status=status, run_id="r") for name, status in (("vms", "ok"), ("restore", "missing"), ("net", "ok"))
)
ASKED = PreflightFact(
    rc=0,
    status="ok",
    steps=(
        PreflightStep(id="vms", status="skipped", reason="state is ok"),
        PreflightStep(id="restore", status="ready"),
        PreflightStep(id="net", status="skipped", reason="state is ok"),
    ),
)


def test_what_stays_is_left_out_of_what_is_left_over() -> None:
    assert list(left_over(BLUEPRINT, STATES)) == ["vms"]
    assert left_over(BLUEPRINT, [StateFact(ref="m/vms", status="destroyed")]) == {}


def test_the_check_before_is_the_check_after_it_was_removed() -> None:
    states, asked = as_cleaned(BLUEPRINT, STATES, ASKED)
    assert [(each.id, each.outcome) for each in forecast(BLUEPRINT, states, asked)] == [("vms", "run"), ("restore", "run"), ("net", "skip")]
    really = (StateFact(ref="m/vms", status="destroyed", run_id="destroy-1"), *STATES[1:])
    ready = ASKED.model_copy(update={"steps": (PreflightStep(id="vms", status="ready"), *ASKED.steps[1:])})
    then, now = as_cleaned(BLUEPRINT, really, ready)
    assert [(each.ref, each.status) for each in then] == [(each.ref, each.status) for each in states]
    assert forecast(BLUEPRINT, then, now) == forecast(BLUEPRINT, states, asked)


def test_what_blocks_still_blocks() -> None:
    blocked = ASKED.model_copy(update={"steps": (PreflightStep(id="vms", status="blocked", reason="no quota"), *ASKED.steps[1:])})
    _, asked = as_cleaned(BLUEPRINT, STATES, blocked)
    assert asked.steps[0].status == "blocked"
