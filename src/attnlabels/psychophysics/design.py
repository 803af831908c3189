"""Which participant sees which image how: Latin squares of levels and map types.

As in the experiment of Linsley et al. (ICLR 2019, §2.2): a participant sees each image once, and
over a square each image is seen once at each level of each map type. There it is the level (image +
set) mod levels of a set that is drawn at random, which leaves some sets with few participants.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

Assignment = Literal["between", "within"]


class Cell(NamedTuple):
    """What is seen of an image: a map type and a level, by their numbers."""

    map_type: int
    level: int


def n_sets(n_types: int, n_levels: int) -> int:
    """How many sets there are, in which each image is in each cell once."""
    return n_types * n_levels


def cells_of_set(
    number: int, n_images: int, *, n_types: int, n_levels: int, assignment: Assignment
) -> list[Cell]:
    """What the participants of a set see of each image, by the images' order.

    `between`: a participant has one map type, as the paper's groups have; the first `n_levels` sets
    are of the first type. `within`: all of them. Images that follow one another in the order, as
    those of a class should, have all levels (and types) in turn: so no level is of one class more
    than of another, if classes have a multiple of them in images.

    Raises ValueError for a set that there is not.
    """
    if not 0 <= number < n_sets(n_types, n_levels):
        raise ValueError(f"set {number}; expected one of 0 to {n_sets(n_types, n_levels) - 1}")
    if assignment == "between":
        map_type, turn = divmod(number, n_levels)
        return [Cell(map_type, (i + turn) % n_levels) for i in range(n_images)]
    turned = ((i + number) % (n_types * n_levels) for i in range(n_images))
    return [Cell(*divmod(each, n_levels)) for each in turned]


def least_used(uses: Sequence[int]) -> int:
    """The set that fewest participants had, the first of several.

    For `uses` of each set: with this, no two sets ever differ by more than one.
    """
    return int(np.argmin(uses))


def order_of_trials(n_images: int, *, seed: int, participant: int) -> list[int]:
    """The images in the order in which a participant sees them, drawn for each anew."""
    return np.random.default_rng([seed, participant]).permutation(n_images).tolist()
