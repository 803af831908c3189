"""Other labels for images that are labelled: their shards again, with another source's maps."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from attnlabels.images.broken import Broken
from attnlabels.labelling.labeller import Manner
from attnlabels.labelling.shares import end_share, is_finished
from attnlabels.labelling.skipped import leave_out
from attnlabels.labelling.sources import Draw, Label, Unknown
from attnlabels.processes.world import World
from attnlabels.shards.index import NOBODY
from attnlabels.shards.kept import keep_shard
from attnlabels.shards.shards import Sample, Shards


@dataclass(frozen=True)
class Relabel:
    """Gives the samples of shards other labels."""

    shards: Shards
    draw: Draw
    source: str
    manner: Manner | None  # the teacher's, in which points are found
    missing: Broken  # what an image without a label does
    cure: str

    def __call__(self, numbers: Iterable[int], skipped: list[str]) -> Iterator[Sample]:
        """The samples of these numbers; the name of one without a label is added to `skipped`."""
        for i in numbers:
            sample = self.shards[i]
            if sample["source"] == NOBODY:  # it has no label, whatever the source
                yield sample
                continue
            try:
                label = self.draw(i, sample)
                if label.points is None:
                    label = with_points(label, self.manner, sample["image_size"])
            except Unknown as unknown:
                why = f"{sample['name']}: {unknown}; {self.cure}"
                leave_out(skipped, sample["name"], why, broken=self.missing)
            else:
                yield relabelled(sample, label, source=self.source)


def parts_of(shards: Shards) -> dict[str, range]:
    """The numbers of the images of each shard, by its name."""
    names = [each["name"] for each in shards.index["shards"]]
    ends = list(accumulate(each["count"] for each in shards.index["shards"]))
    return dict(zip(names, map(range, [0, *ends], ends)))


def relabel_parts(
    relabel: Relabel, parts: Mapping[str, range], folder: Path, *, title: str, world: World
) -> None:
    """Make this process's share of the shards in `folder`, each of the images of an old one.

    The first process returns once all shares are done.
    """
    shards = relabel.shards
    share = list(parts)[world.rank :: world.size]
    left = [
        name
        for name in share
        if not is_finished(folder / name, shards.folder, broken=relabel.missing)
    ]
    total, to_do = (sum(len(parts[name]) for name in some) for some in (share, left))
    quiet = None if world.first else True
    every = chain.from_iterable(parts[name] for name in left)
    with tqdm(every, title, total, initial=total - to_do, disable=quiet) as progress:
        numbers = iter(progress)
        for name in left:
            skipped: list[str] = []
            keep_shard(
                folder / name,
                relabel(islice(numbers, len(parts[name])), skipped),
                n_classes=len(shards.classes),
                images=shards.folder,
                skipped=skipped,
            )
    end_share(folder, world)


def with_points(label: Label, manner: Manner | None, image: tuple[int, int]) -> Label:
    """The label with the pseudo fixations of an image of that height and width; or with none."""
    h, w = label.map.shape
    if manner is None:
        return label._replace(points=np.zeros((0, 2), np.int16), grid=(h, w))
    points, counts = manner.like(image).find_points(torch.from_numpy(label.map).unsqueeze(0))
    if not counts.item():
        raise Unknown("its map is the same everywhere")
    return label._replace(points=points[0, : counts.item()].numpy(), grid=(h, w))


def relabelled(sample: Sample, label: Label, *, source: str) -> Sample:
    assert label.points is not None and label.grid is not None
    return Sample(
        key=sample["key"],
        image=sample["image"],
        map=label.map,
        points=label.points,
        observers=label.observers,
        label=sample["label"],
        grid=label.grid,
        image_size=sample["image_size"],
        source=source,
        name=sample["name"],
    )
