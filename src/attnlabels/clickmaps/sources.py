"""Images with what players painted on them, from files of each of ClickMe's forms.

TFRecord's records bring their images and maps; the images of clicks (CSV, npz) and of finished maps
(HDF5) are in class folders.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool, Int

from attnlabels.clickmaps.blurring import mean_map
from attnlabels.clickmaps.examples import as_example
from attnlabels.clickmaps.filters import Filters, of_images, of_players
from attnlabels.clickmaps.forms import Form
from attnlabels.clickmaps.masks import read_mask
from attnlabels.clickmaps.ready_maps import read_hdf5
from attnlabels.clickmaps.samples import Painted
from attnlabels.clickmaps.submissions import Submission, read_csv, read_npz
from attnlabels.clickmaps.tfrecord import Records, parse_example
from attnlabels.images.broken import Broken, note_left_out
from attnlabels.images.decoding import require_whole
from attnlabels.images.tree import ImageFiles
from attnlabels.recordings.density import Count
from attnlabels.recordings.points import Outside, place

NO_POINTS = np.zeros((0, 2), np.int64)
NO_PLAYERS = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How what does not fit is treated, and how clicks become a map."""

    broken: Broken  # at an image or a record that cannot be used
    outside: Outside  # at a click outside of its image
    count: Count
    filters: Filters | None


def from_records(
    files: Sequence[Path], skipped: list[str], *, n_classes: int, manner: Manner
) -> Iterator[Painted]:
    """The images and maps of TFRecord files; a damaged record stops, or is skipped and named."""
    for path in files:
        records = Records(path)
        for number in range(len(records)):
            name = f"{path.name.replace('.', '_')}-{number:07d}"
            where = f"{path}: record {number}"
            try:
                example = as_example(parse_example(records[number]), classes=n_classes)
            except ValueError as error:
                why = str(error) if str(path) in str(error) else f"{where}: {error}"
                if manner.broken == "stop":
                    raise ValueError(
                        f"{why}; mend it, or leave out such records: `broken: skip`"
                    ) from error
                note_left_out(skipped, name, why)
                continue
            yield Painted(
                name=name,
                image=example.image,
                size=example.size,
                label=example.label,
                map=example.map,
                points=NO_POINTS,
                players=NO_PLAYERS,
                where=where,
            )


def from_clicks(
    form: Form,
    path: Path,
    images: ImageFiles,
    counts: Counter[str],
    skipped: list[str],
    *,
    manner: Manner,
) -> Iterator[Painted]:
    """The images of the class folders with the clicks of a CSV or an npz on them.

    `counts` gets the numbers of submissions, clicks and players, and what each filter left out.
    """
    assert manner.filters is not None
    read = (read_csv if form == "csv" else read_npz)(path)
    there = _there(read, images, skipped, manner.broken, counts)
    submissions: dict[str, list[Submission]] = {}
    for each in of_players(there, manner.filters, counts):
        submissions.setdefault(each.image, []).append(each)
    numbers: dict[str, int] = {}
    for name, label, data, size in _photographs(images, skipped, manner.broken):
        placed = _placed(submissions.get(name, []), size, numbers, counts, manner.outside)
        kept = of_images(
            placed,
            manner.filters,
            counts,
            read_object=partial(_read_object, manner.filters, name, size),
        )
        points = np.concatenate([NO_POINTS, *(points for points, _ in kept)])
        players = np.repeat(
            np.array([player for _, player in kept], np.int64), [len(each) for each, _ in kept]
        )
        counts["submissions_used"] += len(kept)
        counts["clicks_used"] += len(points)
        map = mean_map(points, players, size=size, count=manner.count) if kept else None
        yield Painted(name, data, size, label, map, points, players, f"{path}: {name}")


def from_maps(
    path: Path, images: ImageFiles, skipped: list[str], *, manner: Manner
) -> Iterator[Painted]:
    """The images of the class folders with the maps of an HDF5 file."""
    known = _Names(images)
    maps = {}
    for ready in read_hdf5(path):
        name = known.find(ready.name)
        if name in maps:
            raise ValueError(f"{ready.where}: a second map of {name}; remove one")
        if name is not None:
            maps[name] = ready
        elif manner.broken == "stop":
            raise FileNotFoundError(_not_there(ready.where, ready.name, images.root))
        else:
            note_left_out(skipped, ready.name, _not_there(ready.where, ready.name, images.root))
    for name, label, data, size in _photographs(images, skipped, manner.broken):
        ready_map = maps.get(name)
        where = ready_map.where if ready_map else f"{path}: {name}"
        map = ready_map.map if ready_map else None
        if map is not None and map.shape != size:
            raise ValueError(
                f"{where}: a map of {map.shape[0]} x {map.shape[1]} on an image of {size[0]} x "
                f"{size[1]}; cut and resize the images as their maps were"
            )
        yield Painted(name, data, size, label, map, NO_POINTS, NO_PLAYERS, where)


