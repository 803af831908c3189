import colorsys
import math

import cv2
import numpy as np
import pytest
from PIL import Image

from attnlabels.images.squares import resize_square
from attnlabels.training.samples import make_view as apply
from attnlabels.training.views import (
    GREY,
    Drawn,
    blur,
    crop,
    crop_box,
    draw_jitter,
    draw_view,
    jitter_colour,
    to_grey,
)

SIMCLR = {
    "area": (0.08, 1.0),
    "jittered": 0.8,
    "strength": 1.0,
    "hue": 0.2,
    "grey": 0.2,
    "blurred": 0.5,
}
PLAIN = {
    "area": (1.0, 1.0),
    "jittered": 0.8,
    "strength": 0.0,
    "hue": 0.0,
    "grey": 0.0,
    "blurred": 0.0,
}


class Draws(np.random.Generator):
    """In place of a generator: a fixed order of steps and fixed draws, first come first served.

    `uniform(low, high)` takes a share of the way from low to high.
    """

    def __init__(self, *shares, order=(0, 1, 2, 3)):
        super().__init__(np.random.PCG64(0))
        self.shares, self.order, self.ranges = list(shares), order, []

    def permutation(self, n):
        assert n == len(self.order)
        return self.order

    def uniform(self, low, high):
        self.ranges.append((low, high))
        return low + (high - low) * self.shares.pop(0)


def jittered(image, *, strength, hue, rng):
    image = image.copy()
    jitter_colour(image, draw_jitter(strength=strength, hue=hue, rng=rng))
    return image


def crop_and_resize(image, box, *, size):
    return resize_square(crop(image, box, reduction=1), size=size)


def view(image, *, size, **settings):
    return apply(image, draw_view(*image.shape[:2], **settings), size=size, reduction=1)


def photograph(h=40, w=56, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def coloured(h=6, w=7, *, seed=0):
    return np.random.default_rng(seed).random((h, w, 3), np.float32)


def only(step, share):
    """Draws of which `step` alone changes the image: the others meet the middle of their range."""
    order = (step, *(each for each in range(4) if each != step))
    first = [0.5, share] if step == 3 else [share]
    return Draws(*first, *[0.5] * 9, order=order)


# --- Crops


@pytest.mark.parametrize("h, w", [(48, 48), (200, 300), (480, 90)])
def test_boxes_lie_inside_with_area_and_aspect_in_bounds(h, w):
    rng = np.random.default_rng(0)
    boxes = [crop_box(h, w, area=(0.08, 1.0), rng=rng) for _ in range(2000)]
    for top, left, height, width in boxes:
        assert 0 <= top <= h - height and 0 <= left <= w - width and height > 0 and width > 0
        # half a pixel of rounding on either side
        assert (height + 0.5) * (width + 0.5) >= 0.08 * h * w
        relative = width / height * h / w
        slack = 1 + 0.51 / height + 0.51 / width
        assert 3 / 4 / slack <= relative <= 4 / 3 * slack
    shares = np.array([height * width / (h * w) for *_, height, width in boxes])
    assert shares.min() < 0.1 and shares.max() > 0.9
    aspects = np.array([width / height * h / w for *_, height, width in boxes])
    assert aspects.min() < 0.78 and aspects.max() > 1.28


def test_boxes_reach_all_four_borders():
    rng = np.random.default_rng(0)
    boxes = np.array([crop_box(20, 30, area=(0.2, 0.5), rng=rng) for _ in range(2000)])
    ends = boxes[:, :2] + boxes[:, 2:]
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0] and ends.max(axis=0).tolist() == [20, 30]


def test_the_share_of_the_area_is_uniform():
    rng = np.random.default_rng(0)
    boxes = np.array([crop_box(1000, 1000, area=(0.1, 0.5), rng=rng) for _ in range(4000)])
    shares = boxes[:, 2] * boxes[:, 3] / 1e6
    quantiles = np.quantile(shares, (0.25, 0.5, 0.75))
    np.testing.assert_allclose(quantiles, (0.2, 0.3, 0.4), atol=0.015)


def test_a_share_that_never_fits_gives_the_whole_image():
    assert crop_box(7, 9, area=(3.0, 4.0), rng=np.random.default_rng(0)) == (0, 0, 7, 9)


