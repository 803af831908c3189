"""Let the teacher label every image with a map and pseudo fixations (paper §3.3, ImageNet-Attn).

    python src/label_images.py TEACHER IMAGES MANIFEST RECORDINGS SHARDS EXAMPLES

Writes webdataset shards that hold the original image bytes, the map, the points and the label;
shard k those of the MANIFEST's rows from k * shard_size on. Process r of n makes the shards r,
r + n, ..., and any number of processes the same bytes. A labelling that was killed goes on at the
first shard that is not finished. EXAMPLES are the labels of a few images of RECORDINGS, shards of
people's attention, so that one may look at both.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int16, UInt8
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.datasets.image_folder import Manifest, read_manifest
from attnlabels.datasets.images import decode, resize
from attnlabels.datasets.kept_shards import (
    clear_unfinished,
    is_current,
    keep_shard,
    link_or_copy,
    read_kept,
)
from attnlabels.datasets.shards import Sample, Shard, Shards, sha256_of, shard_name, write_index
from attnlabels.launch import launch
from attnlabels.models.files import load_weights, read_config
from attnlabels.models.folding import fold_batch_norm
from attnlabels.models.pseudo_fixations import pseudo_fixations
from attnlabels.models.teacher import Teacher
from attnlabels.params import load, record
from attnlabels.report import replacing
from attnlabels.script import run
from attnlabels.training.checkpoint import Scratch, fingerprint
from attnlabels.training.loading import as_input, start_worker
from attnlabels.training.memory import keep_freed_memory
from attnlabels.training.processes import World, joined

Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]
A = TypeVar("A")
B = TypeVar("B")

CHANGE_NO_SHARD = {"broken", "processes", "workers", "examples"}  # of the parameters
LOOK_S = 0.2  # between looks at whether the other processes are done


@record
class LabelImages:
    """The section `label_images` of params.yaml."""

    image_size: tuple[Count, Count]
    map_size: Count
    sigma_px: Positive
    sigma_width: Count
    threshold: Annotated[float, Field(gt=0, le=1)]
    maximum_points: Count
    mirror: bool
    broken: Literal["stop", "skip"]
    batch_size: Count
    precision: Literal["fp32", "bf16"]
    processes: Count
    workers: Annotated[int, Field(ge=0)]
    shard_size: Count
    examples: Count


def main(
    weights: Path, images: Path, manifest: Path, recordings: Path, shards: Path, examples: Path
) -> None:
    p = load(LabelImages, "label_images")
    listed, people = read_manifest(manifest), Shards(recordings)
    require_distinct_keys(listed)
    keep_freed_memory()
    teacher = read_teacher(weights)
    parts = cut(range(len(listed.paths)), p.shard_size)
    values = {key: value for key, value in vars(p).items() if key not in CHANGE_NO_SHARD}
    code = [Path(__file__), *Path(__file__).with_name("attnlabels").rglob("*.py")]
    with joined() as world:
        about = [values, str(images), world.device.type]
        scratch = Scratch(f"labels-{fingerprint(about, [*code, weights, manifest])}")
        with alone_in(scratch, world):
            teacher.to(world.device).to(memory_format=torch.channels_last)
            photographs = Photographs(images, listed, p.image_size)
            label_parts(parts, photographs, teacher, scratch.folder, p=p, world=world)
            if not world.first:
                return
            await_others(scratch.folder, world)
            drawn_by = {"kind": "teacher", "sha256": sha256_of(weights)}
            with replacing(shards) as aside:
                collect(
                    scratch.folder, aside,
                    n_shards=len(parts), maps_by=drawn_by, classes=listed.classes,
                )
            write_examples(examples, people, teacher, p=p, device=world.device)
            scratch.clear()


def key_of(name: str) -> str:
    """An image's key: its name, of which webdataset would end a key at the first dot."""
    return name.rsplit(".", 1)[0].replace("/", "-").replace(".", "_")


