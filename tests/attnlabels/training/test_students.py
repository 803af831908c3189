import math

import pytest

from attnlabels.training.students import Momentum


@pytest.mark.parametrize(("start", "end"), [(0.99, 1.0), (0.9, 0.9), (0.0, 0.5)])
def test_momentum_goes_from_start_to_end_by_half_a_cosine(start, end):
    momentum = Momentum(start=start, end=end)
    assert momentum.at(0.0) == pytest.approx(start) and momentum.at(1.0) == pytest.approx(end)
    assert momentum.at(0.5) == pytest.approx((start + end) / 2)
    for k in range(1, 8):  # Grill et al. 2020: 1 - (1 - base)(cos(pi k / K) + 1) / 2, there to 1
        factor = (math.cos(math.pi * k / 8) + 1) / 2
        assert momentum.at(k / 8) == pytest.approx(end - (end - start) * factor)


@pytest.mark.parametrize("wrong", [{"start": 1.0}, {"start": -0.1}, {"end": 1.1}, {"end": -1.0}])
def test_a_momentum_that_would_never_learn_or_is_no_share_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Momentum(**{"start": 0.5, "end": 1.0} | wrong)
