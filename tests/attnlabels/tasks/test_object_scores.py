import warnings

import numpy as np
import pytest

from attnlabels.tasks.object_scores import (
    e_adaptive,
    f_adaptive,
    f_curve,
    mae,
    s_measure,
)

SHAPES = [(12, 17), (24, 24), (9, 30), (16, 16)]
# What pysodmetrics 1.6.2 says of `case`, with normalize=False: adaptive F, maximum and mean of the
# curve of F, adaptive E, S and MAE. It pins other versions of NumPy and OpenCV than ours, so no
# extra of ours asks for it; where it is installed, the last test asks it again.
RECORDED = [
    [
        0.928571428571,
        0.945454545455,
        0.486045934904,
        0.948699924848,
        0.563095893757,
        0.307878785657,
    ],
    [
        0.564716312057,
        0.908602150538,
        0.450780509659,
        0.817816717976,
        0.688724099781,
        0.161769861969,
    ],
    [0.905617977528, 0.965714285714, 0.57648039285, 0.904386847538, 0.682476249611, 0.267411859249],
    [
        0.960869565217,
        0.960869565217,
        0.555928389785,
        0.972136971501,
        0.781572454454,
        0.168460369414,
    ],
]


def case(k: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy prediction, and a mask."""
    rng, (h, w) = np.random.default_rng(k), SHAPES[k]
    mask = np.zeros((h, w), bool)
    mask[h // 4 : h // 2 + 1 + k, w // 4 : w // 2 + 1] = True
    noisy = 0.5 * mask + rng.random((h, w)) * 0.6 - (k % 2) * 0.2
    return np.clip(noisy, 0, 1), mask


@pytest.mark.parametrize("k", range(4))
def test_scores_are_those_that_pysodmetrics_gave(k):
    prediction, mask = case(k)
    curve = f_curve(prediction, mask)
    found = [
        f_adaptive(prediction, mask),
        curve.max(),
        curve.mean(),
        e_adaptive(prediction, mask),
        s_measure(prediction, mask),
        mae(prediction, mask),
    ]
    assert found == pytest.approx(RECORDED[k], abs=1e-11)


@pytest.mark.parametrize("k", range(4))
def test_scores_are_those_that_pysodmetrics_gives(k):
    sod = pytest.importorskip("py_sod_metrics")
    prediction, mask = case(k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will change its names
        f, e, s = sod.Fmeasure(), sod.Emeasure(), sod.Smeasure()
    for each in (f, e, s):
        each.step(prediction, mask, normalize=False)
    assert f.get_results()["fm"]["adp"] == pytest.approx(f_adaptive(prediction, mask))
    assert f.get_results()["fm"]["curve"] == pytest.approx(f_curve(prediction, mask))
    assert e.get_results()["em"]["adp"] == pytest.approx(e_adaptive(prediction, mask))
    assert s.get_results()["sm"] == pytest.approx(s_measure(prediction, mask))


def test_f_by_hand():
    mask = np.array([[True, True, False, False]])
    prediction = np.array([[0.9, 0.0, 0.9, 0.0]])  # one of two found is right, one of two is found
    assert f_adaptive(prediction, mask) == pytest.approx(0.5)
    # all is found at level 0: precision ½, recall 1
    assert f_curve(prediction, mask)[-1] == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))


def test_the_mask_itself_is_best():
    _, mask = case(1)
    perfect = mask.astype(np.float64)
    assert f_adaptive(perfect, mask) == f_curve(perfect, mask).max() == 1
    assert mae(perfect, mask) == 0
    assert s_measure(perfect, mask) > 0.99 and e_adaptive(perfect, mask) > 0.99


def test_an_object_in_the_corner_has_a_score_too():
    mask = np.zeros((8, 8), bool)
    mask[-1, -1] = True  # whose centre leaves three regions without a pixel
    assert 0 <= s_measure(np.full((8, 8), 0.2), mask) <= 1


@pytest.mark.parametrize(
    ("prediction", "mask", "message"),
    [
        (np.zeros((4, 4)), np.eye(5, dtype=bool), "a prediction of .4, 4. and a mask of .5, 5."),
        (np.full((4, 4), 1.5), np.eye(4, dtype=bool), "from 1.5 to 1.5; expected .0, 1."),
        (np.zeros((4, 4)), np.zeros((4, 4), bool), "a mask that is no object"),
        (np.zeros((4, 4)), np.ones((4, 4), bool), "a mask that is all object"),
    ],
    ids=["sizes", "range", "empty", "full"],
)
@pytest.mark.parametrize("score", [f_adaptive, f_curve, e_adaptive, s_measure, mae])
def test_what_does_not_fit_is_refused(score, prediction, mask, message):
    with pytest.raises(ValueError, match=message):
        score(prediction, mask)