def test_resizing_a_box_of_that_size_copies_it():
    image = photograph()
    cropped = crop_and_resize(image, (3, 5, 16, 16), size=16)
    assert np.array_equal(cropped, image[3:19, 5:21])


@pytest.mark.parametrize(
    "box, size",
    [
        ((0, 16, 32, 32), 8),
        ((3, 5, 29, 41), 8),
        ((0, 0, 6, 48), 8),
        ((1, 2, 31, 5), 8),
        ((2, 4, 8, 8), 24),
        ((3, 1, 29, 31), 32),
    ],
    ids=["by 4", "by no whole number", "but higher", "but wider", "enlarged", "enlarged a little"],
)
def test_resizing_is_pillows_antialiased_bicubic_to_one_grey_level(box, size):
    top, left, h, w = box
    image = cv2.GaussianBlur(photograph(32, 48), (0, 0), 1)  # of noise each clips what it rounds
    part = Image.fromarray(image[top : top + h, left : left + w])
    expected = np.asarray(part.resize((size, size), Image.Resampling.BICUBIC)).astype(int)
    assert abs(crop_and_resize(image, box, size=size) - expected).max() <= 1


@pytest.mark.parametrize("h, w", [(1, 30), (30, 1), (1, 1), (9, 1), (30, 9), (8, 8)])
def test_crops_of_any_shape_become_plain_arrays(h, w):
    found = crop_and_resize(photograph(), (0, 0, h, w), size=8)
    assert found.shape == (8, 8, 3) and found.dtype == np.uint8 and found.flags.c_contiguous


# --- Colour


def test_brightness_multiplies():
    image = coloured()
    for share, factor in ((0.0, 0.6), (0.5, 1.0), (1.0, 1.4)):  # strength 0.5: 1 ± 0.4
        found = jittered(image, strength=0.5, hue=0.0, rng=only(0, share))
        np.testing.assert_allclose(found, np.clip(image * factor, 0, 1), atol=2e-6)


def test_contrast_is_about_the_mean_of_each_channel():
    image = coloured()
    for share, factor in ((0.0, 0.6), (1.0, 1.4)):
        found = jittered(image, strength=0.5, hue=0.0, rng=only(1, share))
        expected = np.empty_like(image)
        for channel in range(3):
            mean = image[..., channel].mean()
            expected[..., channel] = np.clip((image[..., channel] - mean) * factor + mean, 0, 1)
        np.testing.assert_allclose(found, expected, atol=2e-6)


def by_colorsys(image, *, saturation=1.0, turn=0.0):
    changed = np.empty_like(image)
    for index in np.ndindex(image.shape[:2]):
        h, s, v = colorsys.rgb_to_hsv(*map(float, image[index]))
        changed[index] = colorsys.hsv_to_rgb((h + turn) % 1, min(s * saturation, 1), v)
    return changed


def test_saturation_is_that_of_hsv():
    image = coloured()
    for share, factor in ((0.0, 0.6), (1.0, 1.4)):
        found = jittered(image, strength=0.5, hue=0.0, rng=only(2, share))
        np.testing.assert_allclose(found, by_colorsys(image, saturation=factor), atol=1e-5)


def test_hue_turns_by_shares_of_the_circle():
    image = coloured()
    for share, turn in ((0.0, -0.2), (0.5, 0.0), (1.0, 0.2)):
        found = jittered(image, strength=0.5, hue=0.2, rng=only(3, share))
        np.testing.assert_allclose(found, by_colorsys(image, turn=turn), atol=1e-5)


def test_factors_are_never_negative():
    draws = Draws(*[0.5] * 5)
    draw_jitter(strength=2.0, hue=0.1, rng=draws)
    assert set(draws.ranges) == {(0.0, 1 + 0.8 * 2.0), (-0.1, 0.1)}


