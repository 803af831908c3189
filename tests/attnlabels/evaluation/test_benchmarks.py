import math

import pytest

from attnlabels import Scoring

OUTSIDE = {
    "development": ((0.0, 1.0, -0.1, math.nan), "expected a share above 0 and below 1"),
    "queries": ((0.0, 1.0, math.nan), "expected a share above 0 and below 1"),
    "tolerance": ((0.0, -1e-4, math.inf, math.nan), "expected a number above 0"),
    "test_seed": ((-1,), "expected 0 or more"),
    "l2_times_n": (((), (1.0, 0.0), (math.nan,)), "expected numbers above 0, one or more"),
    "k": (((), (5, 0)), "expected numbers of 1 or more, one or more"),
}


@pytest.mark.parametrize("key", OUTSIDE)
def test_a_setting_outside_of_its_range_is_refused_with_the_range(key):
    values, why = OUTSIDE[key]
    for value in values:
        with pytest.raises(ValueError) as error:
            Scoring(**{key: value})
        assert str(error.value) == f"{key} {value}: {why}"


def test_settings_near_the_ends_of_their_ranges_are_taken():
    shares = {"development": 1e-9, "queries": 1 - 1e-9, "tolerance": 1e-12}
    assert Scoring(**shares, test_seed=0, l2_times_n=[3.0], k=[1]).k == [1]
