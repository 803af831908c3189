"""The paper's tables: our scores beside its numbers, and the captions of all tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnlabels.metrics.statistics import Mean
from attnlabels.pipeline.params import PARAMS, check, record
from attnlabels.pipeline.results import folder_of, read_json
from attnlabels.reporting import differences
from attnlabels.reporting.legend import show
from attnlabels.reporting.scores import (
    ABLATIONS,
    ACCURACY,
    ALIGNMENT_SETS,
    READOUTS,
    RETRIEVAL,
    Scores,
    over_seeds,
    paired_over_seeds,
)
from attnlabels.reporting.tables import BestRun, Table
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA

ALIGNMENT_SCORES = ("cc", "nss", "kl", "sim", "auc", "sauc")

# The paper's numbers, three seeds each: Table 1 (ImageNet, the concurrent probe), the poster's
# ImageNet-C, and CC on OSIE from §4.2.
PAPER_TOP1: dict[str, Mean | BestRun] = {
    "contrastive": Mean(3, 0.6761, 0.0004),
    "contrastive_attn_teacher": Mean(3, 0.6823, 0.0008),
    "cotrain": Mean(3, 0.6635, 0.0012),
    "explicit_block": BestRun(0.6115),
    "self_block": BestRun(0.4965),
    "contracam": BestRun(0.6771),
    "supervised_resnet50": Mean(3, 0.7591, 0.0010),
    "supervised_resnet50_attn_teacher": Mean(3, 0.7602, 0.0004),
    "supervised_resnet18": Mean(3, 0.6917, 0.0007),
    "supervised_resnet18_attn_teacher": Mean(3, 0.6930, 0.0004),
}
PAPER_CORRUPTED = {
    "contrastive": {
        "speckle_noise": Mean(3, 0.2823, 0.0031),
        "gaussian_blur": Mean(3, 0.2616, 0.0007),
        "spatter": Mean(3, 0.4308, 0.0018),
        "saturate": Mean(3, 0.6042, 0.0015),
    },
    "contrastive_attn_teacher": {
        "speckle_noise": Mean(3, 0.2915, 0.0065),
        "gaussian_blur": Mean(3, 0.2710, 0.0035),
        "spatter": Mean(3, 0.4404, 0.0008),
        "saturate": Mean(3, 0.6050, 0.0002),
    },
}
PAPER_CC = {"contrastive": 0.07, "contrastive_attn_teacher": 0.48}

ROBUSTNESS = (
    "Top-1 accuracy, mean over the five severities, ± over seeds. `mean`: of the 15 standard "
    "corruptions; `mean extra`: of the last four; `retained`: mean / clean."
)
GENERATED = " These images were corrupted here: the published scores are of other images."
TEXTS = {  # title and caption of a table; of the tests' tables, in `differences`
    "accuracy": (
        "Accuracy (Table 1)",
        "Top-1 accuracy of linear probes on frozen features, ± over seeds; `concurrent`, which is "
        "the paper's, of the classifier trained alongside (of a supervised run, its own), with "
        "its difference to the run's `baseline`, paired over seeds. The paper: ResNet-50, or as "
        "named, at 224 pixels on 1,281,167 images of 1,000 classes. Here: {scale}. Where these "
        "differ, signs compare and sizes do not.",
    ),
    "robustness_imagenet_c": ("Robustness: ImageNet-C", ROBUSTNESS),
    "robustness_cifar10_c": ("Robustness: CIFAR-10-C", ROBUSTNESS),
    "retrieval": ("Retrieval", "Mean average precision, ± over seeds."),
    "alignment": (
        "Agreement with people",
        "Agreement with people, mean over images, ± over seeds. `paper osie cc`, on OSIE's eye "
        "fixations, stands beside `refitted`: four parameters learn slowly, so that a short run's "
        "readout `as trained` is still on its way.",
    ),
    "teachers": (
        "Other teachers",
        "Agreement with people, mean over images: the `teacher`, and others with a choice changed. "
        "`floor` is a map's least value as a share of its largest, which CC, NSS and AUC do not "
        "see; `constant` counts the images whose map is one value and scores as chance does.",
    ),
}


@record
class Scale:
    backbone: str
    width: int
    image_size: int
    epochs: int
    classes: int
    count: int | None


def tabulate(
    scores: Mapping[str, Scores], baselines: Mapping[str, str], *, teacher: Mapping[str, Any]
) -> dict[str, Table]:
    """The scores of all runs, by the tables' keys; `teacher` holds those of evaluate_teacher."""
    return {
        "accuracy": _accuracy(scores, baselines),
        "robustness_imagenet_c": _robustness(scores, baselines, subset="imagenet_c"),
        "robustness_cifar10_c": _robustness(scores, baselines, subset="cifar10_c"),
        "retrieval": {name: over_seeds(each, RETRIEVAL) for name, each in scores.items()},
        "alignment": _alignment(scores, teacher),
    }


