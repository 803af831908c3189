import numpy as np
import pytest

from attnlabels.scenes.parts import PartScene, draw_part_scene
from attnlabels.scenes.scenes import Style, scene_rng
from scenery import CLEAR

PLAIN = CLEAR | {"object_size": (0.4, 0.4), "contrast": 0.45}
SIZE = 64


def scene(label: int = 0, *, index: int = 0, part_size: float = 0.35, **style) -> PartScene:
    rng = scene_rng(0, "train", index=index)
    return draw_part_scene(rng, label, size=SIZE, part_size=part_size, style=Style(**PLAIN | style))


def test_a_scene_is_a_function_of_seed_split_and_index():
    first, again, other = scene(), scene(), scene(index=1)
    assert np.array_equal(first.image, again.image) and np.array_equal(first.part, again.part)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("label", range(8))
def test_the_part_lies_on_the_object_and_is_as_large_as_was_asked(label):
    for index in range(5):
        each = scene(label, index=index)
        assert (each.part <= each.mask + 1e-6).all()
        rows, cols = np.nonzero(each.part > 0.5)
        across = max(np.ptp(rows), np.ptp(cols)) + 1
        assert 0.7 < across / (0.35 * 0.4 * SIZE) < 1.4
        rows, cols = np.nonzero(each.mask > 0.5)
        assert 0.6 < (max(np.ptp(rows), np.ptp(cols)) + 1) / (0.4 * SIZE) < 1.1


def test_a_box_of_the_object_is_coarser_than_the_part():
    for index in range(8):
        each = scene(index % 8, index=index)
        rows, cols = np.nonzero(each.mask > 0.5)
        box = (np.ptp(rows) + 1) * (np.ptp(cols) + 1)
        assert each.part.sum() < 0.25 * box


def test_scenes_of_two_classes_differ_in_the_part_alone():
    a, b = scene(0), scene(3)
    differs = (a.image.astype(int) != b.image).any(axis=2)
    near = (a.part > 0) | (b.part > 0)
    assert differs[near].any() and not differs[~near].any()


def test_the_part_is_seen_on_its_body():
    for index in range(8):
        each = scene(index % 8, index=index)
        body = (each.mask > 0.99) & (each.part == 0)
        inside = each.image[each.part > 0.9].mean(axis=0) / 255
        assert np.linalg.norm(inside - each.image[body].mean(axis=0) / 255) > 0.15


def test_a_background_tells_the_class_as_often_as_the_shortcut_says():
    # One region, all of it of the class: its hue is the class's wherever one looks.
    def red_over_blue(label, index, shortcut):
        each = scene(label, index=index, shortcut=shortcut, n_regions=(6, 6))
        outside = each.image[each.mask == 0].mean(axis=0)
        return outside[0] - outside[2]

    told = [red_over_blue(0, i, 1.0) for i in range(12)]  # class 0 is red
    assert np.mean(told) > 40
    assert abs(np.mean([red_over_blue(0, i, 0.0) for i in range(30)])) < 40


@pytest.mark.parametrize(
    ("label", "part_size", "message"),
    [(10, 0.3, "label 10"), (-1, 0.3, "label -1"), (0, 0.0, "part_size is 0"), (0, 0.7, "0.7")],
)
def test_other_labels_and_sizes_are_refused(label, part_size, message):
    with pytest.raises(ValueError, match=message):
        scene(label, part_size=part_size)
