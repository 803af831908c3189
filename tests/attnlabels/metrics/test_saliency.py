import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torchmetrics.functional import pearson_corrcoef

from attnlabels.losses import attention
from attnlabels.metrics.saliency import auc_judd, cc, floor, kl, nss, sauc, sim


def random_map(seed: int, h: int = 12, w: int = 17) -> np.ndarray:
    return np.random.default_rng(seed).random((h, w), dtype=np.float32)


def random_points(seed: int, n: int, h: int = 12, w: int = 17) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, (h, w), (n, 2)).astype(np.int16)


def count(points: np.ndarray, h: int = 12, w: int = 17) -> np.ndarray:
    counts = np.zeros((h, w), dtype=np.int64)
    np.add.at(counts, tuple(points.T), 1)
    return counts


def values_at(m: np.ndarray, points: np.ndarray) -> list[float]:
    return [float(m[r, c]) for r, c in points]


CONSTANT = np.full((12, 17), 0.1, dtype=np.float32)


# --- against a density


def test_cc_worked_by_hand() -> None:
    p, t = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 3.0], [2.0, 4.0]])
    # deviations (-1.5, -.5, .5, 1.5) and (-1.5, .5, -.5, 1.5): (2.25 - .25 - .25 + 2.25) / 5
    assert cc(p, t) == pytest.approx(0.8)


def test_cc_equals_scipy_and_torchmetrics() -> None:
    p, t = random_map(0), random_map(1)
    assert cc(p, t) == pytest.approx(stats.pearsonr(p.ravel(), t.ravel()).statistic, rel=1e-5)
    other = pearson_corrcoef(torch.tensor(p).flatten(), torch.tensor(t).flatten())
    assert cc(p, t) == pytest.approx(other.item(), rel=1e-4)


def test_cc_is_one_for_shifted_and_scaled_maps_and_minus_one_for_the_negative() -> None:
    p = random_map(0)
    assert cc(3 * p - 7, p) == pytest.approx(1)
    assert cc(-p, p) == pytest.approx(-1)


def test_constant_prediction_has_no_correlation() -> None:
    assert cc(CONSTANT, random_map(0)) == 0


def test_constant_density_is_refused() -> None:
    with pytest.raises(ValueError, match="density is constant"):
        cc(random_map(0), CONSTANT)


def test_kl_worked_by_hand_weighs_by_the_density() -> None:
    p, t = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[5.0, 5.0], [0.0, 0.0]])
    assert kl(p, t) == pytest.approx(math.log(2), abs=1e-5)
    assert kl(t, p) > 5


def test_kl_of_a_map_with_zeros_has_the_benchmarks_constant() -> None:
    p, t = np.array([[1.0, 1.0], [0.0, 0.0]]), np.ones((2, 2))
    by_hand = math.log(0.25 / 0.5) / 2 + math.log(0.25 / 2.2204e-16) / 2  # 16.98; with 1e-7: 7.02
    assert kl(p, t) == pytest.approx(by_hand)


def test_kl_and_nss_equal_the_losses() -> None:
    # a map's least value is far above either's constant
    p, t, points = random_map(0) + 1, random_map(1), random_points(2, 30)
    counts = np.zeros((1, 12, 17))
    np.add.at(counts[0], tuple(points.T), 1)
    of_batch = torch.tensor(p)[None].double()
    divergence = attention.kld(of_batch, torch.tensor(t)[None].double())
    assert kl(p, t) == pytest.approx(divergence.item(), rel=1e-3)
    score = attention.nss(of_batch, torch.tensor(counts))
    assert nss(p, points) == pytest.approx(score.item(), rel=1e-5)


def test_sim_worked_by_hand() -> None:
    p, t = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[3.0, 1.0], [0.0, 0.0]])
    assert sim(p, t) == pytest.approx(1 / 4 + 1 / 4)


def test_sim_spans_from_disjoint_to_equal() -> None:
    left, right = np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])
    assert sim(left, right) == 0
    assert sim(random_map(0), 9 * random_map(0)) == pytest.approx(1)


@pytest.mark.parametrize("score", [kl, sim])
def test_maps_that_are_no_distribution_are_refused(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="no distribution"):
        score(-random_map(0), random_map(1))
    with pytest.raises(ValueError, match="no distribution"):
        score(random_map(0), np.zeros((12, 17), dtype=np.float32))


@pytest.mark.parametrize("score", [cc, kl, sim])
def test_a_prediction_of_zeros_scores_as_any_constant_does(score) -> None:  # type: ignore
    zeros, t = np.zeros((12, 17), dtype=np.float32), random_map(1)
    assert score(zeros, t) == pytest.approx(score(CONSTANT, t), abs=1e-6)


