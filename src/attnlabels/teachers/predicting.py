"""Maps of human attention for photographs of any size, one at a time or many (`load_teacher`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image
from torch import Tensor

from attnlabels.images.decoding import read_image, resize_map
from attnlabels.processes.loading import as_input
from attnlabels.processes.world import own_device
from attnlabels.teachers.released import WEIGHTS
from attnlabels.teachers.shapes import group_alike, show
from attnlabels.teachers.trained import Trained, read_trained

BATCH_SIZE = 16  # images that pass through the network together


def load_teacher(
    weights: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
    mirror: bool = False,
) -> "Predictor":
    """A trained teacher as a function from photographs to maps of where people look.

    `weights` is a teacher's file; None is the one that travels with this package, whose card
    `attnlabels teacher show` prints. `device` computes, by default the GPU if there is one. With
    `mirror` a map is the mean of the image's and its mirror image's, for twice the time.

        teacher = load_teacher()
        map = teacher("photo.jpg")                    # an array [h, w]
        maps = teacher(["a.jpg", "b.png"])            # a list of arrays of their sizes
        maps = teacher(torch.rand(8, 3, 224, 224))    # a tensor [8, 224, 224]

    Raises ValueError or OSError for a file that is not a teacher's.
    """
    trained = read_trained(WEIGHTS if weights is None else Path(weights))
    return Predictor(trained, device=torch.device(device or own_device()), mirror=mirror)


class Predictor:
    """A teacher as a function, see `load_teacher`; the network itself is `teacher`."""

    def __init__(self, trained: Trained, *, device: torch.device, mirror: bool) -> None:
        self.teacher, self.image_size = trained.teacher, trained.image_size
        self.teacher.to(device).to(memory_format=torch.channels_last)
        self.device, self.mirror = device, mirror

    def __call__(self, images: Any) -> Any:
        """The maps of images, each of its image's size: float32 in [0, 1], large where people look.

        An image is a path; a PIL image; an array [h, w, 3] or a tensor [3, h, w], RGB, of uint8 or
        of floats in [0, 1]. Its map is [h, w]. Of a list or tuple of images it is a list; of an
        array or tensor with one dimension more, [n, h, w]. Tensors give tensors on their device,
        all others arrays. A map over its sum is a density of fixations; the values of different
        images do not compare.

        The network sees an image in its own shape, with about as many pixels as it is scored at.
        An orientation in EXIF data is ignored. All maps are held: for a folder of photographs there
        is `attnlabels.label`.

        Raises TypeError for what is no image, ValueError for one of another shape or with other
        values, and ValueError or OSError, which names it, for a file that cannot be read.
        """
        if isinstance(images, list | tuple):
            return self._maps(images)
        if isinstance(images, np.ndarray) and images.ndim == 4:
            return np.stack(self._maps(images)) if len(images) else np.zeros(images.shape[:3], "f")
        if isinstance(images, Tensor) and images.ndim == 4:
            maps = self._maps(images)
            return torch.stack(maps) if maps else images.new_zeros(0, *images.shape[2:]).float()
        return self._maps([images])[0]

    def _maps(self, images: Sequence[Any] | np.ndarray | Tensor) -> list[Any]:
        shown: dict[int, np.ndarray] = {}
        sizes: list[tuple[int, int]] = []
        for row, image in enumerate(images):
            pixels = _pixels_of(image, name=f"image {row}")
            shown[row] = show(pixels, self.image_size, shape="own")
            sizes.append((pixels.shape[0], pixels.shape[1]))
        maps: dict[int, Any] = {}
        for group in group_alike(shown):
            drawn = torch.cat([self._draw(each) for each in group.pixels.split(BATCH_SIZE)])
            for row, map in zip(group.rows, drawn.numpy()):
                map, given = resize_map(map, *sizes[row]), images[row]
                is_tensor = isinstance(given, Tensor)
                maps[row] = torch.from_numpy(map).to(given.device) if is_tensor else map
        return [maps[row] for row in range(len(sizes))]

    @torch.inference_mode()
    def _draw(self, pixels: Shaped[Tensor, "n h w 3"]) -> Float[Tensor, "n h w"]:
        """Maps on the CPU; floats may have left [0, 1] as they were enlarged."""
        pixels = pixels.to(self.device)
        is_bytes = pixels.dtype == torch.uint8
        images = as_input(pixels) if is_bytes else pixels.permute(0, 3, 1, 2).clamp(0, 1)
        return (self.teacher.both_ways(images) if self.mirror else self.teacher(images)).cpu()


def _pixels_of(image: Any, *, name: str) -> np.ndarray:
    """The image as [h, w, 3], uint8 or float32 in [0, 1]."""
    if isinstance(image, str | Path):
        if Path(image).is_dir():
            raise ValueError(f"{image}: a folder; name its photographs, or use attnlabels.label")
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return _pixels_of_pillow(image, name=name)
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
            shape = [*image.shape]
            raise ValueError(f"{name}: a tensor of shape {shape}; expected [3, h, w] (RGB)")
        pixels = image.detach().cpu().permute(1, 2, 0).numpy()
    elif isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or not image.size:
            shape = [*image.shape]
            raise ValueError(f"{name}: an array of shape {shape}; expected [h, w, 3] (RGB)")
        pixels = image
    else:
        raise TypeError(
            f"{name}: {type(image).__name__}; expected a path, a PIL image, an array or a tensor"
        )
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(f"{name}: pixels of {pixels.dtype}; expected uint8, or floats in [0, 1]")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # as of NaN neither is
        raise ValueError(
            f"{name}: pixels from {low:g} to {high:g}; expected [0, 1], not normalised, or uint8"
        )
    return np.ascontiguousarray(pixels, dtype=np.float32)


def _pixels_of_pillow(image: Image.Image, *, name: str) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ValueError(
            f"{name}: a PIL image of mode {image.mode}, whose range is unknown; give its path, or "
            "an array of floats in [0, 1]"
        )
    return np.asarray(image.convert("RGB"))
