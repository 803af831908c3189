import math

import pytest

from attnlabels.metrics.search import CannotTry, search


def peak(at, tried):
    """A score that falls off on both sides of `at`, and notes what it is asked for."""

    def score(values):
        for each in values:
            tried.append(each)
            yield each, -abs(math.log(each / at))

    return score


LIMITS = {"least": 1e-8, "most": 1e4}


@pytest.mark.parametrize("at", [1e-6, 1e-3, 0.1, 10.0, 1e3])
def test_the_best_is_found_wherever_it_lies(at):
    best = search((1.0, 0.1, 0.01), peak(at, []), **LIMITS)
    assert best.value == pytest.approx(at) and best.why_ended is None


def test_a_best_inside_the_grid_costs_no_more():
    tried = []
    search((1.0, 0.1, 0.01), peak(0.1, tried), **LIMITS)
    assert tried == [1.0, 0.1, 0.01]


def test_a_single_value_is_taken_as_it_is():
    tried = []
    assert search((5.0,), peak(0.1, tried), **LIMITS).value == 5.0 and tried == [5.0]


def test_equal_scores_end_the_search_at_the_first():
    tried = []

    def flat(values):
        for each in values:
            tried.append(each)
            yield each, 0.5

    best = search((1.0, 0.1, 0.01), flat, **LIMITS)
    assert (best.value, best.why_ended) == (1.0, None)
    assert tried == pytest.approx([1.0, 0.1, 0.01, 10.0, 100.0])


@pytest.mark.parametrize(("at", "limit"), [(1e-20, 1e-8), (1e20, 1e4)])
def test_at_the_limit_it_says_so(at, limit):
    best = search((1.0, 0.1), peak(at, []), **LIMITS)
    assert best.value == pytest.approx(limit) and best.why_ended == f"the search ends at {limit:g}"


@pytest.mark.parametrize(("grid", "at"), [((1e6, 1e5), 1e6), ((1e-10, 1e-9), 1e-10)])
def test_a_grid_beyond_the_limit_ends_with_its_best(grid, at):
    best = search(grid, peak(at, []), **LIMITS)
    assert best.value == at and "the search ends at" in best.why_ended


def test_what_cannot_be_tried_ends_the_search_with_what_was_found():
    def score(values):
        for each in values:
            if each < 0.005:
                raise CannotTry(f"nothing at {each:g}")
            yield each, -each

    best = search((1.0, 0.1), score, **LIMITS)
    assert best.value == pytest.approx(0.01) and best.why_ended == "nothing at 0.001"
    with pytest.raises(CannotTry):
        search((0.1, 0.001), score, **LIMITS)


def test_whole_numbers_are_rounded_and_end_at_their_limits():
    tried = []
    limits = {"least": 1, "most": 18, "whole": True}
    assert search((5, 10), peak(1.0, tried), **limits).value == 1 and tried == [5, 10, 2, 1]
    tried.clear()
    assert search((5, 10), peak(99.0, tried), **limits).value == 18 and tried == [5, 10, 18]
