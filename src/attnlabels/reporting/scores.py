"""The scores that runs left, a row a seed, and their images' agreement with people."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float

from attnlabels.metrics.statistics import Mean, mean_se
from attnlabels.pipeline.frames import read_csv
from attnlabels.pipeline.results import MAIN, Run, folder_of, read_json
from attnlabels.reporting.tables import Row

EVALUATIONS = ("probe_linear", "score_robustness", "score_retrieval", "align_attention")
READOUTS = ("as_trained", "refitted")
ALIGNMENT_SETS = ("val", "eye")
MADE_BY = "made_by"  # of each file of metrics: attnlabels.pipeline.machine
ABLATIONS = "ablations"  # the study that scores other teachers
CC_COLUMNS = ("set", "image", "readout", "cc")  # of the images' scores
ACCURACY = {  # of `train`, whatever stage that is
    "imagenet": "probe_linear.imagenet.top1",
    "cifar10": "probe_linear.cifar10.top1",
    "concurrent": "train.probe.top1",
}
# What one seed may have and another not: of a set that has none of the four extra corruptions, and
# of a fit that ended as it should.
MAY_LACK = ("mean_extra", "converged")
RETRIEVAL = {
    key: f"score_retrieval.{key}.map" for key in ("imagenet", "imagenet_c", "cifar10", "cifar10_c")
}
COMPARED = {
    **{f"{key}_top1": path for key, path in ACCURACY.items()},
    **{
        f"{key}_{part}": f"score_robustness.{key}.{part}"
        for key in ("imagenet_c", "cifar10_c")
        for part in ("mean", "mean_extra", "retained")
    },
    **{f"{key}_map": path for key, path in RETRIEVAL.items()},
    **{
        f"{subset}_cc_{readout}": f"align_attention.{subset}.{readout}.cc"
        for subset in ALIGNMENT_SETS
        for readout in READOUTS
    },
}

Scores: TypeAlias = pd.DataFrame  # of a run: a row a seed, a column a number, by its path


def read_scores(metrics: Path, run: Run) -> Scores:
    """Every number of a run, named `<stage>.<keys>`, or `train.<keys>` whatever trained it.

    A study need not make every evaluation: a run lacks the numbers of those that its study has
    no folder of.
    """
    stages = _stages_of(metrics, run)
    by_seed = {
        seed: flatten({key: _read(metrics, run, stage, seed) for key, stage in stages.items()})
        for seed in run.seeds
    }
    first = run.seeds[0]
    for seed, numbers in by_seed.items():
        apart = numbers.keys() ^ by_seed[first].keys()
        if apart := {key for key in apart if key.rpartition(".")[2] not in MAY_LACK}:
            key = min(apart)
            raise ValueError(
                f"{key} is not in the metrics of both {run.name}-{first} and {run.name}-{seed}; "
                f"run the stage {stages[key.split('.')[0]]} for both again"
            )
    return pd.DataFrame.from_dict(by_seed, orient="index")


def read_makers(metrics: Path, runs: Iterable[Run]) -> list[dict[str, Any]]:
    """What made the metrics of some runs: each `made_by` once, with how many `files` are of it.

    A file that does not say is not counted.
    """
    counts: Counter[tuple[tuple[str, Any], ...]] = Counter()
    for run in runs:
        for stage, seed in product(_stages_of(metrics, run).values(), run.seeds):
            if made_by := _read(metrics, run, stage, seed).get(MADE_BY):
                counts[tuple(made_by.items())] += 1
    return [{**dict(made_by), "files": files} for made_by, files in counts.items()]


def of_seeds(scores: Scores, path: str) -> pd.Series | None:
    """A number by seed; None where the run has no number of its group, such as of a readout."""
    if path in scores:
        return scores[path].astype(float)
    group = f"{path.rpartition('.')[0]}."
    optional = path.rpartition(".")[2] in MAY_LACK
    if not optional and any(key.startswith(group) for key in scores):
        raise ValueError(f"the metrics lack {path}; run its stage again")
    return None


def over_seeds(scores: Scores, paths: Mapping[str, str]) -> Row:
    found = {key: of_seeds(scores, path) for key, path in paths.items()}
    return {key: mean_se(each.to_numpy()) for key, each in found.items() if each is not None}


def paired_over_seeds(scores: Scores, baseline: Scores, path: str) -> Mean | None:
    """The mean difference and its standard error over the seeds that both have."""
    one, other = of_seeds(scores, path), of_seeds(baseline, path)
    if one is None or other is None:
        return None
    a, b = one.align(other, join="inner")
    return mean_se((a - b).to_numpy())


def read_cc(
    data: Path, runs: Mapping[str, Run], scores: Mapping[str, Scores]
) -> dict[str, pd.DataFrame]:
    """The images' CC with people by "<set>_<model>": a row an image, a column a seed."""
    path = folder_of(data, MAIN) / "alignment" / "teacher.csv"
    teacher = read_csv(path, columns=CC_COLUMNS, stage="evaluate_teacher")
    teacher = teacher[teacher["readout"].isin(["teacher", "centre_prior"])]
    parts = [teacher.assign(model=teacher["readout"], seed=0)]
    expected = [("teacher", 0), ("centre_prior", 0)]
    for name, each in runs.items():
        readouts = [
            readout
            for readout in READOUTS
            if of_seeds(scores[name], f"align_attention.val.{readout}.cc") is not None
        ]
        expected += [(f"{name}_{readout}", seed) for readout, seed in product(readouts, each.seeds)]
        for seed in each.seeds if readouts else ():
            path = each.file(data, "alignment", seed, suffix=".csv")
            rows = read_csv(path, columns=CC_COLUMNS, stage="align_attention")
            rows = rows[rows["readout"].isin(readouts)]
            parts.append(rows.assign(model=name + "_" + rows["readout"], seed=seed))
    by_image = pd.concat(parts).groupby(["set", "image", "model", "seed"])["cc"]
    counts = by_image.count().unstack(["model", "seed"]).reindex(columns=expected)
    if not (counts == 1).all(axis=None):
        subset, image = counts.index[(counts != 1).any(axis=1)][0]
        raise ValueError(
            f"{data / 'alignment'}: image {image!r} of the set {subset!r} is not scored once for "
            "every model and seed; run the stages evaluate_teacher and align_attention again"
        )
    values = by_image.mean().unstack(["model", "seed"])
    return {
        f"{subset}_{model}": values.loc[subset, model]
        for subset in ALIGNMENT_SETS
        for model in dict.fromkeys(model for model, _ in expected)
    }


def cc_reader(stage: str) -> Callable[[Path], pd.DataFrame]:
    """A reader of the images' CC as `stage` wrote them: a row a set, image and readout."""
    return lambda path: read_csv(path, columns=CC_COLUMNS, stage=stage)


def over_images(by_seed: pd.DataFrame) -> Float[np.ndarray, "n"]:
    return by_seed.mean(axis=1).to_numpy()


def _stages_of(metrics: Path, run: Run) -> dict[str, str]:
    """The stages that left metrics of a run, by what its numbers' names begin with."""
    folder = folder_of(metrics, run.study)
    made = [each for each in EVALUATIONS if run.study == MAIN or (folder / each).is_dir()]
    return {"train": run.trained_by, **{each: each for each in made}}


def _read(metrics: Path, run: Run, stage: str, seed: int) -> dict[str, Any]:
    return read_json(run.file(metrics, stage, seed, suffix=".json"), stage=stage)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What a file of metrics holds, by its dotted path; not what made it."""
    flat: dict[str, Any] = {}
    for key, node in tree.items():
        if key == MADE_BY:  # no score
            continue
        path = f"{prefix}{key}"
        flat |= flatten(node, f"{path}.") if isinstance(node, Mapping) else {path: node}
    return flat