def teachers_of(tree: Mapping[str, Any]) -> list[str]:
    if not isinstance(tree.get("teachers"), Mapping):
        raise ValueError(f"{PARAMS} has no table `teachers`, which `{ABLATIONS}` compares")
    return list(tree["teachers"])


def tabulate_teachers(metrics: Path, names: Sequence[str], *, default: Mapping[str, Any]) -> Table:
    folder = folder_of(metrics, ABLATIONS) / "evaluate_teacher"
    reports = {name: read_json(folder / f"{name}.json", stage="evaluate_teacher") for name in names}
    return {
        name: {
            f"{subset}_{key}": score
            for subset in ALIGNMENT_SETS
            for key, score in scores[subset]["teacher"].items()
        }
        for name, scores in {"teacher": default, **reports}.items()
    }


def scale_of(tree: Mapping[str, Any]) -> str:
    training, images = tree.get("train_simclr", {}), tree.get("list_images", {}).get("train", {})
    keys = {key: training.get(key) for key in ("backbone", "width", "image_size", "epochs")}
    keys |= {key: images.get(key) for key in ("classes", "count")}
    s = check(Scale, keys, where=f"{PARAMS}: the scale of the runs")
    number = "all" if s.count is None else f"{s.count:,}"
    return (
        f"{s.backbone}, or as named, of width {s.width} at {s.image_size} pixels, {s.epochs} "
        f"epochs on {number} images of {s.classes:,} classes"
    )


def texts_of(
    key: str,
    scores: Mapping[str, Scores],
    baselines: Mapping[str, str],
    *,
    values: Mapping[str, Any],
) -> tuple[str, str]:
    """A table's title and caption."""
    name = key.removeprefix("differences_")
    names = {"run": show(name), "baseline": show(baselines.get(name, ""))}
    texts = TEXTS | differences.TEXTS
    title, caption = (text.format(**values, **names) for text in texts.get(key, differences.TEXT))
    generated = f"score_robustness.{key.removeprefix('robustness_')}.generated"
    ours = any(each[generated].any() for each in scores.values() if generated in each)
    return title, caption + (GENERATED if ours else "")


def _accuracy(scores: Mapping[str, Scores], baselines: Mapping[str, str]) -> Table:
    table: Table = {}
    for name, each in scores.items():
        table[name] = over_seeds(each, ACCURACY)
        if name in PAPER_TOP1:
            table[name]["paper_imagenet_concurrent"] = PAPER_TOP1[name]
    for name, baseline in baselines.items():
        difference = paired_over_seeds(scores[name], scores[baseline], ACCURACY["concurrent"])
        table[name]["baseline"] = show(baseline)
        if difference:
            table[name]["concurrent_minus_baseline"] = difference
        if name in PAPER_TOP1 and baseline in PAPER_TOP1:
            published = PAPER_TOP1[name].mean - PAPER_TOP1[baseline].mean
            table[name]["paper_minus_baseline"] = published
    return table


def _robustness(
    scores: Mapping[str, Scores], baselines: Mapping[str, str], *, subset: str
) -> Table:
    """A row a corruption, first the means; a column a run, then its difference, then the paper."""
    rows = {
        "clean": "clean",
        "mean": "mean",
        "mean_extra": "mean_extra",
        "retained": "retained",
        **{corruption: f"{corruption}.mean" for corruption in (*CORRUPTIONS, *EXTRA)},
    }
    table: Table = {}
    for row, key in rows.items():
        path = f"score_robustness.{subset}.{key}"
        table[row] = {}
        for name, each in scores.items():
            table[row] |= over_seeds(each, {name: path})
        for name, baseline in baselines.items():
            difference = paired_over_seeds(scores[name], scores[baseline], path)
            if difference:
                table[row][f"{name}_minus_{baseline}"] = difference
        if subset == "imagenet_c":
            for name in [name for name in scores if row in PAPER_CORRUPTED.get(name, {})]:
                table[row][f"paper_{name}"] = PAPER_CORRUPTED[name][row]
    return table


def _alignment(scores: Mapping[str, Scores], teacher: Mapping[str, Any]) -> Table:
    """Rows: what needs no training, the teacher, and each run's two readouts.

    The paper's CC stands beside the readout that is at convergence, as its heads were after a
    schedule of ImageNet's length: a head that a short run left on the way has no number there.
    """
    table: Table = {}
    for row in ("centre_prior", "split_half", "teacher"):
        table[row] = {
            f"{subset}_{key}": teacher[subset][row][key]
            for subset in ALIGNMENT_SETS
            for key in ALIGNMENT_SCORES
            if key in teacher[subset][row]  # two halves have a CC alone
        }
    for readout in READOUTS:
        for name, each in scores.items():
            table[f"{name}_{readout}"] = over_seeds(
                each,
                {
                    f"{subset}_{key}": f"align_attention.{subset}.{readout}.{key}"
                    for subset in ALIGNMENT_SETS
                    for key in ALIGNMENT_SCORES
                },
            )
            if name in PAPER_CC and readout == "refitted":
                table[f"{name}_{readout}"]["paper_osie_cc"] = PAPER_CC[name]
    return table
