import numpy as np
import pytest

from attnlabels.gathered.agreement import agree, group_correlations, players_of
from attnlabels.gathered.choosing import RoundRules, choose
from attnlabels.gathered.study import read_study
from attnlabels.metrics.ranks import spearman
from gathered_study import make_study


@pytest.fixture(scope="module")
def painters(tmp_path_factory):
    return make_study(
        tmp_path_factory.mktemp("painters"), ["painter"] * 8, n_images=12, n_rounds=10
    )


def test_players_of_an_image_agree_more_than_those_of_two(painters):
    found = agree(choose(read_study(painters.study)))["paint"]
    assert found.null is not None and found.pair.mean > found.null.mean + 0.2
    assert found.whole.mean > found.pair.mean and found.ceiling.mean > found.whole.mean
    assert found.images == 12 or found.images == 11
    means = [each.rho.mean for each in found.growth]
    assert len(means) >= 3 and means == sorted(means)
    assert found.growth[0].predicted == found.growth[0].rho.mean
    assert all(each.predicted >= each.rho.mean - 0.02 for each in found.growth)


def test_the_pairs_agreement_is_that_of_all_pairs(painters):
    chosen = choose(read_study(painters.study))
    players = players_of(chosen, "paint", blur="box_49")
    by_hand = [
        np.mean([spearman(a, b) for i, a in enumerate(maps) for b in maps[:i]])
        for maps in players.maps
    ]
    assert agree(chosen)["paint"].pair.mean == pytest.approx(np.mean(by_hand))


def test_groups_share_nobody():
    rng = np.random.default_rng(0)
    same = np.tile(rng.random((1, 6, 6)), (4, 1, 1))
    unlike = rng.random((2000, 6, 6))
    assert group_correlations([same], 2, splits=3, seed=0) == pytest.approx([1.0])
    assert abs(group_correlations([unlike], 1000, splits=5, seed=0)[0]) < 0.3


def test_where_no_image_has_two_players_nothing_is_told(painters, tmp_path):
    alone = next(iter(painters.manners))
    others = [id for id in painters.manners if id != alone]
    assert agree(choose(read_study(painters.study), RoundRules(without=others))) == {}
