"""How alike a network and people are: where its decision and its attention depend on an image.

Of each image Spearman's correlation of a network's maps with the mean of the players', the same
with another image's players, which is the null, and IoU with masks; all of it also for a centre
prior and for a network of random weights (STUDIES §A.5, §C.3, §C.4).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from attnlabels.images.decoding import resize_map
from attnlabels.interpretation.overlap import chance, iou_above_half, iou_of_mask_size
from attnlabels.interpretation.people import People, read_cut_mask
from attnlabels.metrics.linear_probe import among_largest
from attnlabels.metrics.ranks import spearman
from attnlabels.metrics.reliability import (
    Agreement,
    Ceiling,
    Share,
    ceiling_of_mean,
    one_pair,
    other_class,
    same_class,
    share_below,
    share_explained,
    split_halves,
    strangers,
    usable,
)
from attnlabels.metrics.statistics import Mean, mean_se

TOPS = (1, 5)


class Partners(NamedTuple):
    """For each image the number of another whose players it is compared with; -1 for none."""

    same_class: Int[np.ndarray, "n"]
    other_class: Int[np.ndarray, "n"]


class Ceilings(NamedTuple):
    """What players tell of players, of the images `kept`; see `attnlabels.metrics.reliability`."""

    kept: Int[np.ndarray, "m"]
    of: dict[Ceiling, Float[np.ndarray, "m"]]
    null: Float[np.ndarray, "_"]  # players of images of two classes, of those that have a partner
    flat_maps: int
    few_players: int


def draw_partners(labels: Int[np.ndarray, "n"], *, seed: int) -> Partners:
    """The null's pairs; of one image or one class there are none of some kind."""
    return Partners(same_class(labels, seed=seed), other_class(labels, seed=seed))


def score_image(
    map: Float[np.ndarray, "_ _"],
    i: int,
    people: People,
    partners: Partners,
    masks: Mapping[str, Bool[np.ndarray, "_ _"]],
) -> dict[str, float]:
    """A map of image `i` beside its people's mean map, that of its partners, and its masks."""
    human = people.mean_map(i)
    resized = resize_map(map.astype(np.float64), *human.shape)
    scores = {"rho": spearman(resized, human)}
    for pairing, partner in zip(Partners._fields, (each[i] for each in partners)):
        if partner >= 0:
            scores[f"rho_{pairing}"] = spearman(resized, people.mean_map(int(partner)))
    for name, mask in masks.items():
        scores[f"iou_{name}"] = iou_of_mask_size(map, mask)
        scores[f"iou_above_half_{name}"] = iou_above_half(map, mask)
    return scores


def folders_of_masks(given: Mapping[str, Path]) -> dict[str, Path]:
    """Those of masks that hold any; raises FileNotFoundError for one that is not there."""
    for name, folder in given.items():
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder}: no folder of masks there; put them there, or, to leave out the {name}, "
                f"make it empty: mkdir -p {folder}"
            )
    return {name: folder for name, folder in given.items() if any(folder.rglob("*.png"))}


def read_masks(
    folders: Mapping[str, Path], name: str, *, size: tuple[int, int], crop: float
) -> dict[str, Bool[np.ndarray, "_ _"]]:
    """The masks of an image of that size, by what they are of; none of nothing inside the crop."""
    found = {
        of: read_cut_mask(folder, name, size=size, crop=crop) for of, folder in folders.items()
    }
    return {of: mask for of, mask in found.items() if mask.any()}


def at_size(mask: Bool[np.ndarray, "_ _"] | None, size: int) -> Bool[np.ndarray, "{size} {size}"]:
    """A mask as a network of that input would be shown it; where there is none, nothing."""
    if mask is None:
        return np.zeros((size, size), bool)
    return resize_map(mask.astype(np.float32), size, size) >= 0.5


