"""Batches of images on their way through a teacher into shards, each process making its share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from torch import Tensor
from tqdm import tqdm

from attnlabels.images.broken import Broken
from attnlabels.labelling.labeller import Labeller
from attnlabels.labelling.photographs import Batch, Photographs, collate
from attnlabels.labelling.shares import end_share, is_finished
from attnlabels.labelling.skipped import leave_out
from attnlabels.processes.loading import load
from attnlabels.processes.world import World
from attnlabels.shards.kept import keep_shard
from attnlabels.shards.shards import Sample

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Labelling:
    """What is labelled, and by whom; `broken` says what an image that gets no label does."""

    photographs: Photographs
    labeller: Labeller
    broken: Broken
    batch_size: int  # images
    workers: int  # processes that read and decode


def cut(rows: range, size: int) -> list[range]:
    """`rows` in pieces of `size`; the last may be shorter."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def label_parts(
    labelling: Labelling, parts: Mapping[str, range], folder: Path, *, world: World
) -> None:
    """Make this process's share of shards in `folder`, by their names, each of its rows; then wait.

    The first process returns once all shares are done. No batch reaches from one shard into
    another: how a map is rounded may depend on what else is in its batch. Raises Unlabelled for an
    image without a label, if `broken` says to stop.
    """
    photographs, broken = labelling.photographs, labelling.broken
    root = photographs.source.root
    share = list(parts)[world.rank :: world.size]
    left: dict[str, list[Any]] = {  # torch's types ask for lists where ranges do
        name: cut(parts[name], labelling.batch_size)
        for name in share
        if not is_finished(folder / name, root, broken=broken)
    }
    loaded = load(
        photographs,
        workers=labelling.workers,
        pin_memory=world.device.type == "cuda",
        batch_sampler=chain.from_iterable(left.values()),
        collate_fn=collate,
    )
    labelling.labeller.to(world.device)
    total = sum(len(parts[name]) for name in share)
    done = total - sum(len(parts[name]) for name in left)
    quiet = None if world.first else True
    with tqdm(desc="labelling", total=total, initial=done, disable=quiet) as progress:
        for name, batches in left.items():
            skipped: list[str] = []
            own = counted(islice(loaded, len(batches)), progress)
            keep_shard(
                folder / name,
                label_batches(own, labelling.labeller, skipped, broken=broken),
                n_classes=len(photographs.classes),
                images=root,
                skipped=skipped,
            )
    end_share(folder, world)


def counted(batches: Iterable[Batch], progress: "tqdm[NoReturn]") -> Iterator[Batch]:
    """The batches; after each, as many images are shown to be done."""
    for batch in batches:
        yield batch
        progress.update(len(batch.photographs))


def label_batches(
    batches: Iterable[Batch], labeller: Labeller, skipped: list[str], *, broken: Broken
) -> Iterator[Sample]:
    """The samples of batches; the names of the images left out are appended to `skipped`.

    The teacher is a batch ahead, in a thread of its own, while the samples are written.
    """

    def look(batch: Batch) -> tuple[Batch, list[Tensor]]:
        return batch, [labeller.draw_maps(group.pixels) for group in batch.groups]

    for batch, drawn in one_ahead(look, batches):
        labels: dict[int, tuple[Tensor, Tensor]] = {}
        for group, maps in zip(batch.groups, drawn):
            points = labeller.find_points(maps, size=group.size)
            labels |= zip(group.rows, zip(maps, points))
        for row, each in enumerate(batch.photographs):
            if each.error:
                leave_out(skipped, each.name, each.error, broken=broken)
                continue
            map, fixations = labels[row]
            if not len(fixations):
                flat = f"{each.name}: the teacher's map is the same everywhere"
                leave_out(skipped, each.name, f"{flat}; train the teacher again", broken=broken)
                continue
            yield Sample(
                key=each.key,
                image=each.data,
                map=map.numpy(),
                points=fixations.numpy(),
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
