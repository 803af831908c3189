"""Scores of a network through a bottleneck, image by image, and their means.

A column is named "map.measure", or "measure" where it is of the network. Beside the stability of a
mask always stand what it is worth nothing without: accuracy under the change, IoU with the object,
and how alike the masks of two images are. A mask that has collapsed is the most stable one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int, UInt8

from attnlabels.bottleneck.changes import Change, alike
from attnlabels.bottleneck.curves import WAYS, area, curve, order_of
from attnlabels.bottleneck.frozen import Frozen, Seen
from attnlabels.images.crops import centre_box, crop_map
from attnlabels.images.decoding import resize_map
from attnlabels.interpretation.overlap import Mask, chance, iou_of_mask_size
from attnlabels.interpretation.people import read_cut_mask, read_squares
from attnlabels.metrics.ranks import spearman
from attnlabels.metrics.reliability import other_class
from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Shards

ABOVE_NULL = 95.0  # percentile of the masks of two images, above which two masks are alike
Rows: TypeAlias = list[dict[str, float]]
Curve: TypeAlias = Float[np.ndarray, " x"]


class Tested(NamedTuple):
    """Images to score on, as the network is shown them, their objects and what people painted."""

    names: list[str]
    images: UInt8[np.ndarray, "n s s 3"]
    labels: Int[np.ndarray, "n"]
    objects: list[Mask]
    people: list[Float[np.ndarray, "_ _"] | None]


def read_tested(folder: Path, objects: Path, *, size: int, crop: float) -> Tested:
    """The images of shards with classes, and the masks `<class>/<stem>.png` of their objects.

    Raises ValueError for an image without a class and for a mask that is of another size, or that
    has nothing of the object or nothing else, and FileNotFoundError for one that is not there.
    """
    shards = Shards(folder)
    if (shards.labels < 0).any():
        raise ValueError(f"{folder}: an image has no class; leave out those without")
    names: list[str] = []
    masks, people = list[Mask](), list[Float[np.ndarray, "_ _"] | None]()
    for sample in (shards[i] for i in range(len(shards))):
        name = sample["name"]
        cut = read_cut_mask(objects, name, size=sample["image_size"], crop=crop)
        mask = resize_map(cut.astype(np.float32), size, size) >= 0.5
        if mask.all() or not mask.any():
            raise ValueError(
                f"{objects / Path(name).with_suffix('.png')}: {'all' if mask.any() else 'none'} of "
                f"the {size} x {size} px that the network is shown is object; draw the object, or "
                "leave out the image"
            )
        names.append(name)
        masks.append(mask)
        box = centre_box(*sample["image_size"], crop)
        nobody = sample["source"] == NOBODY
        people.append(None if nobody else crop_map(sample["map"], box, size=(size, size)))
    images = read_squares(shards, range(len(shards)), size=size, crop=crop)
    return Tested(names, images, shards.labels, masks, people)


def see_all(frozen: Frozen, images: UInt8[np.ndarray, "n s s 3"], *, batch_size: int) -> Seen:
    """`Frozen.see` of all images, a batch after the other."""
    parts = [frozen.see(images[chosen]) for chosen in _batches(len(images), batch_size)]
    return Seen(*(np.concatenate(each) for each in zip(*parts)))


def score_maps(tested: Tested, seen: Seen, maps: Mapping[str, Float[np.ndarray, "n _ _"]]) -> Rows:
    """Of each image whether it is classified rightly, what passed, and where its maps lie."""
    rows: Rows = [
        {"top1": float(right), "chance": chance(mask)}
        for right, mask in zip(seen.logits.argmax(axis=1) == tested.labels, tested.objects)
    ]
    for name in ("code_bits", "code_noise", "mask_bits", "mask_noise"):
        for row, value in zip(rows, getattr(seen, name).tolist()):
            row[name] = value
    for name, each in maps.items():
        for row, map, mask, human in zip(rows, each, tested.objects, tested.people):
            row[f"{name}.iou"] = iou_of_mask_size(map, mask)
            if human is not None:
                row[f"{name}.rho"] = spearman(resize_map(map, *human.shape), human)
    return rows


def maps_of(
    frozen: Frozen, tested: Tested, seen: Seen, *, batch_size: int
) -> dict[str, Float[np.ndarray, "n _ _"]]:
    """The masks' means, of a network that has them, and the gradients of the classes it tells."""
    told = seen.logits.argmax(axis=1)
    slopes = [
        frozen.gradients(tested.images[chosen], told[chosen])
        for chosen in _batches(len(told), batch_size)
    ]
    masks = {"mask": seen.masks.astype(np.float64)} if seen.masks.size else {}
    return masks | {"gradient": np.concatenate(slopes).astype(np.float64)}


