"""What people painted on a set's images, and these images as a network is shown them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, UInt8
from tqdm import tqdm

from attnlabels.clickmaps.blurring import Blur, player_maps
from attnlabels.clickmaps.masks import read_mask
from attnlabels.images.crops import centre_box, crop_map
from attnlabels.images.decoding import decode
from attnlabels.images.squares import resize_centre_crop
from attnlabels.metrics.reliability import Players
from attnlabels.recordings.density import Count
from attnlabels.shards.index import KINDS, NOBODY
from attnlabels.shards.shards import Sample, Shards

HALF = 0.5  # of a pixel of the mask, from which on it is part of the object


class People(NamedTuple):
    """The images that somebody painted on, by their numbers in the shards, and the maps."""

    shards: Shards
    numbers: list[int]
    sizes: list[tuple[int, int]]  # of these images: height, width
    players: Players
    nobody: int  # images left out

    def mean_map(self, i: int) -> Float[np.ndarray, "h w"]:
        """The mean of the maps of the players of image `i` of `numbers`."""
        return self.players.maps[i].mean(axis=0)


def read_people(
    folder: Path,
    *,
    blur_by: Blur,
    count: Count,
    map_size: int,
    crop: float,
    some: int | None = None,
    seed: int = 0,
) -> People:
    """The maps of single players of a folder of shards, blurred and then brought to `map_size`.

    Blurred on the grid that their clicks are counted on, and cut to the central square `crop`. Of
    an image of which no clicks are told it is the map that there is, as it is, as if of one player.
    `some`: of so many of the images that somebody painted on, or of all if there are no more, drawn
    by the seed, in their order.

    Raises ValueError for shards that are not of players, and where nobody painted on any image.
    """
    shards = _open(folder)
    each = tqdm(range(len(shards)), desc=f"{folder.name} players", disable=None)
    painted = [i for i in each if shards[i]["source"] != NOBODY]
    if not painted:
        raise ValueError(f"{folder}: nobody painted on any of its {len(shards)} images")
    drawn = np.random.default_rng(seed).permutation(len(painted))[:some]
    numbers = painted if some is None else [painted[i] for i in sorted(drawn.tolist())]
    names, sizes, maps = [], [], []
    for sample in (shards[i] for i in numbers):
        box = centre_box(*sample["image_size"], crop)
        size = (map_size, map_size)
        of_each = _of_each(sample, blur_by=blur_by, count=count)
        maps.append(np.stack([crop_map(map, box, size=size) for map in of_each]))
        names.append(sample["name"])
        sizes.append(sample["image_size"])
    players = Players(blur_by, names, shards.labels[numbers], maps)
    return People(shards, numbers, sizes, players, len(shards) - len(painted))


def manner_of(folder: Path) -> tuple[Blur, Count]:
    """By which blur, and how counted, the maps of a folder of players' shards were made.

    Raises ValueError for shards that are not of players, and for those that do not tell.
    """
    told = _open(folder).index["maps_by"]
    blur_by, count = told.get("blur"), told.get("count")
    if blur_by not in get_args(Blur) or count not in get_args(Count):
        raise ValueError(
            f"{folder}: its index tells of blur {blur_by!r} and count {count!r}; prepare the maps "
            "again"
        )
    return blur_by, count


def read_squares(
    shards: Shards, numbers: Sequence[int], *, size: int, crop: float
) -> UInt8[np.ndarray, "n {size} {size} 3"]:
    """Images of the shards by their numbers, as a network of that input is shown them."""
    samples = (shards[i] for i in numbers)
    images = (decode(each["image"], name=f"{shards.folder}: {each['name']}") for each in samples)
    return np.stack([resize_centre_crop(each, size=size, crop=crop) for each in images])


def read_cut_mask(
    folder: Path, name: str, *, size: tuple[int, int], crop: float
) -> Bool[np.ndarray, "_ _"]:
    """The mask `<class>/<stem>.png` below `folder` of the image of that name, cut as the image is.

    Raises what `attnlabels.clickmaps.masks.read_mask` does; `size` is the image's.
    """
    mask = read_mask(folder / Path(name).with_suffix(".png"), size=size)
    h, w = size
    box = centre_box(h, w, crop)
    cut = (max(1, round(box[2] * h)), max(1, round(box[3] * w)))
    return crop_map(mask.astype(np.float32), box, size=cut) >= HALF


def _open(folder: Path) -> Shards:
    shards = Shards(folder)
    kind = shards.index["maps_by"]["kind"]
    if kind != "players":
        raise ValueError(f"{folder}: its maps are by {KINDS[kind]}; expected maps by players")
    return shards


def _of_each(sample: Sample, *, blur_by: Blur, count: Count) -> list[Float[np.ndarray, "_ _"]]:
    if sample["observers"] is None or not len(sample["observers"]):
        return [sample["map"]]
    drawn = player_maps(
        sample["points"], sample["observers"], size=sample["grid"], count=count, blur_by=blur_by
    )
    return [*drawn.values()]
