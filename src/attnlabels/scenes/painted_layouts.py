"""Painted scenes in the layouts of ImageNet and of ClickMe's records and tables."""

import csv
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from attnlabels.clickmaps.blurring import bubbled
from attnlabels.clickmaps.samples import is_used
from attnlabels.clickmaps.tfrecord import Feature, encode_example, write_records
from attnlabels.pipeline.writing import write_arrays
from attnlabels.scenes import parts, players
from attnlabels.scenes.layouts import JPEG, write_jpeg, write_mask
from attnlabels.scenes.observers import attention_map
from attnlabels.scenes.parts import PartScene, draw_part_scene
from attnlabels.scenes.players import Crowd, Painting, Player, paint
from attnlabels.scenes.scenes import SHAPES, Style, scene_rng

COLUMNS = ("image_path", "clicks", "user_id", "user_catch_trial", "is_mobile")
PASSED = 0.95  # of catch trials; whose maps are in the records
BOTTOM_UP = {"object_weight": 0.0, "contrast_weight": 0.5, "centre_weight": 0.5}
CENTRE_SIGMA = 0.25  # of the side
MAP_MAX = 65535


class PaintedScene(NamedTuple):
    """A scene, what players painted on it, and what draws attention whatever the class."""

    scene: PartScene
    paintings: list[Painting]
    bottom_up: Float[np.ndarray, "h w"]  # sums to 1


def painted(
    index: int,
    *,
    split: str,
    seed: int,
    n_classes: int,
    size: int,
    part_size: float,
    style: Style,
    crowd: Crowd,
    who: list[Player],
) -> PaintedScene:
    """A scene with its players; indices take the classes in turn."""
    rng = scene_rng(seed, split, index=index)
    scene = draw_part_scene(rng, index % n_classes, size=size, part_size=part_size, style=style)
    paintings = paint(scene_rng(seed, f"players on {split}", index=index), scene, who, crowd)
    bottom_up = attention_map(scene.image, scene.mask, centre_sigma=CENTRE_SIGMA, **BOTTOM_UP)
    return PaintedScene(scene, paintings, bottom_up)


def write_split(folder: Path, split: str, results: Iterable[PaintedScene], *, share: float) -> None:
    """The files of a split; the records hold the maps of a `share` of the images."""
    rows = list(_write_images(folder, split, results))
    records = folder / "clickme1" / split
    records.mkdir(parents=True)
    write_records(records / f"{split}-0.tfrecords", (_record(each, share) for each in rows))
    submissions = [(each.path, painting) for each in rows for painting in each.paintings]
    tables = folder / "clickme2"
    tables.mkdir(exist_ok=True)
    write_clicks(tables / f"{split}.csv", submissions)
    write_columns(tables / f"{split}.npz", submissions)


class Row(NamedTuple):
    """What ClickMe's files say of an image."""

    path: str  # as it is below `imagenet`
    image: bytes
    label: int
    size: int
    paintings: list[Painting]


def _write_images(folder: Path, split: str, results: Iterable[PaintedScene]) -> Iterator[Row]:
    for number, (scene, paintings, bottom_up) in enumerate(results, 1):
        wnid = f"n{scene.label + 1:08d}"
        stem = f"{split}/{wnid}/{wnid}_{number}"
        image = folder / "imagenet" / f"{stem}.JPEG"
        write_jpeg(image, scene.image)
        write_mask(folder / "objects" / f"{stem}.png", scene.mask)
        write_mask(folder / "parts" / f"{stem}.png", scene.part)
        _write_map(folder / "bottom_up" / f"{stem}.png", bottom_up)
        size = len(scene.mask)
        yield Row(f"{stem}.JPEG", image.read_bytes(), scene.label, size, paintings)


def _write_map(path: Path, map: Float[np.ndarray, "h w"]) -> None:
    """16-bit grey, 65535 where it is largest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", np.rint(MAP_MAX * map / map.max()).astype(np.uint16))
    path.write_bytes(data.tobytes())


def _record(row: Row, share: float) -> bytes:
    """Harmonization's form: JPEGs of the image and of what players uncovered, and the class."""
    heat = _uncovered(row) if is_used(row.path, share=share) else None
    features: dict[str, Feature] = {
        "image": [row.image],
        "heatmap": [b"" if heat is None else cv2.imencode(".jpg", heat, JPEG)[1].tobytes()],
        "label": np.array([row.label], np.int64),
    }
    return encode_example(features)


def _uncovered(row: Row) -> UInt8[np.ndarray, "h w"] | None:
    """The share of players who uncovered a pixel, the largest 255; None if nobody counts."""
    first = {each.player.id: each for each in reversed(row.paintings)}.values()
    honest = [
        each.clicks
        for each in first
        if each.player.catch_trial >= PASSED and not each.player.is_mobile
    ]
    if not honest:
        return None
    size = (row.size, row.size)
    total = np.sum([bubbled(each[:, ::-1], size=size) for each in honest], axis=0)
    return np.rint(255 * total / total.max()).astype(np.uint8)


def write_clicks(path: Path, submissions: Iterable[tuple[str, Painting]]) -> None:
    """ClickMe 2.0's CSV, a row a submission."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for image, (player, clicks) in submissions:
            pairs = str([(x, y) for x, y in clicks.tolist()])
            row = [image, pairs, player.id, player.catch_trial, player.is_mobile]
            table.writerow(row)


def write_columns(path: Path, submissions: Iterable[tuple[str, Painting]]) -> None:
    """ClickMe 2.0's npz, with clicks end to end in place of arrays of objects."""
    images, paintings = zip(*submissions)
    x, y = np.concatenate([each.clicks for each in paintings]).T
    by: Any = [each.player for each in paintings]
    write_arrays(
        path,
        file_pointer=np.array(images),
        clickmap_x=x,
        clickmap_y=y,
        n_clicks=np.array([len(each.clicks) for each in paintings]),
        user_id=np.array([each.id for each in by]),
        user_catch_trial=np.array([each.catch_trial for each in by]),
        is_mobile=np.array([each.is_mobile for each in by]),
    )


def readme(name: str, *, n_classes: int) -> str:
    """What the data are, drawn from the row `name`; it quotes the models' docs."""
    return f"""Synthetic data: no photograph and no person had a part in it.

Drawn by src/make_painted_scenes.py from the row {name!r} of make_painted_scenes in its params.yaml.

    imagenet/SPLIT/CLASS/*.JPEG      the pictures, in ImageNet's folders
    objects/, parts/                 masks of the object and of the part that tells its class, 8-bit
                                     grey: the share of it in a pixel, from 0 to 255
    bottom_up/                       contrast and centre, whatever the class: 16-bit grey
    clickme1/SPLIT/*.tfrecords       ClickMe as Harmonization published it: JPEGs of the image and
                                     of the share of players who uncovered a place, and the class;
                                     a heatmap of no bytes where nobody painted
    clickme2/SPLIT.csv, SPLIT.npz    ClickMe 2.0's clicks, (x, y) from 0, of all players;
                                     the npz has them end to end, and n_clicks of each

Pictures (src/attnlabels/scenes/parts.py)

{inspect.getdoc(parts)}

Classes, in the order of their labels: {", ".join(SHAPES[:n_classes])}.

Players (src/attnlabels/scenes/players.py)

{inspect.getdoc(players)}

The records hold maps by players who passed the catch trials ({PASSED}) and had no telephone, of
their first submission. Nothing that learns to paint may read parts/ or objects/.
"""
