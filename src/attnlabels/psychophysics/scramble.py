"""Phase-scrambled images: their colours and spatial frequencies, and nothing that one could name.

As the background of Linsley et al. (ICLR 2019, §2.2) is. A random phase that is the same for all
channels is added to theirs, so that colours stay together as they are in the image.
"""

import numpy as np
from jaxtyping import Float, UInt8


def phase_scramble(
    image: UInt8[np.ndarray, "h w 3"], *, rng: np.random.Generator
) -> Float[np.ndarray, "h w 3"]:
    """The image with random phases, in [0, 1]; each channel keeps its mean.

    The phases are those of white noise, so the result is real without a part being thrown away.
    What leaves [0, 1] is not clipped, which would change the spectrum: contrast shrinks about the
    means until all of it fits, by one factor for all channels and frequencies.
    """
    pixels = image / 255
    spectrum = np.fft.rfft2(pixels, axes=(0, 1))
    turned = np.fft.rfft2(rng.standard_normal(image.shape[:2]))
    phase = turned / np.abs(turned)
    phase[0, 0] = 1  # a mean has a sign, which is no phase
    scrambled = np.fft.irfft2(spectrum * phase[..., None], s=image.shape[:2], axes=(0, 1))
    return shrink(scrambled, about=pixels.mean(axis=(0, 1)))


def shrink(
    pixels: Float[np.ndarray, "h w 3"], *, about: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "h w 3"]:
    """The pixels with as much contrast about the channels' means, in [0, 1], as fits in [0, 1]."""
    away = pixels - about
    highest, lowest = away.max(axis=(0, 1)), -away.min(axis=(0, 1))
    rooms = np.concatenate([1 - about, about])
    reach = np.maximum(np.concatenate([highest, lowest]), np.finfo(float).tiny)
    return np.clip(about + away * min(1.0, float((rooms / reach).min())), 0, 1)  # of rounding
