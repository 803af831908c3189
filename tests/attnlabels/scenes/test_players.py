from dataclasses import replace

import numpy as np
import pytest

from attnlabels.scenes.parts import PartScene
from attnlabels.scenes.players import Crowd, Player, clicks_of, draw_players, paint

CROWD = Crowd(
    n_players=16,
    n_mobile=3,
    per_image=(6, 10),
    part_share=(0.7, 0.95),
    unsteadiness=(0.005, 0.02),
    n_clicks=(15, 45),
    step=0.04,
    again=0.3,
)
SIDE = 50


def a_scene() -> PartScene:
    mask, part = np.zeros((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32)
    mask[5:25, 20:40] = 1
    part[8:14, 30:36] = 1
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    return PartScene(image=image, mask=mask, part=part, label=0)


def players(seed: int = 0) -> list[Player]:
    return draw_players(np.random.default_rng(seed), CROWD)


def clicks(manner: str, *, seed: int = 0, step: float = 0.04, **changes) -> np.ndarray:
    player = replace(players()[0], manner=manner, is_mobile=False, n_clicks=30, **changes)
    return clicks_of(np.random.default_rng(seed), a_scene(), player, step=step)


def share(clicks: np.ndarray, mask: np.ndarray) -> float:
    return float(mask[clicks[:, 1], clicks[:, 0]].mean())  # clicks are (x, y)


def test_a_crowd_has_one_of_each_other_manner_and_as_many_mobile_painters_as_were_asked():
    found = players()
    assert [each.id for each in found] == [f"player{k:03d}" for k in range(16)]
    manners = sorted(each.manner for each in found)
    assert manners == ["bot", "colourist", "lazy", *["painter"] * 12, "random"]
    assert [each.manner for each in found if each.is_mobile] == ["painter"] * 3
    for each in found:
        assert (each.catch_trial < 0.95) == (each.manner in ("lazy", "random", "bot"))
    assert len({each.part_share for each in found}) == 16


def test_a_painter_clicks_mostly_on_the_part_as_their_taste_has_it():
    shares = []
    for taste in (0.2, 0.6, 1.0):
        made = [clicks("painter", seed=k, part_share=taste, unsteadiness=0.0) for k in range(20)]
        shares.append(np.mean([share(each, a_scene().part) for each in made]))
    assert shares[0] < shares[1] < shares[2] == 1
    assert shares[1] > 3 * a_scene().part.sum() / a_scene().mask.sum()


def test_a_painters_clicks_are_about_a_step_apart():
    made = clicks("painter", part_share=0.9, unsteadiness=0.0)
    gaps = np.hypot(*np.diff(made, axis=0).T)
    assert 2 <= len(made) <= 30 and gaps.max() < 0.04 * SIDE + np.sqrt(2)


def test_other_manners_are_what_they_are_called():
    lazy = clicks("lazy")
    assert len(lazy) == 3 and np.abs(lazy - SIDE / 2).max() < 5
    anywhere = np.concatenate([clicks("random", seed=k) for k in range(30)])
    assert np.abs(anywhere.mean(axis=0) - SIDE / 2).max() < 2
    for seed in range(6):
        steps = np.diff(clicks("bot", seed=seed), axis=0)
        assert len(np.unique(np.rint(steps / 2), axis=0)) <= 6
    filled = clicks("colourist", step=0.02)
    assert share(filled, a_scene().mask) == 1 and len(filled) == 400


def test_players_of_an_image_differ_and_some_submit_twice():
    rng = np.random.default_rng(1)
    twice = 0
    for _ in range(20):
        submitted = paint(rng, a_scene(), players(), CROWD)
        ids = [each.player.id for each in submitted]
        assert 6 <= len(set(ids)) <= 10
        twice += len(ids) - len(set(ids))
        for each in submitted:
            assert len(each.clicks) and (each.clicks >= 0).all() and (each.clicks < SIDE).all()
    assert 0.2 < twice / (20 * 8) < 0.4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per_image": (6, 5)}, r"per_image is \[6, 5\]"),
        ({"per_image": (6, 17)}, "per_image ends at 17, of 16 players"),
        ({"n_mobile": 13}, "n_mobile is 13, more than there are painters"),
    ],
)
def test_a_crowd_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CROWD, **changes)
