"""SimCLR's augmentation of one image, in its order (google-research/simclr:data_util.py).

`draw_view` draws all that is random in a view, from the generator that is passed in and the image's
size alone. Then the caller knows how small the image may be decoded; `crop` cuts the part out, and
of that resized to a square `view` makes the view.

Images are RGB, uint8 while they are cut and float32 in [0, 1] while they are coloured; every step
of colouring clips back into that range. Rounding to bytes between the steps would be no faster
(OpenCV's float paths are vectorised; a look-up table is not) and goes astray by several levels.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Image = Float[np.ndarray, "h w 3"]
Box = tuple[int, int, int, int]

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as TensorFlow's rgb_to_grayscale


class Step(IntEnum):
    """A step of the colour jitter; its amount is a factor, or degrees of hue."""

    BRIGHTNESS = 0
    CONTRAST = 1
    SATURATION = 2
    HUE = 3


Jitter = tuple[tuple[Step, float], ...]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """All that is random in one view of an image."""

    box: Box
    mirrored: bool
    jitter: Jitter  # empty: none
    grey: bool
    sigma_px: float | None  # of the blur; None: not blurred


def crop_box(
    height: int, width: int, *, area: tuple[float, float], rng: np.random.Generator
) -> Box:
    """Top, left, height, width in pixels of a random crop inside the image.

    Its share of the area is U(`area`) and its aspect that of the image times U(3/4, 4/3), both up
    to rounding. After 100 tries that do not fit, the whole image.
    """
    for _ in range(100):
        aspect = rng.uniform(3 / 4, 4 / 3) * width / height
        pixels = rng.uniform(*area) * height * width
        w, h = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < h <= height and 0 < w <= width:
            top = int(rng.integers(height - h + 1))
            return top, int(rng.integers(width - w + 1)), h, w
    return 0, 0, height, width


def crop(
    image: UInt8[np.ndarray, "h w 3"], box: Box, *, reduction: int
) -> UInt8[np.ndarray, "a b 3"]:
    """The part inside `box` of the image decoded at a `reduction`-th of its size (1: in full).

    It grows to whole pixels of the reduced image, so by less than `reduction` pixels a side.
    """
    top, left, h, w = box
    bottom, right = -(-(top + h) // reduction), -(-(left + w) // reduction)
    return image[top // reduction : bottom, left // reduction : right]


def draw_jitter(*, strength: float, hue: float, rng: np.random.Generator) -> Jitter:
    """Brightness, contrast, saturation and hue, in random order (SimCLR v2's form).

    The first three are factors of U(max(0, 1 - 0.8 s), 1 + 0.8 s) at strength s. Hue turns by
    U(-`hue`, `hue`) of the circle (0.2 s in SimCLR).
    """
    low, high = max(0.0, 1 - 0.8 * strength), 1 + 0.8 * strength
    steps = []
    for step in map(Step, rng.permutation(4)):
        amount = rng.uniform(low, high)  # drawn for hue too, so that all four draw alike
        if step is Step.HUE:
            amount = 360 * rng.uniform(-hue, hue)
        steps.append((step, amount))
    return tuple(steps)


def jitter_colour(image: Image, jitter: Jitter) -> None:
    """Take `image` itself through those steps, each clipped before the next.

    Contrast is about each channel's mean, saturation that of HSV.
    """
    # In place: where images are this large, new memory costs several times the arithmetic.
    hsv = np.empty_like(image)
    for by_hsv, steps in groupby(jitter, lambda each: each[0] in (Step.SATURATION, Step.HUE)):
        if by_hsv:
            cv2.cvtColor(image, cv2.COLOR_RGB2HSV, dst=hsv)
        for step, amount in steps:
            APPLIED[step](hsv if by_hsv else image, amount)
        if by_hsv:
            cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=image)  # what HSV can say is in range


def brighten(image: Image, factor: float) -> None:
    image *= np.float32(factor)
    np.clip(image, 0, 1, out=image)


def raise_contrast(image: Image, factor: float) -> None:
    matrix = factor * np.eye(3, 4)
    matrix[:, 3] = np.multiply(cv2.mean(image)[:3], 1 - factor)
    # One pass; numpy takes ten times as long to add three numbers to every pixel.
    cv2.transform(image, matrix, dst=image)
    np.clip(image, 0, 1, out=image)


def saturate(hsv: Image, factor: float) -> None:
    hsv[..., 1] = np.minimum(hsv[..., 1] * np.float32(factor), 1)


def turn_hue(hsv: Image, degrees: float) -> None:
    # OpenCV wraps what is above 360, but not what is below 0.
    hsv[..., 0] += np.float32(degrees % 360)


APPLIED = {
    Step.BRIGHTNESS: brighten,
    Step.CONTRAST: raise_contrast,
    Step.SATURATION: saturate,
    Step.HUE: turn_hue,
}


def to_grey(image: Image) -> Image:
    """Luma in all three channels."""
    return cv2.transform(image, np.tile(GREY, (3, 1)))


def blur(image: Image, sigma_px: float) -> Image:
    """Gaussian blur with a kernel of a tenth of the height (23 at 224), or of 4 σ to either side.

    Below 20 pixels that kernel is one pixel, and the image stays as it is.
    """
    # Paper: SimCLR's batched code draws one σ a batch and view, and pads with black; here each
    # image has its own σ and is mirrored at its border. What lies beyond 4 σ weighs too little to
    # move a grey level: at most 0.03 of one. Beyond 3 σ it could move one by 1.4.
    reach = min(image.shape[0] // 10 // 2, math.ceil(4 * sigma_px))
    kernel = (2 * reach + 1, 2 * reach + 1)
    return cv2.GaussianBlur(image, kernel, sigma_px, borderType=cv2.BORDER_REFLECT_101)


def draw_view(
    height: int,
    width: int,
    *,
    area: tuple[float, float],
    jittered: float,
    strength: float,
    hue: float,
    grey: float,
    blurred: float,
    rng: np.random.Generator,
) -> Drawn:
    """A training view of an image of that size.

    Crop, flip (chance 0.5), colour jitter, grey and blur; `jittered`, `grey` and `blurred` are the
    chances of those steps (SimCLR: 0.8, 0.2, 0.5). The blur's σ is U(0.1, 2) px of the view.
    """
    return Drawn(
        box=crop_box(height, width, area=area, rng=rng),
        mirrored=rng.random() < 0.5,
        jitter=draw_jitter(strength=strength, hue=hue, rng=rng) if rng.random() < jittered else (),
        grey=rng.random() < grey,
        sigma_px=rng.uniform(0.1, 2.0) if rng.random() < blurred else None,
    )


def view(square: UInt8[np.ndarray, "s s 3"], drawn: Drawn) -> UInt8[np.ndarray, "s s 3"]:
    """The view that was drawn, of its crop resized to a square."""
    seen = cv2.flip(square, 1) if drawn.mirrored else square
    seen = np.multiply(seen, np.float32(1 / 255), dtype=np.float32)
    jitter_colour(seen, drawn.jitter)
    if drawn.grey:
        seen = to_grey(seen)
    if drawn.sigma_px is not None:
        seen = blur(seen, drawn.sigma_px)
    return cv2.convertScaleAbs(seen, alpha=255)  # rounds and saturates; nothing is negative here