def test_a_floor_worked_by_hand() -> None:
    assert floor(np.array([[2.0, 8.0], [4.0, 5.0]])) == 0.25
    assert floor(np.array([[0.0, 8.0]])) == 0
    assert floor(CONSTANT) == floor(0 * CONSTANT) == 1
    assert 1 - 1e-5 < floor(np.array([[0.5, 0.500001]])) < 1


# --- at points


def test_nss_worked_by_hand() -> None:
    p = np.array([[0.0, 0.0], [0.0, 4.0]])  # mean 1, population variance 3
    assert nss(p, np.array([[1, 1]])) == pytest.approx(math.sqrt(3))
    assert nss(p, np.array([[1, 1], [0, 0]])) == pytest.approx(1 / math.sqrt(3))
    assert nss(p, np.array([[1, 1], [1, 1], [0, 0]])) == pytest.approx(5 / 3 / math.sqrt(3))


def test_auc_worked_by_hand() -> None:
    p = np.array([[1.0, 2.0], [2.0, 3.0]])
    # point of value 2 against 1, 2, 3: above one, tied with one
    assert auc_judd(p, np.array([[0, 1]])) == pytest.approx(1.5 / 3)
    # points of 3 and 2 against 1, 2: (2 + 1.5) / (2 * 2)
    assert auc_judd(p, np.array([[1, 1], [0, 1]])) == pytest.approx(3.5 / 4)


@pytest.mark.parametrize("levels", [3, 1000])
def test_auc_equals_scikit_learn(levels: int) -> None:
    p = np.floor(levels * random_map(0))  # few levels: many ties
    points = random_points(1, 40)
    free = [p[r, c] for r, c in np.ndindex(*p.shape) if [r, c] not in points.tolist()]
    truth = [1] * len(points) + [0] * len(free)
    expected = roc_auc_score(truth, values_at(p, points) + free)
    assert auc_judd(p, points) == pytest.approx(expected)


def test_auc_ignores_any_rising_change_of_values() -> None:
    p, points = random_map(0).astype(np.float64), random_points(1, 40)
    assert auc_judd(np.exp(5 * p), points) == auc_judd(p, points)
    assert auc_judd(-p, points) == pytest.approx(1 - auc_judd(p, points))


def test_auc_needs_a_pixel_without_points() -> None:
    everywhere = np.array([[0, 0], [0, 1]])
    with pytest.raises(ValueError, match="all 2 pixels"):
        auc_judd(np.array([[1.0, 2.0]]), everywhere)


def test_sauc_equals_scikit_learn_on_the_other_images_points() -> None:
    p, points, negatives = random_map(0), random_points(1, 20), random_points(2, 300)
    truth = [1] * 20 + [0] * 300
    expected = roc_auc_score(truth, values_at(p, points) + values_at(p, negatives))
    assert sauc(p, points, negatives=count(negatives)) == pytest.approx(expected)


def test_sauc_weighs_a_pixel_by_how_many_look_there() -> None:
    p = np.array([[1.0, 2.0, 3.0]])
    # a point of value 2 against 1, 3, 3, 3: above one of four
    assert sauc(p, np.array([[0, 1]]), negatives=np.array([[1, 0, 3]])) == pytest.approx(1 / 4)
    # against 2, 2, 3: tied with two of three
    assert sauc(p, np.array([[0, 1]]), negatives=np.array([[0, 2, 1]])) == pytest.approx(1 / 3)


def test_sauc_gives_a_centre_map_nothing_where_all_look_at_the_centre() -> None:
    r, c = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    centre = np.exp(-((r - 20.0) ** 2 + (c - 20.0) ** 2) / 128)
    draw = np.random.default_rng(0)
    points, negatives = (
        draw.normal(20, 5, (n, 2)).clip(0, 39).astype(np.int16) for n in (2000, 4000)
    )
    assert auc_judd(centre, points) > 0.8
    score = sauc(centre, points, negatives=count(negatives, 40, 40))
    assert score == pytest.approx(0.5, abs=0.03)


def test_constant_prediction_scores_chance_at_points() -> None:
    points, negatives = random_points(1, 20), random_points(2, 30)
    assert nss(CONSTANT, points) == 0
    assert auc_judd(CONSTANT, points) == 0.5
    assert sauc(CONSTANT, points, negatives=count(negatives)) == 0.5


def test_scores_at_no_points_are_refused() -> None:
    p, none, some = random_map(0), np.zeros((0, 2), dtype=np.int16), random_points(1, 3)
    for score in (nss, auc_judd):
        with pytest.raises(ValueError, match="no points"):
            score(p, none)
    for points, negatives in ((none, some), (some, none)):
        with pytest.raises(ValueError, match="no points"):
            sauc(p, points, negatives=count(negatives))


@pytest.mark.parametrize("point", [(-1, 0), (0, -1), (12, 0), (0, 17)])
def test_points_off_the_map_are_refused(point: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"map of \(12, 17\)"):
        nss(random_map(0), np.array([(3, 3), point]))
