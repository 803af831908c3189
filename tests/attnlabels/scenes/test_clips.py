import dataclasses

import numpy as np
import pytest

from attnlabels.scenes.clips import MOTIONS, Clip, Follower, Moving, draw_clip, follow
from attnlabels.scenes.scenes import Style
from scenery import BUSY

STYLE = Style(**BUSY | {"object_size": (0.3, 0.4)})
MOVING = Moving(
    n_frames=5, reach=0.2, object_size=(0.3, 0.4), other_size=(0.1, 0.2), n_others=(1, 2)
)
NAMES = [*MOTIONS]


def draw(label: int, seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)
    return draw_clip(rng, label, size=32, moving=MOVING, style=STYLE)


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_frames_with_a_place_each_inside(name):
    clip = draw(NAMES.index(name))
    assert clip.frames.shape == (5, 32, 32, 3) and clip.frames.dtype == np.uint8
    assert clip.places.shape == (5, 2) and (clip.places > 0).all() and (clip.places < 32).all()


def test_objects_move_as_their_class_says():
    steps = {name: np.diff(draw(i).places, axis=0) for i, name in enumerate(NAMES)}
    assert (steps["left"][:, 1] < 0).all() and np.allclose(steps["left"][:, 0], 0)
    assert (steps["right"][:, 1] > 0).all()
    assert (steps["up"][:, 0] < 0).all() and np.allclose(steps["up"][:, 1], 0)
    assert np.allclose(steps["expand"], 0)
    assert (steps["shake"][:, 1] > 0).any() and (steps["shake"][:, 1] < 0).any()
    circle = draw(NAMES.index("circle")).places
    assert np.allclose(circle[0], circle[-1])


@pytest.mark.parametrize("n_frames", [5, 8])
def test_nothing_in_the_middle_frame_goes_with_the_class(n_frames):
    moving = dataclasses.replace(MOVING, n_frames=n_frames, n_others=(0, 0))
    rngs = [np.random.default_rng(3) for _ in NAMES]
    clips = [draw_clip(rng, i, size=32, moving=moving, style=STYLE) for i, rng in enumerate(rngs)]
    for clip in clips[1:]:
        assert np.array_equal(clip.frames[n_frames // 2], clips[0].frames[n_frames // 2])
        assert not np.array_equal(clip.frames[0], clips[0].frames[0])
    far = [np.ptp(clip.places, axis=0).max() for clip in clips]
    assert max(far) <= 2 * MOVING.reach * 32 + 1e-6


def test_something_moves_where_the_object_is():
    clip = draw(NAMES.index("left"))
    change = np.abs(np.diff(clip.frames.astype(int), axis=0)).sum(axis=(0, 3))
    row, col = clip.places.mean(axis=0).astype(int)
    assert change[row - 4 : row + 4, col - 4 : col + 4].mean() > 2 * change.mean()


def test_the_same_seed_draws_the_same_and_classes_share_all_but_the_motion():
    assert np.array_equal(draw(1).frames, draw(1).frames)
    assert not np.array_equal(draw(1).frames, draw(1, seed=1).frames)


def test_who_follows_is_where_the_object_was():
    clip = draw(NAMES.index("right"))
    exact = Follower(n_observers=2, lag=2, error=0.0, centre_share=0.0)
    for trail in follow(np.random.default_rng(0), clip, follower=exact):
        assert np.array_equal(trail[2:], np.floor(clip.places[:3]))
        assert np.array_equal(trail[:2], np.floor(clip.places[[0, 0]]))
    away = Follower(n_observers=1, lag=0, error=0.0, centre_share=1.0)
    (trail,) = follow(np.random.default_rng(0), clip, follower=away)
    assert (trail == 16).all()


def test_a_class_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"label 6: expected one in 0\.\.5"):
        draw(6)
