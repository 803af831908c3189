"""Score the classifiers trained on clean features on the features of corrupted images.

    python src/score_robustness.py RUN SEED FEATURES CLASSIFIER REPORT

Top-1 accuracy for each corruption and severity of ImageNet-C and CIFAR-10-C (Hendrycks and
Dietterich, ICLR 2019; paper §4.4). A corruption's `mean` is over its five severities, the set's
`mean` over the 15 standard corruptions and `mean_extra` over the four of the paper's poster,
as far as they are there;
`retained` is the share of the clean accuracy that `mean` keeps. `generated` is 1 where we
corrupted the images ourselves: such scores compare with no published ones. `mce` and `relative_mce`
are there for ImageNet-C as published alone, whose AlexNet they compare with.
"""

from functools import partial
from pathlib import Path

import numpy as np

from attnlabels.evaluation.features import (
    read_corrupted,
    read_features,
    read_parts,
    require_same_images,
)
from attnlabels.files.damage import opened_npz, refusing
from attnlabels.metrics.linear_probe import top1
from attnlabels.metrics.robustness import robustness
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_metrics

SETS = {  # clean, corrupted
    "imagenet": ("imagenet_val", "imagenet_c"),
    "cifar10": ("cifar10_test", "cifar10_c"),
}


def read_classifiers(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By set the weight [classes, d] and the bias [classes] that the stage probe_linear wrote."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run the stage probe_linear")
    told = {"what": "no whole classifiers", "cure": "run the stage probe_linear again"}
    with refusing((LookupError,), path, **told), opened_npz(path, **told) as file:
        return {key: (file[f"{key}_weight"], file[f"{key}_bias"]) for key in SETS}


def main(name: str, seed: int, features: Path, classifier: Path, report: Path) -> None:
    threads = take_threads()
    classifiers = read_classifiers(classifier)
    scores = {}
    for key, (clean_set, corrupted_set) in SETS.items():
        weight, bias = classifiers[key]
        score = partial(top1, weight=weight, bias=bias)
        folder = features / corrupted_set
        require_same_images(features / clean_set, folder)
        x, labels = read_features(features / clean_set)
        clean = score(x, labels)
        about = read_corrupted(folder)
        corrupted: dict[str, dict[int, float]] = {}
        for corruption, severity, x in read_parts(folder, about.corruptions, title=corrupted_set):
            corrupted.setdefault(corruption, {})[severity] = score(x, labels)
        scores[corrupted_set] = robustness(
            corrupted,
            clean=clean,
            generated=about.generated,
            of_imagenet=about.of_imagenet,
        )
    write_metrics(report, scores, threads=threads)
    print(f"{name}, seed {seed}:", *(f"{key} {scores[key]['mean']:.4f}" for key in scores))


if __name__ == "__main__":
    run(main)
