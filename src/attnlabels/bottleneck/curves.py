"""Deletion and insertion: how soon an image's class is lost, or told, in the order of a map.

Cells are taken in the order of the map, the highest first, and made grey (deletion), or shown on
grey (insertion). Which of the maps is right does not enter: of the map of what the network needs,
accuracy falls early and rises early.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from attnlabels.images.decoding import resize_map

Images: TypeAlias = UInt8[np.ndarray, "n s s 3"]
Way: TypeAlias = Literal["deletion", "insertion"]
GREY = 128
WAYS: tuple[Way, ...] = ("deletion", "insertion")


def order_of(map: Float[np.ndarray, "_ _"], *, cells: int) -> Int[np.ndarray, "p"]:
    """A square grid's cells by the map's mean there, the highest first, equal ones in order."""
    return np.argsort(-resize_map(map.astype(np.float64), cells, cells).ravel(), kind="stable")


def shown(images: Images, chosen: Bool[np.ndarray, "n g g"], way: Way) -> Images:
    """The images with the chosen cells grey, or with all others grey."""
    side = images.shape[1]
    cell = np.arange(side) * chosen.shape[1] // side
    inside = chosen[:, cell][:, :, cell]
    grey = inside if way == "deletion" else ~inside
    return np.where(grey[..., None], np.uint8(GREY), images)


def curve(
    images: Images,
    labels: Int[np.ndarray, "n"],
    orders: Int[np.ndarray, "n p"],
    way: Way,
    *,
    shares: Sequence[float],
    logits_of: Callable[[Images], Float[np.ndarray, "n k"]],
) -> Bool[np.ndarray, "n x"]:
    """Whether each image is classified rightly at each share of its cells."""
    n, p = orders.shape
    cells = round(p**0.5)
    found = []
    for share in shares:
        chosen = np.zeros((n, p), bool)
        np.put_along_axis(chosen, orders[:, : round(share * p)], True, axis=1)
        logits = logits_of(shown(images, chosen.reshape(n, cells, cells), way))
        found.append(logits.argmax(axis=1) == labels)
    return np.stack(found, axis=1)


def area(values: Float[np.ndarray, "n x"], shares: Sequence[float]) -> Float[np.ndarray, "n"]:
    """Under each curve over shares, by straight lines, over the span of these."""
    x = np.asarray(shares)
    middles = (values[:, 1:] + values[:, :-1]) / 2
    return (middles * np.diff(x)).sum(axis=1) / (x[-1] - x[0])
