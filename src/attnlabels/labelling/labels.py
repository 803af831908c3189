"""A teacher labels images with maps and pseudo fixations (paper §3.3, ImageNet-Attn).

Shards are made one by one, each from its own rows of a list. Process r of n makes the shards r,
r + n, ..., and any number of processes the same bytes; a labelling that was killed goes on at the
first shard that is not finished.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int16, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.images.decoding import decode, resize
from attnlabels.images.folder import SUFFIXES, Manifest, some_of
from attnlabels.images.overlays import fit_inside, overlay, spread
from attnlabels.images.tars import find_tars, list_tars
from attnlabels.images.tree import ImageFiles, list_tree
from attnlabels.labelling.pseudo_fixations import pseudo_fixations
from attnlabels.models.files import load_weights, read_config
from attnlabels.models.folding import fold_batch_norm
from attnlabels.models.teacher import Teacher
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.writing import replacing
from attnlabels.processes.checkpoint import Scratch, fingerprint
from attnlabels.processes.loading import as_input, start_worker
from attnlabels.processes.world import World, await_files, joined
from attnlabels.shards.kept import (
    clear_unfinished,
    is_current,
    keep_shard,
    link_or_copy,
    read_kept,
)
from attnlabels.shards.shards import (
    KEY,
    Sample,
    Shard,
    Shards,
    sha256_of,
    shard_name,
    write_index,
)

MAP_SIZE = 56  # side of a map, the paper's at 224 px of image
BATCH_SIZE = {"cpu": 16, "cuda": 64}  # one of 64 is slower by half on a CPU: out of its cache
OVERLAY_SIDE = 512  # pixels of the longer one

log = logging.getLogger(__name__)
A = TypeVar("A")
B = TypeVar("B")
Broken = Literal["stop", "skip"]


class Unlabelled(ValueError):
    """An image that gets no label: its file is broken, or the teacher sees nothing in it."""


def label(
    images: str | Path,
    *,
    teacher: Path,
    out: Path,
    classes: bool = False,
    broken: Broken = "stop",
    image_size: tuple[int, int] | None = None,
    map_size: int | None = None,
    sigma_px: float = 19.0,
    sigma_width: int = 640,
    threshold: float = 0.2,
    maximum_points: int = 64,
    mirror: bool = False,
    precision: Literal["fp32", "bf16"] = "fp32",
    batch_size: int | None = None,
    workers: int = 1,
    shard_size: int = 1000,
    n_overlays: int = 0,
) -> Shards | None:
    """Label images with the maps and pseudo fixations of a teacher; `out` will hold the shards.

    `images` is a folder of any depth, with `classes` one whose folders are the labels, or tars: a
    folder of them, or a pattern (see `attnlabels.images.tars`). The whole image is resized to
    `image_size` (height, width), by default the teacher's own, and its map to a square of
    `map_size`, by default 56 or the teacher's shorter side. A fixation's Gaussian has the standard
    deviation `sigma_px` on an image `sigma_width` wide: best that of the densities the teacher
    learnt, as SALICON's 19 px at 640. The search ends at `threshold` of the map's maximum, or
    `maximum_points`. `mirror` averages with the mirror image's map.

    `broken` says whether a file that gets no label stops the labelling or is left out and named
    under `skipped` of the index. A call that was killed goes on when it is made again; what it
    had done lies in a hidden folder beside `out`, or in $ATTNLABELS_SCRATCH. Under torchrun each
    process makes its share, and all but the first return None. `n_overlays` pictures of images
    under their maps go to `out`/overlay.

    Raises ValueError or OSError, with the cure, for bad input, and if `out` is there already.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is there already; remove it, or name another place")
    image_size = image_size or tuple(read_config(teacher, "teacher", "image_size")["image_size"])
    map_size = map_size or min(MAP_SIZE, *image_size)
    if map_size > min(image_size):
        h, w = image_size
        raise ValueError(
            f"map_size {map_size} of images resized to {h} x {w}; expected at most {min(h, w)}"
        )
    values: dict[str, Any] = {
        "image_size": image_size,
        "map_size": map_size,
        "sigma_px": sigma_px,
        "sigma_width": sigma_width,
        "threshold": threshold,
        "maximum_points": maximum_points,
        "mirror": mirror,
        "precision": precision,
    }
    labeller = Labeller(read_teacher(teacher), **values)
    labeller.find_points(torch.zeros(0, 1, 1))  # refuses what it would refuse of an image
    source, strangers = find_images(images, classes=classes)
    if strangers and broken == "stop":
        some = some_of(strangers)
        raise Unlabelled(f"{images}: {some}: neither JPEG nor PNG; convert or remove it")
    photographs = Photographs(source, image_size, apart=shared_keys(source))
    parts = cut(range(len(source.listed.paths)), shard_size)
    marks = [mark_of(photographs, part) for part in parts]
    names = [f"{shard_name(i)[:-4]}-{mark}.tar" for i, mark in enumerate(marks)]
    with joined() as world:
        size = batch_size or BATCH_SIZE[world.device.type]
        place = str(Path(images).resolve())
        about = [values, size, place, world.device.type, code_of(Path(__file__))]
        scratch = _scratch_beside(out, f"labels-{fingerprint(about, [teacher])}")
        with alone_in(scratch, world):
            world.agree("the list of images", fingerprint(names, []))
            labeller.to(world.device)
            label_parts(
                parts,
                photographs,
                labeller,
                scratch.folder,
                names=names,
                batch_size=size,
                broken=broken,
                workers=workers,
                world=world,
            )
            end_share(scratch.folder, world)
            if not world.first:
                return None
            drawn_by = {"kind": "teacher", "sha256": sha256_of(teacher)}
            with replacing(out) as aside:
                collect(
                    scratch.folder,
                    aside,
                    names=names,
                    maps_by=drawn_by,
                    classes=source.listed.classes,
                    skipped=strangers,
                )
            scratch.clear()
    shards = Shards(out)
    if n_overlays:
        write_overlays(out / "overlay", shards, n_overlays)
    return shards


