"""Gather the scores of all runs and seeds into the paper's tables, with tests of the differences.

    python src/make_tables.py STUDIES METRICS DATA TABLES REPORT

STUDIES are tables of params.yaml joined by "+", such as main+table1. Their runs' scores are read
below METRICS, the images' scores below DATA (attnlabels.pipeline.results says where), and no other file.
Each table is left as CSV and Markdown in TABLES, all of them for the report in tables.json there;
their numbers are in REPORT. Means are over seeds and "±" is their standard error; the tests over
images first average an image's CC over seeds. A cell is empty where a run has no such score, and
says why where the score cannot be told.

accuracy          top-1 of the probes beside Table 1 of the paper
robustness_*      top-1 for each corruption, beside the paper's poster (§4.4)
retrieval         mean average precision, clean and corrupted (§4.5)
alignment         agreement with people, beside the centre prior, the teacher and people (§4.2)
cc_above_zero     is the CC with people above 0, over the images of a set
cc_differences    does it differ between two models
cc_equivalence    is a run's that of its teacher, within a margin
teachers          with the study `ablations`: agreement with people of other teachers (§3.2)
teachers_cc       and does its CC differ from the teacher's
differences_*     a run minus its baseline, paired over the seeds that both have
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from attnlabels.metrics.statistics import (
    Interval,
    Mean,
    TTest,
    bootstrap_interval,
    fewest_for_bootstrap,
    holm,
    mean_se,
    one_sample_t,
    paired_equivalence,
    paired_t,
    t_interval,
    welch_t,
)
from attnlabels.pipeline.params import PARAMS, check, load, read, record
from attnlabels.pipeline.results import (
    MAIN,
    Run,
    baseline_of,
    folder_of,
    read_csv,
    read_json,
    runs_of,
)
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing, write_json
from attnlabels.reporting.legend import show
from attnlabels.reporting.tables import BestRun, Cell, Row, Table, as_numbers, write_tables
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA

EVALUATIONS = ("probe_linear", "score_robustness", "score_retrieval", "align_attention")
READOUTS = ("as_trained", "refitted")
ALIGNMENT_SCORES = ("cc", "nss", "kl", "sim", "auc", "sauc")
ALIGNMENT_SETS = ("val", "eye")
CC_COLUMNS = ("set", "image", "readout", "cc")  # of the images' scores
ABLATIONS = "ablations"  # the study that scores other teachers
ACCURACY = {  # of `train`, whatever stage that is
    "imagenet": "probe_linear.imagenet.top1",
    "cifar10": "probe_linear.cifar10.top1",
    "concurrent": "train.probe.top1",
}
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
BY_IMAGE = "CC with people over images, an image's averaged over seeds"
TESTS = (
    "`p` is two-sided, of one test; `p holm` is that corrected for all rows of this table. The "
    "intervals hold {level:.3g} %: Student's t, and the bootstrap's (BCa), which needs {fewest} "
    "values or more."
)
TEXTS = {  # title and caption of a table
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
        "Agreement with people, mean over images, ± over seeds.",
    ),
    "cc_above_zero": ("Agreement above chance", f"{BY_IMAGE}. {TESTS}"),
    "cc_differences": (
        "Differences in agreement",
        f"{BY_IMAGE} (against a run's baseline, over the seeds that both have); the paired test "
        f"first, then Welch's. {TESTS}",
    ),
    "cc_equivalence": (
        "Agreement equal to the teacher's",
        f"{BY_IMAGE}: a run minus the teacher. A small p says that they differ by less than "
        "{margin} (TOST, paired), as does the {narrow:.3g} % interval by lying within it; "
        "`p holm` is `p` corrected for all rows of this table.",
    ),
    "teachers": (
        "Other teachers",
        "Agreement with people, mean over images: the `teacher`, and others with a choice changed. "
        "`floor` is a map's least value as a share of its largest, which CC, NSS and AUC do not "
        "see; `constant` counts the images whose map is one value and scores as chance does.",
    ),
    "teachers_cc": (
        "Other teachers: differences in agreement",
        f"CC with people over images; the paired test first, then Welch's. {TESTS}",
    ),
}
DIFFERENCES = (  # the same of a table `differences_<run>`
    "{run} minus {baseline}",
    "{run} minus {baseline}, paired over the seeds that both have; then Welch's test of all "
    f"seeds. {TESTS}",
)

Scores: TypeAlias = pd.DataFrame  # of a run: a row a seed, a column a number, by its path
Intervals = Mapping[str, Callable[[np.ndarray], Interval | None]]  # of a mean, by their names


@record
class MakeTables:
    baseline: str
    baselines: dict[str, str | None]
    equivalence_margin: Annotated[float, Field(gt=0)]
    level: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Annotated[int, Field(ge=1000)]
    seed: Annotated[int, Field(ge=0)]


@record
class Scale:
    backbone: str
    width: int
    image_size: int
    epochs: int
    classes: int
    count: int | None


def main(studies: str, metrics: Path, data: Path, tables: Path, report: Path) -> None:
    p = load(MakeTables, "make_tables")
    tree = read()
    runs = runs_of(studies, tree)
    baselines = baselines_of(runs, tree, default=p.baseline, others=p.baselines)
    scores = {name: read_scores(metrics, each) for name, each in runs.items()}
    teacher = read_json(metrics / "evaluate_teacher.json", stage="evaluate_teacher")
    cc = read_cc(data, runs, scores)
    bootstrap = partial(bootstrap_interval, level=p.level, resamples=p.resamples, seed=p.seed)
    intervals = {"t": partial(t_interval, level=p.level), "bootstrap": bootstrap}
    narrow = 2 * p.level - 1  # an interval of it says what two one-sided tests at 1 - level say

    made: dict[str, Table] = {
        "accuracy": tabulate_accuracy(scores, baselines),
        "robustness_imagenet_c": tabulate_robustness(scores, baselines, subset="imagenet_c"),
        "robustness_cifar10_c": tabulate_robustness(scores, baselines, subset="cifar10_c"),
        "retrieval": {name: over_seeds(each, RETRIEVAL) for name, each in scores.items()},
        "alignment": tabulate_alignment(scores, teacher),
        "cc_above_zero": above_zero(cc, intervals=intervals),
        "cc_differences": compare_cc(cc, baselines, runs=list(runs), intervals=intervals),
        "cc_equivalence": equate_cc(
            cc, runs=list(baselines), margin=p.equivalence_margin, level=narrow
        ),
    }
    if ABLATIONS in {each.study for each in runs.values()}:
        teachers = teachers_of(tree)
        made["teachers"] = tabulate_teachers(metrics, teachers, default=teacher)
        made["teachers_cc"] = compare_teachers(data, teachers, cc, intervals=intervals)
    for name, baseline in baselines.items():
        made[f"differences_{name}"] = compare_scores(
            scores[name], scores[baseline], intervals=intervals
        )

    values: dict[str, Any] = {
        "scale": scale_of(tree),
        "margin": p.equivalence_margin,
        "level": 100 * p.level,
        "narrow": 100 * narrow,
        "fewest": fewest_for_bootstrap(p.level),
    }
    texts = {key: texts_of(key, scores, baselines, values=values) for key in made}
    with replacing(tables) as aside:
        aside.mkdir()
        write_tables(aside, made, texts=texts)
    write_json(report, {key: as_numbers(table) for key, table in made.items()})


def baselines_of(
    runs: Mapping[str, Run],
    tree: Mapping[str, Any],
    *,
    default: str,
    others: Mapping[str, str | None],
) -> dict[str, str]:
    """What each run that is compared is compared with."""
    tables = {key: table for key, table in tree.items() if isinstance(table, Mapping)}
    unknown = {*others} - {*tables}.union(*tables.values())  # a run may be of another study
    if unknown:
        raise ValueError(f"make_tables.baselines has {min(unknown)!r}, which is no run or study")
    studies = "+".join(dict.fromkeys(each.study for each in runs.values()))
    baselines = {}
    for name, each in runs.items():
        baseline = baseline_of(each, default=default, others=others)
        if baseline is None:
            continue
        if baseline not in runs:
            raise ValueError(
                f"make_tables: {name} is to be compared with {baseline!r}, expected a run of "
                f"`{studies}`"
            )
        if not {*each.seeds} & {*runs[baseline].seeds}:
            raise ValueError(
                f"{name} and {baseline}, which it is compared with, share no seed; give "
                "study_seeds some of seeds"
            )
        baselines[name] = baseline
    return baselines


def read_scores(metrics: Path, run: Run) -> Scores:
    """Every number of a run, named `<stage>.<keys>`, or `train.<keys>` whatever trained it.

    A study need not make every evaluation: a run lacks the numbers of those that its study has
    no folder of.
    """
    folder = folder_of(metrics, run.study)
    made = [each for each in EVALUATIONS if run.study == MAIN or (folder / each).is_dir()]
    stages = {"train": run.trained_by, **{each: each for each in made}}
    by_seed = {
        seed: flatten(
            {
                key: read_json(run.file(metrics, stage, seed, suffix=".json"), stage=stage)
                for key, stage in stages.items()
            }
        )
        for seed in run.seeds
    }
    first = run.seeds[0]
    for seed, numbers in by_seed.items():
        if numbers.keys() != by_seed[first].keys():
            key = min(numbers.keys() ^ by_seed[first].keys())
            raise ValueError(
                f"{key} is not in the metrics of both {run.name}-{first} and {run.name}-{seed}; "
                f"run the stage {stages[key.split('.')[0]]} for both again"
            )
    return pd.DataFrame.from_dict(by_seed, orient="index")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, node in tree.items():
        path = f"{prefix}{key}"
        flat |= flatten(node, f"{path}.") if isinstance(node, Mapping) else {path: node}
    return flat


def of_seeds(scores: Scores, path: str) -> pd.Series | None:
    """A number by seed; None where the run has no number of its group, such as of a readout."""
    if path in scores:
        return scores[path].astype(float)
    group = f"{path.rpartition('.')[0]}."
    if any(key.startswith(group) for key in scores):
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


def tabulate_accuracy(scores: Mapping[str, Scores], baselines: Mapping[str, str]) -> Table:
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


def tabulate_robustness(
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


def tabulate_alignment(scores: Mapping[str, Scores], teacher: Mapping[str, Any]) -> Table:
    """Rows: what needs no training, the teacher, and each run's two readouts."""
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
            if name in PAPER_CC and readout == "as_trained":
                table[f"{name}_{readout}"]["paper_osie_cc"] = PAPER_CC[name]
    return table


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


