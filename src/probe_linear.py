"""Train a linear classifier on frozen features and score it on the test images.

    python src/probe_linear.py RUN SEED FEATURES CLASSIFIER REPORT

For both sets, ImageNet and CIFAR-10. SEED draws the part of the training images on which the
penalty is chosen; the test images are scored once, at the end. `l2_at_end` is 1 where a better
penalty may lie beyond those that could be tried; the log says why. CLASSIFIER (npz) holds
`<set>_weight` [k, d] and `<set>_bias` [k], to be used on raw features.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from attnlabels.evaluation.features import read_features
from attnlabels.metrics.linear_probe import choose_probe
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_arrays, write_metrics

SETS = {  # train, test
    "imagenet": ("imagenet_train", "imagenet_val"),
    "cifar10": ("cifar10_train", "cifar10_test"),
}


@record
class ProbeLinear:
    l2_times_n: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    development: Annotated[float, Field(gt=0, lt=1)]
    tolerance: Annotated[float, Field(gt=0)]
    maximum_iterations: Annotated[int, Field(gt=0)]


def main(name: str, seed: int, features: Path, classifier: Path, report: Path) -> None:
    threads = take_threads()
    p = load(ProbeLinear, "probe_linear")
    weights: dict[str, Any] = {}
    scores = {}
    for key, (train, test) in SETS.items():
        probe = choose_probe(
            *read_features(features / train),
            l2_times_n=p.l2_times_n,
            development=p.development,
            tolerance=p.tolerance,
            maximum_iterations=p.maximum_iterations,
            seed=seed,
        )
        weights[f"{key}_weight"], weights[f"{key}_bias"] = probe.weight, probe.bias
        scores[key] = probe.score(*read_features(features / test))
        if probe.warning:
            print(f"warning: {key}: {probe.warning}", file=sys.stderr)

    write_arrays(classifier, **weights)
    write_metrics(report, scores, threads=threads)
    print(f"{name}, seed {seed}:", *(f"{key} {scores[key]['top1']:.4f}" for key in SETS))


if __name__ == "__main__":
    run(main)
