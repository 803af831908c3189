"""Pictures and files as addresses that hold them, for a page that needs nothing beside it."""

import base64
import io
from urllib.parse import quote

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from attnlabels.images.overlays import colour_map, fit_inside

SIDE = 128  # pixels of a picture's longer side
QUALITY = 88  # of JPEG: 3 to 5 kB a picture


def address_of_image(pixels: UInt8[np.ndarray, "h w 3"]) -> str:
    """A picture within SIDE pixels; a smaller one is enlarged by a whole factor, in squares."""
    factor = SIDE // max(pixels.shape[:2])
    if factor:
        pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    else:
        pixels = fit_inside(pixels, side=SIDE)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=QUALITY, optimize=True)
    return address_of_picture(file.getvalue(), kind="jpeg")


def address_of_map(map: Float[np.ndarray, "h w"]) -> str:
    """The map in the colours of "inferno", from its least value to its largest."""
    spread = (map - map.min()) / (np.ptp(map) or 1.0)
    return address_of_image(colour_map(spread, size=map.shape))


def address_of_picture(content: bytes, *, kind: str) -> str:
    """A file of a picture, such as "png"."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def address_of_text(content: bytes, *, kind: str) -> str:
    """A file of UTF-8 text, such as "csv"."""
    return f"data:text/{kind};charset=utf-8,{quote(content)}"
