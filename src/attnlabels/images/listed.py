"""Images whose classes a CSV file tells, in place of class folders: a probe of any labels."""

import csv
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from attnlabels.images.folder import STRINGS, Manifest
from attnlabels.images.names import some_of

SPLITS = {"train": "train", "val": "val", "test": "val"}  # by how they are called
DELIMITERS = ",;\t"


class Row(NamedTuple):
    """An image by its path below the root, as it is spelled once, its class and its split."""

    image: str
    label: str
    split: str


def read_listed(path: Path, root: Path) -> dict[str, Manifest]:
    """The images below `root` that a CSV names, by "train" and "val".

    Its header has image and label and may have split: train, and val or test. Without it the
    image's first folder is its split. A label is any text; its number is its place among those of
    the training images, sorted. Raises ValueError or FileNotFoundError that begins with the file,
    and with the line where there is one, for what does not fit.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name a CSV of image,label[,split]")
    try:
        rows = _rows(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV in UTF-8 ({error}); save it as one") from error
    twice = [image for image, count in Counter(row.image for row in rows).items() if count > 1]
    if twice:
        raise ValueError(f"{path}: listed more than once: {some_of(twice)}; leave one row of each")
    missing = [row.image for row in rows if not (root / row.image).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{path}: not in {root}: {some_of(missing)}; mend the paths, or put the images there"
        )
    parts = {split: [row for row in rows if row.split == split] for split in ("train", "val")}
    if not all(parts.values()):
        lacking = next(split for split in parts if not parts[split])
        raise ValueError(f"{path}: no image of the split {lacking}; a probe needs train and val")
    classes = sorted({row.label for row in parts["train"]})
    if strange := sorted({row.label for row in parts["val"]} - {*classes}):
        raise ValueError(f"{path}: no training image of the class {some_of(strange)}; add some")
    return {split: _manifest(part, root, classes) for split, part in parts.items()}


def _manifest(rows: list[Row], root: Path, classes: list[str]) -> Manifest:
    place = {name: k for k, name in enumerate(classes)}
    return Manifest(
        paths=np.array([row.image for row in rows], STRINGS),
        labels=np.array([place[row.label] for row in rows], np.int64),
        sizes=np.array([(root / row.image).stat().st_size for row in rows], np.int64),
        classes=classes,
    )


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        file.seek(0)
        reader = csv.DictReader(file, delimiter=max(DELIMITERS, key=head.count))
        names = [name.strip() for name in reader.fieldnames or ()]
        if not {"image", "label"} <= {*names} <= {"image", "label", "split"}:
            raise ValueError(
                f"{path}: the columns are {', '.join(names) or 'none'}; expected image, label and, "
                "if you like, split"
            )
        reader.fieldnames = names
        return [_row(cells, where=f"{path}: line {reader.line_num}") for cells in reader]


def _row(cells: dict[str, str | None], *, where: str) -> Row:
    if None in cells or None in cells.values():
        raise ValueError(f"{where}: more or fewer cells than the header has; mend the line")
    told = {name: str(cell).strip() for name, cell in cells.items()}
    image = PurePosixPath(told["image"])
    if image.is_absolute() or ".." in image.parts or not told["image"]:
        raise ValueError(f"{where}: image {told['image']!r}; expected a path below the folder")
    if not told["label"]:
        raise ValueError(f"{where}: no label; give one or leave the row out")
    split = told.get("split", image.parts[0])
    if split not in SPLITS:
        raise ValueError(f"{where}: the split is {split!r}; expected {', '.join(SPLITS)}")
    return Row(str(image), told["label"], SPLITS[split])