def test_each_step_clips_before_the_next():
    image = np.full((2, 2, 3), 0.8, np.float32)
    image[0, 0] = 0.1
    # brightness 1.4 clips 1.12 to 1, of which contrast then takes the mean
    found = jittered(image, strength=0.5, hue=0.0, rng=Draws(1.0, 0.0, 0.5, 0.5, 0.5))
    mean = (0.14 + 3) / 4
    expected = np.where(image == image[0, 0], mean + 0.6 * (0.14 - mean), mean + 0.6 * (1 - mean))
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_steps_come_in_the_order_that_was_drawn():
    image = coloured()
    one, other = (
        jittered(image, strength=1.0, hue=0.0, rng=Draws(0.9, 0.1, 0.5, 0.5, 0.5, order=order))
        for order in ((0, 1, 2, 3), (1, 0, 2, 3))
    )
    assert not np.allclose(one, other)


def test_no_strength_and_no_hue_change_nothing():
    image = coloured()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = jittered(image, strength=0.0, hue=0.0, rng=rng)
        np.testing.assert_allclose(found, image, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_jittered_images_stay_in_range(seed):
    found = jittered(coloured(), strength=1.5, hue=0.5, rng=np.random.default_rng(seed))
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1


def test_grey_has_equal_channels_of_rec_601_luma():
    image = coloured()
    found = to_grey(image)
    assert found.dtype == np.float32 and found.shape == image.shape
    assert np.array_equal(found[..., 0], found[..., 1])
    assert np.array_equal(found[..., 0], found[..., 2])
    luma = 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]
    np.testing.assert_allclose(found[..., 0], luma, atol=1e-6)
    assert GREY.sum() == pytest.approx(1)


# --- Blur


@pytest.mark.parametrize("height, kernel", [(224, 17), (96, 9), (48, 5), (32, 3), (20, 3), (19, 1)])
def test_blur_reaches_half_a_kernel_of_a_tenth_of_the_height_or_four_sigma(height, kernel):
    spot = np.zeros((height, height, 3), np.float32)
    centre = height // 2
    spot[centre, centre] = 1
    found = blur(spot, 2.0)
    rows = np.flatnonzero(found[:, centre, 0])
    assert rows.max() - rows.min() + 1 == kernel == len(rows)
    taps = [math.exp(-((r - centre) ** 2) / (2 * 2.0**2)) for r in rows]  # σ of 2
    expected = np.outer(taps, taps) / sum(taps) ** 2
    inside = found[rows[0] : rows[-1] + 1, rows[0] : rows[-1] + 1, 0]
    np.testing.assert_allclose(inside, expected, atol=1e-6)