def over_images(by_seed: pd.DataFrame) -> Float[np.ndarray, "n"]:
    return by_seed.mean(axis=1).to_numpy()


def above_zero(cc: Mapping[str, pd.DataFrame], *, intervals: Intervals) -> Table:
    table: Table = {}
    for key, each in cc.items():
        values = over_images(each)
        test = one_sample_t(values, 0.0)
        table[key] = cells_of(test, values, "cc", unit="image", intervals=intervals)
    return with_holm(table)


def compare_cc(
    cc: Mapping[str, pd.DataFrame],
    baselines: Mapping[str, str],
    *,
    runs: Sequence[str],
    intervals: Intervals,
) -> Table:
    """Each run against its baseline, the teacher and the centre prior, over images."""
    table: Table = {}
    for subset, readout, name in product(ALIGNMENT_SETS, READOUTS, runs):
        key = f"{subset}_{name}_{readout}"
        if key not in cc:
            continue
        others = {other: f"{subset}_{other}" for other in ("teacher", "centre_prior")}
        pairs = {other: (cc[key], cc[path]) for other, path in others.items()}
        baseline = f"{baselines.get(name)}_{readout}"
        if f"{subset}_{baseline}" in cc:
            shared = cc[key].align(cc[f"{subset}_{baseline}"], join="inner")
            pairs = {baseline: shared, **pairs}
        for other, frames in pairs.items():
            a, b = map(over_images, frames)
            table[f"{key}_minus_{other}"] = compare(a, b, unit="image", intervals=intervals)
    return with_holm(table)


