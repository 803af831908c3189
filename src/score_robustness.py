"""Score the classifiers trained on clean features on the features of corrupted images.

    python src/score_robustness.py RUN SEED FEATURES CLASSIFIER REPORT

Top-1 accuracy for each corruption and severity of ImageNet-C and CIFAR-10-C (Hendrycks and
Dietterich, ICLR 2019; paper §4.4). A corruption's `mean` is over its five severities, the set's
`mean` over the 15 standard corruptions and `mean_extra` over the four of the paper's poster;
`retained` is the share of the clean accuracy that `mean` keeps. `generated` is 1 where we
corrupted the images ourselves: such scores compare with no published ones, `mce` included.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float64, Int64

from attnlabels.datasets.corruptions import CORRUPTIONS, EXTRA, SEVERITIES
from attnlabels.datasets.features import read_features, require_same_images
from attnlabels.metrics.robustness import (
    mce,
    mean_by_corruption,
    mean_top1,
    relative_mce,
    retained,
)
from attnlabels.report import write_json
from attnlabels.script import run

SETS = {  # clean, corrupted
    "imagenet": ("imagenet_val", "imagenet_c"),
    "cifar10": ("cifar10_test", "cifar10_c"),
}

BLOCK = 2048  # rows in float64 at a time, which bounds the memory and changes no result


def main(name: str, seed: int, features: Path, classifier: Path, report: Path) -> None:
    if not classifier.is_file():
        raise FileNotFoundError(f"{classifier} is missing; run the stage probe_linear")
    with np.load(classifier) as file:
        weights = dict(file)
    scores = {}
    for key, (clean_set, corrupted_set) in SETS.items():
        score = partial(accuracy, weight=weights[f"{key}_weight"], bias=weights[f"{key}_bias"])
        folder = features / corrupted_set
        require_same_images(features / clean_set, folder)
        clean = score(*read_features(features / clean_set))
        top1 = {
            corruption: {s: score(*read_features(folder, f"{corruption}-{s}")) for s in SEVERITIES}
            for corruption in (*CORRUPTIONS, *EXTRA)
        }
        scores[corrupted_set] = {
            "generated": json.loads((folder / "set.json").read_text())["generated"],
            "clean": clean,
            "mean": mean_top1(top1, CORRUPTIONS),
            "mean_extra": mean_top1(top1, EXTRA),
            "retained": retained(top1, clean=clean),
        }
        if key == "imagenet":  # AlexNet's errors, which normalise it, are known on ImageNet-C alone
            scores[corrupted_set]["mce"] = mce(top1)
            scores[corrupted_set]["relative_mce"] = relative_mce(top1, clean=clean)
        for corruption, mean in mean_by_corruption(top1).items():
            by_severity = {str(s): top1[corruption][s] for s in SEVERITIES}
            scores[corrupted_set][corruption] = {"mean": mean, **by_severity}
    write_json(report, scores)
    print(f"{name}, seed {seed}:", *(f"{key} {scores[key]['mean']:.4f}" for key in scores))


def accuracy(
    x: Float16[np.ndarray, "n d"],
    y: Int64[np.ndarray, "n"],
    *,
    weight: Float64[np.ndarray, "k d"],
    bias: Float64[np.ndarray, "k"],
) -> float:
    """Share of images whose largest logit is their class's."""
    if x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"the features have {x.shape[1]} dimensions, the classifier takes {weight.shape[1]}; "
            "run the stage probe_linear on these features"
        )
    hits = 0
    for first in range(0, len(x), BLOCK):
        z = x[first:first + BLOCK].astype(np.float64) @ weight.T + bias
        hits += int((z.argmax(axis=1) == y[first:first + BLOCK]).sum())
    return hits / len(x)


if __name__ == "__main__":
    run(main)
