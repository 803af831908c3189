"""SimCLR's augmentation of one image, in its order (google-research/simclr:data_util.py).

Images are RGB, uint8 while they are cut and float32 in [0, 1] while they are coloured; every step
of colouring clips back into that range. All draws come from the generator that is passed in.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Image = Float[np.ndarray, "h w 3"]
Box = tuple[int, int, int, int]

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as TensorFlow's rgb_to_grayscale


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


def crop_and_resize(
    image: UInt8[np.ndarray, "h w 3"], box: Box, *, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The part of `image` inside `box`, size × size."""
    top, left, h, w = box
    # Paper: SimCLR resizes with bicubic weights without antialiasing, which skips pixels where it
    # shrinks. We average areas there; torchvision, in PyTorch's SimCLRs, antialiases too.
    method = cv2.INTER_AREA if h * w > size * size else cv2.INTER_CUBIC
    return cv2.resize(image[top : top + h, left : left + w], (size, size), interpolation=method)


def jitter_colour(
    image: Image, *, strength: float, hue: float, rng: np.random.Generator
) -> Image:
    """Brightness, contrast, saturation and hue, in random order, each clipped (SimCLR v2's form).

    The first three are multiplied by U(max(0, 1 - 0.8 s), 1 + 0.8 s) at strength s; contrast is
    about each channel's mean, saturation that of HSV. Hue turns by U(-`hue`, `hue`) of the circle
    (0.2 s in SimCLR).
    """
    low, high = max(0.0, 1 - 0.8 * strength), 1 + 0.8 * strength
    for step in rng.permutation(4):
        factor = np.float32(rng.uniform(low, high))
        if step == 0:
            image = image * factor
        elif step == 1:
            mean = image.mean(axis=(0, 1), dtype=np.float32)
            image = (image - mean) * factor + mean
        elif step == 2:
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
            hsv[..., 1] = np.minimum(hsv[..., 1] * factor, 1)
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        else:
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0] + np.float32(360 * rng.uniform(-hue, hue))) % 360
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        image = np.clip(image, 0, 1)
    return image


def to_grey(image: Image) -> Image:
    """Luma in all three channels."""
    return np.repeat((image @ GREY)[..., None], 3, axis=2)


def blur(image: Image, *, rng: np.random.Generator) -> Image:
    """Gaussian blur with σ ~ U(0.1, 2) px and a kernel of a tenth of the height (23 at 224).

    Below 20 pixels that kernel is one pixel, and the image stays as it is.
    """
    # Paper: SimCLR's batched code draws one σ a batch and view, and pads with black; here each
    # image has its own σ and is mirrored at its border.
    sigma = rng.uniform(0.1, 2.0)
    kernel = 2 * (image.shape[0] // 10 // 2) + 1
    return cv2.GaussianBlur(image, (kernel, kernel), sigma, borderType=cv2.BORDER_REFLECT_101)


def view(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    size: int,
    area: tuple[float, float],
    strength: float,
    hue: float,
    grey: float,
    blurred: float,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """One training view: crop, flip (chance 0.5), colour jitter (0.8), grey, blur.

    `grey` and `blurred` are the chances of those steps.
    """
    box = crop_box(*image.shape[:2], area=area, rng=rng)
    cropped = crop_and_resize(image, box, size=size)
    if rng.random() < 0.5:
        cropped = cropped[:, ::-1]
    seen = cropped.astype(np.float32) / 255
    if rng.random() < 0.8:
        seen = jitter_colour(seen, strength=strength, hue=hue, rng=rng)
    if rng.random() < grey:
        seen = to_grey(seen)
    if rng.random() < blurred:
        seen = blur(seen, rng=rng)
    return np.rint(np.clip(seen, 0, 1) * 255).astype(np.uint8)
