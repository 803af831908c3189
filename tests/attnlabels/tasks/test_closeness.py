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
    own = closeness(examples.maps, examples)
    assert own["cc"] == pytest.approx(1) and own["sauc"] > 0.8
    centre = closeness(centres(examples), examples)
    assert centre["cc"] < own["cc"]
    # of what knows nothing of the example, the null is all there is
    assert centre["cc"] == pytest.approx(centre["null_cc"], abs=1e-6)
    assert own["null_cc"] < 0.5


def test_the_null_is_of_each_with_all_others():
    examples = watched(n=7)
    masks = np.random.default_rng(1).random(examples.maps.shape)
    masks[3] = 0.5  # of what is the same everywhere CC is 0
    pairs = [cc(masks[i], examples.maps[j]) for i in range(7) for j in range(7) if i != j]
    assert closeness(masks, examples)["null_cc"] == pytest.approx(np.mean(pairs))


def test_maps_of_other_examples_are_as_far_as_their_null_says():
    examples = watched(n=60)
    others = examples.maps[derangement(len(examples), seed=0)]
    found = closeness(others, examples)
    assert found["cc"] < 0.5 and found["null_cc"] == pytest.approx(found["cc"], abs=0.1)