def draw_some(n: int, some: int, *, seed: int) -> Int[np.ndarray, "m"]:
    """So many of `n` images, or all if there are no more, drawn by the seed, in their order.

    Not the first ones, which may be of one class.
    """
    return np.sort(np.random.default_rng(seed).permutation(n)[:some])


def score_curves(
    frozen: Frozen,
    images: UInt8[np.ndarray, "n s s 3"],
    labels: Int[np.ndarray, "n"],
    maps: Mapping[str, Float[np.ndarray, "n _ _"]],
    *,
    shares: Sequence[float],
    cells: int,
    seed: int,
    batch_size: int,
) -> tuple[Rows, dict[str, Curve]]:
    """Areas under deletion and insertion of each image, and the mean curves, "way.order".

    In the order of each of the `maps` of the images, and at random.
    """
    n = len(images)
    orders = {
        name: np.stack([order_of(map, cells=cells) for map in each]) for name, each in maps.items()
    }
    orders["random"] = np.stack(
        [np.random.default_rng([seed, i]).permutation(cells * cells) for i in range(n)]
    )
    rows: Rows = [{} for _ in range(n)]
    curves: dict[str, Curve] = {}

    def logits_of(images: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n k"]:
        return see_all(frozen, images, batch_size=batch_size).logits

    for way in WAYS:
        for name, order in orders.items():
            right = curve(
                images,
                labels,
                order,
                way,
                shares=shares,
                logits_of=logits_of,
            ).astype(np.float64)
            curves[f"{way}.{name}"] = right.mean(axis=0)
            for row, value in zip(rows, area(right, shares).tolist()):
                row[f"{way}.{name}"] = value
    return rows, curves


def score_stability(
    frozen: Frozen,
    tested: Tested,
    seen: Seen,
    changes: Mapping[str, Change],
    *,
    seed: int,
    batch_size: int,
) -> Rows:
    """Of each image and change: accuracy, whether the decision stays, and of the mask that is made
    of the changed image IoU and its likeness to the one before; and the null of that."""
    partners = other_class(tested.labels, seed=seed)
    rows: Rows = [{} for _ in tested.names]
    if not (partners >= 0).all():
        raise ValueError("more than half of the images are of one class; score on more classes")
    masks = seen.masks if seen.masks.size else None
    if masks is not None:
        for row, mask, partner in zip(rows, masks, partners):
            row["null.alike"] = alike(mask, masks[partner])
    told = seen.logits.argmax(axis=1)
    limit = np.percentile([row.get("null.alike", 0.0) for row in rows], ABOVE_NULL)
    for name, change in changes.items():
        images = np.stack([*changed(tested, partners, change, seed=seed)])
        now = see_all(frozen, images, batch_size=batch_size)
        decided = now.logits.argmax(axis=1)
        for i, row in enumerate(rows):
            row[f"{name}.top1"] = float(decided[i] == tested.labels[i])
            row[f"{name}.stays"] = float(decided[i] == told[i])
            if masks is not None:
                same = alike(masks[i], now.masks[i])
                row[f"{name}.alike"] = same
                row[f"{name}.above_null"] = float(same > limit)
                row[f"{name}.iou"] = iou_of_mask_size(now.masks[i], tested.objects[i])
                # Of images whose decision stays, and of the others.
                row[f"{name}.alike_{'stays' if decided[i] == told[i] else 'turns'}"] = same
    return rows


def columns_of(changes: Iterable[str], seen: Seen) -> list[str]:
    """The columns of changes that no image may have, as where no decision turns, but seeds share.

    Of a network without masks there are none.
    """
    if not seen.masks.size:
        return []
    return [f"{name}.alike_{each}" for name in changes for each in ("stays", "turns")]


def changed(
    tested: Tested, partners: Int[np.ndarray, "n"], change: Change, *, seed: int
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """Each image under a change, by a generator of its own number."""
    for i, (image, mask) in enumerate(zip(tested.images, tested.objects)):
        rng = np.random.default_rng([seed, i])
        yield change(image, mask, tested.images[partners[i]], rng)


def idle_anchors(frozen: Frozen, seen: Seen) -> dict[str, int]:
    """How many anchors there are, and how many of them are nearest to no cell of any image."""
    if not frozen.anchors:
        return {}
    return {"anchors": frozen.anchors, "idle": frozen.anchors - len(np.unique(seen.anchored))}


def _batches(n: int, size: int) -> Iterator[slice]:
    return (slice(first, first + size) for first in range(0, n, size))
