import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from attnlabels.metrics import retrieval
from attnlabels.metrics.retrieval import (
    k_grid,
    pr_area,
    rank_matches,
    retrieve,
    score_ranks,
    split_queries,
)


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def labels(*values: int) -> np.ndarray:
    return np.array(values)


def ranked(
    queries: np.ndarray,
    gallery: np.ndarray,
    *,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
) -> list[np.ndarray]:
    """The ranks where the two sets stand one behind the other."""
    both = np.concatenate([queries, gallery])
    q = len(queries)
    split = (np.arange(q), np.arange(q, len(both)))
    told = np.concatenate([query_labels, gallery_labels])
    return list(rank_matches(both, both, labels=told, split=split))


def random_world(q: int, g: int, k: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "queries": draw.normal(size=(q, 8)),
        "gallery": draw.normal(size=(g, 8)),
        "query_labels": draw.integers(0, k, q),
        "gallery_labels": draw.integers(0, k, g),
    }


def test_worked_by_hand() -> None:
    # one query at 0 degrees, gallery at 10, 20, 30, 40: relevant are the 1st and the 3rd
    ranks = ranked(
        on_circle(0),
        on_circle(30, 10, 40, 20),
        query_labels=labels(7),
        gallery_labels=labels(7, 7, 1, 2),
    )
    assert [r.tolist() for r in ranks] == [[1, 3]]
    _, precision, recall, _ = score_ranks(ranks, n_gallery=4)
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert recall == pytest.approx([1 / 2, 1 / 2, 1, 1])
    assert score_ranks(ranks, n_gallery=4).map == pytest.approx((1 + 2 / 3) / 2)
    # 1 up to recall 1/2, down to 1/2 there, then the trapezoid up to 2/3
    assert pr_area(precision, recall) == pytest.approx(1 / 2 + (1 / 2 + 2 / 3) / 2 / 2)


def test_r_precision_is_that_among_as_many_as_are_relevant() -> None:
    # of 2 relevant 1 is among the first 2; of 3 relevant 2 among the first 3; of 1 none
    ranks = [np.array([1, 3]), np.array([2, 3, 9]), np.array([2])]
    found = score_ranks(ranks, n_gallery=9)
    assert found.r_precision == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)


def test_a_report_has_the_scores_and_a_row_for_each_k() -> None:
    world = random_world(q=1, g=59, k=3)
    features = np.concatenate([world["queries"], world["gallery"]])
    told = np.concatenate([world["query_labels"], world["gallery_labels"]])
    split = split_queries(60, n_queries=20, seed=0)
    scores, curve = retrieve(features, features, labels=told, split=split)
    found = score_ranks(rank_matches(features, features, labels=told, split=split), n_gallery=40)
    assert scores["map"] == found.map and scores["r_precision"] == found.r_precision
    assert scores["precision_at_10"] == found.precision[9]
    assert (scores["n_queries"], scores["n_gallery"]) == (20, 40)
    assert [k for k, _, _ in curve] == k_grid(40).tolist()
    assert curve[-1][2] == 1


def test_scores_are_means_over_queries_with_unlike_numbers_of_matches() -> None:
    ranks = [np.array([1]), np.array([1, 2, 4])]
    _, precision, recall, _ = score_ranks(ranks, n_gallery=4)
    assert precision == pytest.approx([1, (1 / 2 + 1) / 2, (1 / 3 + 2 / 3) / 2, 1 / 2])
    assert recall == pytest.approx([(1 + 1 / 3) / 2, (1 + 2 / 3) / 2, (1 + 2 / 3) / 2, 1])
    assert score_ranks(ranks, n_gallery=4).map == pytest.approx((1 + (1 + 1 + 3 / 4) / 3) / 2)


def test_equals_sorting_each_query_in_full() -> None:
    world = random_world(q=30, g=200, k=4)
    ranks = ranked(**world)
    unit = {
        name: world[name] / np.linalg.norm(world[name], axis=1, keepdims=True)
        for name in ("queries", "gallery")
    }
    for query, label, found in zip(unit["queries"], world["query_labels"], ranks):
        order = sorted(range(200), key=lambda j: -float(unit["gallery"][j] @ query))
        expected = [r + 1 for r, j in enumerate(order) if world["gallery_labels"][j] == label]
        assert found.tolist() == expected
    _, precision, recall, _ = score_ranks(ranks, n_gallery=200)
    for k in (1, 2, 5, 50, 200):
        hits = [sum(r <= k for r in found) for found in ranks]
        assert precision[k - 1] == pytest.approx(np.mean([h / k for h in hits]))
        assert recall[k - 1] == pytest.approx(np.mean([h / len(f) for h, f in zip(hits, ranks)]))


def test_average_precision_equals_scikit_learn() -> None:
    world = random_world(q=30, g=200, k=4)
    similarity = world["queries"] @ world["gallery"].T
    similarity /= np.linalg.norm(world["gallery"], axis=1)
    expected = np.mean(
        [
            average_precision_score(world["gallery_labels"] == label, s)
            for label, s in zip(world["query_labels"], similarity)
        ]
    )
    assert score_ranks(ranked(**world), n_gallery=200).map == pytest.approx(expected)


