"""A teacher labels images with maps and pseudo fixations (paper §3.3, ImageNet-Attn)."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any

import cv2

from attnlabels.images.broken import Broken
from attnlabels.images.decoding import decode
from attnlabels.images.names import some_of
from attnlabels.images.overlays import fit_inside, overlay, spread
from attnlabels.images.remote import fetch, find_remote
from attnlabels.labelling.batches import Labelling, cut, label_parts
from attnlabels.labelling.files import (
    OVERLAY,
    Made,
    read_index_of_files,
    require_file_names,
    write_files,
)
from attnlabels.labelling.labeller import Drawing, Labeller, read_labeller
from attnlabels.labelling.photographs import (
    Photographs,
    find_images,
    mark_of,
    require_tars_alone,
    shared_keys,
)
from attnlabels.labelling.shares import alone_in
from attnlabels.labelling.skipped import Unlabelled, leave_out
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.places import place_of_folder
from attnlabels.processes.checkpoint import InUse, Scratch, fingerprint
from attnlabels.processes.world import World, await_files, joined
from attnlabels.shards.shards import Shards, sha256_of, shard_name
from attnlabels.teachers.released import WEIGHTS

BATCH_SIZE = {"cpu": 16, "cuda": 64}  # one of 64 is slower by half on a CPU: out of its cache
OVERLAY_SIDE = 512  # pixels of the longer one


@dataclass(frozen=True, kw_only=True)
class Work:
    """How a labelling is done; it changes no label but by rounding."""

    batch_size: int | None = None  # images at a time; None: 16, on a GPU 64
    workers: int = 1  # further processes, of each, that read and decode
    shard_size: int = 1000  # images in a shard; no more is lost by a kill


def label(
    images: str | Path,
    *,
    out: str | Path,
    teacher: str | Path | None = None,
    classes: bool = False,
    broken: Broken = "stop",
    n_overlays: int = 0,
    drawing: Drawing = Drawing(),
    work: Work = Work(),
) -> Shards | None:
    """Label images with the maps and pseudo fixations of a teacher; `out` will hold the shards.

    `teacher` is the file of its weights; None is the one that travels with this package.
    `images` is a folder of any depth, with `classes` one whose folders are the labels, or tars: a
    folder of them, or a pattern (see `attnlabels.images.tars`); those that are compressed or
    elsewhere (`attnlabels.images.remote`) are first copied. `broken` says whether a file that gets
    no label stops the labelling or is left out and named under `skipped` of the index.
    `n_overlays` pictures of images under their maps go to `out`/overlay.

    A call that was killed goes on when it is made again; what it had done lies in a hidden folder
    beside `out`, or in $ATTNLABELS_SCRATCH. Under torchrun each process makes its share, and all
    but the first return None.

    Raises ValueError or OSError, with the cure, for bad input, and if `out` is there already; an
    empty folder, or a link to one or to none, is filled.
    """
    out = Path(out)

    def gather(made: Made) -> None:
        made.collect(out, partial(write_overlays, n=n_overlays), replace=False)

    asked = Asked(images, teacher, classes, broken, drawing, work)
    return Shards(out) if _label(asked, out, gather) else None


def label_as_files(
    images: str | Path,
    *,
    out: str | Path,
    teacher: str | Path | None = None,
    broken: Broken = "stop",
    n_overlays: int = 0,
    drawing: Drawing = Drawing(),
    work: Work = Work(),
) -> dict[str, Any] | None:
    """As `label`, but `out` will hold pictures and tables, in folders as the images are.

    Of `a/b.jpg` these are `a/b.png`, the map at the image's size over its largest value, times
    65535, and `a/b.csv`, the pseudo fixations: x and y in pixels from the image's upper left
    corner. Returns the index that lies beside them: who drew the maps, how many, what is skipped.

    Raises ValueError too for images that would get one name, or one that other systems refuse.
    """
    out = Path(out)

    def gather(made: Made) -> None:
        write_files(made, out, add=partial(write_overlays, n=n_overlays), threads=work.workers + 1)

    require = partial(require_file_names, overlays=n_overlays > 0)
    asked = Asked(images, teacher, False, broken, drawing, work, require)
    return read_index_of_files(out) if _label(asked, out, gather) else None


@dataclass(frozen=True)
class Asked:
    """What is to be labelled, by whom and how; `check` refuses images before the work begins."""

    images: str | Path
    teacher: str | Path | None
    classes: bool
    broken: Broken
    drawing: Drawing
    work: Work
    check: Callable[[Sequence[str]], None] = lambda names: None


def _label(asked: Asked, out: Path, gather: Callable[[Made], None]) -> bool:
    """Make the shards and have the first process `gather` them; whether this one is it."""
    teacher, broken, work = Path(asked.teacher or WEIGHTS), asked.broken, asked.work
    place = place_of_folder(out, replace=False)
    labeller = read_labeller(teacher, asked.drawing)
    with joined() as world, _fetched(asked.images, place, world) as images:
        photographs, left_out = _open(images, labeller, classes=asked.classes, broken=broken)
        asked.check(photographs.source.listed.paths.tolist())
        parts = _name_parts(photographs, work.shard_size)
        size = work.batch_size or BATCH_SIZE[world.device.type]
        labelling = Labelling(photographs, labeller, broken, size, work.workers)
        about = [asked.drawing, size, str(Path(images).resolve()), world.device.type]
        mark = fingerprint([*about, code_of(Path(__file__))], [teacher])
        scratch = _scratch_beside(place, f"labels-{mark}")
        with alone_in(scratch, world):
            world.agree("the list of images", fingerprint([*parts], []))
            label_parts(labelling, parts, scratch.folder, world=world)
            if not world.first:
                return False
            by = {"kind": "teacher", "sha256": sha256_of(teacher), **labeller.manner.said()}
            gather(Made(scratch.folder, [*parts], by, photographs.classes, left_out))
            scratch.clear()
        _forget_others(place)
    return True


@contextmanager
def _fetched(images: str | Path, place: Path, world: World) -> Iterator[str | Path]:
    """Where the images are on this machine: copies of those that were not, kept where it fails."""
    urls = find_remote(str(images))
    if not urls:
        yield images
        return
    require_tars_alone(images)
    stamps = [Path(url).stat().st_mtime_ns for url in urls if Path(url).is_file()]
    # By the place too: another labelling of the same tars removes its own copies when it ends.
    scratch = _scratch_beside(place, f"tars-{fingerprint([urls, stamps, str(place)], [])}")
    whole = scratch.folder / "fetched"
    with alone_in(scratch, world):
        if world.first:
            fetch(urls, scratch.folder)
            whole.touch()
        await_files([whole])
        try:
            yield scratch.folder
        except Unlabelled as error:
            again = f"remove {scratch.folder} to have it fetched anew"
            raise Unlabelled(f"{error} (of a copy: {again})") from error
        if world.first:
            scratch.clear()


def _open(
    images: str | Path, labeller: Labeller, *, classes: bool, broken: Broken
) -> tuple[Photographs, list[str]]:
    """The images, and the names of what is none there, which may be left out."""
    source, why = find_images(images, classes=classes)
    if why and broken == "stop":
        some = some_of(f"{name} {each}" for name, each in why.items())
        raise Unlabelled(f"{images}: {some}; mend, convert or remove it")
    skipped: list[str] = []
    for name, each in why.items():
        leave_out(skipped, name, f"{images}: {name} {each}", broken=broken)
    shape = labeller.drawing.shape
    apart = shared_keys(source)
    return Photographs(source, labeller.image_size, shape=shape, apart=apart), skipped


def _name_parts(photographs: Photographs, shard_size: int) -> dict[str, range]:
    """The rows of each shard by its name in the scratch, which changes with their images."""
    return {
        f"{shard_name(number)[:-4]}-{mark_of(photographs, rows)}.tar": rows
        for number, rows in enumerate(cut(range(len(photographs)), shard_size))
    }


def write_overlays(folder: Path, of: Path | None = None, *, n: int) -> None:
    """In `overlay` of a folder, JPEGs of `n` images from all over the shards in it, or in `of`.

    They are under their maps and with their points.
    """
    if not n:
        return
    shards = Shards(of or folder)
    (folder / OVERLAY).mkdir()
    for i in spread(len(shards), n):
        sample = shards[i]
        picture = overlay(
            fit_inside(decode(sample["image"], name=sample["name"]), side=OVERLAY_SIDE),
            sample["map"],
            sample["points"],
            grid=sample["grid"],
        )
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        (folder / OVERLAY / f"{sample['key']}.jpg").write_bytes(encoded.tobytes())


def _forget_others(place: Path) -> None:
    """Remove what killed labellings with other settings left beside `place`, now filled."""
    for left in place.parent.glob(f".{escape(place.name)}.labels-*"):
        scratch = Scratch(str(left))
        with suppress(InUse):
            scratch.lock()
            scratch.clear()
            scratch.unlock()


def _scratch_beside(place: Path, name: str) -> Scratch:
    # Not in the user's cache, as a stage's: shards hold the images, and are linked into `place`.
    if os.environ.get("ATTNLABELS_SCRATCH"):
        return Scratch(name)
    return Scratch(str(place.with_name(f".{place.name}.{name}")))
