from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from attnlabels.metrics.reliability import (
    Players,
    agreement,
    all_pairs,
    bootstrapped_halves,
    ceiling_of_mean,
    one_pair,
    other_class,
    reliability,
    same_class,
    share_below,
    share_explained,
    split_halves,
    strangers,
    usable,
)

SIDE = 40


def simulated(n: int, *, players: int, noise: float, seed: int = 0) -> tuple[Players, np.ndarray]:
    """Players who see what all share, and each noise of their own; and what they share."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, SIDE, SIDE))
    maps = [each + noise * rng.normal(size=(players, SIDE, SIDE)) for each in shared]
    names = [f"image {i}" for i in range(n)]
    return Players("box", names, np.arange(n) % 3, maps), shared


def expected(a: np.ndarray, b: np.ndarray) -> float:
    return spearmanr(a.ravel(), b.ravel()).statistic


def test_all_pairs_are_the_mean_over_pairs_and_one_pair_is_one_of_them() -> None:
    players, _ = simulated(4, players=4, noise=1.0)
    by_hand = [
        [expected(maps[a], maps[b]) for a, b in combinations(range(4), 2)] for maps in players.maps
    ]
    np.testing.assert_allclose(all_pairs(players), np.mean(by_hand, axis=1), atol=1e-12)
    for seed in range(5):
        for found, pairs in zip(one_pair(players, seed=seed), by_hand):
            assert np.isclose(pairs, found, atol=1e-12).sum() == 1
    draws = [tuple(one_pair(players, seed=seed)) for seed in range(5)]
    assert len({*draws}) > 1 and draws[0] == tuple(one_pair(players, seed=0))


def test_an_agreement_tells_what_it_was_measured_with() -> None:
    found = agreement(np.array([0.2, 0.4]), blur="box", pairing="one_pair")
    assert found == ("box", "one_pair", 2, pytest.approx(0.3), pytest.approx(0.1))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(0, 99))
def test_partners_are_other_images_each_once(labels: list[int], seed: int) -> None:
    of = np.array(labels)
    within, across = same_class(of, seed=seed), other_class(of, seed=seed)
    paired = np.flatnonzero(within >= 0)
    assert (within[paired] != paired).all() and (of[within[paired]] == of[paired]).all()
    assert sorted(within[paired]) == paired.tolist()
    assert all(labels.count(of[i]) == 1 for i in np.flatnonzero(within < 0))
    if max(map(labels.count, labels)) > len(labels) / 2:
        assert (across == -1).all()
    else:
        assert (of[across] != of).all() and sorted(across) == [*range(len(of))]


def test_partners_are_drawn() -> None:
    labels = np.repeat(np.arange(4), 10)
    for draw in (same_class, other_class):
        assert any((draw(labels, seed=0) != draw(labels, seed=seed)).any() for seed in (1, 2))
    # and not always of the same other class
    assert len({int(labels[other_class(labels, seed=seed)[0]]) for seed in range(20)}) == 3


def test_strangers_agree_on_what_their_images_share_alone() -> None:
    players, _ = simulated(90, players=3, noise=0.5)
    layout = np.random.default_rng(1).normal(size=(3, SIDE, SIDE))
    maps = [each + layout[label] for each, label in zip(players.maps, players.labels)]
    of_class = players._replace(maps=maps)
    within = strangers(of_class, same_class(players.labels, seed=0), seed=0)
    across = strangers(of_class, other_class(players.labels, seed=0), seed=0)
    assert len(within) == len(across) == 90
    # The class's layout has 1 of a variance of 2.25; Spearman's of normals is a little less.
    assert within.mean() == pytest.approx(6 / np.pi * np.arcsin(1 / 2.25 / 2), abs=0.02)
    assert across.mean() == pytest.approx(0, abs=0.02)


def test_who_has_no_partner_is_left_out_of_the_null() -> None:
    players, _ = simulated(3, players=2, noise=1.0)
    alone = players._replace(labels=np.array([0, 1, 1]))
    assert len(strangers(alone, same_class(alone.labels, seed=0), seed=0)) == 2


@pytest.mark.parametrize(("n", "tolerance"), [(2, 0.01), (3, 0.025), (5, 0.02), (8, 0.01)])
def test_split_halves_tell_how_the_mean_of_all_agrees_with_that_of_as_many(
    n: int, tolerance: float
) -> None:
    players, shared = simulated(20, players=n, noise=1.5)
    rng = np.random.default_rng(9)
    others = [each + 1.5 * rng.normal(size=(n, SIDE, SIDE)) for each in shared]
    again = [expected(a.mean(axis=0), b.mean(axis=0)) for a, b in zip(players.maps, others)]
    found = agreement(split_halves(players, splits=20, seed=0), blur="box", pairing="split_halves")
    assert found.rho == pytest.approx(np.mean(again), abs=tolerance)


@pytest.mark.parametrize("players", [2, 3, 6])
def test_players_who_share_nothing_are_not_reliable_however_few(players: int) -> None:
    rng = np.random.default_rng(0)
    maps = [*rng.normal(size=(300, players, 3, 3))]  # of so few pixels that halves differ widely
    alone = Players("box", [str(i) for i in range(300)], np.zeros(300, np.int64), maps)
    halves = split_halves(alone, splits=10, seed=0)
    found = reliability(halves)
    assert halves.min() < -0.5 and abs(found.mean) < 3 * found.se < 0.2


def test_maps_that_are_each_others_negative_have_a_reliability() -> None:
    map = np.arange(9.0).reshape(3, 3)
    opposite = Players("box", ["one"], np.zeros(1, np.int64), [np.stack([map, -map])])
    halves = split_halves(opposite, splits=2, seed=0)
    assert reliability(halves) == (1, -1, None) and ceiling_of_mean(halves) == 0


def test_the_error_of_a_reliability_is_that_of_the_bootstrap() -> None:
    halves = np.random.default_rng(0).uniform(0.1, 0.9, 200)
    drawn = halves[np.random.default_rng(1).integers(0, 200, (4000, 200))].mean(axis=1)
    found = reliability(halves)
    assert found.se == pytest.approx((2 * drawn / (1 + drawn)).std(), rel=0.05)


def test_halves_filled_up_agree_less_than_all_would() -> None:
    players, _ = simulated(20, players=8, noise=1.5)
    filled = bootstrapped_halves(players, splits=10, seed=0)
    whole = reliability(split_halves(players, splits=10, seed=0))
    assert 0.1 < filled.mean() < whole.mean - 0.1


@pytest.mark.parametrize("ceiling", [split_halves, bootstrapped_halves])
def test_a_ceiling_is_repeated_by_its_seed(ceiling: Callable[..., np.ndarray]) -> None:
    players, _ = simulated(3, players=5, noise=1.0)
    assert (ceiling(players, splits=3, seed=1) == ceiling(players, splits=3, seed=1)).all()
    assert (ceiling(players, splits=3, seed=1) != ceiling(players, splits=3, seed=2)).any()
    with pytest.raises(ValueError, match="0 splits"):
        ceiling(players, splits=0, seed=1)


def test_who_knows_all_that_players_share_explains_all_and_by_the_papers_ceiling_more() -> None:
    players, shared = simulated(30, players=4, noise=1.5)
    rhos = np.array([expected(map, own.mean(axis=0)) for map, own in zip(shared, players.maps)])
    ceilings = ceiling_of_mean(split_halves(players, splits=20, seed=0))
    fair = share_explained(rhos, ceilings, blur="box", ceiling="mean_of_players")
    assert fair[:3] == ("box", "mean_of_players", 30)
    assert fair.share == pytest.approx(1, abs=0.02) and fair.se is not None and fair.se < 0.01
    paper = share_explained(rhos, all_pairs(players), blur="box", ceiling="player")
    assert paper.share > 2


def test_nothing_shared_is_a_ceiling_of_zero() -> None:
    assert ceiling_of_mean(np.array([1 / 7, 0.0, -0.3])).tolist() == [0.5, 0, 0]
    with pytest.raises(ValueError, match="mean of 0.000; nothing is there to explain"):
        share_explained(np.ones(2), np.zeros(2), blur="box", ceiling="player")


def test_a_shares_error_is_that_of_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    ceilings = rng.uniform(0.3, 0.9, 200)
    rhos = 0.5 * ceilings + rng.normal(0, 0.1, 200)
    drawn = rng.integers(0, 200, (4000, 200))
    resampled = rhos[drawn].mean(axis=1) / ceilings[drawn].mean(axis=1)
    found = share_explained(rhos, ceilings, blur="box", ceiling="player")
    assert found.se == pytest.approx(resampled.std(), rel=0.05)
    one = share_explained(rhos[:1], ceilings[:1], blur="box", ceiling="player")
    assert one.n == 1 and one.se is None


def test_the_papers_p_is_a_share_of_images() -> None:
    assert share_below(np.array([0.1, 0.18, 0.5, 0.0]), 0.18) == 0.5


def test_flat_maps_and_lonely_players_are_left_out_and_counted() -> None:
    players, _ = simulated(4, players=3, noise=1.0)
    maps = [*players.maps]
    maps[0] = maps[0][:1]
    maps[1] = np.concatenate([maps[1], np.full((1, SIDE, SIDE), 0.3)])
    maps[2] = np.concatenate([maps[2][:1], np.zeros((2, SIDE, SIDE))])
    found = usable(players._replace(maps=maps))
    assert (found.flat_maps, found.few_players) == (3, 2)
    assert found.players.names == ["image 1", "image 3"] and found.kept.tolist() == [1, 3]
    assert found.players.labels.tolist() == [1, 0] and found.players.blur == "box"
    assert [len(each) for each in found.players.maps] == [3, 3]


def test_there_may_be_nothing_to_pair() -> None:
    players, _ = simulated(2, players=1, noise=1.0)
    found = usable(players)
    assert found.players.names == [] and found.few_players == 2 and len(found.kept) == 0
    assert len(one_pair(found.players, seed=0)) == 0
    with pytest.raises(ValueError, match="0 values"):
        agreement(all_pairs(found.players), blur="box", pairing="all_pairs")


def test_a_map_without_numbers_names_its_image() -> None:
    players, _ = simulated(2, players=2, noise=1.0)
    players.maps[1][0, 3, 3] = np.nan
    with pytest.raises(ValueError, match="image 1: a player's map has values that are no numbers"):
        usable(players)
