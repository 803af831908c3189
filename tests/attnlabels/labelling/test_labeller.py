from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attnlabels.images.crops import sigma_on
from attnlabels.labelling.labeller import Drawing, Labeller, manner_of, read_labeller
from attnlabels.models.files import read_config, write_weights
from attnlabels.teachers.trained import Trained, read_trained

DRAWING = Drawing(map_size=12)


@pytest.fixture
def pixels():
    torch.manual_seed(0)
    return torch.randint(0, 256, (3, 24, 32, 3), dtype=torch.uint8)


def test_sizes_are_the_teachers_own(teacher):
    labeller = read_labeller(teacher, Drawing())
    assert (labeller.image_size, labeller.map_size) == ((24, 32), 24)
    assert read_labeller(teacher, DRAWING).map_size == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map_size": 25}, "map_size 25 of images resized to 24 x 32; expected at most 24"),
        ({"map_size": 1}, "map_size 1: expected 2 or more"),
        ({"threshold": 0.0}, "threshold 0.0: expected more than 0 and at most 1"),
        ({"threshold": float("nan")}, "threshold nan: expected more than 0 and at most 1"),
        ({"maximum_points": 0}, "maximum_points 0: expected 1 or more"),
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
    trained = read_trained(teacher)
    labeller = Labeller(trained, DRAWING)
    both = Labeller(trained, replace(DRAWING, mirror=True)).draw_maps(pixels)
    plain, turned = labeller.draw_maps(pixels), labeller.draw_maps(pixels.flip(2)).flip(2)
    torch.testing.assert_close(both, (plain + turned) / 2)


def test_a_file_of_a_teacher_that_does_not_say_its_geometry_is_refused(teacher, tmp_path):
    network, about = read_trained(teacher).teacher, read_config(teacher)
    old = {key: about[key] for key in ("teacher", "image_size")} | {"sigma": 0.03}
    write_weights(tmp_path / "old", network, old)
    with pytest.raises(
        ValueError,
        match="does not say sigma_px and fitted_sigma_px of .*; train",
    ):
        read_labeller(tmp_path / "old", DRAWING)


class Blobs(nn.Module):
    """Stands for a teacher that has learnt densities to perfection: a blob at each red pixel."""

    def __init__(self, sigma_px: tuple[float, float]) -> None:
        super().__init__()
        self.sigma_px = nn.Parameter(torch.tensor(sigma_px))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows, cols = (torch.arange(size).float() for size in images.shape[2:])
        maps = torch.zeros(len(images), *images.shape[2:])
        for i, row, col in (images[:, 0] == 1).nonzero().tolist():
            down, across = self.sigma_px
            blob = torch.exp(-((rows - row) ** 2) / (2 * down**2))[:, None]
            maps[i] += blob * torch.exp(-((cols - col) ** 2) / (2 * across**2))
        return maps


# Photographs of 3:4 (height : width) on which people's fixations are round, and the inputs that a
# teacher of such may have: of the same shape, and squeezed to a square.
@pytest.mark.parametrize("image_size", [(288, 384), (240, 320), (256, 256)])
@pytest.mark.parametrize("side", [24, 56])
@pytest.mark.parametrize("n", [1, 5])
def test_as_many_points_are_found_as_there_are_blobs_of_the_teachers_width(image_size, side, n):
    h, w = image_size
    sigma_px = sigma_on(image_size, height=3 / 4, share=0.06)
    labeller = Labeller(
        Trained(Blobs(sigma_px), image_size, sigma_px, sigma_px), Drawing(map_size=side)
    )
    shares = [(0.5, 0.5), (0.1, 0.1), (0.1, 0.9), (0.9, 0.1), (0.9, 0.9)][:n]
    # In the middle of a cell: the height of a blob between two is not that of its Gaussian.
    cells = [(int(y * side), int(x * side)) for y, x in shares]
    pixels = torch.zeros(1, h, w, 3, dtype=torch.uint8)
    for row, col in cells:
        pixels[0, int((row + 0.5) * h / side), int((col + 0.5) * w / side), 0] = 255
    maps = labeller.draw_maps(pixels)
    (points,) = labeller.find_points(maps, size=image_size)
    assert sorted(map(tuple, points.tolist())) == sorted(cells)
    down, across = labeller.manner.sigma
    assert across / down == pytest.approx(3 / 4)  # a photograph's on a square


@pytest.mark.parametrize("shape", [(288, 384), (384, 288), (320, 320), (160, 672), (672, 160)])
def test_in_an_image_of_any_shape_a_blob_is_one_point(shape):
    trained = Trained(Blobs((17.0, 17.0)), (288, 384), (17.0, 17.0), (17.0, 17.0))
    labeller = Labeller(trained, Drawing(map_size=56))
    h, w = shape
    cells = [(28, 28), (5, 5), (50, 5), (5, 50), (50, 50)]
    pixels = torch.zeros(1, h, w, 3, dtype=torch.uint8)
    for row, col in cells:
        pixels[0, int((row + 0.5) * h / 56), int((col + 0.5) * w / 56), 0] = 255
    (points,) = labeller.find_points(labeller.draw_maps(pixels), size=shape)
    assert sorted(map(tuple, points.tolist())) == sorted(cells)
    manner = labeller.manner.like((3 * h, 3 * w))
    assert manner == labeller.manner.at(shape) and manner.like((7, 9)) == manner
    down, across = manner.density_sigma
    assert (down * h / 56, across * w / 56) == pytest.approx((17.0, 17.0))


def test_images_of_many_shapes_are_each_labelled_as_alone(teacher):
    labeller = read_labeller(teacher, DRAWING)
    sizes = [(48, 64), (64, 48), (24, 32), (20, 200)]
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    maps, points = labeller.label_images(images)
    for image, map, some in zip(images, maps, points):
        (alone,), (fixations,) = labeller.label_images([image])
        torch.testing.assert_close(map, alone)
        assert some.tolist() == fixations.tolist() and len(some)
    assert labeller.label_images([]) == ([], [])
    squeezed = read_labeller(teacher, replace(DRAWING, shape="teacher"))
    assert torch.allclose(squeezed.label_images(images)[0][0], maps[0])
    assert not torch.allclose(squeezed.label_images(images)[0][3], maps[3], atol=1e-5, rtol=0)
    assert squeezed.manner.shown is None and "shown" not in squeezed.manner.said()
    assert labeller.manner.said()["shown"] == (24, 32)


def test_a_gaussian_is_as_much_narrower_as_the_map_is_than_the_input(teacher):
    trained = read_trained(teacher)._replace(image_size=(96, 128), sigma_px=(6.0, 6.0))
    manner = manner_of(trained, Drawing(map_size=16))
    assert manner.sigma == manner.density_sigma == (1.0, 0.75)
    trained = trained._replace(fitted_sigma_px=(9.0, 9.0))
    manner = manner_of(trained, Drawing(map_size=16, sigma="fitted"))
    assert manner.sigma == (1.5, 1.125) and manner.density_sigma == (1.0, 0.75)
