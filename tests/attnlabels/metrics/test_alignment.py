import numpy as np
import pytest

from attnlabels.metrics import saliency
from attnlabels.metrics.alignment import SCORES, mean_scores, score_maps


def maps(n, *, h=12, w=16, seed=0):
    return [*np.random.default_rng(seed).random((n, h, w), np.float32)]


def points_near(centres, *, n=200, spread=2.0, h=12, w=16, seed=0):
    """For each centre, points scattered about it."""
    draw = np.random.default_rng(seed)
    drawn = [draw.normal(centre, spread, (n, 2)) for centre in centres]
    return [each.round().clip(0, (h - 1, w - 1)).astype(np.int64) for each in drawn]


def blob(row, col, *, h=12, w=16, sigma=3.0):
    r, c = np.mgrid[:h, :w]
    return np.exp(-((r - row) ** 2 + (c - col) ** 2) / (2 * sigma**2)).astype(np.float32)


def test_each_image_has_its_six_scores_in_order():
    predictions, humans = maps(3), maps(3, seed=1)
    points = points_near([(3, 3), (6, 8), (9, 12)], n=20)
    rows = score_maps(predictions, humans, points)
    assert [tuple(row) for row in rows] == [SCORES] * 3
    for prediction, human, fixations, row in zip(predictions, humans, points, rows):
        assert row["cc"] == saliency.cc(prediction, human)
        assert row["nss"] == saliency.nss(prediction, fixations)
        assert row["kl"] == saliency.kl(prediction, human)  # the prediction from the density
        assert row["sim"] == saliency.sim(prediction, human)
        assert row["auc"] == saliency.auc_judd(prediction, fixations)


def test_the_negatives_are_all_points_of_all_other_images():
    prediction = np.array([[1.0, 2.0], [3.0, 4.0]])
    points = [np.array([[0, 1]]), np.array([[1, 1], [1, 1], [0, 1]]), np.array([[0, 0]])]
    first, *_ = score_maps([prediction] * 3, [prediction] * 3, points)
    # value 2 against 4, 4, 2 and 1: above one, tied with one, of four
    assert first["sauc"] == pytest.approx(1.5 / 4)


def test_a_centre_map_earns_no_sauc_where_all_look_at_the_centre():
    # so many points that together they leave no pixel of the middle without one
    points = points_near([(6, 8)] * 40)
    centre = [blob(6, 8)] * 40
    scores = mean_scores(score_maps(centre, centre, points))
    assert scores["auc"] > 0.8
    assert scores["sauc"] == pytest.approx(0.5, abs=0.01)


def test_a_map_of_its_own_image_earns_sauc():
    centres = [(3, 4), (3, 12), (9, 4), (9, 12)]
    points, own = points_near(centres), [blob(*each) for each in centres]
    rows = score_maps(own, own, points)
    assert min(row["sauc"] for row in rows) > 0.85


def test_images_may_differ_in_their_number_of_points():
    points = [*points_near([(3, 3)], n=5), *points_near([(6, 8)], n=50)]
    assert len(score_maps(maps(2), maps(2, seed=1), points)) == 2


def test_mean_scores_average_each_score_over_images():
    rows = [{"cc": 0.2, "nss": 1.0}, {"cc": 0.4, "nss": 4.0}]
    assert mean_scores(rows) == pytest.approx({"cc": 0.3, "nss": 2.5})
    assert all(type(value) is float for value in mean_scores(rows).values())


def test_a_recording_too_few_is_refused():
    points = points_near([(3, 3), (6, 8)])
    with pytest.raises(ValueError, match="3 predictions, 3 densities, 2 recordings: expected one"):
        score_maps(maps(3), maps(3), points)


def test_maps_of_two_sizes_are_refused():
    points = points_near([(3, 3), (6, 8)])
    with pytest.raises(ValueError, match=r"maps of sizes \[\(6, 8\), \(12, 16\)\]; expected one"):
        score_maps([maps(1)[0], maps(1, h=6, w=8)[0]], [maps(1)[0], maps(1, h=6, w=8)[0]], points)
    with pytest.raises(ValueError, match="expected one size"):
        score_maps([], [], [])


def test_a_prediction_that_is_not_finite_has_no_scores():
    predictions = maps(2)
    predictions[1][3, 4] = np.nan
    with pytest.raises(ValueError, match="a predicted map is not finite"):
        score_maps(predictions, maps(2, seed=1), points_near([(3, 3), (8, 8)]))


def test_one_image_alone_has_no_sauc():
    with pytest.raises(ValueError, match="two images or more"):
        score_maps(maps(1), maps(1), points_near([(3, 3)]))
