"""How far a study's players agree on each image, beside chance and what more players would bring.

Spearman's correlation of blurred maps, each image stretched to a square (Linsley et al., ICLR 2019,
§2; STUDIES §A.5). A number depends on the blur and on how many players a map is the mean of.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from attnlabels.clickmaps.blurring import Blur
from attnlabels.collecting.settings import Task
from attnlabels.gathered.choosing import Chosen
from attnlabels.gathered.points import map_of, on_square
from attnlabels.gathered.tables import by_task
from attnlabels.metrics.ranks import spearman
from attnlabels.metrics.reliability import (
    Players,
    all_pairs,
    ceiling_of_mean,
    reliability,
    split_halves,
    strangers,
    usable,
)
from attnlabels.metrics.statistics import Mean, mean_se, spearman_brown

SIDE = 48  # of the maps
FEWEST = 2  # images of which a null is told


class Grown(NamedTuple):
    """The correlation of the mean maps of two groups of `players` each, that share nobody.

    `predicted` is what the correlation of single players leads one to expect (Spearman, Brown).
    """

    players: int
    rho: Mean
    predicted: float


class Agreed(NamedTuple):
    """Of the images that two players or more played, in a task.

    `pair`: of two players of an image. `null`: of one with one of another image. `whole`: the
    reliability of the mean map of all, from its halves. `ceiling`: what a map of all that players
    share would correlate with that mean map.
    """

    blur: Blur
    images: int
    players: float  # of an image, mean
    pair: Mean
    null: Mean | None
    whole: Mean
    ceiling: Mean
    growth: list[Grown]


def agree(
    chosen: Chosen, *, blur: Blur = "box_49", splits: int = 10, seed: int = 0
) -> dict[Task, Agreed]:
    """By task; a task in which no image has two players is not told of."""
    found = {}
    for task in by_task(chosen):
        players = players_of(chosen, task, blur=blur)
        if players is not None:
            found[task] = _agreed(players, blur, splits=splits, seed=seed)
    return found


def players_of(chosen: Chosen, task: Task, *, blur: Blur) -> Players | None:
    """The maps of each image's players, of images that have two; None if no image has.

    Of a player's rounds of an image the first one counts.
    """
    images: dict[int, dict[str, np.ndarray]] = {}
    names: dict[int, tuple[str, str]] = {}
    for each, points in by_task(chosen)[task]:
        own = images.setdefault(each.image.number, {})
        names[each.image.number] = (each.image.path, each.image.label)
        places = on_square(points, each.image, side=SIDE)
        if each.participant not in own:
            own[each.participant] = map_of(places, side=SIDE, count="binary", blur_by=blur)
    order = sorted(images)
    labels = np.unique([names[number][1] for number in order], return_inverse=True)[1]
    maps = [np.stack([*images[number].values()]) for number in order]
    found = usable(Players(blur, [names[number][0] for number in order], labels, maps))
    return found.players if len(found.kept) else None


def group_correlations(
    maps: Sequence[Float[np.ndarray, "_ _ _"]], size: int, *, splits: int, seed: int
) -> Float[np.ndarray, "_"]:
    """Of each image the correlation of the mean maps of two groups of `size`, mean over splits.

    Each image has twice as many players, or more.
    """
    rng, found = np.random.default_rng(seed), []
    for each in maps:
        orders = [rng.permutation(len(each)) for _ in range(splits)]
        halves = [(each[order[:size]], each[order[size : 2 * size]]) for order in orders]
        rhos = [spearman(one.mean(axis=0), other.mean(axis=0)) for one, other in halves]
        found.append(float(np.mean(rhos)))
    return np.array(found)


def _agreed(players: Players, blur: Blur, *, splits: int, seed: int) -> Agreed:
    pairs = all_pairs(players)
    n = len(players.maps)
    order = np.random.default_rng(seed).permutation(n)
    partners = np.empty(n, np.int64)
    partners[order] = np.roll(order, 1)
    halves = split_halves(players, splits=splits, seed=seed)
    return Agreed(
        blur=blur,
        images=n,
        players=float(np.mean([len(each) for each in players.maps])),
        pair=mean_se(pairs),
        null=mean_se(strangers(players, partners, seed=seed)) if n >= FEWEST else None,
        whole=reliability(halves),
        ceiling=mean_se(ceiling_of_mean(halves)),
        growth=_grow(players, splits=splits, seed=seed),
    )


def _grow(players: Players, *, splits: int, seed: int) -> list[Grown]:
    """Up to the size of groups that half of the images have players for; of these images alone."""
    most = int(np.median([len(each) for each in players.maps])) // 2
    maps = [each for each in players.maps if len(each) >= 2 * most]
    sizes = range(1, most + 1)
    rhos = [mean_se(group_correlations(maps, n, splits=splits, seed=seed)) for n in sizes]
    return [Grown(n, rho, spearman_brown(rhos[0].mean, n)) for n, rho in zip(sizes, rhos)]
