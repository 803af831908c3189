"""Give labelled images maps and points of another source than the teacher (paper Table 1).

    python src/relabel_images.py NAME LABELS GIVEN OUT

NAME is a row of `relabel_images` in params.yaml. OUT gets the images of the shards LABELS, with
their keys and classes and in their order, and what the row's source makes of GIVEN:

    centre      a Gaussian at the centre, the evaluation's centre prior   GIVEN is not read
    shuffled    the map and the points of another image of LABELS         GIVEN is not read
    boxes       a rectangle around the extent of its own map              GIVEN is not read
    recorded    where people looked at this very image                    SALICON's JSON of 2015
    masks       where its objects are                                     a folder of PNG files
    contracam   what tells it from others, to a contrastive encoder       the encoder's weights

Maps are of the size of those of LABELS. Where a source has no points and LABELS are a teacher's,
whose index says how these are found, they are pseudo fixations of the map; otherwise there are
none. An image of LABELS without a map stays without. Process r of n makes the shards r, r + n, ...,
and any number of processes the same bytes; what was killed goes on where it was.
"""

import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from attnlabels.labelling.labeller import Manner
from attnlabels.labelling.relabelling import Relabel, parts_of, relabel_parts
from attnlabels.labelling.shares import alone_in, collect
from attnlabels.labelling.sources import SOURCES, Task
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import check, load, record
from attnlabels.pipeline.places import place_of_folder
from attnlabels.pipeline.script import run
from attnlabels.processes.checkpoint import Scratch, fingerprint
from attnlabels.processes.world import joined
from attnlabels.shards.index import read_index
from attnlabels.shards.shards import Shards

CHANGE_NO_LABEL = {"workers"}  # of the options


@record
class RelabelImages:
    source: str
    given: str  # handed to this script by dvc.yaml, which watches it
    missing: Literal["stop", "skip"]  # at an image of which the source knows nothing
    processes: Annotated[int, Field(gt=0)]
    options: dict[str, Any]  # the source's own


def main(name: str, labels: Path, given: Path, out: Path) -> None:
    place_of_folder(out)
    take_threads()
    where = f"params.yaml: relabel_images.{name}"
    p = load(RelabelImages, "relabel_images", name)
    if p.source not in SOURCES:
        raise ValueError(f"{where}.source is {p.source!r}; expected one of {', '.join(SOURCES)}")
    source, shards = SOURCES[p.source], Shards(labels)
    options: object = check(record(source.options), p.options, where=f"{where}.options")
    values = {key: value for key, value in p.options.items() if key not in CHANGE_NO_LABEL}
    manner, code = read_manner(shards), code_of(Path(__file__))
    with joined() as world:
        about = [p.source, values, stamp(given), world.device.type, code]
        scratch = Scratch(f"relabelled-{fingerprint(about, [labels / 'index.json'])}")
        with alone_in(scratch, world):
            task = Task(shards, given, manner, scratch.folder, world)
            cure = f"complete {given}, or set relabel_images.{name}.missing to skip"
            draw, parts = source.draw(task, options), parts_of(shards)
            relabel = Relabel(shards, draw, p.source, manner, p.missing, cure)
            relabel_parts(relabel, parts, scratch.folder, title=name, world=world)
            if not world.first:
                return
            collect(
                scratch.folder,
                out,
                [*parts],
                maps_by={
                    "kind": source.kind,
                    "given": p.given,
                    **p.options,
                    **(manner.said() if manner else {"of": shards.index["maps_by"]["kind"]}),
                },
                classes=shards.classes,
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


def read_manner(labels: Shards) -> Manner | None:
    """How a teacher's maps and points are, as their index says it; None for those of others."""
    by = labels.index["maps_by"]
    if by["kind"] == "players":
        return None
    said = {each.name: by[each.name] for each in fields(Manner) if each.name in by}
    if {each.name for each in fields(Manner) if each.default is MISSING} - said.keys():
        raise ValueError(
            f"{labels.folder}: its index does not say how its labels are drawn; label the images "
            "again"
        )
    return check(record(Manner), said, where=f"{labels.folder}: index.json")


if __name__ == "__main__":
    run(main, before=lambda: launch(load(RelabelImages, "relabel_images", sys.argv[1]).processes))