class _Names:
    """Images by the path that another machine may have called them by."""

    def __init__(self, images: ImageFiles) -> None:
        self.names = {str(each) for each in images.listed.paths.tolist()}
        self.flat = {_flat(each): each for each in self.names}
        self.classes = {*images.listed.classes}
        self.bare: dict[str, list[str]] = {}
        for each in self.names:
            self.bare.setdefault(PurePosixPath(each).name, []).append(each)

    def find(self, path: str) -> str | None:
        """The image's path below the class folders, whatever comes before; None if there is none.

        A path whose separators are replaced by `_` or `-` is taken whole. Of one that names no
        class the file's name tells, where there is one of that name.
        """
        parts = PurePosixPath(path.replace("\\", "/")).parts
        ends = ("/".join(parts[i:]) for i in range(len(parts)))
        found = next((each for each in ends if each in self.names), None)
        found = found or self.flat.get(_flat(path))
        if found or self.classes & {*parts[:-1]}:
            return found
        same = self.bare.get("".join(parts[-1:]), [])
        return same[0] if len(same) == 1 else None


def _flat(path: str) -> str:
    return path.translate(str.maketrans("/\\-", "___"))


def _there(
    submissions: Iterable[Submission],
    images: ImageFiles,
    skipped: list[str],
    broken: Broken,
    counts: Counter[str],
) -> Iterator[Submission]:
    """The submissions whose image is in the class folders, under its name there."""
    known, missing, players = _Names(images), set(), set()
    for each in submissions:
        counts["submissions_read"] += 1
        counts["clicks_read"] += len(each.clicks)
        players.add(each.player)
        counts["players_read"] = len(players)
        name = known.find(each.image)
        if name is not None:
            yield each._replace(image=name)
            continue
        why = _not_there(each.where, each.image, images.root)
        if broken == "stop":
            raise FileNotFoundError(why)
        counts["not_there"] += 1
        if each.image not in missing:
            missing.add(each.image)
            note_left_out(skipped, each.image, why)


def _not_there(where: str, name: str, root: Path) -> str:
    return (
        f"{where}: {name} is not in {root}; put it there, or leave out such images: `broken: skip`"
    )


def _photographs(
    images: ImageFiles, skipped: list[str], broken: Broken
) -> Iterator[tuple[str, int, bytes, tuple[int, int]]]:
    """Name, label, file and size of each image that is whole."""
    for i, (path, label) in enumerate(zip(images.listed.paths, images.listed.labels.tolist())):
        data = images.read(i)
        try:
            size = require_whole(data, name=str(images.root / str(path)))
        except ValueError as error:
            if broken == "stop":
                raise
            note_left_out(skipped, str(path), str(error))
            continue
        yield str(path), label, data, size


def _placed(
    submissions: Iterable[Submission],
    size: tuple[int, int],
    numbers: dict[str, int],
    counts: Counter[str],
    outside: Outside,
) -> Iterator[tuple[Int[np.ndarray, "_ 2"], int]]:
    """Clicks in pixels (row, col) of the image, and the player's number; none left: no yield."""
    for each in submissions:

        def refuse(i: int, each: Submission = each) -> ValueError:
            x, y = each.clicks[i]
            return ValueError(
                f"{each.where}: click {i} (x {x:g}, y {y:g}) is outside of {each.image}, {size[1]} "
                f"wide and {size[0]} high; take the images that were shown, or drop such clicks, "
                "or clip what is near: `outside`"
            )

        found = place(
            np.floor(each.clicks[:, ::-1]),
            np.zeros(len(each.clicks), np.int64),
            name=each.image,
            size=size,
            outside=outside,
            refuse=refuse,
        )
        counts["clicks_clipped"] += found.n_clipped
        counts["clicks_dropped"] += found.n_dropped
        if len(found.points):
            yield found.points, numbers.setdefault(each.player, len(numbers))
        else:
            counts["few_clicks"] += 1


def _read_object(filters: Filters, name: str, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    assert filters.colouring_in is not None
    path = Path(filters.colouring_in.objects) / PurePosixPath(name).with_suffix(".png")
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no mask of the object there; put it there, or set colouring_in: null"
        )
    return read_mask(path, size=size)
