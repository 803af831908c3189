from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from attnlabels.labelling.labeller import Drawing, Labeller, read_labeller, read_teacher
from attnlabels.labelling.pseudo_fixations import pseudo_fixations

DRAWING = Drawing(image_size=(24, 32), map_size=12)


@pytest.fixture
def pixels():
    torch.manual_seed(0)
    return torch.randint(0, 256, (3, 24, 32, 3), dtype=torch.uint8)


def test_sizes_are_by_default_the_teachers_own(teacher):
    labeller = read_labeller(teacher, Drawing())
    assert (labeller.image_size, labeller.map_size) == ((24, 32), 24)
    labeller = read_labeller(teacher, Drawing(image_size=(64, 96)))
    assert (labeller.image_size, labeller.map_size) == ((64, 96), 56)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map_size": 25}, "map_size 25 of images resized to 24 x 32; expected at most 24"),
        ({"threshold": 0.0}, "threshold=0.0, expected sigma_px > 0 and threshold above 0"),
        ({"sigma_px": -1.0}, "expected sigma_px > 0"),
    ],
)
def test_a_drawing_that_does_not_fit_is_refused(teacher, changes, message):
    with pytest.raises(ValueError, match=message):
        read_labeller(teacher, replace(DRAWING, **changes))


def test_maps_are_the_teachers_in_area_means(teacher, pixels):
    labeller = read_labeller(teacher, DRAWING)
    with torch.no_grad():
        maps = labeller.teacher(pixels.permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(labeller.draw_maps(pixels), F.adaptive_avg_pool2d(maps, 12))
    assert labeller.draw_maps(pixels[:0]).shape == (0, 12, 12)


def test_a_mirrored_map_is_the_mean_of_both_ways_round(teacher, pixels):
    labeller = Labeller(read_teacher(teacher), DRAWING)
    both = Labeller(labeller.teacher, replace(DRAWING, mirror=True)).draw_maps(pixels)
    plain, turned = labeller.draw_maps(pixels), labeller.draw_maps(pixels.flip(2)).flip(2)
    torch.testing.assert_close(both, (plain + turned) / 2)


def test_a_gaussian_is_as_wide_on_the_map_as_on_the_image(teacher, pixels):
    labeller = read_labeller(teacher, replace(DRAWING, maximum_points=5))
    maps = labeller.draw_maps(pixels)
    points, counts = pseudo_fixations(maps, sigma_px=19 * 12 / 640, threshold=0.2, maximum=5)
    found, many = labeller.find_points(maps)
    assert torch.equal(found, points) and torch.equal(many, counts)
