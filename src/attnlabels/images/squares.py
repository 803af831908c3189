"""The square that an encoder is shown of an image in evaluation, and of the clean third view.

Apart from `images`, which stages without torch read too.
"""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8

Interpolation = Literal["bicubic", "bilinear"]


def resize_centre_crop(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    size: int,
    crop: float,
    interpolation: Interpolation = "bicubic",
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """SimCLR's view for evaluation: the central `crop` of the shorter side, resized to a square.

    google-research/simclr data_util.py `center_crop` takes 0.875 at size 224; its bicubic
    resize is antialiased, as Pillow's is. With `crop` 1 the whole image is resized and nothing
    is cut off. The networks of others may want `interpolation` "bilinear", antialiased too.
    """
    if not 0 < crop <= 1:
        raise ValueError(f"crop is {crop}; expected a share of the side, above 0 and at most 1")
    if crop < 1:
        h, w = image.shape[:2]
        side = round(crop * min(h, w))
        top, left = (h - side + 1) // 2, (w - side + 1) // 2
        image = image[top : top + side, left : left + side]
    return resize_square(image, size=size, interpolation=interpolation)


def resize_square(
    image: UInt8[np.ndarray, "h w 3"], *, size: int, interpolation: Interpolation = "bicubic"
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The whole image at `size` × `size`, antialiased; also a training view's crop."""
    # The antialiased bicubic of Pillow to one grey level, in an eighth of its time.
    writable = np.require(image, requirements="W")  # of a mapped file a copy
    planes = torch.from_numpy(writable)[None].permute(0, 3, 1, 2)  # known as channels last: faster
    square = F.interpolate(planes, (size, size), mode=interpolation, antialias=True)
    return np.ascontiguousarray(square[0].permute(1, 2, 0).numpy())
