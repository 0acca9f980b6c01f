"""The picture of a figure: every run has a place in it, and the scale holds all of them and the objective."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hyops_ci.contracts.base import MAX_INT
from hyops_ci.contracts.board import BoardRun
from hyops_ci.report.plot import HEIGHT, LEFT, RIGHT, TOP, plot_of
from tests.unit.report.sample_board import run


def test_nothing_is_drawn_where_nothing_was_measured() -> None:
    assert plot_of("x", "y", (), "rto", 1800) is None
    assert plot_of("x", "y", (run(1, 1, None), run(2, 2, None, figures=None)), "rto", 1800) is None


def test_the_oldest_is_left_and_the_scale_is_round() -> None:
    plot = plot_of("Recovery time", "", (run(2, 1, 1200), run(1, 11, 2400)), "rto", 1800)
    assert plot is not None
    assert [(point.left, point.mark) for point in plot.points] == [(LEFT, "missed"), (RIGHT, "met")]
    assert [text for _, text in plot.grid] == ["0s", "10m", "20m", "30m", "40m"]
    assert plot.promise == (TOP + (HEIGHT - TOP) * 0.25, "objective 30m")
    assert [text for _, text in plot.days] == ["2026-11-17", "2026-11-27"]


def test_a_run_is_judged_by_the_objective_of_its_day() -> None:
    plot = plot_of("x", "", (run(1, 1, 1700),), "rto", 600)
    assert plot is not None
    assert [point.mark for point in plot.points] == ["met"], "600 s were promised later"


measured = st.tuples(st.integers(0, 3000), st.none() | st.integers(0, MAX_INT))


@given(st.lists(measured, min_size=1, max_size=30), st.none() | st.integers(1, MAX_INT))
@example([(1, MAX_INT)], MAX_INT)  # whoever may push to a ledger that no host signs may claim that
def test_every_run_has_a_place_inside(times: list[tuple[int, int | None]], promised: int | None) -> None:
    runs: list[BoardRun] = [run(number, days, took) for number, (days, took) in enumerate(sorted(times, key=lambda each: each[0]))]
    plot = plot_of("x", "", runs, "rto", promised)
    if plot is None:
        assert all(took is None for _, took in times)
        return
    assert len(plot.points) == len(runs)
    assert all(LEFT <= point.left <= RIGHT and TOP <= point.top <= HEIGHT for point in plot.points)
    assert 2 <= len(plot.grid) <= 6
    assert plot.promise is None or TOP <= plot.promise[0] <= HEIGHT
