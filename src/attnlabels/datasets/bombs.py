"""Image files that are small on the disk and would fill the memory."""

import io
import warnings

from PIL import Image


def require_bounded(data: bytes, *, name: str) -> None:
    """Raise ValueError for an image of more than 179 million pixels, from its header alone.

    Pillow's bound for a "decompression bomb"; OpenCV's is 2^30 pixels. A file that is no image is
    left to who decodes it.
    """
    try:
        with warnings.catch_warnings():  # Pillow warns of images of half the bound
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            Image.open(io.BytesIO(data)).close()
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name}: too large to be a photograph ({error})") from None
    except (OSError, SyntaxError):
        return