def require_distinct_keys(listed: Manifest) -> None:
    """Raise ValueError, before hours of work, if two images would have one key.

    Compares 64-bit hashes, as a million strings take 100 MB; that two of a million keys share one
    has a chance of 3e-8.
    """
    hashes = np.array([hash(key_of(str(path))) for path in listed.paths])
    values, counts = np.unique(hashes, return_counts=True)
    if len(values) < len(hashes):
        same = np.flatnonzero(hashes == values[counts > 1][0])
        names = [str(listed.paths[i]) for i in same]
        raise ValueError(
            f"{' and '.join(names)} have one key, {key_of(names[0])!r}; rename or remove one and "
            "list the images again"
        )


def read_teacher(weights: Path) -> Teacher:
    """The teacher as it labels, its batch norm folded into its convolutions."""
    teacher = Teacher(**read_config(weights, "teacher")["teacher"])
    load_weights(weights, teacher)
    teacher.eval()
    fold_batch_norm(teacher)
    return teacher


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
        except ValueError as error:  # all are told: who waits for one that left shows a traceback
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
    """The files of a manifest, each with its pixels at the teacher's input size."""

    def __init__(self, images: Path, listed: Manifest, size: tuple[int, int]) -> None:
        self.images, self.listed, self.size = images, listed, size

    def __getitem__(self, index: int) -> tuple[Photograph, np.ndarray]:
        name, label = str(self.listed.paths[index]), int(self.listed.labels[index])
        try:
            data = (self.images / name).read_bytes()
            decoded = decode(data, name=str(self.images / name))
        except (ValueError, FileNotFoundError) as broken:  # `broken` decides: stop, or skip
            return Photograph(name, b"", 0, 0, label, str(broken)), np.zeros(0)
        height, width = decoded.shape[:2]
        return Photograph(name, data, height, width, label, ""), resize(decoded, *self.size)


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
    teacher: Teacher,
    folder: Path,
    *,
    p: LabelImages,
    world: World,
) -> None:
    """Make this process's share of the shards, one of each of `parts`, in `folder`.

    No batch reaches from one shard into another: how a map is rounded may depend on what else is
    in its batch.
    """
    share = range(world.rank, len(parts), world.size)
    left: dict[int, list[Any]] = {  # torch's types ask for lists where ranges do
        number: cut(parts[number], p.batch_size) for number in share
        if not is_finished(folder / shard_name(number), photographs.images, broken=p.broken)
    }
    loader: DataLoader[Any] = DataLoader(
        photographs,
        batch_sampler=chain.from_iterable(left.values()),
        num_workers=p.workers,
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
                folder / shard_name(number),
                label_batches(own, teacher, skipped, p=p, device=world.device),
                n_classes=len(photographs.listed.classes),
                images=photographs.images,
                skipped=skipped,
            )
    (folder / f"done-{world.rank}").touch()


def counted(batches: Iterable[Batch], progress: "tqdm[NoReturn]") -> Iterator[Batch]:
    """The batches; after each, as many images are shown to be done."""
    for batch in batches:
        yield batch
        progress.update(len(batch.photographs))


def is_finished(path: Path, images: Path, *, broken: Literal["stop", "skip"]) -> bool:
    """Whether an earlier run made this shard; a `broken` image that it left out may be to stop."""
    kept = read_kept(path)
    if kept is None or (kept.skipped and broken == "stop"):
        return False
    return is_current(path, kept, images=images)


