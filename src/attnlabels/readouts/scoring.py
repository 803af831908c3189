"""Readouts fitted on shards of images with maps, and maps scored against recordings of people."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from attnlabels.images.crops import centre_box
from attnlabels.images.decoding import decode, resize_map
from attnlabels.metrics.alignment import score_map
from attnlabels.metrics.saliency import floor
from attnlabels.readouts.intermediates import Eye
from attnlabels.readouts.readouts import Looked, Reader, Readout
from attnlabels.recordings.recordings import Recording, count_recorded, read_recordings
from attnlabels.shards.shards import Shards

# Some photographs and their numbers in a set -> maps of each, by readout.
Draw = Callable[
    [Sequence[UInt8[np.ndarray, "_ _ 3"]], Sequence[int]],
    Mapping[str, Sequence[Float[np.ndarray, "_ _"]]],
]


class Compared(NamedTuple):
    """Scores of a set's images, in order, and how many maps of them were constant, by readout."""

    scores: dict[str, list[dict[str, float]]]
    constant: dict[str, int]
    n_undefined: int  # images left out: people's own map is the same everywhere


def learn(
    eye: Eye,
    shards: Shards,
    rows: Sequence[int],
    readouts: Mapping[str, Readout],
    *,
    n_parts: int,
    batch_size: int,
) -> None:
    """Show the readouts some images of the shards, the i-th of which is of part i modulo n."""
    numbers = range(len(rows))
    for first in tqdm(numbers[::batch_size], desc=f"{shards.folder.name}: fit", disable=None):
        chosen = numbers[first : first + batch_size]
        images, looked = [], []
        for number in chosen:
            sample = shards[rows[number]]
            image = decode(sample["image"], name=f"{shards.folder}: {sample['name']}")
            box = centre_box(image.shape[0], image.shape[1], eye.crop)
            images.append(image)
            looked.append(Looked(sample["map"], sample["points"], sample["grid"], box))
        seen = eye.see(images)
        for readout in readouts.values():
            readout.learn(seen, looked, [number % n_parts for number in chosen])


def fit_to_all(readouts: Mapping[str, Readout], *, n_parts: int) -> list[dict[str, Reader]]:
    """The readouts fitted to all parts, the first of which chooses a penalty."""
    parts = range(n_parts)
    return [{name: each.fitted(parts, development=0) for name, each in readouts.items()}]


def fit_across(readouts: Mapping[str, Readout], *, n_parts: int) -> list[dict[str, Reader]]:
    """For each part, the readouts fitted to all others, one of which chooses a penalty."""
    fitted = []
    for held_out in range(n_parts):
        parts = [part for part in range(n_parts) if part != held_out]
        development = (held_out + 1) % n_parts
        fitted.append(
            {name: each.fitted(parts, development=development) for name, each in readouts.items()}
        )
    return fitted


def drawing(eye: Eye, fitted: Sequence[Mapping[str, Reader]], *, prefix: str = "") -> Draw:
    """Maps read from what `eye` sees, of image i by those `fitted` of number i modulo n.

    The names of readouts get the `prefix`.
    """

    def draw(
        images: Sequence[UInt8[np.ndarray, "_ _ 3"]], numbers: Sequence[int]
    ) -> dict[str, Sequence[np.ndarray]]:
        seen = eye.see(images)
        maps: dict[str, list[np.ndarray]] = {prefix + name: [] for name in fitted[0]}
        for row, number in enumerate(numbers):
            alone = seen.of([row])
            for name, read in fitted[number % len(fitted)].items():
                maps[prefix + name].append(_as_array(read(alone)))
        return dict(maps)

    return draw


def score(folder: Path, draws: Sequence[Draw], *, crop: float, batch_size: int) -> Compared:
    """The scores of all maps drawn of a set's images against people, in the central `crop`.

    A constant map scores as chance does, and is counted. An image of which people's own map is
    constant is left out, for nothing correlates with it. Raises ValueError for maps that are not
    finite, and if no image is left.
    """
    everywhere = count_recorded(folder, crop=crop)
    recordings = enumerate(read_recordings(folder, crop=crop))
    compared = Compared({}, {}, 0)
    while batch := list(islice(recordings, batch_size)):
        defined = [pair for pair in batch if floor(pair[1].density) < 1]
        compared = compared._replace(n_undefined=compared.n_undefined + len(batch) - len(defined))
        if not defined:
            continue
        numbers, people = zip(*defined)
        images = [each.image for each in people]
        for draw in draws:
            for name, maps in draw(images, numbers).items():
                _score_batch(compared, name, maps, people, everywhere)
    if not compared.scores:
        raise ValueError(f"{folder}: people's maps are the same everywhere; prepare the set again")
    return compared


def _score_batch(
    compared: Compared,
    name: str,
    maps: Sequence[Float[np.ndarray, "_ _"]],
    people: Sequence[Recording],
    everywhere: np.ndarray,
) -> None:
    for map, each in zip(maps, people):
        if not np.isfinite(map).all():
            raise ValueError(f"{each.name}: the map of the readout {name} is not finite")
        map = resize_map(map, *each.density.shape)
        row = score_map(map, each.density, each.points, everywhere=everywhere)
        compared.scores.setdefault(name, []).append(row)
        compared.constant[name] = compared.constant.get(name, 0) + (floor(map) == 1)


def _as_array(maps: Tensor) -> Float[np.ndarray, "_ _"]:
    return maps[0].cpu().numpy().astype(np.float32)
