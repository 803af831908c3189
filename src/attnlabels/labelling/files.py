"""Labels as plain files: of each image a picture of its map and a table of its pseudo fixations."""

import csv
import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tqdm import tqdm

from attnlabels.images.decoding import resize_map
from attnlabels.images.names import some_of
from attnlabels.labelling.shares import collect
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.shards.kept import link_or_copy
from attnlabels.shards.shards import Sample, Shards, encode_map

INDEX, OVERLAY = "index.json", "overlay"
MAP, POINTS = ".png", ".csv"
# What Windows lets no file be called, by its documentation of names.
REFUSED = re.compile(
    r'[<>:"|?*\\\x00-\x1f]|[. ](/|$)|(^|/)(con|prn|aux|nul|(com|lpt)[1-9])(\.[^/]*)?(/|$)',
    re.IGNORECASE,
)


class Made(NamedTuple):
    """Finished shards, `parts` of a folder, and what their index says."""

    folder: Path
    parts: list[str]
    maps_by: dict[str, Any]
    classes: list[str]
    skipped: list[str]

    def collect(
        self, out: Path, add: Callable[[Path], None] = lambda folder: None, *, replace: bool
    ) -> None:
        """Make a folder of the shards, as `attnlabels.labelling.shares.collect` does."""
        collect(
            self.folder,
            out,
            self.parts,
            add,
            maps_by=self.maps_by,
            classes=self.classes,
            skipped=self.skipped,
            replace=replace,
        )


def require_file_names(names: Sequence[str], *, overlays: bool = False) -> None:
    """Raise ValueError unless the files of images of these names can lie beside each other.

    On any system: not if two have one name but for its ending or the case of its letters, and not
    if a name is none on Windows. Nor if a folder is called as the index is, or the `overlays`', or
    as one of the files.
    """
    for ours in (INDEX, OVERLAY) if overlays else (INDEX,):
        if taken := [name for name in names if name.casefold().startswith(f"{ours}/")]:
            raise ValueError(
                f"the labels get a file or folder {ours} of their own, where those of "
                f"{some_of(taken)} would lie; rename that folder, or write shards"
            )
    shared: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        shared[_stem(name).casefold()].append(name)
    if twice := [" and ".join(each) for each in shared.values() if len(each) > 1]:
        raise ValueError(
            f"files of one name would be those of {some_of(twice)}; rename one of each, or write "
            "shards"
        )
    folders = {str(above).casefold() for name in names for above in PurePosixPath(name).parents}
    if taken := [
        name
        for name in names
        for end in (MAP, POINTS)
        if f"{_stem(name)}{end}".casefold() in folders
    ]:
        raise ValueError(
            f"a folder is called as a file of {some_of(taken)} would be ({MAP}, {POINTS}); rename "
            "one of them, or write shards"
        )
    if refused := [name for name in names if REFUSED.search(_stem(name))]:
        raise ValueError(
            f"names that other systems refuse: {some_of(refused)}; rename them, or write shards"
        )


def write_files(made: Made, out: Path, *, add: Callable[[Path, Path], None], threads: int) -> None:
    """Make a folder `out` of maps and tables, of all samples of the shards, and an index.

    Those of a shard are kept beside it once they are all there, so that after a kill they are not
    made again. `add` puts something else into the folder, of the shards in another.
    """
    whole = made.folder / "whole"
    made.collect(whole, replace=True)
    shards = Shards(whole)
    kept, first = [], 0
    with tqdm(desc="writing files", total=len(shards), disable=None) as progress:
        for about in shards.index["shards"]:
            rows = range(first, first := first + about["count"])
            folder = made.folder / f"files-{about['sha256'][:16]}"
            if not folder.is_dir():
                _write_part(folder, shards, rows, progress, threads=threads)
            progress.update(rows.stop - progress.n)
            kept.append(folder)
    index = {
        "maps_by": made.maps_by,
        "samples": len(shards),
        "skipped": shards.index["skipped"],
    }
    with replacing_folder(out, replace=False) as aside:
        aside.mkdir()
        for folder in kept:
            _link_tree(folder, aside)
        (aside / INDEX).write_text(json.dumps(index, indent=1) + "\n")
        add(aside, whole)


def read_index_of_files(out: Path) -> dict[str, Any]:
    """The index of a folder that `write_files` made."""
    index: dict[str, Any] = json.loads((out / INDEX).read_text())
    return index


def _write_part(
    folder: Path, shards: Shards, rows: range, progress: "tqdm[Any]", *, threads: int
) -> None:
    aside = folder.with_name(f"{folder.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()

    def write(row: int) -> None:
        _write_sample(aside, shards[row])
        progress.update()

    with ThreadPoolExecutor(threads) as pool:
        for each in [pool.submit(write, row) for row in rows]:
            each.result()
    os.replace(aside, folder)


def _write_sample(folder: Path, sample: Sample) -> None:
    path = folder / f"{_stem(sample['name'])}{MAP}"
    path.parent.mkdir(parents=True, exist_ok=True)
    h, w = sample["image_size"]
    path.write_bytes(encode_map(resize_map(sample["map"], h, w)))
    rows, columns = sample["grid"]
    places = (sample["points"] + 0.5) * (h / rows, w / columns)
    with open(folder / f"{_stem(sample['name'])}{POINTS}", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("x", "y"))
        writer.writerows((f"{x:.1f}", f"{y:.1f}") for y, x in places)


def _link_tree(folder: Path, to: Path) -> None:
    for above, _, files in os.walk(folder):
        below = to / Path(above).relative_to(folder)
        below.mkdir(parents=True, exist_ok=True)
        for name in files:
            link_or_copy(Path(above, name), below / name)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
