"""Shards made one at a time, by processes that may be killed, and kept until all are there.

Beside a finished shard lies its record, `shard-000000.json`: its size, sha256 and rows of the
index, and which images were left out. Both are written aside and renamed, the record last, so a
kill at any moment leaves whole shards alone.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnlabels.files.damage import FULL
from attnlabels.images.decoding import readable
from attnlabels.processes.checkpoint import cannot_write
from attnlabels.shards.index import SAMPLE
from attnlabels.shards.shards import Sample, Shard, sha256_of, write_shard

ASIDE = ".part"  # ends the name of what is being written
Stamp = list[int] | None  # bytes and time of change in ns; None where there is no file


class Kept(NamedTuple):
    """A finished shard, the images that it left out as they were then, and what could be read."""

    shard: Shard
    skipped: dict[str, Stamp]
    formats: list[str]


def keep_shard(
    path: Path, samples: Iterable[Sample], *, n_classes: int, images: Path, skipped: Sequence[str]
) -> None:
    """Write a shard and its record, of samples from the folder `images`.

    `skipped`, the images left out, is looked at when the samples have ended. Raises OSError if
    nothing can be written there, and whatever `samples` and `write_shard` raise; then there is no
    such shard.
    """
    record = _record(path)
    with _aside(path) as aside:
        record.unlink(missing_ok=True)  # the file it is of is about to go
        shard = write_shard(aside, samples, n_classes=n_classes)
    tree = {
        "bytes": shard.bytes,
        "sha256": shard.sha256,
        "rows": shard.rows.tolist(),
        "skipped": {name: _stamp(images / name) for name in skipped},
        "formats": readable(),
    }
    with _aside(record) as aside:
        aside.write_text(json.dumps(tree))


def read_kept(path: Path) -> Kept | None:
    """The finished shard at `path`, or None if there is none; the shard itself is not read."""
    try:
        tree = json.loads(_record(path).read_bytes())
    except (FileNotFoundError, ValueError):  # ValueError: the power failed as it was written
        return None
    rows = np.array([tuple(row) for row in tree["rows"]], SAMPLE)
    return Kept(Shard(tree["bytes"], tree["sha256"], rows), tree["skipped"], tree["formats"])


def is_current(path: Path, kept: Kept, *, images: Path) -> bool:
    """Whether the shard at `path` is, to the byte, the one that was kept and need not be made anew.

    It is made anew when an image that it left out is no longer the file it was, mended perhaps, or
    when other formats can be read by now.
    """
    return (
        path.is_file()
        and path.stat().st_size == kept.shard.bytes
        and all(_stamp(images / name) == then for name, then in kept.skipped.items())
        and (not kept.skipped or kept.formats == [*readable()])
        and sha256_of(path) == kept.shard.sha256
    )


def link_or_copy(path: Path, to: Path) -> None:
    """Let `to` be the file at `path`: without using room, if both are on one filesystem."""
    try:
        os.link(path, to)
    except OSError:  # another filesystem, or one without links
        shutil.copyfile(path, to)


def clear_unfinished(folder: Path) -> None:
    """Remove what processes that were killed have left half-written."""
    for left in folder.glob(f"*{ASIDE}"):
        left.unlink()


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    aside = path.with_name(path.name + ASIDE)
    try:
        yield aside
        os.replace(aside, path)
    except OSError as error:
        of_images = error.filename is None or Path(error.filename).parent != path.parent
        if of_images and error.errno not in FULL:
            raise
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # as what kept it from being written
            aside.unlink()


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


def _stamp(path: Path) -> Stamp:
    if not path.is_file():
        return None
    about = path.stat()
    return [about.st_size, about.st_mtime_ns]
