from functools import partial

import numpy as np
import pytest

from attnlabels.scenes.observers import Eye, Mixture, Mouse, attention_map, mouse_samples
from attnlabels.scenes.scenes import Style, scene_rng
from attnlabels.scenes.splits import (
    by_eye,
    by_mouse,
    classified,
    draw_wide,
    mapping,
    watched,
    watched_again,
)

STYLE = Style(
    object_size=(0.4, 0.6),
    object_spread=0.2,
    rotation_sd=0.3,
    hue_jitter=0.03,
    contrast=0.35,
    period=(0.1, 0.2),
    n_regions=(1, 2),
    n_distractors=(2, 5),
    occlusion=0.5,
    shortcut=0.0,
    noise_sd=0.02,
    texture_shift=0,
    hue_shift=0.0,
)
MIXTURE = Mixture(object_weight=0.5, contrast_weight=0.1, centre_weight=0.3, centre_sigma=0.22)
MOUSE = Mouse(attention=MIXTURE, n_observers=3, n_targets=3, n_samples=12, interest_sd=0.5)
EYE = Eye(attention=MIXTURE, n_observers=2, n_fixations=5.0, interest_sd=0.5, error_px=1.0)
SQUARE = partial(classified, seed=0, n_classes=3, size=24, style=STYLE)
WIDE = partial(draw_wide, n_classes=3, size=24, two_objects=0.5, style=STYLE)
MICE = partial(by_mouse, mouse=MOUSE)


def test_indices_take_the_classes_in_turn():
    assert [SQUARE(i, split="a").labels for i in range(4)] == [(0,), (1,), (2,), (0,)]
    assert SQUARE(0, split="a").image.shape == (24, 24, 3)


def test_a_scene_depends_on_its_index_and_its_split_alone():
    first, again = SQUARE(1, split="a"), SQUARE(1, split="a")
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != SQUARE(4, split="a").image).any()
    assert (first.image != SQUARE(1, split="b").image).any()


def test_wide_scenes_are_4_to_3_with_objects_of_different_classes():
    drawn = [WIDE(scene_rng(0, "wide", index=i)) for i in range(20)]
    assert {each.image.shape for each in drawn} == {(24, 32, 3)}
    assert {len(each.labels) for each in drawn} == {1, 2}
    assert all(len(set(each.labels)) == len(each.labels) for each in drawn)


@pytest.mark.parametrize("workers", [1, 2])
def test_scenes_come_in_the_order_of_their_indices_from_any_number_of_processes(workers):
    with mapping(workers) as drawn:
        found = [each.image for each in drawn(SQUARE, "a", 5)]
    expected = [SQUARE(i, split="a").image for i in range(5)]
    np.testing.assert_array_equal(found, expected)


def test_watching_anew_leaves_the_scene_as_it_is_without_observers():
    seen = watched_again(1, split="a", seed=0, draw=SQUARE, observe=MICE)
    np.testing.assert_array_equal(seen.scene.image, SQUARE(1, split="a").image)
    rng = scene_rng(0, "people on a", index=1)
    attention = attention_map(seen.scene.image, seen.scene.mask, **vars(MIXTURE))
    knobs = {key: value for key, value in vars(MOUSE).items() if key != "attention"}
    for trail, expected in zip(seen.trails, mouse_samples(rng, attention, **knobs), strict=True):
        np.testing.assert_array_equal(trail, expected)


@pytest.mark.parametrize(("observe", "n"), [(MICE, 3), (partial(by_eye, eye=EYE), 2)])
def test_each_observer_leaves_a_trail_inside_the_scene(observe, n):
    seen = watched(0, split="a", seed=0, draw=WIDE, observe=observe)
    assert len(seen.trails) == n
    for trail in seen.trails:
        assert trail.min() >= 1 and (trail <= (24, 32)).all()