def label_batches(
    batches: Iterable[Batch],
    teacher: Teacher,
    skipped: list[str],
    *,
    p: LabelImages,
    device: torch.device,
) -> Iterator[Sample]:
    """The samples of batches; the names of the images left out are appended to `skipped`.

    The teacher is a batch ahead, in a thread of its own, while the samples are written.
    """

    def look(batch: Batch) -> tuple[Batch, Tensor]:
        return batch, draw_maps(teacher, batch.pixels.to(device, non_blocking=True), p=p)

    for batch, maps in one_ahead(look, batches):
        whole = []
        for each in batch.photographs:
            if each.error:
                cure = "mend or remove the file and list the images again"
                leave_out(skipped, each.name, f"{each.error}; {cure}", broken=p.broken)
            else:
                whole.append(each)
        points, counts = find_points(maps, p=p)
        for i, (each, count) in enumerate(zip(whole, counts.tolist(), strict=True)):
            if not count:
                flat = f"{each.name}: the teacher's map is the same everywhere"
                leave_out(skipped, each.name, f"{flat}; train the teacher again", broken=p.broken)
                continue
            yield Sample(
                key=key_of(each.name),
                image=each.data,
                map=maps[i].numpy(),
                points=points[i, :count].numpy(),
                observers=None,
                label=each.label,
                grid=(p.map_size, p.map_size),
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


def leave_out(
    skipped: list[str], name: str, why: str, *, broken: Literal["stop", "skip"]
) -> None:
    """Note an image that gets no label, or stop at it, as the parameter `broken` says."""
    if broken == "stop":
        raise ValueError(f"{why}, or set label_images.broken to skip")
    skipped.append(name)


def draw_maps(
    teacher: Teacher, pixels: UInt8[Tensor, "n h w 3"], *, p: LabelImages
) -> Float[Tensor, "n s s"]:
    """The teacher's maps of images at `map_size`, on the CPU.

    With `mirror`, a map is the mean of the image's and its mirror image's.
    """
    size = (p.map_size, p.map_size)
    if not len(pixels):
        return torch.zeros(0, *size)
    batch = as_input(pixels)
    with torch.inference_mode(), torch.autocast(
        pixels.device.type, torch.bfloat16, enabled=p.precision == "bf16"
    ):
        maps = teacher(batch)
        if p.mirror:
            maps = (maps + teacher(batch.flip(3)).flip(2)) / 2
        # A mean of values that are not all finite is not finite.
        maps = F.interpolate(maps.float().unsqueeze(1), size, mode="area").squeeze(1).cpu()
    if not maps.isfinite().all():
        raise ValueError(
            "the teacher's maps are not finite; train it again, or set label_images.precision to "
            "fp32"
        )
    return maps


def find_points(
    maps: Float[Tensor, "n s s"], *, p: LabelImages
) -> tuple[Int16[Tensor, "n p 2"], Int[Tensor, "n"]]:
    """The pseudo fixations of maps, padded with -1, and how many there are."""
    return pseudo_fixations(
        maps,
        sigma_px=p.sigma_px * p.map_size / p.sigma_width,  # the σ of the densities, at this width
        threshold=p.threshold,
        maximum=p.maximum_points,
    )


def await_others(folder: Path, world: World) -> None:
    """Return once each process has said that its share is done.

    No collective operation: these time out within minutes, and hold back signals. If a process
    fails, torchrun ends this one.
    """
    said = [folder / f"done-{rank}" for rank in range(world.size)]
    while not all(each.exists() for each in said):
        time.sleep(LOOK_S)


def collect(
    folder: Path, out: Path, *, n_shards: int, maps_by: dict[str, Any], classes: list[str]
) -> None:
    """Put the shards of `folder`, where all are finished, into the new folder `out`, with an index.

    A shard whose images were all left out is not put there.
    """
    out.mkdir()
    shards: dict[str, Shard] = {}
    skipped: list[str] = []
    for name in map(shard_name, range(n_shards)):
        kept = read_kept(folder / name)
        assert kept is not None
        skipped += kept.skipped
        if len(kept.shard.rows):
            link_or_copy(folder / name, out / name)
            shards[name] = kept.shard
    write_index(out, shards, maps_by=maps_by, classes=classes, skipped=skipped)


def write_examples(
    path: Path, people: Shards, teacher: Teacher, *, p: LabelImages, device: torch.device
) -> None:
    """The first images of `people` with people's maps and with their labels."""
    samples = [people[i] for i in range(min(p.examples, len(people)))]
    images = [decode(each["image"], name=each["name"]) for each in samples]
    pixels = torch.from_numpy(np.stack([resize(each, *p.image_size) for each in images]))
    maps = draw_maps(teacher, pixels.to(device), p=p)
    points, _ = find_points(maps, p=p)
    h, w = samples[0]["map"].shape
    with replacing(path) as aside, open(aside, "wb") as file:
        np.savez(
            file,
            images=np.stack([resize(each, h, w) for each in images]),
            human=np.stack([each["map"] for each in samples]),
            teacher=maps.numpy(),
            points=points.numpy(),
            names=np.array([each["name"] for each in samples]),
        )


if __name__ == "__main__":
    run(main, before=lambda: launch(load(LabelImages, "label_images").processes))
