"""Score the teacher against people on images it never saw (paper §3.2, §4.2).

    python src/evaluate_teacher.py TEACHER VAL EYE SCORES EXAMPLES REPORT

VAL are recordings of the kind it was trained on, EYE eye tracking. Beside it stand a centre prior
and, as a ceiling, the correlation of two halves of the observers. SCORES (CSV) has a row an image.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from tqdm import tqdm

from attnlabels.datasets.density import centre_prior, density
from attnlabels.datasets.images import resize
from attnlabels.datasets.recordings import Recording, enlarge, read_recordings
from attnlabels.datasets.shards import Shards
from attnlabels.metrics.alignment import SCORES, mean_scores, score_maps
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


def main(weights: Path, val: Path, eye: Path, scores: Path, examples: Path, report: Path) -> None:
    p = load(EvaluateTeacher, "evaluate_teacher")
    config = read_config(weights, "teacher", "image_size")
    teacher = Teacher(**config["teacher"])
    load_weights(weights, teacher)
    teacher.eval()
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    for name, folder in (("val", val), ("eye", eye)):
        recordings = list(read_recordings(folder, crop=1.0))
        maps = [
            enlarge(predict(teacher, each.image, config["image_size"]), each.density.shape)
            for each in tqdm(recordings, desc=f"teacher on {name}", disable=None)
        ]
        humans, points = [each.density for each in recordings], [each.points for each in recordings]
        prior = [centre_prior(*each.density.shape) for each in recordings]
        found = {
            "teacher": score_maps(maps, humans, points),
            "centre_prior": score_maps(prior, humans, points),
            "split_half": score_halves(folder, p=p),
        }
        summary[name] = {readout: mean_scores(images) for readout, images in found.items()}
        summary[name]["n"] = len(recordings)
        half = summary[name]["split_half"]["cc"]
        summary[name]["split_half"]["cc_all_observers"] = spearman_brown(half)
        for readout, images in found.items():
            rows += [
                {"set": name, "image": each.name, "readout": readout, **image}
                for each, image in zip(recordings, images)
            ]
    write_examples(examples, recordings[: p.examples], maps)
    write_rows(scores, rows, columns=("set", "image", "readout", *SCORES))
    write_json(report, summary)


@torch.no_grad()
def predict(
    teacher: Teacher, image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]
) -> Float[np.ndarray, "a b"]:
    """The teacher's map of one image, at the teacher's input size."""
    pixels = torch.from_numpy(resize(image, *size)).permute(2, 0, 1).float() / 255
    return teacher(pixels.unsqueeze(0)).squeeze(0).numpy()


def score_halves(folder: Path, *, p: EvaluateTeacher) -> list[dict[str, float]]:
    """For each image, the CC between the densities of two random halves of its observers."""
    shards = Shards(folder)
    drawn = shards.index["maps_by"]
    scores = []
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

        cc = split_half_cc(
            points, sample["observers"], density=blurred, splits=p.splits, seed=p.seed + i
        )
        scores.append({"cc": cc})
    return scores


def write_examples(path: Path, recordings: list[Recording], maps: list[np.ndarray]) -> None:
    """The first images with the people's and the teacher's maps, for the figures."""
    h, w = recordings[0].density.shape
    with replacing(path) as aside, open(aside, "wb") as file:
        np.savez(
            file,
            images=np.stack([resize(each.image, h, w) for each in recordings]),
            human=np.stack([each.density for each in recordings]),
            maps=np.stack(maps[: len(recordings)]),
            names=np.array([each.name for each in recordings]),
        )


if __name__ == "__main__":
    run(main)
