"""Give labelled images maps and points of another source than the teacher (paper Table 1).

    python src/relabel_images.py NAME LABELS GIVEN OUT

NAME is a row of `relabel_images` in params.yaml. OUT gets the images of the shards LABELS, with
their keys and classes and in their order, and what the row's source makes of GIVEN:

    centre      a Gaussian at the centre, the evaluation's centre prior   GIVEN is not read
    shuffled    the map and the points of another image of LABELS         GIVEN is not read
    recorded    where people looked at this very image                    SALICON's JSON of 2015
    masks       where its objects are                                     a folder of PNG files
    contracam   what tells it from others, to a contrastive encoder       the encoder's weights

Maps are of the size of the teacher's. Where a source has no points, they are pseudo fixations of
the map. The section `label_images` has the parameters of both. Process r of n makes the shards r,
r + n, ..., and any number of processes the same bytes; what was killed goes on where it was.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from tqdm import tqdm

from attnlabels.labelling.labels import alone_in, collect, end_share, is_finished, leave_out
from attnlabels.labelling.pseudo_fixations import pseudo_fixations
from attnlabels.labelling.sources import SOURCES, Draw, Label, Task, Unknown
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.params import check, load, read, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing
from attnlabels.processes.checkpoint import Scratch, fingerprint
from attnlabels.processes.world import World, joined
from attnlabels.shards.kept import keep_shard
from attnlabels.shards.shards import Sample, Shards, read_index

Amount = Annotated[int, Field(gt=0)]

CHANGE_NO_LABEL = {"workers"}  # of the options


@record
class RelabelImages:
    source: str
    given: str  # handed to this script by dvc.yaml, which watches it
    missing: Literal["stop", "skip"]  # at an image of which the source knows nothing
    processes: Amount
    options: dict[str, Any]  # the source's own


@record
class AsTheTeacher:
    """What labels of every source have in common with the teacher's: keys of `label_images`."""

    map_size: Amount
    sigma_px: Annotated[float, Field(gt=0)]
    sigma_width: Amount
    threshold: Annotated[float, Field(gt=0, le=1)]
    maximum_points: Amount


def main(name: str, labels: Path, given: Path, out: Path) -> None:
    where = f"params.yaml: relabel_images.{name}"
    p, teachers = load(RelabelImages, "relabel_images", name), load_teachers()
    if p.source not in SOURCES:
        raise ValueError(f"{where}.source is {p.source!r}; expected one of {', '.join(SOURCES)}")
    source, shards = SOURCES[p.source], Shards(labels)
    options: object = check(record(source.options), p.options, where=f"{where}.options")
    values = {key: value for key, value in p.options.items() if key not in CHANGE_NO_LABEL}
    code = code_of(Path(__file__))
    with joined() as world:
        about = [p.source, values, vars(teachers), stamp(given), world.device.type, code]
        scratch = Scratch(f"relabelled-{fingerprint(about, [labels / 'index.json'])}")
        with alone_in(scratch, world):
            task = Task(shards, given, teachers.map_size, scratch.folder, world)
            relabel = Relabel(
                shards,
                source.draw(task, options),
                p.source,
                teachers,
                p.missing,
                cure=f"complete {given}, or set relabel_images.{name}.missing to skip",
            )
            names = [each["name"] for each in shards.index["shards"]]
            relabel_parts(relabel, scratch.folder, names=names, title=name, world=world)
            end_share(scratch.folder, world)
            if not world.first:
                return
            with replacing(out) as aside:
                collect(
                    scratch.folder,
                    aside,
                    names=names,
                    classes=shards.classes,
                    maps_by={"kind": source.kind, "given": p.given, **p.options},
                    skipped=shards.index["skipped"],
                )
            scratch.clear()
    left_out = len(read_index(out)["skipped"]) - len(shards.index["skipped"])
    print(f"{name}: {len(shards) - left_out} images, {left_out} left out")


def stamp(given: Path) -> str:
    """Changes with a file's contents, and with the names, sizes and times of a folder's files."""
    if not given.is_dir():
        return fingerprint(str(given), [given] if given.is_file() else [])
    found = ((path, path.stat()) for path in sorted(given.rglob("*")))
    return fingerprint([[str(path), at.st_size, at.st_mtime_ns] for path, at in found], [])


@dataclass(frozen=True)
class Relabel:
    """Gives the samples of shards other labels."""

    shards: Shards
    draw: Draw
    source: str
    teachers: AsTheTeacher
    missing: Literal["stop", "skip"]
    cure: str

    def __call__(self, numbers: Iterable[int], skipped: list[str]) -> Iterator[Sample]:
        """The samples of these numbers; the name of one without a label is added to `skipped`."""
        for i in numbers:
            sample = self.shards[i]
            try:
                label = with_points(self.draw(i, sample), self.teachers)
            except Unknown as unknown:
                why = f"{sample['name']}: {unknown}; {self.cure}"
                leave_out(skipped, sample["name"], why, broken=self.missing)
            else:
                yield relabelled(sample, label, source=self.source)


def relabel_parts(
    relabel: Relabel, folder: Path, *, names: Sequence[str], title: str, world: World
) -> None:
    """Make this process's share of the shards in `folder`, each of the images of an old one."""
    shards = relabel.shards
    ends = list(accumulate(each["count"] for each in shards.index["shards"]))
    parts = dict(zip(names, map(range, [0, *ends], ends)))
    share = names[world.rank :: world.size]
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


def load_teachers() -> AsTheTeacher:
    section = read().get("label_images", {})
    known = {key: value for key, value in section.items() if key in AsTheTeacher.__annotations__}
    return check(AsTheTeacher, known, where="params.yaml: label_images")


def with_points(label: Label, p: AsTheTeacher) -> Label:
    """The label with pseudo fixations, if it has no points of its own."""
    if label.points is not None:
        return label
    h, w = label.map.shape
    points, counts = pseudo_fixations(
        torch.from_numpy(label.map).unsqueeze(0),
        sigma_px=p.sigma_px * w / p.sigma_width,
        threshold=p.threshold,
        maximum=p.maximum_points,
    )
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


if __name__ == "__main__":
    run(main, before=lambda: launch(load(RelabelImages, "relabel_images", sys.argv[1]).processes))
