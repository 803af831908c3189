"""Divide recordings of the same photographs among those a teacher learns and is scored on.

    python src/split_attention.py PART ATTENTION OUT

ATTENTION holds folders of shards that `prepare_attention` made of the same photographs, one for
each way in which attention was recorded. PART is a row of `split_attention.parts` in params.yaml:
which folds are held out, to `test` a teacher and to choose its epoch (`dev`); it learns the rest.
An image's fold is a checksum of its file name. OUT gets for each of `teachers` the folders
TEACHER/train and TEACHER/dev, whose maps are the weighted mean of the recordings' densities, each
of sum 1; and in scored/RECORDING, of the photographs in `test`, what `scored_on` names.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

from attnlabels.images.names import fold_of
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.shards.shards import Sample, Shards, write_shards

Fold = Annotated[int, Field(ge=0)]
SHARD_SIZE = 1000
ALIKE = ("sigma_px", "sigma_width", "count", "border")  # of densities of which a mean is taken


@record
class Part:
    """Folds that are held out; those to test on may be none."""

    test: tuple[Fold, ...]
    dev: Annotated[tuple[Fold, ...], Field(min_length=1)]


@record
class SplitAttention:
    folds: Annotated[int, Field(ge=2)]
    parts: dict[str, Part]
    teachers: dict[str, dict[str, Annotated[float, Field(gt=0)]]]  # what each learns: weights
    scored_on: tuple[str, ...]


def main(part: str, attention: Path, out: Path) -> None:
    p = load(SplitAttention, "split_attention")
    test, dev = folds_of(p, part)
    train = {*range(p.folds)} - test - dev
    with replacing_folder(out) as aside:
        for teacher, weights in p.teachers.items():
            recordings = {name: Shards(attention / name) for name in weights}
            require_alike(recordings)
            for name, folds in (("train", train), ("dev", dev)):
                samples = mean_samples(recordings, weights, folds, n_folds=p.folds)
                about = {"recordings": weights, "folds": p.folds, "keep": sorted(folds)}
                write(aside / teacher / name, samples, recordings, about)
        for name in p.scored_on if test else ():
            only = {name: Shards(attention / name)}
            samples = kept(only[name], test, n_folds=p.folds)
            write(aside / "scored" / name, samples, only, {"folds": p.folds, "keep": sorted(test)})


def folds_of(p: SplitAttention, part: str) -> tuple[set[int], set[int]]:
    """The folds of a part that are tested on and that choose the epoch; they share none."""
    where = f"params.yaml: split_attention.parts.{part}"
    if part not in p.parts:
        raise ValueError(f"{where} is missing; expected one of: {', '.join(p.parts)}")
    test, dev = p.parts[part].test, p.parts[part].dev
    out = [*test, *dev]
    if len({*out}) < len(out) or max(out) >= p.folds or len(out) == p.folds:
        raise ValueError(
            f"{where} holds out {out}; expected different folds of 0..{p.folds - 1}, not all"
        )
    return {*test}, {*dev}


def require_alike(recordings: Mapping[str, Shards]) -> None:
    """Raise ValueError unless all are of as many photographs, and drawn alike."""
    first, *others = recordings.values()
    for other in others:
        for key in ALIKE:
            a, b = (each.index["maps_by"].get(key) for each in (first, other))
            if a != b:
                raise ValueError(
                    f"{key} is {a} in {first.folder}, {b} in {other.folder}; prepare both alike"
                )
        if len(first) != len(other):
            raise ValueError(
                f"{first.folder} has {len(first)} photographs, {other.folder} {len(other)}; keep "
                "those of which there are all recordings"
            )


def mean_samples(
    recordings: Mapping[str, Shards], weights: Mapping[str, float], folds: set[int], *, n_folds: int
) -> Iterator[Sample]:
    """The samples of these folds with the mean of their densities, and all of their points."""
    shares = [weights[name] / sum(weights.values()) for name in recordings]
    for samples in zip(*map(read_all, recordings.values())):
        for each, shards in zip(samples, recordings.values()):
            if (each["name"], each["image"]) != (samples[0]["name"], samples[0]["image"]):
                raise ValueError(
                    f"{shards.folder}: {each['name']} where others have {samples[0]['name']}; "
                    "prepare all recordings of the same photographs"
                )
        if fold_of(samples[0]["name"], n_folds) in folds:
            yield mean_of(samples, shares)


def mean_of(samples: Sequence[Sample], shares: Sequence[float]) -> Sample:
    """One photograph's sample with the mean of its densities and all points, nobody's."""
    densities = [each["map"] / each["map"].sum() for each in samples]
    map = np.sum([share * each for share, each in zip(shares, densities)], axis=0)
    points = np.concatenate([each["points"] for each in samples])
    return Sample(**{**samples[0], "map": map, "points": points, "observers": None})


def kept(shards: Shards, folds: set[int], *, n_folds: int) -> Iterator[Sample]:
    """The samples whose photographs are in these folds."""
    return (each for each in read_all(shards) if fold_of(each["name"], n_folds) in folds)


def read_all(shards: Shards) -> Iterator[Sample]:
    for i in tqdm(range(len(shards)), desc=str(shards.folder), disable=None):
        yield shards[i]


def write(
    folder: Path, samples: Iterator[Sample], of: Mapping[str, Shards], about: Mapping[str, Any]
) -> None:
    said = next(iter(of.values())).index["maps_by"]
    maps_by = {"kind": "human", **{key: said[key] for key in ALIKE}, **about}
    write_shards(folder, samples, maximum_count=SHARD_SIZE, maps_by=maps_by, classes=[])


if __name__ == "__main__":
    run(main)
