"""The 15 corruptions of ImageNet-C and the four kept for validation, on 8-bit RGB images.

Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019. Formulas and numbers are those of the code that made the published files
(hendrycks/robustness ImageNet-C/create_c: make_imagenet_c.py, make_cifar_c.py and
make_tinyimagenet_c.py); what differs is marked `# Paper:`. Published files are always to be
preferred: scores on images corrupted here compare with each other, not with published scores.

Amounts in pixels are the table's, whatever the size of the image: pick the table whose nominal
side (224, 32 or 64) is nearest.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import PIL.Image
from jaxtyping import Float, Float32, Float64, UInt8
from scipy.ndimage import gaussian_filter

Image: TypeAlias = UInt8[np.ndarray, "h w 3"]
Number: TypeAlias = int | float
Table = Literal["imagenet", "cifar", "tiny"]

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
SEVERITIES = (1, 2, 3, 4, 5)
STRIP = 32  # rows of an image that noise is added to at a time
GREYS = np.arange(256)[:, None] / 255  # of 8 bits, 0..1
SMALLEST_SIDE = 16  # below it the blurs and shuffles reach across the whole image

# What each corruption takes at severity 1 to 5.
IMAGENET: Mapping[str, tuple[Any, ...]] = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),  # sigma, of a range of 1
    "shot_noise": (60, 25, 12, 5, 3),  # photons at white
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),  # share of the values
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),  # radius, sigma of edge
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),  # radius, sigma
    "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    "snow": (  # mean, sigma, zoom, threshold, radius and sigma of the blur, share of the image
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    # weight of the image, weight of the frost, scale of the frost
    "frost": ((1, 0.4, 1), (0.8, 0.6, 1), (0.7, 0.7, 1), (0.65, 0.7, 1), (0.6, 0.75, 1)),
    "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),  # weight, decay of the detail
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),  # added to the value of HSV
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "elastic_transform": (  # amplitude, sigma of the field, reach of the affine map; 244 is theirs
        (244 * 2, 244 * 0.7, 244 * 0.1),
        (244 * 2, 244 * 0.08, 244 * 0.2),
        (244 * 0.05, 244 * 0.01, 244 * 0.02),
        (244 * 0.07, 244 * 0.01, 244 * 0.02),
        (244 * 0.12, 244 * 0.01, 244 * 0.02),
    ),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),  # scale
    "jpeg_compression": (25, 18, 15, 10, 7),  # quality
    "speckle_noise": (0.15, 0.2, 0.35, 0.45, 0.6),  # sigma
    "gaussian_blur": (1, 2, 3, 4, 6),  # sigma
    "spatter": (  # mean, sigma, sigma of the blur, threshold, strength, mud rather than water
        (0.65, 0.3, 4, 0.69, 0.6, 0),
        (0.65, 0.3, 3, 0.68, 0.6, 0),
        (0.65, 0.3, 2, 0.68, 0.5, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1),
        (0.67, 0.4, 1, 0.65, 1.5, 1),
    ),
    "saturate": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),  # S times, S plus
}
CIFAR: Mapping[str, tuple[Any, ...]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2, 0.2), (1, 0.3, 0.2), (0.9, 0.4, 0.2), (0.85, 0.4, 0.2), (0.75, 0.45, 0.2)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic_transform": (
        (0, 0, 32 * 0.08),
        (32 * 0.05, 32 * 0.2, 32 * 0.07),
        (32 * 0.08, 32 * 0.06, 32 * 0.06),
        (32 * 0.1, 32 * 0.04, 32 * 0.05),
        (32 * 0.1, 32 * 0.03, 32 * 0.03),
    ),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg_compression": (80, 65, 58, 50, 40),
    "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1),
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
    "saturate": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
}
TINY: Mapping[str, tuple[Any, ...]] = {
    "gaussian_noise": (0.04, 0.08, 0.12, 0.15, 0.18),
    "shot_noise": (250, 100, 50, 30, 15),
    "impulse_noise": (0.01, 0.02, 0.05, 0.08, 0.14),
    "defocus_blur": ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
    "glass_blur": ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
    "motion_blur": ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
    "zoom_blur": CIFAR["zoom_blur"],
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
    ),
    "frost": ((1, 0.3, 0.3), (0.9, 0.4, 0.3), (0.8, 0.45, 0.3), (0.75, 0.5, 0.3), (0.7, 0.55, 0.3)),
    "fog": ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
    "brightness": IMAGENET["brightness"],
    "contrast": IMAGENET["contrast"],
    "elastic_transform": (
        (0, 0, 64 * 0.08),
        (64 * 0.05, 64 * 0.3, 64 * 0.06),
        (64 * 0.1, 64 * 0.08, 64 * 0.06),
        (64 * 0.1, 64 * 0.03, 64 * 0.03),
        (64 * 0.16, 64 * 0.03, 64 * 0.02),
    ),
    "pixelate": (0.9, 0.8, 0.7, 0.6, 0.5),
    "jpeg_compression": (65, 58, 50, 40, 25),
    "speckle_noise": (0.15, 0.2, 0.25, 0.3, 0.35),
    "gaussian_blur": (0.5, 0.75, 1, 1.25, 1.5),
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.6, 0),
        (0.65, 0.1, 0.8, 0.7, 0.6, 0),
        (0.65, 0.3, 1, 0.69, 0.6, 0),
        (0.65, 0.1, 0.7, 0.68, 0.6, 1),
        (0.65, 0.1, 0.5, 0.67, 0.6, 1),
    ),
    "saturate": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
}
TABLES: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "imagenet": IMAGENET,
    "cifar": CIFAR,
    "tiny": TINY,
}

FROST_SIDE = 512  # of the drawn textures, before they are scaled
# Mean and deviation (RGB) of the five photographs of frost that the published images draw from;
# the second and the third are the same.
FROST_COLOURS = (
    ((78, 149, 166), (27, 16, 15)),
    ((201, 205, 214), (22, 22, 22)),
    ((201, 205, 214), (22, 22, 22)),
    ((138, 153, 165), (29, 29, 29)),
    ((112, 123, 135), (44, 43, 42)),
)
WATER = (175 / 255, 238 / 255, 238 / 255)  # pale turquoise
MUD = (63 / 255, 42 / 255, 20 / 255)  # brown


def corrupt(
    image: Image, *, corruption: str, severity: int, table: Table, rng: np.random.Generator
) -> Image:
    """`image` with one corruption at severity 1 to 5; `table` says for which size it is meant.

    The same generator state gives the same bits; see `rng_for`. `image` itself is left as it was.
    """
    if corruption not in FUNCTIONS:
        raise ValueError(f"corruption {corruption!r} is unknown; expected one of {[*FUNCTIONS]}")
    if severity not in SEVERITIES:
        raise ValueError(f"{corruption}: severity is {severity}, expected 1 to 5")
    if table not in TABLES:
        raise ValueError(f"severity table {table!r} is unknown; expected one of {[*TABLES]}")
    if min(image.shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"{corruption}: image of {image.shape[:2]}, below {SMALLEST_SIDE} pixels; enlarge it"
        )
    return FUNCTIONS[corruption](image, TABLES[table][corruption][severity - 1], rng=rng)


def rng_for(
    seed: int, name_of_image: str, *, corruption: str, severity: int
) -> np.random.Generator:
    """The generator of one image, corruption and severity: no other draw moves it."""
    key = json.dumps([seed, name_of_image, corruption, severity]).encode()
    return np.random.default_rng(
        int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "little")
    )


def _gaussian_noise(image: Image, sigma: Number, *, rng: np.random.Generator) -> Image:
    return _in_strips(lambda x: x + rng.normal(scale=sigma, size=x.shape), image)


def _shot_noise(image: Image, photons: Number, *, rng: np.random.Generator) -> Image:
    return _in_strips(lambda x: rng.poisson(x * photons) / photons, image)


def _impulse_noise(image: Image, share: float, *, rng: np.random.Generator) -> Image:
    hit = rng.random(image.shape) <= share
    salt = rng.random(image.shape) <= 0.5
    return np.where(hit, salt.view(np.uint8) * np.uint8(255), image)


def _speckle_noise(image: Image, sigma: Number, *, rng: np.random.Generator) -> Image:
    return _in_strips(lambda x: x + x * rng.normal(scale=sigma, size=x.shape), image)


def _in_strips(
    function: Callable[[Float64[np.ndarray, "..."]], Float64[np.ndarray, "..."]], image: Image
) -> Image:
    """`function` of the image, 0..1, a few rows at a time: they stay in the processor's cache.

    What it draws comes in the same order as for all rows at once.
    """
    noisy = np.empty_like(image)
    for first in range(0, len(image), STRIP):
        rows = slice(first, first + STRIP)
        noisy[rows] = _to_uint8(function(image[rows] / 255))
    return noisy


def _defocus_blur(image: Image, disk: tuple[Number, Number], *, rng: np.random.Generator) -> Image:
    kernel = _disk(*disk)
    # a channel at a time, as OpenCV goes anyway: a third of the memory to be had and given back
    return cv2.merge([_to_uint8(cv2.filter2D(x / 255, -1, kernel)) for x in cv2.split(image)])


def _gaussian_blur(image: Image, sigma: Number, *, rng: np.random.Generator) -> Image:
    return _to_uint8(_blur(image / 255, sigma=sigma))


def _glass_blur(image: Image, glass: tuple[Number, int, int], *, rng: np.random.Generator) -> Image:
    """Blur, move pixels about, blur again."""
    sigma, reach, rounds = glass
    x = _glass(image, sigma=sigma)
    for _ in range(rounds):
        x = _shuffle(x, reach, rng=rng)
    return _glass(x, sigma=sigma)


def _glass(image: Image, *, sigma: Number) -> Image:
    """Gaussian blur, the published one to the last bit.

    OpenCV adds in another order, and what is cut to whole levels would be a level too dark in
    more of the even areas.
    """
    x = image / 255
    gaussian_filter(x, sigma, mode="nearest", axes=(0, 1), output=x)
    return _to_uint8(x)


def _shuffle(x: Image, reach: int, *, rng: np.random.Generator) -> Image:
    """Each inner pixel, from the last to the first, takes the value that another one then has.

    The published code means to swap the two, but writes through views of the array: the second
    assignment copies the pixel onto itself. That is kept, and so are offsets from -reach to
    reach - 1 and inner pixels from reach + 1 to side - reach.

    A pixel's value comes from one further on that was itself replaced, and so on, until one that
    was not. All these chains are followed at once, pixel by pixel; half of them end at each step.
    """
    h, w = x.shape[:2]
    inner = np.s_[h - reach : reach : -1, w - reach : reach : -1]
    source = np.arange(h * w)
    to_move = source.reshape(h, w)[inner]  # a view: what is added moves `source`
    offsets = rng.integers(-reach, reach, (*to_move.shape, 2))
    to_move += offsets[..., 0]
    to_move += offsets[..., 1] * w
    replaced = np.zeros((h, w), bool)
    replaced[inner] = True
    goes_on = replaced.ravel()[source] & (source > np.arange(h * w))
    pixels = np.flatnonzero(goes_on)
    at, end = source[pixels], source.copy()
    while pixels.size:
        further = goes_on[at]
        at = source[at]
        end[pixels] = at
        pixels, at = pixels[further], at[further]
    # a pixel as one number of 32 bits is taken faster than its three bytes
    packed = cv2.cvtColor(x, cv2.COLOR_RGB2RGBA).view(np.uint32).ravel()[end]
    return cv2.cvtColor(packed.view(np.uint8).reshape(h, w, 4), cv2.COLOR_RGBA2RGB)


def _motion_blur(image: Image, line: tuple[int, Number], *, rng: np.random.Generator) -> Image:
    radius, sigma = line
    return _smear(image, radius=radius, sigma=sigma, degrees=rng.uniform(-45, 45))


def _smear(
    x: UInt8[np.ndarray, "h w *c"], *, radius: int, sigma: Number, degrees: float
) -> UInt8[np.ndarray, "h w *c"]:
    """Mean along a line of 2 radius + 1 pixels to one side, weighted by half a Gaussian."""
    # Paper: the published images went through ImageMagick's MotionBlurImage. This is its definition
    # (whole-pixel steps, edge pixels repeated, result rounded) without the dependency.
    step = np.arange(2 * radius + 1)
    weight = np.exp(-(step**2) / (2 * sigma**2))
    dy = np.ceil(step * np.sin(np.deg2rad(degrees)) - 0.5).astype(int)
    dx = np.ceil(step * np.cos(np.deg2rad(degrees)) - 0.5).astype(int)
    kernel = np.zeros((np.ptp(dy) + 1, np.ptp(dx) + 1), np.float32)
    np.add.at(kernel, (dy - dy.min(), dx - dx.min()), weight / weight.sum())
    anchor = (int(-dx.min()), int(-dy.min()))
    return cv2.filter2D(x, -1, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE)


def _zoom_blur(image: Image, zooms: tuple[float, float], *, rng: np.random.Generator) -> Image:
    """The mean of the image and its zoomed copies, the factor 1 among them."""
    factors = np.arange(1, *zooms)
    x = _as_float32(image)
    total = np.zeros_like(x)
    for factor in factors:
        total += _zoom(x, factor)
    total += x
    total /= len(factors) + 1
    return _to_uint8(total)


def _snow(image: Image, flakes: tuple[Number, ...], *, rng: np.random.Generator) -> Image:
    mean, sigma, zoom, threshold, radius, blur_sigma, share = flakes
    layer = rng.normal(loc=mean, scale=sigma, size=image.shape[:2]).astype(np.float32)
    layer = _zoom(layer, zoom)
    layer[layer < threshold] = 0
    degrees = rng.uniform(-135, -45)
    streaks = _smear(_to_uint8(layer), radius=int(radius), sigma=blur_sigma, degrees=degrees)
    x = _as_float32(image)
    pale = _rgb(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) * 1.5 + 0.5)
    np.maximum(x, pale, out=pale)
    pale *= 1 - share
    x *= share
    x += pale
    snowy = x + _rgb(streaks) / 255
    snowy += _rgb(streaks[::-1, ::-1]) / 255
    return _to_uint8(snowy)


def _frost(
    image: Image, weights: tuple[Number, Number, Number], *, rng: np.random.Generator
) -> Image:
    # Paper: the published images add a random part of one of five photographs of frost. Those are
    # not ours to spread: five drawn textures of ice ferns stand in, with the mean and deviation
    # of the photographs. Of all the scores, those on frost compare least with published ones.
    of_image, of_frost, scale = weights
    h, w = image.shape[:2]
    side = max(round(FROST_SIDE * scale), h + 1, w + 1)
    frost = _frost_texture(int(rng.integers(len(FROST_COLOURS))), side)
    top, left = rng.integers(0, side - h), rng.integers(0, side - w)
    mixed = of_image * image + of_frost * frost[top : top + h, left : left + w]
    return np.clip(mixed, 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def _frost_texture(index: int, side: int) -> Float32[np.ndarray, "{side} {side} 3"]:
    rng = np.random.default_rng(index)
    ferns = np.zeros((FROST_SIDE, FROST_SIDE), np.uint8)
    for light in np.linspace(0.3, 1, 8):  # the further back, the darker
        for share, lines in zip((0.5, 0.75, 1), _fern(rng)):
            ends = np.rint(lines * 16).astype(np.int32)
            shade = int(255 * light * share)
            cv2.polylines(ferns, list(ends), False, shade, 1, cv2.LINE_AA, shift=4)
    haze = _plasma(FROST_SIDE, decay=1.6, rng=rng)
    ice = ferns / 255 * (0.4 + haze) + 1.2 * haze
    ice = (ice - ice.mean()) / ice.std()
    mean, deviation = (np.array(colour, np.float32) for colour in FROST_COLOURS[index])
    tinted = np.clip(mean + deviation * ice[..., None].astype(np.float32), 0, 255)
    texture = cv2.resize(tinted, (side, side), interpolation=cv2.INTER_AREA)
    texture.setflags(write=False)
    return texture


def _fern(rng: np.random.Generator) -> list[Float64[np.ndarray, "n 2 2"]]:
    """Forty leaves of ice: twigs, branches and stems, as lines from one x, y to another."""
    start = rng.uniform(0, FROST_SIDE, (40, 2))
    angle = rng.uniform(0, 2 * np.pi, 40)
    length = rng.uniform(0.05, 0.22, (40, 1)) * FROST_SIDE
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    stems = np.stack([start, start + length * along], axis=1)
    branches = _branches(stems, per_side=16, rng=rng)
    return [_branches(branches, per_side=5, rng=rng), branches, stems]


def _branches(
    stems: Float64[np.ndarray, "n 2 2"], *, per_side: int, rng: np.random.Generator
) -> Float64[np.ndarray, "m 2 2"]:
    """Lines off both sides of each stem at about 55 degrees, shorter towards its tip."""
    shape = (len(stems), per_side, 2)
    base, tip = stems[:, None, None, 0], stems[:, None, None, 1]
    at = (np.arange(per_side)[:, None] + rng.uniform(0, 1, shape)) / per_side
    turn = np.deg2rad(rng.normal(55, 4, shape)) * np.array([-1, 1])
    cos, sin = np.cos(turn), np.sin(turn)
    x, y = np.moveaxis(tip - base, -1, 0)
    along = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    length = 0.45 * (1 - at) * rng.uniform(0.5, 1, shape)
    start = base + at[..., None] * (tip - base)
    return np.stack([start, start + length[..., None] * along], axis=-2).reshape(-1, 2, 2)


def _fog(image: Image, mist: tuple[Number, Number], *, rng: np.random.Generator) -> Image:
    weight, decay = mist
    h, w = image.shape[:2]
    side = 1 << (max(h, w) - 1).bit_length()
    x = _rgb(weight * _plasma(side, decay=decay, rng=rng)[:h, :w])
    x += image / 255
    brightest = image.max() / 255
    x *= brightest / (brightest + weight)
    return _to_uint8(x)


def _brightness(image: Image, plus: float, *, rng: np.random.Generator) -> Image:
    hsv = cv2.cvtColor(_as_float32(image), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + plus, 0, 1)
    return _to_uint8(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _contrast(image: Image, factor: float, *, rng: np.random.Generator) -> Image:
    n_pixels = image.shape[0] * image.shape[1]
    # OpenCV adds row by row as NumPy's mean does, to the last bit, and five times as fast.
    total = cv2.reduce((image / 255).reshape(n_pixels, 3), 0, cv2.REDUCE_SUM)
    mean = total / n_pixels
    return cv2.LUT(image, _to_uint8((GREYS - mean) * factor + mean)[None])


def _saturate(image: Image, change: tuple[Number, Number], *, rng: np.random.Generator) -> Image:
    times, plus = change
    hsv = cv2.cvtColor(_as_float32(image), cv2.COLOR_RGB2HSV)
    hsv[..., 1] = np.clip(hsv[..., 1] * times + plus, 0, 1)  # grey has hue 0: it turns reddish
    return _to_uint8(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _elastic_transform(
    image: Image, bend: tuple[Number, Number, Number], *, rng: np.random.Generator
) -> Image:
    """A random affine map, then a smooth random displacement of every pixel."""
    amplitude, sigma, reach = bend
    h, w = image.shape[:2]
    centre, arm = np.array([w // 2, h // 2]), min(h, w) // 3
    corners = (centre + arm * np.array([[1, 1], [1, -1], [-1, -1]])).astype(np.float32)
    moved = corners + rng.uniform(-reach, reach, corners.shape).astype(np.float32)
    affine = cv2.getAffineTransform(corners, moved)
    x = _as_float32(image)
    leant = cv2.warpAffine(x, affine, (w, h), borderMode=cv2.BORDER_REFLECT_101)
    field = rng.uniform(-1, 1, (2, h, w)).astype(np.float32)
    dx, dy = (
        amplitude * _blur(f, sigma=sigma, truncate=3, border=cv2.BORDER_REFLECT) for f in field
    )
    dx += np.arange(w, dtype=np.float32)
    dy += np.arange(h, dtype=np.float32)[:, None]
    bent = cv2.remap(leant, dx, dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return _to_uint8(bent)


def _pixelate(image: Image, scale: float, *, rng: np.random.Generator) -> Image:
    h, w = image.shape[:2]
    box = PIL.Image.Resampling.BOX
    small = PIL.Image.fromarray(image).resize((int(w * scale), int(h * scale)), box)
    return np.array(small.resize((w, h), box))


def _jpeg_compression(image: Image, quality: int, *, rng: np.random.Generator) -> Image:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def _spatter(image: Image, splash: tuple[Number, ...], *, rng: np.random.Generator) -> Image:
    mean, sigma, blur_sigma, threshold, strength, is_mud = splash
    liquid = _blur(rng.normal(loc=mean, scale=sigma, size=image.shape[:2]), sigma=blur_sigma)
    liquid[liquid < threshold] = 0
    x = image / 255
    if is_mud:
        cover = _blur((liquid > threshold).astype(float), sigma=strength)
        cover[cover < 0.8] = 0
        x *= _rgb(1 - cover)
        x += _rgb(cover, colour=MUD)
        return _to_uint8(x)
    drops = _drops(np.uint8(liquid * 255))
    if not drops.any():  # nothing rose above the threshold: a small image may stay dry
        return image.copy()
    x += _rgb((strength * drops / drops.max()).astype(float), colour=WATER)
    return _to_uint8(x)


def _drops(liquid: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Liquid shaded along its edges, as the published code does step by step."""
    edges = cv2.Canny(liquid, 50, 150)
    distance = cv2.distanceTransform(255 - edges, cv2.DIST_L2, 5)
    near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
    shade = cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, emboss)
    return liquid * cv2.blur(shade, (3, 3)).astype(np.float32)