@pytest.mark.parametrize("sigma_px", [0.1, 0.5, 1.0, 1.4, 2.0])
def test_what_blur_cuts_off_moves_no_grey_level(sigma_px):
    for height in (224, 64):
        kernel = 2 * (height // 10 // 2) + 1
        hard = np.random.default_rng(0).integers(0, 2, (height, height, 3)).astype(np.float32)
        full = cv2.GaussianBlur(hard, (kernel, kernel), sigma_px, borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(blur(hard, sigma_px), full, atol=0.03 / 255)


def test_sigma_is_drawn_from_a_tenth_to_two():
    rng = np.random.default_rng(0)
    drawn = [draw_view(9, 9, rng=rng, **{**SIMCLR, "blurred": 1.0}).sigma_px for _ in range(1000)]
    assert 0.1 <= min(drawn) < 0.11 and 1.99 < max(drawn) <= 2


# --- The plain order of operations, in as many passes as it has steps


def plainly(image, *, size, area, jittered, strength, hue, grey, blurred, rng):
    box = crop_box(*image.shape[:2], area=area, rng=rng)
    seen = crop_and_resize(image, box, size=size)
    seen = seen[:, ::-1] if rng.random() < 0.5 else seen
    seen = seen.astype(np.float32) / 255
    if rng.random() < jittered:
        for step in rng.permutation(4):
            factor = np.float32(rng.uniform(max(0, 1 - 0.8 * strength), 1 + 0.8 * strength))
            if step == 0:
                seen = seen * factor
            elif step == 1:
                mean = seen.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
                seen = (seen - mean) * factor + mean
            elif step == 2:
                hsv = cv2.cvtColor(seen, cv2.COLOR_RGB2HSV)
                hsv[..., 1] = np.minimum(hsv[..., 1] * factor, 1)
                seen = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
            else:
                hsv = cv2.cvtColor(seen, cv2.COLOR_RGB2HSV)
                hsv[..., 0] = (hsv[..., 0] + np.float32(360 * rng.uniform(-hue, hue))) % 360
                seen = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
            seen = np.clip(seen, 0, 1)
    if rng.random() < grey:
        seen = np.repeat((seen @ GREY)[..., None], 3, axis=2)
    if rng.random() < blurred:
        sigma, kernel = rng.uniform(0.1, 2.0), 2 * (size // 10 // 2) + 1
        seen = cv2.GaussianBlur(seen, (kernel, kernel), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.rint(np.clip(seen, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("size", [32, 64, 224])
def test_a_view_is_within_one_grey_level_of_the_plain_order_of_operations(size):
    smooth = cv2.GaussianBlur(photograph(200, 260), (0, 0), 2)
    vivid = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    for image in (vivid, photograph(200, 260)):
        for seed in range(40):
            one, other = np.random.default_rng(seed), np.random.default_rng(seed)
            found = view(image, size=size, rng=one, **SIMCLR).astype(int)
            expected = plainly(image, size=size, rng=other, **SIMCLR)
            assert abs(found - expected).max() <= 1
            assert one.random() == other.random()  # as many draws


# --- Reduced images


@pytest.mark.parametrize("times", [2, 4, 8])
def test_a_crop_of_a_reduced_image_grows_to_whole_pixels(times):
    small = photograph(11, 13)
    seen = [
        Drawn(box=box, mirrored=False, jitter=(), grey=False, sigma_px=None)
        for box in ((2 * times + 1, 3 * times, 6 * times - 1, 7 * times + 1), (2, 3, 6, 8))
    ]
    found = apply(small, seen[0], size=5, reduction=times)
    assert np.array_equal(found, apply(small, seen[1], size=5, reduction=1))


# --- The whole view


@pytest.mark.parametrize("seed", range(10))
def test_a_view_is_a_square_of_bytes_drawn_from_its_generator(seed):
    image = photograph()
    one, same, other = (
        view(image, size=24, rng=np.random.default_rng(s), **SIMCLR) for s in (seed, seed, seed + 1)
    )
    assert one.shape == (24, 24, 3) and one.dtype == np.uint8
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_a_view_draws_from_nothing_else():
    image, rng = photograph(), np.random.default_rng(3)
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    views = [view(image, size=24, rng=rng, **SIMCLR) for _ in range(2)]
    assert np.array_equal(np.random.get_state()[1], state)
    assert not np.array_equal(*views)  # two views of one image differ


def test_a_plain_view_is_the_image_or_its_mirror_image():
    image = photograph(24, 24)
    seen = set()
    for seed in range(30):
        found = view(image, size=24, rng=np.random.default_rng(seed), **PLAIN).astype(int)
        # the crop of area 1 and another aspect does not fit, so the image is whole
        mirrored = abs(found - image[:, ::-1]).max() <= 1
        assert mirrored or abs(found - image).max() <= 1
        seen.add(mirrored)
    assert seen == {True, False}


@pytest.mark.parametrize("grey, expected", [(0.0, 0), (1.0, 200), (0.25, 50)])
def test_grey_views_are_as_frequent_as_asked(grey, expected):
    image = photograph(8, 8)
    rng = np.random.default_rng(0)
    views = [view(image, size=8, rng=rng, **{**SIMCLR, "grey": grey}) for _ in range(200)]
    n_grey = sum(np.ptp(each, axis=2).max() == 0 for each in views)
    assert n_grey == pytest.approx(expected, abs=0 if grey in (0, 1) else 20)


def test_blurred_views_are_as_frequent_as_asked():
    image = photograph(40, 40)
    plain = view(image, size=40, rng=np.random.default_rng(0), **PLAIN)
    always = {**PLAIN, "blurred": 1.0}
    blurred = [view(image, size=40, rng=np.random.default_rng(s), **always) for s in range(10)]
    assert all(each.std() < plain.std() for each in blurred)


def test_jitter_is_left_out_of_one_view_in_five():
    image = photograph(8, 8)
    rng = np.random.default_rng(0)
    settings = {**PLAIN, "strength": 1.0}
    views = [view(image, size=8, rng=rng, **settings) for _ in range(300)]
    kept = sum(np.array_equal(np.sort(each, axis=1), np.sort(image, axis=1)) for each in views)
    assert kept == pytest.approx(60, abs=25)
