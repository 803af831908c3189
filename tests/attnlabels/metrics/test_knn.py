import numpy as np
import pytest

from attnlabels.metrics import knn
from attnlabels.metrics.knn import Knn, choose_k, score_knn
from attnlabels.metrics.linear_probe import split


def clouds(n, n_classes, *, seed=0, spread=0.7):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    centres = np.random.default_rng(99).normal(size=(n_classes, 6))
    return (centres[y] + spread * rng.normal(size=(n, 6))).astype(np.float16), y


def by_hand(x, y, test_x, test_y, *, k, top):
    """The share of hits, one image and one neighbour at a time."""
    unit = x.astype(float) / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    hits = 0
    for image, label in zip(test_x.astype(float), test_y):
        similarity = unit @ image / np.linalg.norm(image)
        votes = dict.fromkeys(range(int(y.max()) + 1), 0.0)
        for j in np.argsort(-similarity)[:k]:
            votes[y[j]] += np.exp(similarity[j] / 0.07)
        hits += label in sorted(votes, key=votes.__getitem__, reverse=True)[:top]
    return hits / len(test_y)


@pytest.mark.parametrize("k", [1, 7, 80])
def test_scores_are_those_counted_neighbour_by_neighbour(k):
    train, test = clouds(80, 8), clouds(40, 8, seed=1)
    scores = score_knn(Knn(k, 0.5), *train, *test)
    assert list(scores) == ["k", "development_top1", "n", "top1", "top5"]
    assert (scores["k"], scores["n"], scores["development_top1"]) == (k, 40, 0.5)
    for top in (1, 5):
        assert scores[f"top{top}"] == pytest.approx(by_hand(*train, *test, k=k, top=top))


def test_k_is_the_best_on_the_development_part_alone():
    x, y = clouds(120, 4, spread=1.2)
    held_out, rest = split(120, 0.25, seed=3)
    by_k = {k: by_hand(x[rest], y[rest], x[held_out], y[held_out], k=k, top=1) for k in (1, 15, 90)}
    chosen = choose_k(x, y, k=(90, 1, 15), development=0.25, seed=3)
    assert chosen.development_top1 == pytest.approx(max(by_k.values()))
    assert chosen.k == min(k for k in by_k if by_k[k] == max(by_k.values()))


@pytest.mark.parametrize(("name", "size"), [("CELLS", 300), ("BLOCK", 7)])
def test_sizes_of_the_parts_change_nothing(monkeypatch, name, size):
    train, test = clouds(80, 4), clouds(40, 4, seed=1)
    whole = score_knn(Knn(9, 0.5), *train, *test)
    monkeypatch.setattr(knn, name, size)
    assert score_knn(Knn(9, 0.5), *train, *test) == whole


def test_more_neighbours_than_images_are_refused_and_some_too_many_left_out():
    x, y = clouds(20, 2)
    with pytest.raises(ValueError, match="k = 50 neighbours of 16 training images; take fewer"):
        choose_k(x, y, k=(50, 60), development=0.2, seed=0)
    assert choose_k(x, y, k=(3, 50), development=0.2, seed=0).k == 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_have_no_neighbours(value):
    x, y = clouds(20, 2)
    x[3, 1] = value
    with pytest.raises(ValueError, match="features that are not finite; encode the images again"):
        choose_k(x, y, k=(3,), development=0.2, seed=0)


@pytest.mark.parametrize(("k", "spread", "n_classes"), [((8, 16), 0.8, 40), ((2, 4), 2.0, 2)])
def test_the_search_goes_on_where_the_best_k_is_at_an_end(k, spread, n_classes):
    x, y = clouds(200, n_classes, spread=spread)
    held_out, rest = split(200, 0.25, seed=3)
    by_k = {
        each: by_hand(x[rest], y[rest], x[held_out], y[held_out], k=each, top=1)
        for each in (1, 2, 4, 5, 8, 10, 16, 32, 64, 128, 150)
    }
    chosen = choose_k(x, y, k=k, development=0.25, seed=3)
    assert chosen.development_top1 == pytest.approx(by_k[chosen.k])
    assert by_k[chosen.k] > max(by_k[each] for each in k)