def compare_teachers(
    data: Path, names: Sequence[str], cc: Mapping[str, pd.DataFrame], *, intervals: Intervals
) -> Table:
    """Each other teacher against the teacher, over images."""
    found = {}
    for name in names:
        path = folder_of(data, ABLATIONS) / "alignment" / f"teacher-{name}.csv"
        rows = read_csv(path, columns=CC_COLUMNS, stage="evaluate_teacher")
        found[name] = rows[rows["readout"] == "teacher"].set_index(["set", "image"])["cc"]
    table: Table = {}
    for subset, name in product(ALIGNMENT_SETS, names):
        ours = cc[f"{subset}_teacher"]
        theirs = found[name].loc[subset].reindex(ours.index)
        if theirs.isna().any():
            raise ValueError(
                f"the teacher {name} is not scored on all images of the set {subset!r}; run the "
                "stage evaluate_teacher for it again"
            )
        table[f"{subset}_{name}_minus_teacher"] = compare(
            theirs.to_numpy(), over_images(ours), unit="image", intervals=intervals
        )
    return with_holm(table)


def equate_cc(
    cc: Mapping[str, pd.DataFrame], *, runs: Sequence[str], margin: float, level: float
) -> Table:
    """Whether a run's CC is the teacher's, over images (the paper: no difference, p = 0.7)."""
    table: Table = {}
    for subset, readout, name in product(ALIGNMENT_SETS, READOUTS, runs):
        if f"{subset}_{name}_{readout}" in cc:
            a = over_images(cc[f"{subset}_{name}_{readout}"])
            b = over_images(cc[f"{subset}_teacher"])
            test = paired_equivalence(a, b, margin=margin)
            cells: dict[str, Cell | None] = {
                "difference": test.difference,
                "se": test.se,
                "p": test.p,
                "images": test.n,
                **ends("t", t_interval(a - b, level=level)),
            }
            key = f"{subset}_{name}_{readout}_and_teacher"
            table[key] = told(cells, n=test.n, unit="image")
    return with_holm(table)


