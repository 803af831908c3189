"""How far people agree on what matters in an image, and how much of that a network explains.

Of ClickMe's players (Linsley et al., ICLR 2019, §2; STUDIES §A.5, §C.4), by Spearman's correlation
of their blurred maps. There are several ceilings, and each depends on the blur, on who is paired
with whom and on how many players a map is the mean of: a number without these says nothing, so
every record here holds them.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from attnlabels.metrics.ranks import rank, spearman
from attnlabels.metrics.saliency import FLAT
from attnlabels.metrics.statistics import Mean, mean_se, spearman_brown

# Whose maps are correlated: two players of one image, a pair of them or all; the mean maps of two
# halves of its players, corrected to all or filled up; players of two images, which is the null.
Pairing = Literal[
    "one_pair",
    "all_pairs",
    "split_halves",
    "bootstrapped_halves",
    "same_class",
    "other_class",
]
# What a network's correlation with the mean map is divided by: that of a player with another
# (the paper); the root of the reliability of the mean of as many players as there are, which a
# map of what people share would reach; that of two halves filled up to all (ClickMe 2.0).
Ceiling = Literal["player", "mean_of_players", "bootstrapped_halves"]

Maps = Float[np.ndarray, "p h w"]
Order = Int[np.ndarray, "_"]


class Players(NamedTuple):
    """Images, their classes and the maps of each one's players, all blurred alike; see `usable`."""

    blur: str
    names: list[str]
    labels: Int[np.ndarray, "n"]
    maps: list[Maps]


class Usable(NamedTuple):
    """The images with two players or more, and what was left out to get there."""

    players: Players
    kept: Int[np.ndarray, "m"]  # their numbers among all images
    flat_maps: int  # the same everywhere, of which no rank tells anything
    few_players: int  # images


class Agreement(NamedTuple):
    """A mean of Spearman's correlation over n images, and its standard error over these."""

    blur: str
    pairing: Pairing
    n: int
    rho: float
    se: float | None


class Share(NamedTuple):
    """A network's mean correlation as a share of the mean ceiling, of n images.

    `se` is by the delta method for a ratio of paired means, over images.
    """

    blur: str
    ceiling: Ceiling
    n: int
    share: float
    se: float | None


def usable(players: Players) -> Usable:
    """What can be paired; flat maps and images that keep fewer than two are left out, and counted.

    Raises ValueError naming the image for a map with values that are no numbers.
    """
    kept, maps, flat_maps = [], [], 0
    for i, (name, each) in enumerate(zip(players.names, players.maps)):
        if not np.isfinite(each).all():
            raise ValueError(f"{name}: a player's map has values that are no numbers; leave it out")
        flat = np.ptp(each, axis=(1, 2)) <= FLAT * np.abs(each).max(axis=(1, 2))
        flat_maps += int(flat.sum())
        if (~flat).sum() > 1:
            kept.append(i)
            maps.append(each[~flat])
    numbers = np.array(kept, np.int64)
    names = [players.names[i] for i in kept]
    chosen = Players(players.blur, names, players.labels[numbers], maps)
    return Usable(chosen, numbers, flat_maps, len(players.names) - len(kept))


def agreement(rhos: Float[np.ndarray, "n"], *, blur: str, pairing: Pairing) -> Agreement:
    """The mean of the images' correlations, that of halves corrected to all of their players.

    Raises ValueError where there are none.
    """
    n, rho, se = reliability(rhos) if pairing == "split_halves" else mean_se(rhos)
    return Agreement(blur, pairing, n, rho, se)


def one_pair(players: Players, *, seed: int) -> Float[np.ndarray, "n"]:
    """For each image the correlation of two of its players, drawn at random: the paper's way."""
    rng = np.random.default_rng(seed)
    pairs = (rng.choice(len(maps), 2, replace=False) for maps in players.maps)
    return np.array([spearman(*maps[pair]) for maps, pair in zip(players.maps, pairs)])


def all_pairs(players: Players) -> Float[np.ndarray, "n"]:
    """For each image the mean correlation of all pairs of its players: less noise, no draw."""
    return np.array([_mean_of_pairs(maps) for maps in players.maps])


def strangers(players: Players, partners: Order, *, seed: int) -> Float[np.ndarray, "_"]:
    """The null: a random player of each image with a random one of its partner's, by number.

    `partners` are those of `same_class` or `other_class`; an image without one, -1, is left out.
    """
    rng = np.random.default_rng(seed)
    drawn = [maps[rng.integers(len(maps))] for maps in players.maps]
    pairs = [(i, int(other)) for i, other in enumerate(partners) if other >= 0]
    return np.array([spearman(drawn[i], drawn[other]) for i, other in pairs])


def same_class(labels: Int[np.ndarray, "n"], *, seed: int) -> Order:
    """For each image another one of its class, each taken once; -1 where it is the only one.

    What agrees with the map of such a one is the layout that the class's images share.
    """
    rng = np.random.default_rng(seed)
    partners = np.full(len(labels), -1)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) > 1:
            partners[members] = np.roll(members, 1)
    return partners