@runtime_checkable
class Source(Protocol):
    """Encoded images by their number in a list of paths below `root`."""

    @property
    def root(self) -> Path: ...

    @property
    def listed(self) -> Manifest: ...

    def read(self, i: int) -> bytes: ...

    def stem(self, i: int) -> str: ...

    def stamp(self, i: int) -> tuple[int, ...]: ...


def find_images(images: str | Path, *, classes: bool) -> tuple[Source, list[str]]:
    """The images of a folder or of tars, and the names of what is none there.

    Raises ValueError for a folder with both.
    """
    tars = find_tars(str(images))
    if not tars:
        listed, strangers = list_tree(Path(images), classes=classes)
        return ImageFiles(Path(images), listed), strangers
    if both := [path.name for path in Path(images).glob("*.*") if path.suffix.lower() in SUFFIXES]:
        raise ValueError(f"{images}: {min(both)} beside tars; name a folder of one kind")
    if classes:
        raise ValueError(f"{images}: tars say themselves which class an image has; drop `classes`")
    return list_tars(tars)


class Labeller:
    """A teacher as it labels: images to maps, and maps to pseudo fixations."""

    def __init__(
        self,
        teacher: Teacher,
        *,
        image_size: tuple[int, int],
        map_size: int,
        sigma_px: float,
        sigma_width: int,
        threshold: float,
        maximum_points: int,
        mirror: bool,
        precision: Literal["fp32", "bf16"],
    ) -> None:
        self.teacher, self.image_size, self.map_size = teacher, image_size, map_size
        self.mirror, self.precision = mirror, precision
        self.search: dict[str, Any] = {
            "sigma_px": sigma_px * map_size / sigma_width,  # the σ of the densities, at this width
            "threshold": threshold,
            "maximum": maximum_points,
        }

    def to(self, device: torch.device) -> None:
        """Move the teacher to a device, channels last."""
        self.teacher.to(device).to(memory_format=torch.channels_last)

    def draw_maps(self, pixels: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n s s"]:
        """The teacher's maps of images at `map_size`, on the CPU.

        With `mirror`, a map is the mean of the image's and its mirror image's. Raises ValueError
        if a map is not finite.
        """
        size = (self.map_size, self.map_size)
        if not len(pixels):
            return torch.zeros(0, *size)
        device = next(self.teacher.parameters()).device
        batch = as_input(pixels.to(device, non_blocking=True))
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            maps = self.teacher(batch)
            if self.mirror:
                maps = (maps + self.teacher(batch.flip(3)).flip(2)) / 2
            # A mean of values that are not all finite is not finite.
            maps = F.interpolate(maps.float().unsqueeze(1), size, mode="area").squeeze(1).cpu()
        if not maps.isfinite().all():
            raise ValueError(
                "the teacher's maps are not finite; train it again, or label with precision fp32"
            )
        return maps

    def find_points(
        self, maps: Float[Tensor, "n s s"]
    ) -> tuple[Int16[Tensor, "n p 2"], Int[Tensor, "n"]]:
        """The pseudo fixations of maps, padded with -1, and how many there are."""
        return pseudo_fixations(maps, **self.search)


def read_teacher(weights: Path) -> Teacher:
    """The teacher as it labels, its batch norm folded into its convolutions."""
    teacher = Teacher(**read_config(weights, "teacher")["teacher"])
    load_weights(weights, teacher)
    teacher.eval()
    fold_batch_norm(teacher)
    return teacher


def key_of(stem: str) -> str:
    """An image's key: what it is called, of which webdataset would end a key at the first dot.

    What does not fit into a key is replaced, and a digest of the whole tells such keys apart.
    """
    key = stem.replace("/", "-").replace(".", "_")
    return key if KEY.fullmatch(key) else _key_apart(stem)


def _key_apart(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{re.sub('[^A-Za-z0-9_-]', '_', name)[-60:]}-{digest[:16]}"


def shared_keys(source: Source) -> dict[str, list[str]]:
    """Keys that more than one image would have, each with those images' names.

    Compares 64-bit hashes, as a million strings take 100 MB; that two of a million keys share one
    has a chance of 3e-8.
    """
    n = len(source.listed.paths)
    hashes = np.fromiter((hash(key_of(source.stem(i))) for i in range(n)), np.int64, n)
    values, counts = np.unique(hashes, return_counts=True)
    shared: dict[str, list[str]] = {}
    for i in np.flatnonzero(np.isin(hashes, values[counts > 1])).tolist():
        shared.setdefault(key_of(source.stem(i)), []).append(str(source.listed.paths[i]))
    return shared


@contextmanager
def alone_in(scratch: Scratch, world: World) -> Iterator[None]:
    """Keep other runs out of the scratch, which is first rid of what a killed one left behind.

    Raises ValueError if another run is in it, or if the processes do not share it.
    """
    refused = None
    if world.first:
        try:
            scratch.lock()
            clear_unfinished(scratch.folder)
            for rank in scratch.folder.glob("done-*"):
                rank.unlink()
        except (ValueError, OSError) as error:  # all are told: who waits for one that left hangs
            refused = error
    if world.total(refused is not None):
        raise refused or ValueError("process 0 did not begin; its own message says why")
    try:
        world.agree("the labelling", scratch.folder.name)
        if not (scratch.folder / "lock").is_file():
            raise ValueError(
                f"{scratch.folder} is not where process 0 has it; set ATTNLABELS_SCRATCH to a "
                "folder that all processes reach"
            )
        yield
    finally:
        if world.first:
            scratch.unlock()


class Photograph(NamedTuple):
    """An image file, or what is wrong with it."""

    name: str
    key: str
    data: bytes
    height: int
    width: int
    label: int
    error: str


class Batch(NamedTuple):
    """Photographs, and the pixels of those that are whole at the teacher's input size."""

    photographs: list[Photograph]
    pixels: Tensor  # uint8 [n, h, w, 3]


class Photographs(Dataset[tuple[Photograph, np.ndarray]]):
    """The images of a source, each with its pixels at the teacher's input size.

    Keys in `apart` are made distinct by the image's full name.
    """

    def __init__(self, source: Source, size: tuple[int, int], *, apart: Iterable[str] = ()) -> None:
        self.source, self.size, self.apart = source, size, frozenset(apart)

    def __getitem__(self, index: int) -> tuple[Photograph, np.ndarray]:
        listed = self.source.listed
        name, label, key = str(listed.paths[index]), int(listed.labels[index]), self.key(index)
        place = str(self.source.root / name)
        try:
            data = self.source.read(index)
            decoded = decode(data, name=place)
        except (ValueError, FileNotFoundError) as broken:  # whoever labels decides: stop, or skip
            return Photograph(name, key, b"", 0, 0, label, str(broken)), np.zeros(0)
        h, w = decoded.shape[:2]
        return Photograph(name, key, data, h, w, label, ""), resize(decoded, *self.size)

    def key(self, index: int) -> str:
        """The image's key in the shards."""
        key = key_of(self.source.stem(index))
        return _key_apart(str(self.source.listed.paths[index])) if key in self.apart else key


def mark_of(photographs: Photographs, rows: range) -> str:
    """Changes with the images that a shard is made of: their names, keys, classes, sizes, times."""
    source, digest = photographs.source, hashlib.sha256()
    for i in rows:
        name, label = str(source.listed.paths[i]), int(source.listed.labels[i])
        row = [name, photographs.key(i), label, *source.stamp(i)]
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()[:16]


def collate(items: Sequence[tuple[Photograph, np.ndarray]]) -> Batch:
    """A batch that a worker sends; its pixels pass through shared memory."""
    photographs = [each for each, _ in items]
    pixels = [pixels for each, pixels in items if not each.error]
    stacked = np.stack(pixels) if pixels else np.zeros((0, 1, 1, 3), np.uint8)
    return Batch(photographs, torch.from_numpy(stacked))


def cut(rows: range, size: int) -> list[range]:
    """`rows` in pieces of `size`; the last may be shorter."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def label_parts(
    parts: Sequence[range],
    photographs: Photographs,
    labeller: Labeller,
    folder: Path,
    *,
    names: Sequence[str],
    batch_size: int,
    broken: Broken,
    workers: int,
    world: World,
) -> None:
    """Make this process's share of the shards, one of each of `parts`, in `folder` under `names`.

    No batch reaches from one shard into another: how a map is rounded may depend on what else is
    in its batch. Raises Unlabelled for an image without a label, if `broken` says to stop.
    """
    root, n_classes = photographs.source.root, len(photographs.source.listed.classes)
    share = range(world.rank, len(parts), world.size)
    left: dict[int, list[Any]] = {  # torch's types ask for lists where ranges do
        number: cut(parts[number], batch_size)
        for number in share
        if not is_finished(folder / names[number], root, broken=broken)
    }
    loader: DataLoader[Any] = DataLoader(
        photographs,
        batch_sampler=chain.from_iterable(left.values()),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=world.device.type == "cuda",
        worker_init_fn=start_worker,
    )
    total = sum(len(parts[number]) for number in share)
    done = total - sum(len(parts[number]) for number in left)
    quiet = None if world.first else True
    with tqdm(desc="labelling", total=total, initial=done, disable=quiet) as progress:
        loaded = iter(loader)
        for number, batches in left.items():
            skipped: list[str] = []
            own = counted(islice(loaded, len(batches)), progress)
            keep_shard(
                folder / names[number],
                label_batches(own, labeller, skipped, broken=broken),
                n_classes=n_classes,
                images=root,
                skipped=skipped,
            )


def counted(batches: Iterable[Batch], progress: "tqdm[NoReturn]") -> Iterator[Batch]:
    """The batches; after each, as many images are shown to be done."""
    for batch in batches:
        yield batch
        progress.update(len(batch.photographs))


def is_finished(path: Path, images: Path, *, broken: Broken) -> bool:
    """Whether an earlier run made this shard; a `broken` image that it left out may be to stop."""
    kept = read_kept(path)
    if kept is None or (kept.skipped and broken == "stop"):
        return False
    return is_current(path, kept, images=images)


def label_batches(
    batches: Iterable[Batch], labeller: Labeller, skipped: list[str], *, broken: Broken
) -> Iterator[Sample]:
    """The samples of batches; the names of the images left out are appended to `skipped`.

    The teacher is a batch ahead, in a thread of its own, while the samples are written.
    """

    def look(batch: Batch) -> tuple[Batch, Tensor]:
        return batch, labeller.draw_maps(batch.pixels)

    for batch, maps in one_ahead(look, batches):
        whole = []
        for each in batch.photographs:
            if each.error:
                cure = "mend or remove the file"
                leave_out(skipped, each.name, f"{each.error}; {cure}", broken=broken)
            else:
                whole.append(each)
        points, counts = labeller.find_points(maps)
        for i, (each, count) in enumerate(zip(whole, counts.tolist(), strict=True)):
            if not count:
                flat = f"{each.name}: the teacher's map is the same everywhere"
                leave_out(skipped, each.name, f"{flat}; train the teacher again", broken=broken)
                continue
            yield Sample(
                key=each.key,
                image=each.data,
                map=maps[i].numpy(),
                points=points[i, :count].numpy(),
                observers=None,
                label=each.label,
                grid=(labeller.map_size, labeller.map_size),
                image_size=(each.height, each.width),
                source="teacher",
                name=each.name,
            )


def one_ahead(function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """What `map` gives, made by another thread while the caller is at the one before."""
    items = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = [thread.submit(function, item) for item in islice(items, 1)]
        while coming:
            done = coming.pop()
            result = done.result()
            coming = [thread.submit(function, item) for item in islice(items, 1)]
            yield result


def leave_out(skipped: list[str], name: str, why: str, *, broken: Broken) -> None:
    """Note an image that gets no label, or stop at it, as `broken` says."""
    if broken == "stop":
        raise Unlabelled(why)
    log.info("left out: %s", why)
    skipped.append(name)


def end_share(folder: Path, world: World) -> None:
    """Say that this process's share is done; the first returns once each has said so."""
    said = [folder / f"done-{rank}" for rank in range(world.size)]
    said[world.rank].touch()
    if world.first:
        await_files(said)


def collect(
    folder: Path,
    out: Path,
    *,
    names: Sequence[str],
    maps_by: dict[str, Any],
    classes: list[str],
    skipped: Sequence[str] = (),
) -> None:
    """Put the shards `names` of `folder`, all finished, into the new folder `out`, with an index.

    A shard whose images were all left out is not put there. `skipped` was left out before.
    """
    out.mkdir()
    shards: dict[str, Shard] = {}
    left_out = list(skipped)
    for name, kept_as in zip(map(shard_name, range(len(names))), names):
        kept = read_kept(folder / kept_as)
        assert kept is not None
        left_out += kept.skipped
        if len(kept.shard.rows):
            link_or_copy(folder / kept_as, out / name)
            shards[name] = kept.shard
    write_index(out, shards, maps_by=maps_by, classes=classes, skipped=left_out)


def write_overlays(folder: Path, shards: Shards, n: int) -> None:
    """JPEGs of `n` images, from all over the set, under their maps and with their points."""
    with replacing(folder) as aside:
        aside.mkdir()
        for i in spread(len(shards), n):
            sample = shards[i]
            picture = overlay(
                fit_inside(decode(sample["image"], name=sample["name"]), side=OVERLAY_SIDE),
                sample["map"],
                sample["points"],
                grid=sample["grid"],
            )
            _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            (aside / f"{sample['key']}.jpg").write_bytes(encoded.tobytes())


def _scratch_beside(out: Path, name: str) -> Scratch:
    # Not in the user's cache, as a stage's: shards hold the images, and are linked into `out`.
    if os.environ.get("ATTNLABELS_SCRATCH"):
        return Scratch(name)
    return Scratch(str(out.absolute().with_name(f".{out.name}.{name}")))
