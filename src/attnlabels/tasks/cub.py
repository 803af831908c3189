"""CUB-200-2011 with the gaze of CUB-GHA (Rong et al., BMVC 2021), for those who have them.

A line of gaze is `image, width, height` and then `x, y, milliseconds` a fixation, in pixels of the
image, as in the files of one run (data_5runs/); or, as in the merged Fixation.txt that their
generate_heatmap.py reads, `image, width, height, shown width, shown height, left, top` and then
the same in pixels of the screen. How many numbers there are tells which it is. (That script leaves
out each line's last fixation; here it counts.)
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from attnlabels.images.decoding import read_size, resize
from attnlabels.recordings.density import blur
from attnlabels.recordings.points import Outside, Recording, is_inside, place
from attnlabels.shards.shards import Sample

Split = Literal["train", "test"]
LISTS = ("images", "image_class_labels", "train_test_split")
HEADERS = {0: 3, 1: 7}  # numbers before the first fixation, by the rest of their count by three


class Gaze(NamedTuple):
    """Where people looked in one image of `size` (height, width)."""

    size: tuple[int, int]
    cells: Float[np.ndarray, "n 2"]  # (row, col), pixels of the image, from 0
    milliseconds: Float[np.ndarray, "n"]
    observers: Int[np.ndarray, "n"]  # a line is one


class Cub(NamedTuple):
    """The lists of a folder of CUB-200, by an image's number."""

    images: dict[str, str]
    labels: dict[str, int]  # from 0
    training: dict[str, bool]
    classes: list[str]


def read_cub(root: Path) -> Cub:
    """The folder's lists; raises FileNotFoundError or ValueError where they do not fit."""
    images, labels, split = (_read_list(root / f"{name}.txt") for name in LISTS)
    classes = _read_list(root / "classes.txt")
    for name, each in zip(LISTS[1:], (labels, split)):
        if each.keys() != images.keys():
            odd = min(each.keys() ^ images.keys())
            raise ValueError(f"{root / f'{name}.txt'}: not of the images of images.txt ({odd})")
    numbers = {key: number for number, key in enumerate(classes)}
    if missing := sorted({*labels.values()} - {*numbers}):
        raise ValueError(f"{root / 'classes.txt'}: no class {missing[0]}, which images have")
    return Cub(
        images,
        {key: numbers[label] for key, label in labels.items()},
        {key: value == "1" for key, value in split.items()},
        [*classes.values()],
    )


def read_gaze(path: Path, known: Mapping[str, str]) -> dict[str, Gaze]:
    """Each image's gaze, of all its lines together; `known` are images by their numbers.

    Raises ValueError, with the line, for what is no such line and for an image that is not known.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no gaze here; fetch CUB-GHA's files")
    found: dict[str, list[Gaze]] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path}:{number}"
        key, _, rest = line.partition(",")
        gaze = _parse(rest, where, observer=len(found.get(key, [])))
        if key not in known:
            raise ValueError(
                f"{where}: gaze for image {key!r}, which images.txt does not list; take CUB's own"
            )
        if found.get(key) and found[key][0].size != gaze.size:
            raise ValueError(f"{where}: image {key} had another size before")
        found.setdefault(key, []).append(gaze)
    return {
        key: Gaze(each[0].size, *(np.concatenate(parts) for parts in zip(*(g[1:] for g in each))))
        for key, each in found.items()
    }


def draw_samples(
    root: Path,
    cub: Cub,
    gaze: Mapping[str, Gaze],
    *,
    split: Split,
    outside: Outside,
    sigma_px: float,
    sigma_width: int,
    map_size: tuple[int, int],
    source: str,
) -> Iterator[Sample]:
    """The images of a split that somebody looked at, with maps weighted by duration.

    Maps are blurred by a Gaussian of `sigma_px` where an image is `sigma_width` wide. Raises
    ValueError or FileNotFoundError for an image that is missing or of another size.
    """
    for key, name in cub.images.items():
        if cub.training[key] is not (split == "train") or key not in gaze:
            continue
        looked, path = gaze[key], root / "images" / name
        data = _read_image(path, name, looked, key=key)
        recording = _recording(looked, name, key=key, outside=outside)
        weights = np.zeros(looked.size, np.float32)
        rows, cols = recording.points.T
        np.add.at(weights, (rows, cols), looked.milliseconds[recording.observers])
        map = blur(weights, sigma_px=sigma_px * looked.size[1] / sigma_width)
        yield Sample(
            key=f"cub{key}",
            image=data,
            map=resize(map, *map_size).clip(min=0),
            points=recording.points.astype(np.int64),
            observers=looked.observers[recording.observers],
            label=cub.labels[key],
            grid=looked.size,
            image_size=looked.size,
            source=source,
            name=name,
        )


def _read_image(path: Path, name: str, looked: Gaze, *, key: str) -> bytes:
    """The image file, once it is seen to be of the size that its gaze says."""
    if not is_inside(name) or not path.is_file():
        raise FileNotFoundError(f"{path}: image {key} has gaze, but is missing; put it there")
    data = path.read_bytes()
    if read_size(data, name=str(path)) != looked.size:
        raise ValueError(f"{path}: of another size than its gaze says, {looked.size}")
    return data


def _recording(looked: Gaze, name: str, *, key: str, outside: Outside) -> Recording:
    """The points inside of the image; the observers are the points' numbers in `looked`."""

    def refuse(i: int) -> ValueError:
        at = looked.cells[i].tolist()
        return ValueError(
            f"image {key}: (row, col) {at} is outside of it; drop or clip such points"
        )

    recording = place(
        looked.cells,
        np.arange(len(looked.cells)),  # to find their durations again
        name=name,
        size=looked.size,
        outside=outside,
        refuse=refuse,
    )
    if not len(recording.points):
        raise ValueError(f"image {key}: no point of its gaze is inside; take it from the file")
    return recording


def _read_list(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not here; expected CUB-200's folder")
    pairs = [line.split(" ", 1) for line in path.read_text().splitlines() if line]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{path}: expected a number and a word a line")
    return {key: value.strip() for key, value in pairs}


def _parse(text: str, where: str, *, observer: int) -> Gaze:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        raise ValueError(f"{where}: holds other things than numbers") from None
    header = HEADERS.get((1 + len(numbers)) % 3)
    if header is None or 1 + len(numbers) < header + 3 or not np.isfinite(numbers).all():
        raise ValueError(
            f"{where}: {1 + len(numbers)} numbers; expected image, width, height (of merged files "
            "four more) and three a fixation"
        )
    width, height, *shown = numbers[: header - 1]
    x, y, milliseconds = np.array(numbers[header - 1 :]).reshape(-1, 3).T
    if shown:
        across, down, left, top = shown
        x, y = (x - left) * width / across, (y - top) * height / down
    cells = np.stack([np.floor(y), np.floor(x)], axis=1)
    return Gaze((int(height), int(width)), cells, milliseconds, np.full(len(x), observer))
