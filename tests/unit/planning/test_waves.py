"""The waves of a recovery plan: which services come first, and which wave is next."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.recovery import RecoveryPlan, Standing
from hyops_ci.planning.waves import all_services, earlier, next_wave, wave_of

NAMES = [f"s{number}/prod" for number in range(12)]


@st.composite
def plans(draw: st.DrawFn) -> RecoveryPlan:
    """Every service once, in waves of any size."""
    services = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    waves: list[list[str]] = [[]]
    for service in services:
        if waves[-1] and draw(st.booleans()):
            waves.append([])
        waves[-1].append(service)
    return RecoveryPlan(action="failover", waves=tuple(tuple(wave) for wave in waves))


@given(plans())
def test_what_comes_before_a_service_are_the_waves_before_its_own(plan: RecoveryPlan) -> None:
    for service in all_services(plan):
        number = wave_of(plan, service)
        assert service in plan.waves[number - 1]
        assert {wave_of(plan, each) for each in earlier(plan, service)} == set(range(1, number))
    assert wave_of(plan, "other/prod") == 0
    assert earlier(plan, "other/prod") == ()


@given(plans(), st.data())
def test_the_next_wave_is_the_first_that_is_not_proven_as_a_whole(plan: RecoveryPlan, data: st.DataObject) -> None:
    any_standing: Any = st.sampled_from(get_args(Standing))
    standing: dict[str, Standing] = {service: data.draw(any_standing) for service in all_services(plan)}
    number = next_wave(plan, standing)
    before = plan.waves[: number - 1] if number else plan.waves
    assert all(standing[each] == "proven" for wave in before for each in wave)
    assert not number or any(standing[each] != "proven" for each in plan.waves[number - 1])
