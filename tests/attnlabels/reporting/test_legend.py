import numpy as np
import pytest

from attnlabels.reporting.legend import RUN_COLOURS, over_seeds


def test_runs_are_told_apart_from_each_other_by_colour():
    assert len({*RUN_COLOURS}) == len(RUN_COLOURS)


def test_errors_are_those_of_the_mean():
    mean, error = over_seeds(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert mean.tolist() == [2, 5]
    assert error == pytest.approx([1, 0])  # deviation √2 over √2 seeds


def test_a_single_seed_has_no_error():
    assert over_seeds(np.array([[1.0, 5.0]]))[1] is None
