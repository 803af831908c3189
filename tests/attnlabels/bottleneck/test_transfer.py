import re

import numpy as np
import pytest

from attnlabels.bottleneck.frozen import open_network
from attnlabels.bottleneck.transfer import Transfer, resized, score_transfer
from attnlabels.pipeline.params import check
from bottlenecks import TRANSFER, write_digits, write_network


@pytest.fixture
def score(tmp_path):
    """Scores an untrained network on digits of two colours."""
    frozen = open_network(write_network(tmp_path / "network.safetensors"), n_classes=3)
    digits = write_digits(tmp_path / "digits")
    return lambda **changed: score_transfer(
        frozen, digits, check(Transfer, TRANSFER | changed, where="here"), batch_size=7
    )


def test_a_linear_classifier_of_the_features_and_of_the_code_is_scored(score):
    scores = score()
    for of in ("features", "code"):
        assert scores[of]["top1"] == 1.0  # colours differ
        assert scores[of]["n"] == 12


def test_features_are_of_the_whole_image_at_the_networks_size():
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(resized(images, 32), images)
    assert resized(images, 20).shape == (2, 20, 20, 3)


def test_a_penalty_at_the_end_of_those_tried_is_said_with_its_set(score, capsys):
    score(l2_times_n=[1e6, 1e5])  # of which the first is as good as any, and the most there may be
    assert re.search(r"warning: \S*digits, features: the best l2, ", capsys.readouterr().err)


def test_a_set_of_another_layout_is_named(score):
    with pytest.raises(FileNotFoundError, match=r"digits/test_X\.bin: not here"):
        score(layout="stl10")
