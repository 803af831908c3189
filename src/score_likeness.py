"""Score how alike a classifier and people are (Linsley et al. 2019, §4; STUDIES §C).

    python src/score_likeness.py WEIGHTS PEOPLE OBJECTS PARTS SCORES EXAMPLES REPORT

PEOPLE are shards of players' maps of test images, OBJECTS and PARTS folders of their masks,
`<class>/<stem>.png`; a folder that is empty leaves these out. SCORES (CSV) tells of each image
whether it is classified wrongly, and of some that people painted on how maps go with the players'
(`rho`), with those of another image (the null) and with the masks (`iou`): SmoothGrad of the true
class, attention of the last unit and of all, these of random weights, and a centre prior. REPORT
has their means and the share of players' agreement that they are; EXAMPLES the maps and pictures.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from attnlabels.interpretation.frozen import Frozen, open_classifier
from attnlabels.interpretation.likeness import (
    at_size,
    ceilings_of,
    draw_partners,
    errors,
    folders_of_masks,
    measure_ceilings,
    of_masks,
    read_masks,
    score_image,
    summarise,
)
from attnlabels.interpretation.looking import Looked, classify, look
from attnlabels.interpretation.overlap import Map, Mask
from attnlabels.interpretation.people import People, manner_of, read_people
from attnlabels.interpretation.pictures import layers, seen_through
from attnlabels.interpretation.smoothgrad import Channels, Manner, Sign
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_arrays, write_metrics, write_rows
from attnlabels.shards.shards import Shards

Positive = Annotated[int, Field(gt=0)]


@record
class SmoothGrad:
    level: Annotated[float, Field(ge=0)]
    count: Positive
    order: Sign
    channels: Channels
    chunk: Positive


@record
class ScoreLikeness:
    """The section `score_likeness`."""

    map_size: Annotated[int, Field(gt=1)]
    images: Positive
    smoothgrad: SmoothGrad
    splits: Positive
    batch_size: Positive
    examples: Positive
    seed: Annotated[int, Field(ge=0)]


def main(
    weights: Path,
    people: Path,
    objects: Path,
    parts: Path,
    scores: Path,
    examples: Path,
    report: Path,
) -> None:
    threads, p = take_threads(), load(ScoreLikeness, "score_likeness")
    folders = folders_of_masks({"object": objects, "part": parts})
    frozen = open_classifier(weights, n_classes=len(Shards(people).classes))
    blur, count = manner_of(people)
    crop, seed = frozen.crop, p.seed
    painted = read_people(
        people, blur_by=blur, count=count, map_size=p.map_size, crop=crop, some=p.images, seed=seed
    )
    classified = classify(frozen, painted.shards, batch_size=p.batch_size)
    rows = [row for logits, classes in classified for row in errors(logits, classes)]
    partners = draw_partners(painted.players.labels, seed=seed)
    ceilings = measure_ceilings(painted, splits=p.splits, seed=seed)
    for i, told in ceilings_of(ceilings).items():
        rows[painted.numbers[i]] |= told
    kept: dict[str, list[Any]] = {}
    for i, seen in enumerate(maps_of(frozen, painted, p)):
        name, size = painted.players.names[i], painted.sizes[i]
        masks = read_masks(folders, name, size=size, crop=crop)
        rows[painted.numbers[i]] |= of_masks(masks) | {
            f"{key}.{measure}": value
            for key, map in seen.maps.items()
            for measure, value in score_image(map, i, painted, partners, masks).items()
        }
        found = shown(seen, masks.get("object"), painted.mean_map(i), pictured=i < p.examples)
        for key, array in found.items():
            kept.setdefault(key, []).append(array)
    arrays = {key: np.stack(values) for key, values in kept.items()}
    write_arrays(examples, names=np.array(painted.players.names), **arrays)
    named = [{"image": painted.shards[i]["name"], **row} for i, row in enumerate(rows)]
    columns = dict.fromkeys(key for row in named for key in row)
    write_rows(scores, named, columns=[*columns])
    about: dict[str, Any] = {"attention": frozen.attention, "blur": blur, "map_size": p.map_size}
    about |= {"images": len(rows), "nobody": painted.nobody, "painted": len(painted.numbers)}
    write_metrics(report, about | summarise(rows, painted, ceilings), threads=threads)


def maps_of(frozen: Frozen, painted: People, p: ScoreLikeness) -> Iterator[Looked]:
    """`look` in the manner of the parameters."""
    smooth = p.smoothgrad
    manner = Manner(smooth.level, smooth.order, smooth.channels, smooth.chunk)
    return look(
        frozen, painted, manner=manner, count=smooth.count, seed=p.seed, batch_size=p.batch_size
    )


def shown(seen: Looked, mask: Mask | None, human: Map, *, pictured: bool) -> dict[str, np.ndarray]:
    """What EXAMPLES has of an image, to compare networks by; of some there are pictures too."""
    size = len(seen.image)
    maps = {key: seen.maps[key] for key in ("smoothgrad", "attention_last")}
    maps["object"] = at_size(mask, size)
    if not pictured:
        return maps
    pictures = {
        "seen_through": seen_through(seen.image, seen.maps["attention_last"]),
        "layers": layers(seen.units, side=size),
    }
    return {**maps, "images": seen.image, "human": human, **pictures}


if __name__ == "__main__":
    run(main)
