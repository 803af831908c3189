"""What a training is given of labelled shards: views of each image, its clean parts, its label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch.utils.data import Dataset

from attnlabels.images.crops import Box, centre_box, count_points, crop_map
from attnlabels.images.decoding import decode, decode_reduced, reduction
from attnlabels.images.squares import resize_centre_crop, resize_square
from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Sample, Shards
from attnlabels.training.views import Drawn, crop, draw_view, view


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is random in a view; see `attnlabels.training.views.draw_view`."""

    area: tuple[float, float]
    jittered: float
    strength: float
    hue: float
    grey: float
    blurred: float


@dataclass(frozen=True, kw_only=True)
class Clean:
    """How an image is shown that is attended to: the sides of image and map, in pixels.

    `crop` is the central share of the shorter side, 1 the whole image (A6).
    """

    image_size: int
    map_size: int
    crop: float

    def parts(self, sample: Sample, image: UInt8[np.ndarray, "h w 3"]) -> dict[str, np.ndarray]:
        """The image, its map and how many points fall on each of the map's pixels."""
        box, size = centre_box(*sample["image_size"], self.crop), (self.map_size, self.map_size)
        return {
            "clean": resize_centre_crop(image, size=self.image_size, crop=self.crop),
            "map": crop_map(sample["map"], box, size=size),
            "fixations": count_points(sample["points"], grid=sample["grid"], box=box, size=size),
        }


class Views(Dataset[dict[str, Any]]):
    """`n_views` of each image, its label, and its clean parts if any; named (epoch, index).

    Images are uint8 [h, w, 3]. The draws depend on (seed, epoch, index) alone, so they are the
    same in whichever process and after whichever interruption a sample is made. `chosen` are the
    numbers of the samples that there are to train on. With a `map_size`, `map0` is the map of the
    first view, float32 [map_size, map_size], cropped and mirrored as that is. With `noise`, there
    are as many standard normal numbers as `noise`, for what a network draws of an image. Raises
    ValueError where maps are asked for and none of the samples has any: nothing would be learnt
    from them.
    """

    def __init__(
        self,
        samples: Shards,
        chosen: Int[np.ndarray, "n"],
        *,
        n_views: int,
        augmentation: Augmentation,
        image_size: int,
        clean: Clean | None,
        seed: int,
        map_size: int | None = None,
        noise: int = 0,
    ) -> None:
        self.samples, self.chosen, self.n_views, self.seed = samples, chosen, n_views, seed
        self.map_size, self.noise = map_size, noise
        self.augmentation, self.image_size, self.clean = augmentation, image_size, clean
        if (clean is not None or map_size is not None) and not self._any_map():
            raise ValueError(
                f"{samples.folder}: none of the {len(chosen)} images to train on has a map, and "
                "the run's weights ask for maps; take shards with maps, or a run without them"
            )

    def _any_map(self) -> bool:
        return any(self.samples[i]["source"] != NOBODY for i in self.chosen.tolist())

    def __len__(self) -> int:
        return len(self.chosen)

    def key_of(self, index: int) -> str:
        """The key of the sample of that number."""
        return self.samples[index]["key"]

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        epoch, index = item[0], int(self.chosen[item[1]])
        sample = self.samples[index]
        height, width = sample["image_size"]
        rng = np.random.default_rng([self.seed, epoch, index])
        drawn = [
            draw_view(height, width, rng=rng, **vars(self.augmentation))
            for _ in range(self.n_views)
        ]
        # Paper: a JPEG of which every part that is used shrinks to a half or less is decoded at
        # 1/2, 1/4 or 1/8: the same crops, from pixels that differ by some grey levels.
        whole = [int(self.clean.crop * min(height, width))] if self.clean else []
        side = min(*whole, *(side for each in drawn for side in each.box[2:]))
        times = reduction(sample["image"], side=side, size=self.image_size)
        image = decode_reduced(
            sample["image"],
            size=(height, width),
            reduction=times,
            name=f"{self.samples.folder}: {sample['key']}",
        )
        return {
            **{
                f"view{i}": make_view(image, each, size=self.image_size, reduction=times)
                for i, each in enumerate(drawn)
            },
            **(self.clean.parts(sample, image) if self.clean else {}),
            **({"map0": map_of(sample, drawn[0], size=self.map_size)} if self.map_size else {}),
            # Behind all other draws, which so are the same with it and without.
            **({"noise": rng.standard_normal(self.noise, np.float32)} if self.noise else {}),
            "label": sample["label"],
            "index": index,
        }


def make_view(
    image: UInt8[np.ndarray, "h w 3"], drawn: Drawn, *, size: int, reduction: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The view that was drawn, of the image decoded at a `reduction`-th of its size."""
    # Paper: SimCLR's bicubic is not antialiased and skips pixels where it shrinks. Torchvision, in
    # PyTorch's SimCLRs, antialiases, and so do we, here as in the clean view.
    return view(resize_square(crop(image, drawn.box, reduction=reduction), size=size), drawn)


def map_of(sample: Sample, drawn: Drawn, *, size: int) -> Float[np.ndarray, "{size} {size}"]:
    """The image's map as the view shows it."""
    height, width = sample["image_size"]
    top, left, h, w = drawn.box
    box: Box = (top / height, left / width, h / height, w / width)
    map = crop_map(sample["map"], box, size=(size, size))
    return np.ascontiguousarray(map[:, ::-1]) if drawn.mirrored else map


class Recorded(Dataset[dict[str, Any]]):
    """The clean parts of images and people's recordings of them; named (epoch, index)."""

    def __init__(self, samples: Shards, clean: Clean) -> None:
        self.samples, self.clean = samples, clean

    def __len__(self) -> int:
        return len(self.samples)

    def key_of(self, index: int) -> str:
        """The key of the sample of that number."""
        return self.samples[index]["key"]

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        sample = self.samples[item[1]]
        name = f"{self.samples.folder}: {sample['key']}"
        return self.clean.parts(sample, decode(sample["image"], name=name))


def read_beside(folder: Path, clean: Clean, *, images: int) -> tuple[Recorded, int]:
    """People's recordings in `folder`, of which so many `images` are to join each batch (§4.3)."""
    recorded = Recorded(Shards(folder), clean)
    if len(recorded) < images:
        raise ValueError(
            f"{folder} has {len(recorded)} images and {images} are to join each batch; lower "
            "cotrain.images of the run"
        )
    return recorded, images
