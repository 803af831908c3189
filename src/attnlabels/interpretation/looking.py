"""What networks make of a set's images: decisions of all, and maps of those that people painted on.

The maps are SmoothGrad of the true class, the attention of the last unit that has any, and the mean
over these units; each also of a network of random weights, and beside them a centre prior.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from tqdm import tqdm

from attnlabels.interpretation.frozen import Frozen, untrained_twin
from attnlabels.interpretation.people import People, read_squares
from attnlabels.interpretation.smoothgrad import Manner
from attnlabels.recordings.density import centre_prior
from attnlabels.shards.shards import Shards

OWN = ("smoothgrad", "attention_last", "attention_mean")
MAPS = (*OWN, *(f"random_{each}" for each in OWN), "centre_prior")


class Read(NamedTuple):
    """What is read from a network of a batch: maps by name, and those of all units."""

    maps: dict[str, Float[np.ndarray, "n _ _"]]
    units: Float[np.ndarray, "n l i j"]


class Looked(NamedTuple):
    """An image, the maps of it by name, and those of all units of the network."""

    image: UInt8[np.ndarray, "s s 3"]
    maps: dict[str, Float[np.ndarray, "_ _"]]
    units: Float[np.ndarray, "l i j"]


def classify(
    frozen: Frozen, shards: Shards, *, batch_size: int
) -> Iterator[tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n"]]]:
    """The logits and the classes of all images of the shards, a batch after the other.

    Raises ValueError for an image without a class.
    """
    if (shards.labels < 0).any():
        raise ValueError(f"{shards.folder}: an image has no class; leave out those without")
    for chosen in _batches(len(shards), batch_size, desc="classified"):
        images = read_squares(shards, chosen, size=frozen.size, crop=frozen.crop)
        yield frozen.see(images).logits, shards.labels[chosen]


def look(
    frozen: Frozen, painted: People, *, manner: Manner, count: int, seed: int, batch_size: int
) -> Iterator[Looked]:
    """The maps MAPS of each painted image, in order."""
    twin = untrained_twin(frozen, seed=seed)
    prior = centre_prior(*painted.players.maps[0].shape[1:])
    for chosen in _batches(len(painted.numbers), batch_size, desc="gradients"):
        numbers = [painted.numbers[i] for i in chosen]
        images = read_squares(painted.shards, numbers, size=frozen.size, crop=frozen.crop)
        own, random = (
            read_network(
                each,
                images,
                painted.players.labels[chosen],
                manner=manner,
                count=count,
                seed=seed,
                first=chosen[0],
            )
            for each in (frozen, twin)
        )
        for k, image in enumerate(images):
            maps = {key: map[k] for key, map in own.maps.items()}
            maps |= {f"random_{key}": map[k] for key, map in random.maps.items()}
            yield Looked(image, maps | {"centre_prior": prior}, own.units[k])


def read_network(
    frozen: Frozen,
    images: UInt8[np.ndarray, "n s s 3"],
    classes: Int[np.ndarray, "n"],
    *,
    manner: Manner,
    count: int,
    seed: int,
    first: int,
) -> Read:
    """SmoothGrad of the true classes, the last unit's attention, and the mean over units.

    In that mean each unit has a map of unit length, as in the loss that people's maps teach by.
    """
    units = frozen.see(images).attention
    lengths = np.sqrt(np.square(units).sum(axis=(2, 3), keepdims=True))
    maps = (
        frozen.gradients(images, classes, manner=manner, count=count, seed=seed, first=first),
        units[:, -1],
        (units / lengths).mean(axis=1),
    )
    return Read(dict(zip(OWN, maps)), units)


def _batches(n: int, size: int, *, desc: str) -> Iterator[list[int]]:
    for first in tqdm(range(0, n, size), desc=desc, disable=None):
        yield [*range(first, min(first + size, n))]
