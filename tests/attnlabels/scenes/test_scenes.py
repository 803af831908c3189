import numpy as np
import pytest

from attnlabels.scenes.scenes import (
    OUTLINES,
    PATTERNS,
    SHAPES,
    TEXTURES,
    Style,
    draw_scene,
    fill,
    scene_rng,
)
from scenery import CLEAR

CLUTTERED = CLEAR | {
    "n_regions": (1, 2),
    "n_distractors": (2, 5),
    "occlusion": 0.5,
    "noise_sd": 0.02,
    "hue_jitter": 0.03,
}

# Mean of the image and of the mask of some scenes, as they were first drawn.
KEPT = [(107.2063, 0.12486), (87.2716, 0.062636), (105.9845, 0.114302), (127.2862, 0.079413)]


def scene(labels=(0,), *, index=0, seed=0, split="train", height=48, width=48, **style):
    return draw_scene(
        scene_rng(seed, split, index=index),
        labels,
        height=height,
        width=width,
        style=Style(**(CLUTTERED | style)),
    )


def hue(pixels):
    """In turns, of the mean colour."""
    red, green, blue = pixels.reshape(-1, 3).astype(float).mean(axis=0)
    return np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * np.pi) % 1


def inside(each):
    return each.image[each.mask > 0.99]


def test_a_scene_is_a_function_of_seed_split_and_index():
    again, other = scene(index=3), scene(index=3)
    np.testing.assert_array_equal(again.image, other.image)
    np.testing.assert_array_equal(again.mask, other.mask)


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "val"}, {"index": 1}])
def test_another_seed_split_or_index_gives_another_scene(change):
    assert np.abs(scene().image.astype(int) - scene(**change).image).mean() > 10


def test_an_image_is_bytes_of_the_size_asked_for_and_the_mask_a_coverage():
    each = scene((1, 2), height=48, width=64)
    assert each.image.shape == (48, 64, 3) and each.image.dtype == np.uint8
    assert each.mask.shape == (48, 64) and each.mask.dtype == np.float32
    assert each.mask.min() == 0 and each.mask.max() <= 1
    assert each.labels == (1, 2)


def test_there_are_ten_shapes_with_an_outline_and_ten_textures_with_a_pattern():
    assert len(set(SHAPES)) == len(set(TEXTURES)) == 10
    assert set(OUTLINES) == set(SHAPES)
    assert set(PATTERNS) == set(TEXTURES)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_outline_is_of_about_unit_radius_around_its_origin(shape):
    points = np.concatenate(OUTLINES[shape])
    assert 0.85 < np.hypot(*points.T).max() < 1.3
    assert np.abs(points.min(axis=0) + points.max(axis=0)).max() < 0.4


def test_a_polygon_covers_its_area():
    canvas = np.zeros((20, 30, 3), np.float32)
    corners = np.array([[4.0, 5.0], [14.0, 5.0], [14.0, 11.0], [4.0, 11.0]])
    coverage = fill(canvas, [corners])
    assert coverage[8, 9] == 1 and coverage[3, 9] == 0 and coverage[8, 17] == 0
    rows, cols = np.nonzero(coverage > 0.9)
    assert rows.mean() + 0.5 == pytest.approx(8, abs=0.5)  # x and y are not exchanged
    assert cols.mean() + 0.5 == pytest.approx(9, abs=0.5)


def test_a_ring_has_a_hole():
    canvas = np.zeros((40, 40, 3), np.float32)
    coverage = fill(canvas, [outline * 15 + 20 for outline in OUTLINES["ring"]])
    assert coverage[20, 20] == 0 and coverage[20, 9] == 1


def test_the_mask_lies_on_the_object():
    # label 5 is solid: where the mask is full, colours are of one hue; elsewhere not
    for index in range(10):
        each = scene([5], index=index, **CLEAR)
        assert inside(each).std(axis=0).max() < 3
        assert each.image[each.mask == 0].std(axis=0).max() > 10


@pytest.mark.parametrize("label", range(10))
def test_an_object_has_the_hue_of_its_class(label):
    for index in range(4):
        gap = hue(inside(scene([label], index=index, **CLEAR))) - 0.3 * label
        assert abs((gap + 0.5) % 1 - 0.5) < 0.02


