"""Rounds as ClickMe's files, and as labelled shards.

clickme   ClickMe 2.0's CSV, a row a round; and its first version's TFRecord, a record an image:
          the image's file, the share of players who uncovered a place, and the class, as
          Harmonization published them, but for the map, a PNG that loses nothing
shards    images with the mean of the players' blurred maps, their points, and who made each
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from attnlabels.clickmaps.blurring import Blur, bubbled, mean_map
from attnlabels.clickmaps.examples import ENCODED
from attnlabels.clickmaps.samples import Maps, Painted, Read, draw
from attnlabels.clickmaps.tfrecord import Feature, encode_example, write_records
from attnlabels.collecting.folder import Image
from attnlabels.gathered.choosing import Played
from attnlabels.gathered.originals import Originals
from attnlabels.images.decoding import decode
from attnlabels.recordings.density import Count
from attnlabels.shards.shards import Sample, write_shards

COLUMNS = ("image_path", "clicks", "user_id", "user_catch_trial", "is_mobile")
SHARD_SIZE = 1000


@dataclass(frozen=True, kw_only=True)
class MapDrawing:
    """How maps of shards are made."""

    blur: Blur = "box_49"
    count: Count = "binary"  # of a player's places in a pixel
    map_size: int = 56  # of the shorter side, at most the image's


def by_image(played: Sequence[Played]) -> list[tuple[Image, list[Played]]]:
    """The rounds of each image, in the order of the images."""
    images: dict[int, list[Played]] = {}
    for each in played:
        images.setdefault(each.round.image.number, []).append(each)
    return [(rounds[0].round.image, rounds) for _, rounds in sorted(images.items())]


def write_submissions(
    path: Path, played: Sequence[Played], *, catch: Mapping[str, float | None]
) -> None:
    """ClickMe 2.0's CSV; `catch` is each player's share of catch rounds that were right."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for each, points in played:
            pairs = str([(x, y) for y, x in points.cells.tolist()])
            score = catch.get(each.participant)
            told = "" if score is None else round(score, 4)
            mobile = each.shown["pointer"] == "touch"
            table.writerow([each.image.path, pairs, each.participant, told, mobile])


def write_heatmaps(
    path: Path,
    played: Sequence[Played],
    originals: Originals,
    *,
    classes: Sequence[str],
    reach: int | None,
) -> None:
    """ClickMe's records; labels are places among the classes.

    A place uncovers a square of `reach` px, or what ClickMe's does on an image of that size.
    """
    numbers = {name: k for k, name in enumerate(classes)}
    write_records(path, _records(played, originals, numbers, reach))


def write_labelled(
    folder: Path,
    played: Sequence[Played],
    originals: Originals,
    *,
    classes: Sequence[str],
    players: Mapping[str, int],
    drawing: MapDrawing,
) -> None:
    """Shards of the images; `players` are the numbers of who made the points."""
    task = played[0].round.task
    write_shards(
        folder,
        _samples(played, originals, {name: k for k, name in enumerate(classes)}, players, drawing),
        maximum_count=SHARD_SIZE,
        maps_by={
            "kind": "players",
            "form": "collect",
            "task": task,
            "blur": drawing.blur,
            "count": drawing.count,
            "players": len({each.round.participant for each in played}),
            "rounds": len(played),
        },
        classes=classes,
    )


def _records(
    played: Sequence[Played], originals: Originals, numbers: Mapping[str, int], reach: int | None
) -> Iterator[bytes]:
    for image, rounds in by_image(played):
        features: dict[str, Feature] = {
            "image": [_encoded(originals.read(image), image)],
            "heatmap": [cv2.imencode(".png", _uncovered(rounds, reach))[1].tobytes()],
            "label": np.array([numbers[image.label]], np.int64),
            "click_count": np.array([sum(len(each.points.t) for each in rounds)], np.int64),
        }
        yield encode_example(features)


def _encoded(data: bytes, image: Image) -> bytes:
    """The file where it is a JPEG or a PNG, which alone readers of these records know."""
    if data.startswith(ENCODED):
        return data
    pixels = decode(data, name=image.path)
    return cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()


def _uncovered(rounds: Iterable[Played], reach: int | None) -> UInt8[np.ndarray, "h w"]:
    """The share of players who uncovered a pixel, the largest 255."""
    seen: dict[str, np.ndarray] = {}
    for each, points in rounds:
        size = (each.image.height, each.image.width)
        mask = bubbled(points.cells, size=size, reach=reach)
        seen[each.participant] = seen.get(each.participant, mask) | mask
    total = np.sum([*seen.values()], axis=0)
    return np.rint(255 * total / total.max()).astype(np.uint8)


def _samples(
    played: Sequence[Played],
    originals: Originals,
    numbers: Mapping[str, int],
    players: Mapping[str, int],
    drawing: MapDrawing,
) -> Iterator[Sample]:
    for image, rounds in by_image(played):
        points = np.concatenate([each.points.cells for each in rounds])
        who = np.repeat(
            np.array([players[each.round.participant] for each in rounds], np.int64),
            [len(each.points.t) for each in rounds],
        )
        size = (image.height, image.width)
        painted = Painted(
            name=image.path,
            image=originals.read(image),
            size=size,
            label=numbers.get(image.label, -1),
            map=mean_map(points, who, size=size, count=drawing.count),
            points=points,
            players=who,
            where=image.path,
        )
        scale = min(1.0, drawing.map_size / min(size))
        shape = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        maps = Maps(blur=drawing.blur, size=shape, share=1.0, source="collect")
        drawn = draw(Read(image.path, painted), maps)
        if drawn.sample is None:
            raise ValueError(f"{drawn.why}; take another blur")
        yield drawn.sample
