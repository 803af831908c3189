import math

import pytest

from attnlabels.losses.collapse import collapsed


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"spread": 0.001, "contrastive": 3.0}, "collapsed to a point"),
        ({"spread": 0.5, "contrastive": 2 * math.log(15)}, "no better than chance"),
        ({"spread": 0.5, "contrastive": 3.0}, ""),
        ({"spread": 0.5}, ""),
    ],
)
def test_a_collapse_is_seen(row, why):
    assert why in collapsed(row, n=8) and bool(why) == bool(collapsed(row, n=8))
