import dataclasses

import numpy as np
import pytest

from attnlabels.metrics.saliency import cc
from attnlabels.recordings.density import density
from attnlabels.tasks.closeness import closeness
from attnlabels.tasks.examples import Examples, centres, derangement


def watched(n: int = 20) -> Examples:
    rng = np.random.default_rng(0)
    middles = rng.integers(3, 13, (n, 2))
    points = [(each + rng.integers(-2, 3, (6, 2))).clip(0, 15) for each in middles]
    options = {"height": 16, "width": 16, "sigma_px": 2.0, "count": "counted"}
    return Examples(
        keys=[str(i) for i in range(n)],
        shown=np.zeros((n, 1, 16, 16), np.float32),
        target=np.zeros(n, np.int64),
        maps=np.stack([density(each, **options) for each in points]),
        points=points,
        n_outputs=2,
        pictures=np.zeros((n, 16, 16, 3), np.uint8),
    )


def test_people_themselves_are_closest_and_the_centre_has_its_null():
    examples = watched()
    own = closeness(examples.maps, examples, seed=0)
    assert own["cc"] == pytest.approx(1) and own["sauc"] > 0.8
    centre = closeness(centres(examples), examples, seed=0)
    assert centre["cc"] < own["cc"]
    # of what knows nothing of the example, the null is all there is
    assert centre["cc"] == pytest.approx(centre["null_cc"], abs=1e-6)
    assert own["null_cc"] < 0.5


def test_the_null_is_of_the_deranged():
    examples = watched()
    order = derangement(len(examples), seed=3)
    expected = np.mean([cc(a, b) for a, b in zip(examples.maps, examples.maps[order])])
    assert closeness(examples.maps, examples, seed=3)["null_cc"] == pytest.approx(expected)


def test_a_mask_of_other_examples_is_far():
    examples = watched()
    moved = dataclasses.replace(examples, maps=examples.maps)
    order = derangement(len(examples), seed=0)
    found = closeness(examples.maps[order], moved, seed=0)
    assert found["cc"] < 0.5 and found["null_cc"] == pytest.approx(1)