def test_ties_rank_in_the_gallerys_order() -> None:
    ranks = ranked(
        on_circle(0, 0),
        on_circle(5, 20, 20, 20, 90),
        query_labels=labels(1, 2),
        gallery_labels=labels(2, 1, 2, 1, 2),
    )
    assert [r.tolist() for r in ranks] == [[2, 4], [1, 3, 5]]


@pytest.mark.parametrize("passes", [0, 1000])
def test_counting_and_sorting_give_the_ranks_of_a_stable_sort(
    monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    monkeypatch.setattr(retrieval, "PASSES", passes)
    rng = np.random.default_rng(0)
    for _ in range(20):
        similarity = rng.integers(0, 12, 60).astype(np.float32)  # many ties
        matches = np.sort(rng.permutation(60)[:9])
        order = np.argsort(-similarity, kind="stable")
        expected = np.flatnonzero(np.isin(order, matches)) + 1
        assert retrieval.ranks_of(matches, similarity).tolist() == expected.tolist()


def test_equal_features_rank_in_the_gallerys_order() -> None:
    ranks = ranked(
        np.ones((1, 4)),
        np.ones((6, 4)),
        query_labels=labels(1),
        gallery_labels=labels(0, 1, 0, 1, 1, 0),
    )
    assert ranks[0].tolist() == [2, 4, 5]


@pytest.mark.parametrize(
    ("name", "size"), [("CHUNK", 7), ("BLOCK", 33), ("CELLS", 450), ("PASSES", 0)]
)
def test_sizes_of_the_parts_change_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    world = random_world(q=30, g=200, k=4)
    whole = ranked(**world)
    monkeypatch.setattr(retrieval, name, size)
    for one, other in zip(whole, ranked(**world), strict=True):
        assert one.tolist() == other.tolist()


def test_length_and_precision_of_features_do_not_matter() -> None:
    queries, gallery = on_circle(0, 90), on_circle(10, 40, 80)
    told = {"query_labels": labels(0, 1), "gallery_labels": labels(0, 1, 1)}
    expected = [r.tolist() for r in ranked(queries, gallery, **told)]
    lengths = np.array([[9.0], [0.5], [3.0]])
    longer = ranked(4 * queries, lengths * gallery, **told)
    halves = ranked(queries.astype(np.float16), gallery.astype(np.float16), **told)
    assert [r.tolist() for r in longer] == [r.tolist() for r in halves] == expected


def test_perfect_retrieval_scores_one_and_finds_all() -> None:
    ranks = [np.arange(1, 6), np.arange(1, 4)]
    _, _, recall, _ = score_ranks(ranks, n_gallery=10)
    assert score_ranks(ranks, n_gallery=10).map == 1
    assert recall[-1] == pytest.approx(1) and recall[4] == pytest.approx(1)
    assert pr_area(*score_ranks(ranks[:1], n_gallery=10)[1:3]) == pytest.approx(1)


def test_random_features_score_the_share_of_their_class() -> None:
    world = random_world(q=200, g=2000, k=4)
    ranks = ranked(**world)
    _, precision, recall, _ = score_ranks(ranks, n_gallery=2000)
    assert score_ranks(ranks, n_gallery=2000).map == pytest.approx(0.25, abs=0.01)
    assert pr_area(precision, recall) == pytest.approx(0.25, abs=0.01)


def test_query_without_a_match_is_refused() -> None:
    with pytest.raises(ValueError, match="no image of the gallery is of class 5: all of"):
        ranked(
            on_circle(0, 1),
            on_circle(2),
            query_labels=labels(0, 5),
            gallery_labels=labels(0),
        )


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_features_without_direction_are_refused(value: float) -> None:
    gallery = on_circle(0, 10, 20)
    gallery[1] = value
    with pytest.raises(ValueError, match="gallery: features of image 2 are all 0"):
        ranked(on_circle(0), gallery, query_labels=labels(0), gallery_labels=labels(0, 0, 0))


def test_grid_ends_with_the_whole_gallery() -> None:
    assert k_grid(9).tolist() == [1, 2, 5, 9]
    assert k_grid(10).tolist() == [1, 2, 5, 10]
    assert k_grid(45000).tolist()[-3:] == [2000, 5000, 45000]


def test_split_is_fixed_by_the_seed_and_takes_each_image_once() -> None:
    queries, gallery = split_queries(1000, n_queries=100, seed=3)
    assert len(queries) == 100
    assert sorted([*queries, *gallery]) == list(range(1000))
    again = split_queries(1000, n_queries=100, seed=3)
    assert np.array_equal(queries, again[0]) and np.array_equal(gallery, again[1])
    assert not np.array_equal(queries, split_queries(1000, n_queries=100, seed=4)[0])


@pytest.mark.parametrize("n_queries", [0, 10, 11])
def test_split_needs_queries_and_a_gallery(n_queries: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 9"):
        split_queries(10, n_queries=n_queries, seed=0)