def test_a_shift_moves_the_hues():
    gap = hue(inside(scene([5], **(CLEAR | {"hue_shift": 0.05})))) - 1.55
    assert abs((gap + 0.5) % 1 - 0.5) < 0.01


def test_a_texture_shift_moves_the_textures():
    # family 5 is solid; label 2 with a shift of 3 has it
    assert inside(scene([2], **CLEAR)).std(axis=0).max() > 10
    assert inside(scene([2], **(CLEAR | {"texture_shift": 3}))).std(axis=0).max() < 3


def gap_to_background(contrast):
    """Distances in RGB of object and all the rest, which stands for what it covers."""
    style = CLEAR | {"contrast": contrast, "hue_jitter": 0.03}
    each = [scene([0], index=index, **style) for index in range(60)]
    gaps = [inside(one).mean(axis=0) - one.image[one.mask == 0].mean(axis=0) for one in each]
    return np.linalg.norm(gaps, axis=1) / 255


def test_an_object_stands_out_from_what_it_covers():
    low = [np.quantile(gap_to_background(contrast), 0.02) for contrast in (0.0, 0.4)]
    assert low[1] > low[0] + 0.1


def test_the_object_is_about_as_large_as_asked():
    disc = [
        scene([0], index=i, **(CLEAR | {"object_size": (0.5, 0.5), "object_spread": 0.0}))
        for i in range(3)
    ]
    expected = np.pi * (0.9 * 0.5 * 48 / 2) ** 2
    for each in disc:
        assert each.mask.sum() == pytest.approx(expected, rel=0.08)


def test_occluders_hide_a_part_but_not_all_of_the_object():
    shares = []
    for index in range(60):
        whole = scene([0], index=index, **CLEAR).mask.sum()
        shares.append(scene([0], index=index, **(CLEAR | {"occlusion": 1.0})).mask.sum() / whole)
    assert min(shares) > 0.4 and np.mean(shares) < 0.95


def regions(label, shortcut):
    style = CLEAR | {"n_regions": (1, 1), "shortcut": shortcut, "contrast": 0.0}
    each = [scene([label], index=index, **style) for index in range(80)]
    off = np.array([hue(one.image[one.mask == 0]) for one in each]) - 0.3 * label
    return np.abs((off + 0.5) % 1 - 0.5)


def test_the_background_tells_the_class_only_if_the_shortcut_is_on():
    # distance in turns of background and class hue: 1/4 on average if they are independent
    assert regions(3, 0.0).mean() == pytest.approx(0.25, abs=0.05)
    assert regions(3, 1.0).mean() < 0.18


def test_two_objects_are_both_visible_and_the_first_is_the_largest():
    areas = [scene((0, 0), index=i, width=64, **CLEAR).mask.sum() for i in range(20)]
    single = [scene((0,), index=i, width=64, **CLEAR).mask.sum() for i in range(20)]
    # each is 3/4 as wide as one alone
    assert np.mean(areas) == pytest.approx(2 * 0.75**2 * np.mean(single), rel=0.15)


@pytest.mark.parametrize("labels", [[], [10], [-1]])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(ValueError, match="labels"):
        scene(labels)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"object_size": (0.6, 0.4)}, "object_size is .0.6, 0.4."),
        ({"object_size": (0.6, 1.4)}, "object_size ends at 1.4"),
        ({"period": (0.0, 0.2)}, "period begins at 0"),
        ({"n_regions": (-1, 2)}, "n_regions"),
        ({"n_distractors": (3, 2)}, "n_distractors"),
        ({"occlusion": 1.5}, "occlusion is 1.5"),
        ({"shortcut": -0.1}, "shortcut is -0.1"),
    ],
)
def test_a_style_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Style(**(CLUTTERED | change))


def test_scenes_are_those_that_were_always_drawn():
    # Of the first draw to the last: what is drawn in another order has other numbers.
    drawn = [scene((k, (k + 3) % 8), index=k, shortcut=0.5, width=64) for k in range(4)]
    found = [(each.image.mean(), each.mask.mean()) for each in drawn]
    assert np.allclose(found, KEPT, rtol=1e-3)