def of_masks(masks: Mapping[str, Bool[np.ndarray, "_ _"]]) -> dict[str, float]:
    """The share of the image that each mask has, and the IoU of chance."""
    shares = {f"share_{name}": float(mask.mean()) for name, mask in masks.items()}
    return shares | {f"chance_{name}": chance(mask) for name, mask in masks.items()}


def errors(
    logits: Float[np.ndarray, "n k"], classes: Int[np.ndarray, "n"]
) -> list[dict[str, float]]:
    """Of each image 1 where its class has not the largest logit, or, of more than five classes,
    none of the five largest; else 0."""
    z, y = logits.astype(np.float64), classes.astype(np.int64)
    tops = [top for top in TOPS if top < z.shape[1]]
    wrong = {f"top{top}_error": 1.0 - among_largest(z, y, k=top) for top in tops}
    return [{key: float(values[i]) for key, values in wrong.items()} for i in range(len(y))]


def measure_ceilings(people: People, *, splits: int, seed: int) -> Ceilings:
    """How players agree, of the images with two or more; of none there is nothing in `of`."""
    found = usable(people.players)
    if not len(found.kept):
        return Ceilings(found.kept, {}, np.zeros(0), found.flat_maps, found.few_players)
    halves = split_halves(found.players, splits=splits, seed=seed)
    partners = other_class(found.players.labels, seed=seed)
    return Ceilings(
        found.kept,
        {
            "player": one_pair(found.players, seed=seed),
            "mean_of_players": ceiling_of_mean(halves),
        },
        strangers(found.players, partners, seed=seed),
        found.flat_maps,
        found.few_players,
    )


def summarise(
    rows: Sequence[Mapping[str, float]], people: People, ceilings: Ceilings
) -> dict[str, Any]:
    """The mean of each score over the images that have it, with its standard error.

    Within its map where it is named "map.measure". Beside each map's is what share of the ceilings
    its correlations are; `rows` of `people.numbers` have these.
    """
    found: dict[str, Any] = {"ceilings": {}} | means_of(rows)
    for map in [key for key, told in found.items() if "rho" in told]:
        rhos = np.array([rows[i][f"{map}.rho"] for i in people.numbers])
        found[map] |= explained(rhos, ceilings, blur=people.players.blur)
    if len(ceilings.null):
        found["ceilings"]["null"] = as_dict(mean_se(ceilings.null))
    counts = {"few_players": ceilings.few_players, "flat_maps": ceilings.flat_maps}
    return found | {"ceilings": found["ceilings"] | counts}


def means_of(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The mean of each score over the rows that have it; of "map.measure" within its map."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        told = as_dict(mean_se(np.array([row[key] for row in rows if key in row])))
        map, _, measure = key.rpartition(".")
        (found.setdefault(map, {}) if map else found)[measure] = told
    return found


def ceilings_of(ceilings: Ceilings) -> dict[int, dict[str, float]]:
    """What the rows of the images with two players or more say of these, by the image's number."""
    return {
        int(i): {f"ceilings.{name}": float(values[k]) for name, values in ceilings.of.items()}
        for k, i in enumerate(ceilings.kept)
    }


def explained(
    rhos: Float[np.ndarray, "n"], ceilings: Ceilings, *, blur: str
) -> dict[str, dict[str, Any] | float]:
    """The share of each ceiling that a map's correlations have, and of images below the null."""
    found: dict[str, dict[str, Any] | float] = {}
    for name, values in ceilings.of.items():
        share = share_explained(rhos[ceilings.kept], values, blur=blur, ceiling=name)
        found[f"share_of_{name}"] = as_dict(share)
    if len(ceilings.null):
        found["share_below_null"] = share_below(rhos, float(ceilings.null.mean()))
    return found


def as_dict(record: Mean | Agreement | Share) -> dict[str, Any]:
    """The fields of a record that have a value, as JSON takes them."""
    return {key: value for key, value in record._asdict().items() if value is not None}