def _to_uint8(x: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """From 0..1 to 0..255, clipped, and cut off rather than rounded: so are the published files.

    Works in `x`, which is then used up: room for one more of its size costs more than the rest.
    """
    np.clip(x, 0, 1, out=x)
    x *= 255
    return x.astype(np.uint8)


def _as_float32(image: Image) -> Float32[np.ndarray, "h w 3"]:
    """0..1, in single precision."""
    return cv2.LUT(image, GREYS.astype(np.float32))


def _rgb(grey: np.ndarray, *, colour: Sequence[float] = (1, 1, 1)) -> np.ndarray:
    """`grey` [h w] times `colour`, [h w 3]: NumPy's broadcasting takes five times as long."""
    return cv2.merge([grey * share for share in colour])


def _blur(
    x: Float[np.ndarray, "h w *c"],
    *,
    sigma: Number,
    truncate: int = 4,
    border: int = cv2.BORDER_REPLICATE,
) -> Float[np.ndarray, "h w *c"]:
    """Gaussian blur cut at `truncate` sigmas (the defaults are those of skimage's `gaussian`)."""
    reach = int(truncate * sigma + 0.5)
    if reach == 0:
        return x
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    return cv2.sepFilter2D(x, -1, kernel, kernel, borderType=border)


@cache
def _disk(radius: Number, edge_sigma: Number) -> Float32[np.ndarray, "s s"]:
    """A disk with softened edge; without the empty border that the published one carries."""
    half, side = (8, 3) if radius <= 8 else (int(radius), 5)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    soft = cv2.GaussianBlur(disk / disk.sum(), (side, side), edge_sigma)
    filled = np.flatnonzero(soft.any(axis=0))
    return soft[filled[0] : filled[-1] + 1, filled[0] : filled[-1] + 1].copy()


def _zoom(x: Float32[np.ndarray, "h w *c"], factor: Number) -> Float32[np.ndarray, "h w *c"]:
    """The middle of `x` enlarged to its size, linearly and corner to corner (`ndimage.zoom`)."""
    h, w = x.shape[:2]
    (dy, top), (dx, left) = (_zoom_axis(side, factor) for side in (h, w))
    to_source = np.array([[dx, 0, left], [0, dy, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(x, to_source, (w, h), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _zoom_axis(side: int, factor: Number) -> tuple[float, float]:
    """Step and start in source pixels of `side` pixels from the middle of the enlarged part."""
    part = int(np.ceil(side / factor))
    large = round(part * factor)
    step = (part - 1) / (large - 1)
    return step, (side - part) // 2 + (large - side) // 2 * step


def _plasma(
    side: int, *, decay: Number, rng: np.random.Generator
) -> Float64[np.ndarray, "{side} {side}"]:
    """Plasma fractal on a torus, 0..1, by the diamond-square algorithm; side is a power of two."""
    heights = np.zeros((1, 1))
    wobble = 100.0
    while heights.shape[0] < side:
        n = heights.shape[0]
        noise = wobble * rng.uniform(-wobble, wobble, (3, n, n))
        after, before = np.arange(1, n + 1) % n, np.arange(-1, n - 1) % n
        down, right = heights[after], heights[:, after]
        middle = (heights + down + right + right[after]) / 4 + noise[0]
        finer = np.empty((2 * n, 2 * n))
        finer[::2, ::2] = heights
        finer[1::2, 1::2] = middle
        finer[::2, 1::2] = (heights + right + middle + middle[before]) / 4 + noise[1]
        finer[1::2, ::2] = (heights + down + middle + middle[:, before]) / 4 + noise[2]
        heights = finer
        wobble /= decay
    heights -= heights.min()
    return heights / heights.max()


FUNCTIONS: Mapping[str, Callable[..., Image]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "snow": _snow,
    "frost": _frost,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic_transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
    "speckle_noise": _speckle_noise,
    "gaussian_blur": _gaussian_blur,
    "spatter": _spatter,
    "saturate": _saturate,
}