def compare_scores(scores: Scores, baseline: Scores, *, intervals: Intervals) -> Table:
    table: Table = {key: {} for key in COMPARED}
    for key, path in COMPARED.items():
        one, other = of_seeds(scores, path), of_seeds(baseline, path)
        if one is not None and other is not None:
            a, b = (each.to_numpy() for each in one.align(other, join="inner"))
            table[key] = {
                **compare(a, b, unit="seed", intervals=intervals),
                **welch_cells(one.to_numpy(), other.to_numpy(), unit="seed"),
            }
    return with_holm(table)


def compare(
    a: Float[np.ndarray, "n"], b: Float[np.ndarray, "n"], *, unit: str, intervals: Intervals
) -> Row:
    """a - b, of the same images or seeds in the same order."""
    test = paired_t(a, b)
    return {
        **cells_of(test, a - b, "difference", unit=unit, intervals=intervals),
        **welch_cells(a, b, unit=unit),
    }


def cells_of(
    test: TTest, values: Float[np.ndarray, "_"], subject: str, *, unit: str, intervals: Intervals
) -> Row:
    """A test of the mean of `values`, which `subject` names; its cells."""
    cells: dict[str, Cell | None] = {
        subject: test.difference,
        "se": test.se,
        "t": test.t,
        "p": test.p,
        f"{unit}s": test.n,
    }
    for key, interval in intervals.items():
        cells |= ends(key, interval(values))
    return told(cells, n=test.n, unit=unit)


def ends(key: str, interval: Interval | None) -> dict[str, Cell | None]:
    low, high = interval or (None, None)
    return {f"{key}_low": low, f"{key}_high": high}


def welch_cells(a: Float[np.ndarray, "_"], b: Float[np.ndarray, "_"], *, unit: str) -> Row:
    test = welch_t(a, b)
    cells: dict[str, Cell | None] = {"se": test.se, "welch_t": test.t, "welch_p": test.p}
    row = told(cells, n=min(len(a), len(b)), unit=unit)
    return {key: row[key] for key in ("welch_t", "welch_p")}


def told(cells: Mapping[str, Cell | None], *, n: int, unit: str) -> Row:
    """The cells, with a remark for those that n values cannot tell."""
    few = f"n/a ({n} {unit}{'' if n == 1 else 's'})"
    remark = "n/a (no spread)" if cells["se"] == 0 else few
    return {key: remark if cell is None else cell for key, cell in cells.items()}


def with_holm(table: Table) -> Table:
    """The table with one more column after p, corrected for all that it tests."""
    ps = [row.get("p") for row in table.values()]
    corrected = holm([p if isinstance(p, float) else None for p in ps])
    longer: Table = {}
    for (name, row), p_holm in zip(table.items(), corrected):
        longer[name] = {}
        for key, cell in row.items():
            longer[name][key] = cell
            if key == "p":
                longer[name]["p_holm"] = cell if p_holm is None else p_holm
    return longer


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
    title, caption = (text.format(**values, **names) for text in TEXTS.get(key, DIFFERENCES))
    generated = f"score_robustness.{key.removeprefix('robustness_')}.generated"
    ours = any(each[generated].any() for each in scores.values() if generated in each)
    return title, caption + (GENERATED if ours else "")


if __name__ == "__main__":
    run(main)