def other_class(labels: Int[np.ndarray, "n"], *, seed: int) -> Order:
    """For each image one of another class, each taken once; none, -1, where no such order exists.

    That is where more than half of the images are of one class.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if 2 * counts.max(initial=0) > len(labels):
        return np.full(len(labels), -1)
    # The classes side by side and in random order: who stands as many places on as the largest
    # class has members is of another.
    classes = rng.permutation(len(counts))[numbers]
    order = shuffled[np.argsort(classes[shuffled], kind="stable")]
    partners = np.empty(len(labels), np.int64)
    partners[order] = np.roll(order, int(counts.max(initial=0)))
    return partners


def split_halves(players: Players, *, splits: int, seed: int) -> Float[np.ndarray, "n"]:
    """For each image the correlation of the mean maps of two random halves, mean over the splits.

    Of half of its n players each; `reliability` corrects their mean to n.
    """
    return _of_halves(players, splits=splits, seed=seed, fill=lambda half, n, rng: half)


def reliability(halves: Float[np.ndarray, "n"]) -> Mean:
    """What the mean maps of all players would correlate with those of as many others, from halves.

    The mean over images of `split_halves`, corrected (`spearman_brown`), and its standard error by
    the delta method. Not the mean of what each image's is corrected to: that has no lower bound,
    and a few images on which two players disagree would be all of it. A mean below 0, of players
    who share nothing, stays as it is. Of an odd number of players the halves differ by one, for
    which the correction is too small, by at most 0.02, of three players.

    Raises ValueError where there are none.
    """
    n, r, se = mean_se(halves)
    slope = 2 / (1 + r) ** 2 if r > 0 else 1.0
    return Mean(n, spearman_brown(r), None if se is None else slope * se)


def bootstrapped_halves(players: Players, *, splits: int, seed: int) -> Float[np.ndarray, "n"]:
    """ClickMe 2.0's ceiling of each image: halves drawn from, with replacement, up to n players.

    Neither the correlation of halves nor that of all: the repeated players add no information, so
    it lies near the former.
    """
    return _of_halves(
        players, splits=splits, seed=seed, fill=lambda half, n, rng: rng.choice(half, n)
    )


def ceiling_of_mean(halves: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """What a map of all that players share would correlate with their mean map; 0 if nothing is.

    Of each image, from its `split_halves`: the root of what these are corrected to.
    """
    shared = np.maximum(halves, 0)
    return np.sqrt(2 * shared / (1 + shared))


def share_explained(
    rhos: Float[np.ndarray, "n"],
    ceilings: Float[np.ndarray, "n"],
    *,
    blur: str,
    ceiling: Ceiling,
) -> Share:
    """The ratio of the means of both, of the same images in the same order.

    A mean of ratios would be all of those images whose ceiling is near 0. By the ceiling "player"
    it is the paper's, which may exceed 1 without an error: its network is compared with the mean of
    several players, and its player with one. "mean_of_players" does not favour the network.

    Raises ValueError where the mean ceiling is not above 0.
    """
    top = mean_se(ceilings).mean
    if top <= 0:
        raise ValueError(f"players agree with a mean of {top:.3f}; nothing is there to explain")
    share = mean_se(rhos).mean / top
    spread = mean_se(rhos - share * ceilings).se
    return Share(blur, ceiling, len(rhos), share, None if spread is None else spread / top)


def share_below(rhos: Real[np.ndarray, "n"], null: float) -> float:
    """The share of images whose correlation is below the null's mean.

    The paper prints it as p. It is none: it does not fall with the number of images. For a test,
    see `attnlabels.metrics.permutations.sign_flips` of the differences.
    """
    return float((rhos < null).mean())


def _mean_of_pairs(maps: Maps) -> float:
    # Of unit vectors the sum of all products is |sum|², and those with themselves are p.
    ranks = np.stack([rank(map.ravel()) for map in maps])
    ranks -= ranks.mean(axis=1, keepdims=True)
    total = (ranks / np.linalg.norm(ranks, axis=1, keepdims=True)).sum(axis=0)
    p = len(maps)
    return float((total @ total - p) / (p * (p - 1)))


def _of_halves(
    players: Players,
    *,
    splits: int,
    seed: int,
    fill: Callable[[Order, int, np.random.Generator], Order],
) -> Float[np.ndarray, "n"]:
    if splits < 1:
        raise ValueError(f"{splits} splits into halves; expected at least 1")
    rng = np.random.default_rng(seed)
    found = np.zeros(len(players.maps))
    for i, maps in enumerate(players.maps):
        n = len(maps)
        for _ in range(splits):
            order = rng.permutation(n)
            halves = (fill(half, n, rng) for half in (order[: n // 2], order[n // 2 :]))
            found[i] += spearman(*(maps[half].mean(axis=0) for half in halves)) / splits
    return found
