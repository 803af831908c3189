"""Corruptions against the code of the published files, `imagecorruptions` and Pillow.

A reference is given our generator's draws in place of its own. It ends with np.uint8, as the
published files do; what it and we compute in another precision or order may then differ by one
grey level, more only where a test says so.
"""

from io import BytesIO
from unittest import mock

import cv2
import imagecorruptions.corruptions as reference
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates, zoom
from skimage.filters import gaussian

from attnlabels.testsets import corruptions
from attnlabels.testsets.corruptions import (
    CIFAR,
    CORRUPTIONS,
    EXTRA,
    IMAGENET,
    SEVERITIES,
    TABLES,
    TINY,
    corrupt,
    rng_for,
)

ALL = (*CORRUPTIONS, *EXTRA)


def photo(h, w, seed=0):
    """Something like a photograph: light, soft clouds, hard-edged discs and a little grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w] / max(h, w)
    image = 90 + 60 * x[..., None] + 40 * gaussian(rng.normal(size=(h, w, 3)), (4, 4, 0)) * 10
    for _ in range(6):
        disc = (x - rng.uniform()) ** 2 + (y - rng.uniform()) ** 2 < rng.uniform(0.03, 0.25) ** 2
        image[disc] = rng.uniform(0, 255, 3)
    return np.clip(image + rng.normal(scale=4, size=image.shape), 0, 255).astype(np.uint8)


def ours(image, corruption, severity, table="imagenet", seed=3):
    rng = np.random.default_rng(seed)
    return corrupt(image, corruption=corruption, severity=severity, table=table, rng=rng)


def published(function, *arguments, **options):
    """A reference's result, its calls of NumPy's global generator answered by the one of `ours`."""
    rng = np.random.default_rng(3)
    draws = {"normal": rng.normal, "poisson": rng.poisson, "uniform": rng.uniform}
    with mock.patch.multiple(np.random, **draws, randint=rng.integers, seed=lambda seed: None):
        return np.uint8(function(*arguments, **options))


def assert_close(a, b, *, levels):
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    assert np.abs(a.astype(int) - b).max() <= levels


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("side", "darker"), [(64, 1), (47, 2), (150, 1)])
@pytest.mark.parametrize(
    ("corruption", "levels"),
    [
        ("gaussian_noise", 0),
        ("shot_noise", 0),
        ("impulse_noise", 0),
        ("speckle_noise", 0),
        ("contrast", 0),
        ("jpeg_compression", 0),
        ("glass_blur", 0),
        ("defocus_blur", 1),  # sums in another order
        ("gaussian_blur", 1),
        ("motion_blur", 1),  # ImageMagick rounds, the reference cuts off
        ("fog", 1),  # its heights are float32
        ("brightness", 1),  # HSV in float32, its in float64
        ("saturate", 1),
        ("spatter", 1),
    ],
)
def test_a_corruption_equals_the_reference(monkeypatch, corruption, levels, side, darker, severity):
    image = photo(side, side) // np.uint8(darker)
    shuffle = reference._shuffle_pixels_njit_glass_blur.py_func  # plain Python takes our draws
    monkeypatch.setattr(reference, "_shuffle_pixels_njit_glass_blur", shuffle)
    options = {"seed": 3} if corruption == "impulse_noise" else {}
    function = getattr(reference, corruption)
    expected = published(function, Image.fromarray(image), severity, **options)
    assert_close(ours(image, corruption, severity), expected, levels=levels)


def create_c_zoom(x, factor):
    """hendrycks/robustness cuts the enlarged image to its middle; `imagecorruptions` does not."""
    side = x.shape[0]
    part = int(np.ceil(side / factor))
    top = (side - part) // 2
    large = zoom(x[top : top + part, top : top + part], (factor, factor, 1), order=1)
    trim = (large.shape[0] - side) // 2
    return large[trim : trim + side, trim : trim + side]


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("table", ["imagenet", "cifar"])
def test_zoom_blur_is_the_mean_of_the_image_and_its_zoomed_copies(table, severity):
    image = photo(97, 97)
    stop, step = TABLES[table]["zoom_blur"][severity - 1]
    x = image / 255
    copies = [create_c_zoom(x, factor) for factor in np.arange(1, stop, step)]
    expected = np.uint8(np.mean([x, *copies], axis=0) * 255)
    assert_close(ours(image, "zoom_blur", severity, table), expected, levels=1)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("table", ["imagenet", "cifar", "tiny"])
def test_snow_equals_the_published_steps(table, severity):
    image = photo(48, 48)
    mean, sigma, factor, threshold, radius, blur_sigma, share = TABLES[table]["snow"][severity - 1]
    rng = np.random.default_rng(3)
    layer = create_c_zoom(rng.normal(mean, sigma, (48, 48))[..., None], factor)[..., 0]
    layer = np.uint8(np.clip(np.where(layer < threshold, 0, layer), 0, 1) * 255)
    angle = rng.uniform(-135, -45)
    layer = np.round(reference._motion_blur(layer.astype(float), radius, blur_sigma, angle)) / 255
    x = np.float32(image / 255)
    pale = np.maximum(x, cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None] * 1.5 + 0.5)
    flakes = (layer + np.rot90(layer, 2))[..., None]
    expected = np.uint8(np.clip(share * x + (1 - share) * pale + flakes, 0, 1) * 255)
    # two layers, each rounded before and after its blur
    assert_close(ours(image, "snow", severity, table), expected, levels=2)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("table", ["imagenet", "cifar", "tiny"])
def test_elastic_transform_equals_the_published_steps(table, severity):
    image = photo(64, 64)
    amplitude, sigma, reach = TABLES[table]["elastic_transform"][severity - 1]
    rng = np.random.default_rng(3)
    corners = np.float32([[53, 53], [53, 11], [11, 11]])  # 64 // 2 +- 64 // 3
    moved = corners + rng.uniform(-reach, reach, (3, 2)).astype(np.float32)
    x = cv2.warpAffine(
        np.float32(image / 255),
        cv2.getAffineTransform(corners, moved),
        (64, 64),
        borderMode=cv2.BORDER_REFLECT_101,
    )
    dx, dy = (
        amplitude * gaussian(rng.uniform(-1, 1, (64, 64)), sigma, mode="reflect", truncate=3)
        for _ in range(2)
    )
    rows, columns = np.mgrid[:64, :64]
    where = [rows + dy, columns + dx]
    bent = [map_coordinates(x[..., c], where, order=1, mode="reflect") for c in range(3)]
    expected = np.uint8(np.clip(np.stack(bent, axis=-1), 0, 1) * 255)
    assert_close(ours(image, "elastic_transform", severity, table), expected, levels=1)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("h", "w"), [(32, 32), (61, 61), (47, 160)])
@pytest.mark.parametrize("table", ["imagenet", "cifar", "tiny"])
def test_pixelate_is_pillows_box_filter_down_and_up(table, h, w, severity):
    image = photo(h, w)
    scale = TABLES[table]["pixelate"][severity - 1]
    expected = Image.fromarray(image).resize((int(w * scale), int(h * scale)), Image.Resampling.BOX)
    expected = np.asarray(expected.resize((w, h), Image.Resampling.BOX))
    assert_close(ours(image, "pixelate", severity, table), expected, levels=0)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_compression_is_pillows(severity):
    image = photo(45, 51)
    data = BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=CIFAR["jpeg_compression"][severity - 1])
    expected = np.asarray(Image.open(data))
    assert_close(ours(image, "jpeg_compression", severity, "cifar"), expected, levels=0)


@pytest.mark.parametrize(("h", "w", "reach"), [(32, 32, 1), (20, 41, 2), (16, 16, 4)])
def test_shuffling_at_once_equals_shuffling_in_order(h, w, reach):
    x = photo(h, w)
    draws = np.random.default_rng(5).integers(-reach, reach, (h, w, 2))
    expected = x.copy()
    for i, row in enumerate(range(h - reach, reach, -1)):
        for j, column in enumerate(range(w - reach, reach, -1)):
            dx, dy = draws[i, j]
            expected[row, column] = expected[row + dy, column + dx]
    rng = mock.Mock(spec=np.random.Generator)
    rng.integers.side_effect = lambda low, high, shape: draws[: shape[0], : shape[1]]
    assert (corruptions._shuffle(x, reach, rng=rng) == expected).all()


@pytest.mark.parametrize(
    ("degrees", "row", "column"), [(0.0, 0, 1), (45.0, 1, 1), (-45.0, -1, 1), (-90.0, -1, 0)]
)
def test_motion_smears_to_one_side_along_its_angle(degrees, row, column):
    dot = np.zeros((41, 41, 3), np.uint8)
    dot[20, 20] = 255
    rows, columns = corruptions._smear(dot, radius=10, sigma=5, degrees=degrees)[..., 0].nonzero()
    assert len(rows) > 5
    assert set(np.sign(20 - rows)) <= {0, row} and set(np.sign(20 - columns)) <= {0, column}


def test_motion_keeps_an_even_picture_even():
    grey = np.full((24, 24, 3), 117, np.uint8)
    assert_close(ours(grey, "motion_blur", 5), grey, levels=0)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("table", TABLES)
def test_frost_is_a_weighted_sum_with_a_texture(table, severity):
    of_image, of_frost, _ = TABLES[table]["frost"][severity - 1]
    black = ours(np.zeros((32, 32, 3), np.uint8), "frost", severity, table)
    light = ours(np.full((32, 32, 3), 40, np.uint8), "frost", severity, table)
    assert 0 < black.mean() < 255 * of_frost
    assert_close(light, np.uint8(np.clip(black + of_image * 40, 0, 255)), levels=1)


@pytest.mark.parametrize("index", range(5))
def test_frost_textures_have_the_photographs_colours(index):
    texture = corruptions._frost_texture(index, 512)
    mean, deviation = corruptions.FROST_COLOURS[index]
    assert np.abs(texture.mean(axis=(0, 1)) - mean).max() < 6  # some ice is cut off at white
    assert np.abs(texture.std(axis=(0, 1)) - deviation).max() < 6


def test_the_frost_covers_images_larger_than_its_texture():
    assert ours(photo(530, 600), "frost", 5, "cifar").shape == (530, 600, 3)


@pytest.mark.parametrize("side", [1, 2, 16, 64])
def test_plasma_spans_zero_to_one_and_closes_on_itself(side):
    heights = corruptions._plasma(side * 2, decay=3, rng=np.random.default_rng(0))
    assert heights.shape == (2 * side, 2 * side)
    assert heights.min() == 0 and heights.max() == 1
    inner = np.abs(np.diff(heights, axis=0)).max()
    assert np.abs(heights[0] - heights[-1]).max() <= 2 * inner


def test_no_liquid_leaves_the_image_dry():
    image = photo(16, 16)
    rng = mock.Mock(spec=np.random.Generator)
    rng.normal.side_effect = lambda loc, scale, size: np.zeros(size)
    assert_close(
        corrupt(image, corruption="spatter", severity=1, table="cifar", rng=rng), image, levels=0
    )


@pytest.mark.parametrize("corruption", ALL)
@pytest.mark.parametrize(
    ("table", "h", "w"),
    [("cifar", 16, 16), ("cifar", 32, 32), ("tiny", 47, 61), ("imagenet", 33, 20)],
)
def test_every_corruption_keeps_the_shape_and_changes_the_image(corruption, table, h, w):
    image = photo(h, w)
    before = image.copy()
    for severity in SEVERITIES:
        after = ours(image, corruption, severity, table, seed=7)
        assert after.shape == (h, w, 3) and after.dtype == np.uint8
        # splashes are rare: on a few pixels there may be none
        assert corruption == "spatter" or (after != image).any()
    assert (image == before).all()


@pytest.mark.parametrize("corruption", ALL)
def test_every_corruption_takes_black_and_white(corruption):
    for grey in (0, 255):
        for severity in SEVERITIES:
            ours(np.full((32, 32, 3), grey, np.uint8), corruption, severity, "cifar")


# Left out: the published table does not rise evenly (glass_blur trades reach for rounds, frost the
# image for ice; elastic_transform lowers its affine part, saturate passes 1, spatter turns from
# water to mud, snow from dense to sparse).
UNEVEN = {"glass_blur", "elastic_transform", "frost", "saturate", "spatter", "snow"}


@pytest.mark.parametrize("corruption", sorted(set(ALL) - UNEVEN))
@pytest.mark.parametrize(("table", "side"), [("imagenet", 96), ("cifar", 32), ("tiny", 64)])
def test_damage_grows_with_severity(table, side, corruption):
    damage = np.zeros(5)
    for seed in range(12):
        image = photo(side, side, seed).astype(int)
        for severity in SEVERITIES:
            after = ours(image.astype(np.uint8), corruption, severity, table, seed)
            damage[severity - 1] += np.abs(after - image).mean()
    # CIFAR-10-C's third and fourth motion blur differ in the radius alone, beyond three sigmas
    assert (np.diff(damage) >= 0).all() and damage[4] > 1.2 * damage[0], damage


@pytest.mark.parametrize("corruption", ALL)
def test_the_same_seed_gives_the_same_bits_and_another_image_others(corruption):
    image = photo(48, 48)

    def draw(name):
        rng = rng_for(1, name, corruption=corruption, severity=4)
        return corrupt(image, corruption=corruption, severity=4, table="tiny", rng=rng)

    assert (draw("a.png") == draw("a.png")).all()
    still = ("brightness", "contrast", "defocus_blur", "gaussian_blur", "jpeg_compression")
    drawn = corruption not in (*still, "pixelate", "saturate", "zoom_blur")
    assert (draw("a.png") != draw("b.png")).any() == drawn


def test_a_generator_depends_on_seed_image_corruption_and_severity():
    names = [
        (seed, name, corruption, severity)
        for seed in (0, 1)
        for name in ("1", "11")
        for corruption in ("fog", "snow")
        for severity in (1, 2)
    ]
    draws = {
        rng_for(seed, name, corruption=corruption, severity=severity).integers(2**62)
        for seed, name, corruption, severity in names
    }
    assert len(draws) == len(names)


def test_a_generator_stays_what_it_was():
    # kept: sets generated earlier must be made again if this changes
    assert rng_for(0, "test/0", corruption="fog", severity=3).integers(10**9) == 505269399


def test_the_tables_hold_the_published_numbers():
    assert list(IMAGENET) == list(CIFAR) == list(TINY) == [*ALL]
    assert all(len(row) == 5 for table in TABLES.values() for row in table.values())
    assert IMAGENET["gaussian_noise"][4] == 0.38 and CIFAR["gaussian_noise"][4] == 0.10
    assert TINY["gaussian_noise"][4] == 0.18 and TINY["shot_noise"][4] == 15
    assert IMAGENET["defocus_blur"][1] == (4, 0.5) and TINY["defocus_blur"][3] == (2.5, 0.01)
    assert IMAGENET["glass_blur"][2] == (1, 2, 3) and CIFAR["glass_blur"][3] == (0.25, 1, 2)
    assert TINY["motion_blur"][4] == (12, 3)
    assert TINY["snow"][4] == (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6)
    assert IMAGENET["elastic_transform"][4] == (244 * 0.12, 244 * 0.01, 244 * 0.02)
    assert TINY["elastic_transform"][1] == (3.2, 19.2, 3.84)
    assert TINY["saturate"][4] == (30, 0.2) and CIFAR["saturate"][4] == (2.5, 0.2)
    assert IMAGENET["jpeg_compression"] == (25, 18, 15, 10, 7)
    # NumPy's arange takes 1.11 in where the step divides it almost, as when the files were made
    assert [len(np.arange(1, *row)) for row in IMAGENET["zoom_blur"]] == [12, 16, 11, 13, 11]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corruption": "rain"}, "corruption 'rain' is unknown; expected one of .*snow"),
        ({"severity": 0}, "fog: severity is 0, expected 1 to 5"),
        ({"severity": 6}, "fog: severity is 6, expected 1 to 5"),
        ({"image": np.zeros((15, 40, 3), np.uint8)}, r"image of \(15, 40\), below 16 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    fits = {"image": photo(32, 32), "corruption": "fog", "severity": 1, "table": "cifar"}
    with pytest.raises(ValueError, match=message):
        corrupt(**{**fits, **change}, rng=np.random.default_rng(0))
