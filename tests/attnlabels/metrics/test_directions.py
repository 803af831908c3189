import numpy as np
import pytest

from attnlabels.metrics.directions import scale_rows
from attnlabels.metrics.knn import choose_k
from attnlabels.metrics.retrieval import retrieve, split_queries


def test_a_row_is_scaled_by_a_power_of_two_to_about_1():
    rows = np.float32([[3e-30, -6e-30], [0, 0], [5e25, 1e25], [0.75, -0.5]])
    scaled = rows.copy()
    scale_rows(scaled)
    assert (scaled[1] == 0).all() and (scaled[3] == rows[3]).all()
    largest = np.abs(scaled[[0, 2, 3]]).max(axis=1)
    assert (largest >= 0.5).all() and (largest < 1).all()
    np.testing.assert_array_equal(scaled[:, 0] * rows[:, 1], scaled[:, 1] * rows[:, 0])


@pytest.mark.parametrize("scale", [1e-6, 1e-25, 1e20])
def test_neighbours_and_ranks_do_not_depend_on_the_size_of_features(scale):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (rng.normal(size=(3, 8))[y] + rng.normal(size=(60, 8))).astype(np.float32)
    sized = (x.astype(np.float64) * scale).astype(np.float32)
    known = {"k": (3, 5), "development": 0.3, "seed": 0}
    assert choose_k(sized, y, **known) == choose_k(x, y, **known)
    split = split_queries(60, n_queries=10, seed=0)
    found, _ = retrieve(sized, sized, labels=y, split=split)
    assert found == pytest.approx(retrieve(x, x, labels=y, split=split)[0], rel=1e-6)
