"""Images with what players painted on them, from files of each of ClickMe's forms.

TFRecord's records bring their images and maps; the images of clicks (CSV, npz) and of finished maps
(HDF5) are in class folders.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from attnlabels.clickmaps.blurring import mean_map
from attnlabels.clickmaps.examples import as_example
from attnlabels.clickmaps.filters import Filters, of_images, of_players
from attnlabels.clickmaps.forms import Form
from attnlabels.clickmaps.masks import read_mask
from attnlabels.clickmaps.ready_maps import GROUP, list_maps, read_map
from attnlabels.clickmaps.samples import Painted, PaintedImages, Read
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


class RecordedImages(PaintedImages):
    """The images and maps of TFRecord files, in the order of the files.

    Where what is broken is skipped, a file that is cut off or damaged at a record's length ends
    there: where the next one begins cannot be known. That is told in the place of what is lost.
    """

    def __init__(self, files: Sequence[Path], *, n_classes: int, manner: Manner) -> None:
        self.n_classes = n_classes
        self.files = [Records(each, whole=False) for each in files]
        if (lost := [each.lost for each in self.files if each.lost]) and manner.broken == "stop":
            raise ValueError(f"{lost[0]}, or leave out the rest of such a file: `broken: skip`")
        self.ends = np.cumsum([len(each) + bool(each.lost) for each in self.files])

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, number: int) -> Read:
        file = int(np.searchsorted(self.ends, number, side="right"))
        records = self.files[file]
        number -= int(self.ends[file - 1]) if file else 0
        name = f"{records.path.name.replace('.', '_')}-{number:07d}"
        where = f"{records.path}: record {number}"
        if number == len(records):
            return Read(name, None, f"{records.lost} ({records.n_lost:,} bytes are left out)")
        try:
            example = as_example(parse_example(records[number]), classes=self.n_classes)
        except ValueError as error:
            told = str(error)
            ours = str(records.path) in told  # of a damaged record, with its place and cure
            return Read(name, None, told if ours else f"{where}: {told}; mend it")
        return Read(
            name,
            Painted(
                name=name,
                image=example.image,
                size=example.size,
                label=example.label,
                map=example.map,
                points=NO_POINTS,
                players=NO_PLAYERS,
                where=where,
            ),
        )


class ClickedImages(PaintedImages):
    """The images of class folders with the clicks of a CSV or an npz.

    `counts` gets the numbers of submissions, clicks and players that were read, and what the
    filters of players left out; those of images, and what was used, come with each image.
    """

    def __init__(
        self,
        form: Form,
        path: Path,
        images: ImageFiles,
        counts: Counter[str],
        skipped: list[str],
        *,
        manner: Manner,
    ) -> None:
        assert manner.filters is not None
        self.path, self.images, self.manner, self.filters = path, images, manner, manner.filters
        read = (read_csv if form == "csv" else read_npz)(path)
        there = _there(read, images, skipped, manner.broken, counts)
        self.submissions: dict[str, list[Submission]] = {}
        for each in of_players(there, self.filters, counts):
            self.submissions.setdefault(each.image, []).append(each)
        self.players: dict[str, int] = {}  # their numbers, in the order of the images
        for name in images.listed.paths.tolist():
            for each in self.submissions.get(name, ()):
                self.players.setdefault(each.player, len(self.players))

    def __len__(self) -> int:
        return len(self.images.listed.paths)

    def __getitem__(self, number: int) -> Read:
        photograph = _photograph(self.images, number)
        submissions = self.submissions.get(photograph.name, [])
        if photograph.why:
            lost = {"of_broken_images": len(submissions)}
            return Read(photograph.name, None, photograph.why, lost)
        name, size, counts = photograph.name, photograph.size, Counter[str]()
        kept = of_images(
            _placed(
                submissions, size, self.players, counts, self.manner.outside, self.filters.least
            ),
            self.filters,
            counts,
            read_object=partial(_read_object, self.filters, name, size),
        )
        points = np.concatenate([NO_POINTS, *(points for points, _ in kept)])
        players = np.repeat(
            np.array([player for _, player in kept], np.int64), [len(each) for each, _ in kept]
        )
        counts["submissions_used"] += len(kept)
        counts["clicks_used"] += len(points)
        count = self.manner.count
        map = mean_map(points, players, size=size, count=count) if kept else None
        where = f"{self.path}: {name}"
        painted = Painted(
            name, photograph.data, size, photograph.label, map, points, players, where
        )
        return Read(name, painted, counts=counts)


class MappedImages(PaintedImages):
    """The images of class folders with the finished maps of HDF5."""

    def __init__(
        self, path: Path, images: ImageFiles, skipped: list[str], *, manner: Manner
    ) -> None:
        self.path, self.images = path, images
        known, self.groups = _Names(images), dict[str, str]()
        for group, original in list_maps(path).items():
            name, where = known.find(original), f"{path}: {GROUP}/{group}"
            if name in self.groups:
                raise ValueError(f"{where}: a second map of {name}; remove one")
            if name is not None:
                self.groups[name] = group
            elif manner.broken == "stop":
                raise FileNotFoundError(_not_there(where, original, images.root))
            else:
                note_left_out(skipped, original, _not_there(where, original, images.root))

    def __len__(self) -> int:
        return len(self.images.listed.paths)

    def __getitem__(self, number: int) -> Read:
        photograph = _photograph(self.images, number)
        name, size = photograph.name, photograph.size
        if photograph.why:
            return Read(name, None, photograph.why)
        group = self.groups.get(name)
        where = f"{self.path}: {GROUP}/{group}" if group else f"{self.path}: {name}"
        map = read_map(self.path, group) if group else None
        if map is not None and map.shape != size:
            raise ValueError(
                f"{where}: a map of {map.shape[0]} x {map.shape[1]} on an image of {size[0]} x "
                f"{size[1]}; cut and resize the images as their maps were"
            )
        label, data = photograph.label, photograph.data
        return Read(name, Painted(name, data, size, label, map, NO_POINTS, NO_PLAYERS, where))


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


class _Photograph(NamedTuple):
    """An image file of the class folders; `why` it cannot be used, or "", and then its size."""

    name: str
    label: int
    data: bytes
    size: tuple[int, int]
    why: str


def _photograph(images: ImageFiles, number: int) -> _Photograph:
    name, label = str(images.listed.paths[number]), int(images.listed.labels[number])
    data = images.read(number)
    try:
        size = require_whole(data, name=str(images.root / name))
    except ValueError as error:
        return _Photograph(name, label, data, (0, 0), str(error))
    return _Photograph(name, label, data, size, "")


def _placed(
    submissions: Iterable[Submission],
    size: tuple[int, int],
    players: Mapping[str, int],
    counts: Counter[str],
    outside: Outside,
    least: int,
) -> Iterator[tuple[Int[np.ndarray, "_ 2"], int]]:
    """Clicks in pixels (row, col) of the image, and the player's number; `least` or no yield."""
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
        if len(found.points) >= least:
            yield found.points, players[each.player]
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
