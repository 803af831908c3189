"""Score the teacher against people on images it never saw (paper §3.2, §4.2).

    python src/evaluate_teacher.py TEACHER VAL EYE SCORES EXAMPLES REPORT

VAL are recordings of the kind it was trained on, EYE eye tracking. Beside it stand a centre prior
and, as a ceiling, the correlation of two halves of the observers. SCORES (CSV) has a row an image.
"""

from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from tqdm import tqdm

from attnlabels.datasets.density import centre_prior, density
from attnlabels.datasets.images import resize
from attnlabels.datasets.recordings import (
    Recording,
    count_recorded,
    enlarge,
    read_recordings,
)
from attnlabels.datasets.shards import Shards
from attnlabels.metrics.alignment import SCORES, score_map
from attnlabels.metrics.statistics import spearman_brown, split_half_cc
from attnlabels.models.files import load_weights, read_config
from attnlabels.models.teacher import Teacher
from attnlabels.params import load, record
from attnlabels.report import replacing, write_json, write_rows
from attnlabels.script import run


@record
class EvaluateTeacher:
    """The section `evaluate_teacher` of params.yaml."""

    splits: Annotated[int, Field(gt=0)]
    seed: int
    examples: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]


def main(weights: Path, val: Path, eye: Path, scores: Path, examples: Path, report: Path) -> None:
    p = load(EvaluateTeacher, "evaluate_teacher")
    config = read_config(weights, "teacher", "image_size")
    teacher = Teacher(**config["teacher"])
    load_weights(weights, teacher)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher.eval().to(device).to(memory_format=torch.channels_last)
    summary: dict[str, Any] = {}
    found: dict[str, dict[str, Scored]] = {}
    for name, folder in (("val", val), ("eye", eye)):
        found[name], shown = score_set(teacher, folder, size=config["image_size"], p=p)
        summary[name] = {readout: scored.means() for readout, scored in found[name].items()}
        summary[name]["n"] = len(found[name]["teacher"].names)
        half = summary[name]["split_half"]["cc"]
        summary[name]["split_half"]["cc_all_observers"] = spearman_brown(half)
    write_examples(examples, shown)
    rows = (
        {"set": name, "image": image, "readout": readout, **row}
        for name, readouts in found.items()
        for readout, scored in readouts.items()
        for image, row in scored.rows()
    )
    write_rows(scores, rows, columns=("set", "image", "readout", *SCORES))
    write_json(report, summary)


class Scored(NamedTuple):
    """Scores of a set's images, [n, scores], which take a tenth of the memory of dicts."""

    names: list[str]
    keys: tuple[str, ...]
    values: Float[np.ndarray, "n s"]

    def rows(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Each image's name and scores."""
        for name, row in zip(self.names, self.values):
            yield name, dict(zip(self.keys, row.tolist()))

    def means(self) -> dict[str, Any]:
        return {key: float(np.mean(column)) for key, column in zip(self.keys, self.values.T)}


class Example(NamedTuple):
    """A recording, and the teacher's map of it."""

    recording: Recording
    map: Float[np.ndarray, "a b"]


def score_set(
    teacher: Teacher, folder: Path, *, size: tuple[int, int], p: EvaluateTeacher
) -> tuple[dict[str, Scored], list[Example]]:
    """The scores of each readout on a set of recordings, and the first images as examples.

    A batch of images is held at a time. What sAUC needs of all the others is one map of counts.
    """
    recordings = read_recordings(folder, crop=1.0)
    everywhere = count_recorded(folder, crop=1.0)
    prior = centre_prior(*everywhere.shape)
    names: list[str] = []
    of_teacher, of_prior = array("d"), array("d")  # a row behind the other
    shown: list[Example] = []
    while batch := list(islice(recordings, p.batch_size)):
        for each, map in zip(batch, predict(teacher, [each.image for each in batch], size)):
            map = enlarge(map, each.density.shape)
            if len(shown) < p.examples:
                shown.append(Example(each, map))
            for scores, readout in ((of_teacher, map), (of_prior, prior)):
                row = score_map(readout, each.density, each.points, everywhere=everywhere)
                scores.extend(row[key] for key in SCORES)
            names.append(each.name)
    halves = np.fromiter(score_halves(folder, p=p), float)
    return {
        "teacher": Scored(names, SCORES, np.reshape(of_teacher, (-1, len(SCORES)))),
        "centre_prior": Scored(names, SCORES, np.reshape(of_prior, (-1, len(SCORES)))),
        "split_half": Scored(names, ("cc",), halves[:, None]),
    }, shown


@torch.no_grad()
def predict(
    teacher: Teacher, images: list[UInt8[np.ndarray, "_ _ 3"]], size: tuple[int, int]
) -> Float[np.ndarray, "n a b"]:
    """The teacher's maps of some images, at the teacher's input size."""
    pixels = torch.from_numpy(np.stack([resize(each, *size) for each in images]))
    pixels = pixels.to(next(teacher.parameters()).device)
    return teacher(pixels.permute(0, 3, 1, 2).float() / 255).cpu().numpy()


def score_halves(folder: Path, *, p: EvaluateTeacher) -> Iterator[float]:
    """For each image, the CC between the densities of two random halves of its observers."""
    shards = Shards(folder)
    drawn = shards.index["maps_by"]
    for i in tqdm(range(len(shards)), desc="split halves", disable=None):
        sample = shards[i]
        if sample["observers"] is None:
            raise ValueError(f"{folder}: {sample['name']} does not say who looked where")
        height, width = sample["map"].shape
        shares = (sample["points"] + 0.5) / sample["grid"]  # centres of the grid's pixels
        points = (shares * sample["map"].shape).astype(int)
        sigma_px = drawn["sigma_px"] * width / drawn["sigma_width"]

        def blurred(chosen: np.ndarray) -> np.ndarray:
            return density(
                chosen, height=height, width=width, sigma_px=sigma_px, count=drawn["count"]
            )

        yield split_half_cc(
            points, sample["observers"], density=blurred, splits=p.splits, seed=p.seed + i
        )


def write_examples(path: Path, shown: list[Example]) -> None:
    """The examples with the people's and the teacher's maps, for the figures."""
    h, w = shown[0].map.shape
    recordings = [each.recording for each in shown]
    with replacing(path) as aside, open(aside, "wb") as file:
        np.savez(
            file,
            images=np.stack([resize(each.image, h, w) for each in recordings]),
            human=np.stack([each.density for each in recordings]),
            maps=np.stack([each.map for each in shown]),
            names=np.array([each.name for each in recordings]),
        )


if __name__ == "__main__":
    run(main)
