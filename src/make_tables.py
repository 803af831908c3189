"""Gather the scores of all runs and seeds into the paper's tables, with tests of the differences.

    python src/make_tables.py METRICS ALIGNMENT TABLES REPORT

METRICS holds a folder a stage, ALIGNMENT the images' scores; runs are those of the table `main`,
seeds those of `seeds`, and no other file is read. Each table is left as CSV and Markdown in
TABLES, its numbers in REPORT. Means are over seeds and "±" is their standard error; the tests
over images first average an image's CC over seeds.

accuracy          top-1 of the probes beside Table 1 of the paper
robustness_*      top-1 for each corruption, beside the paper's poster (§4.4)
retrieval         mean average precision, clean and corrupted (§4.5)
alignment         agreement with people, beside the centre prior, the teacher and people (§4.2)
differences_*     a run minus the baseline, paired over seeds
cc_*              is the CC with people above 0; do two models differ, over the images of a set
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from attnlabels.datasets.corruptions import CORRUPTIONS, EXTRA
from attnlabels.metrics.statistics import Mean, TTest, mean_se, one_sample_t, paired_t, welch_t
from attnlabels.params import PARAMS, check, load, read, record
from attnlabels.report import replacing, write_json
from attnlabels.results import read_csv, read_json
from attnlabels.script import run

STAGES = (
    "train_simclr", "probe_linear", "score_robustness", "score_retrieval", "align_attention",
)
READOUTS = ("as_trained", "refitted")
ALIGNMENT_SCORES = ("cc", "nss", "kl", "sim", "auc", "sauc")
ALIGNMENT_SETS = ("val", "eye")
ACCURACY = {
    "imagenet": "probe_linear.imagenet.top1",
    "cifar10": "probe_linear.cifar10.top1",
    "concurrent": "train_simclr.probe.top1",
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
PAPER_TOP1 = {
    "contrastive": Mean(3, 0.6761, 0.0004),
    "contrastive_attn_teacher": Mean(3, 0.6823, 0.0008),
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

CAPTIONS = {  # by the first word of a table's name; ± is a standard error over seeds
    "accuracy": "Top-1 accuracy of linear probes on frozen features, ± over seeds.",
    "robustness": (
        "Top-1 accuracy, mean over the five severities, ± over seeds. `mean`: of the 15 standard "
        "corruptions; `mean extra`: of the last four; `retained`: mean / clean."
    ),
    "retrieval": "Mean average precision, ± over seeds.",
    "alignment": "Agreement with people, mean over images, ± over seeds.",
    "differences": "Run minus baseline, paired over seeds; p is two-sided, for one test each.",
    "cc": (
        "CC with people over images, an image's averaged over seeds; the paired test first, then "
        "Welch's; p is two-sided, for one test each."
    ),
}
GENERATED = " These images were corrupted here: the published scores are of other images."

Cell = Mean | float | int | str  # over seeds; without repetition; a count; a remark
Table = dict[str, dict[str, Cell]]  # rows of columns, named by keys
Scores = dict[str, list[float]]  # of one run: by the path of the number, one value a seed
ONE_SEED = "n/a (1 seed)"


@record
class Runs:
    main: Annotated[dict[str, Any], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]


@record
class MakeTables:
    baseline: str


def main(metrics: Path, alignment: Path, tables: Path, report: Path) -> None:
    p = load(MakeTables, "make_tables")
    tree = read()
    runs = check(Runs, {key: tree.get(key) for key in ("main", "seeds")}, where=str(PARAMS))
    if p.baseline not in runs.main:
        raise ValueError(f"make_tables.baseline is {p.baseline!r}, expected a run of `main`")
    scores = {name: read_scores(metrics, name, seeds=runs.seeds) for name in runs.main}
    teacher = read_json(metrics / "evaluate_teacher.json", stage="evaluate_teacher")
    cc = read_cc(alignment, list(scores), seeds=runs.seeds)

    made: dict[str, Table] = {
        "accuracy": tabulate_accuracy(scores),
        "robustness_imagenet_c": tabulate_robustness(scores, "imagenet_c", baseline=p.baseline),
        "robustness_cifar10_c": tabulate_robustness(scores, "cifar10_c", baseline=p.baseline),
        "retrieval": {
            name: {key: over_seeds(each, path) for key, path in RETRIEVAL.items()}
            for name, each in scores.items()
        },
        "alignment": tabulate_alignment(scores, teacher),
        "cc_above_zero": {
            key: cells(one_sample_t(each, 0.0), "cc", unit="image") for key, each in cc.items()
        },
        "cc_differences": compare_cc(cc, list(scores), baseline=p.baseline),
    }
    for name, each in scores.items():
        if name != p.baseline:
            made[f"differences_{name}"] = {
                key: cells(paired(each, scores[p.baseline], path), "difference", unit="seed")
                for key, path in COMPARED.items()
            }

    with replacing(tables) as aside:
        aside.mkdir()
        for key, table in made.items():
            (aside / f"{key}.csv").write_text(as_csv(table))
            (aside / f"{key}.md").write_text(as_markdown(table, caption_of(key, scores)))
    write_json(report, {key: as_numbers(table) for key, table in made.items()})


def read_scores(metrics: Path, name: str, *, seeds: Sequence[int]) -> Scores:
    """Every number of a run, named `<stage>.<keys>`."""
    by_seed = []
    for seed in seeds:
        reports = {
            stage: read_json(metrics / stage / f"{name}-{seed}.json", stage=stage)
            for stage in STAGES
        }
        by_seed.append(flatten(reports))
    for seed, numbers in zip(seeds, by_seed):
        if numbers.keys() != by_seed[0].keys():
            key = min(numbers.keys() ^ by_seed[0].keys())
            raise ValueError(
                f"{key} is not in the metrics of both {name}-{seeds[0]} and {name}-{seed}; run "
                f"the stage {key.split('.')[0]} for both again"
            )
    return {key: [numbers[key] for numbers in by_seed] for key in by_seed[0]}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, node in tree.items():
        path = f"{prefix}{key}"
        flat |= flatten(node, f"{path}.") if isinstance(node, Mapping) else {path: node}
    return flat


def of_seeds(scores: Scores, path: str) -> Float[np.ndarray, "s"]:
    if path not in scores:
        raise ValueError(f"the metrics lack {path}; run the stage {path.split('.')[0]} again")
    return np.array(scores[path], dtype=float)


def over_seeds(scores: Scores, path: str) -> Mean:
    return mean_se(of_seeds(scores, path))


def paired(scores: Scores, baseline: Scores, path: str) -> TTest:
    """The run minus the baseline, which share their seeds."""
    return paired_t(of_seeds(scores, path), of_seeds(baseline, path))


def tabulate_accuracy(scores: Mapping[str, Scores]) -> Table:
    table: Table = {}
    for name, each in scores.items():
        table[name] = {key: over_seeds(each, path) for key, path in ACCURACY.items()}
        if name in PAPER_TOP1:
            table[name]["paper_imagenet_concurrent"] = PAPER_TOP1[name]
    return table


def tabulate_robustness(scores: Mapping[str, Scores], subset: str, *, baseline: str) -> Table:
    """A row a corruption, first the means; a column a run, then its difference, then the paper."""
    rows = {
        "clean": "clean", "mean": "mean", "mean_extra": "mean_extra", "retained": "retained",
        **{corruption: f"{corruption}.mean" for corruption in (*CORRUPTIONS, *EXTRA)},
    }
    table: Table = {}
    for row, key in rows.items():
        path = f"score_robustness.{subset}.{key}"
        table[row] = {name: over_seeds(each, path) for name, each in scores.items()}
        for name in [name for name in scores if name != baseline]:
            test = paired(scores[name], scores[baseline], path)
            table[row][f"{name}_minus_{baseline}"] = Mean(test.n, test.difference, test.se)
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
            table[f"{name}_{readout}"] = {
                f"{subset}_{key}": over_seeds(each, f"align_attention.{subset}.{readout}.{key}")
                for subset in ALIGNMENT_SETS
                for key in ALIGNMENT_SCORES
            }
            if name in PAPER_CC and readout == "as_trained":
                table[f"{name}_{readout}"]["paper_osie_cc"] = PAPER_CC[name]
    return table


def read_cc(
    folder: Path, names: Sequence[str], *, seeds: Sequence[int]
) -> dict[str, Float[np.ndarray, "n"]]:
    """The images' CC with people by "<set>_<model>", mean over seeds, in one order within a set."""
    columns = ("set", "image", "readout", "cc")
    teacher = read_csv(folder / "teacher.csv", columns=columns, stage="evaluate_teacher")
    teacher = teacher[teacher["readout"].isin(["teacher", "centre_prior"])]
    parts = [teacher.assign(model=teacher["readout"])]
    expected = {"teacher": 1, "centre_prior": 1}
    for name in names:
        expected |= {f"{name}_{readout}": len(seeds) for readout in READOUTS}
        for seed in seeds:
            path = folder / f"{name}-{seed}.csv"
            rows = read_csv(path, columns=columns, stage="align_attention")
            parts.append(rows.assign(model=name + "_" + rows["readout"]))
    by_image = pd.concat(parts).groupby(["set", "image", "model"])["cc"]
    values, counts = by_image.mean().unstack(), by_image.count().unstack()[list(expected)]
    if not (counts == pd.Series(expected)).all(axis=None):
        subset, image = counts.index[(counts != pd.Series(expected)).any(axis=1)][0]
        raise ValueError(
            f"{folder}: image {image!r} of the set {subset!r} is not scored once for every model "
            "and seed; run the stages evaluate_teacher and align_attention again"
        )
    return {
        f"{subset}_{model}": values.loc[subset, model].to_numpy()
        for subset in ALIGNMENT_SETS
        for model in expected
    }


def compare_cc(
    cc: Mapping[str, Float[np.ndarray, "n"]], names: Sequence[str], *, baseline: str
) -> Table:
    """Each run against the baseline, the teacher and the centre prior, over images."""
    table: Table = {}
    for subset, readout, name in product(ALIGNMENT_SETS, READOUTS, names):
        a = cc[f"{subset}_{name}_{readout}"]
        for other in (f"{baseline}_{readout}", "teacher", "centre_prior"):
            if name == baseline and other == f"{baseline}_{readout}":
                continue
            b = cc[f"{subset}_{other}"]
            welch = cells(welch_t(a, b), "difference", unit="image")
            table[f"{subset}_{name}_{readout}_minus_{other}"] = {
                **cells(paired_t(a, b), "difference", unit="image"),
                "welch_t": welch["t"],
                "welch_p": welch["p"],
            }
    return table


def cells(test: TTest, name: str, *, unit: str) -> dict[str, Cell]:
    """A test's numbers, with a remark for those that its values cannot tell; `name` its subject."""
    remark = f"n/a (1 {unit})" if test.n == 1 else "n/a (no spread)"
    numbers = {name: test.difference, "se": test.se, "t": test.t, "p": test.p}
    table: dict[str, Cell] = {
        key: remark if value is None else value for key, value in numbers.items()
    }
    return table | {f"{unit}s": test.n}


def as_csv(table: Table) -> str:
    """A column a key, and one more, `<key>_se`, for a mean over seeds."""
    rows = {}
    for row, columns in table.items():
        rows[row] = dict(pair for key, cell in columns.items() for pair in spread(key, cell))
    return pd.DataFrame.from_dict(rows, orient="index").to_csv(
        index_label="row", lineterminator="\n"
    )


def spread(key: str, cell: Cell) -> list[tuple[str, float | int | str]]:
    if isinstance(cell, Mean):
        return [(key, cell.mean), (f"{key}_se", ONE_SEED if cell.se is None else cell.se)]
    return [(key, cell)]


def caption_of(key: str, scores: Mapping[str, Scores]) -> str:
    generated = f"score_robustness.{key.removeprefix('robustness_')}.generated"
    ours = any(any(each.get(generated, [])) for each in scores.values())
    return CAPTIONS[key.split("_")[0]] + (GENERATED if ours else "")


def as_markdown(table: Table, caption: str) -> str:
    keys = list(dict.fromkeys(key for columns in table.values() for key in columns))
    lines = [["", *map(show, keys)], ["---", *("---:" for _ in keys)]]
    for row, columns in table.items():
        lines.append([show(row), *(as_text(columns.get(key, "")) for key in keys)])
    return f"{caption}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_text(cell: Cell) -> str:
    match cell:
        case Mean(mean=mean, se=se):
            return f"{mean:.4f} ± {ONE_SEED if se is None else f'{se:.4f}'}"
        case float():
            return f"{cell:.4f}" if abs(cell) >= 0.0001 or cell == 0 else f"{cell:.1e}"
    return str(cell)


def show(key: str) -> str:
    return key.replace("_", " ")


def as_numbers(table: Table) -> dict[str, Any]:
    """The table as nested numbers; what cannot be told is left out."""
    return {
        row: {
            key: number
            for key, cell in columns.items()
            if (number := as_number(cell)) is not None
        }
        for row, columns in table.items()
    }


def as_number(cell: Cell) -> dict[str, float] | float | None:
    match cell:
        case Mean(mean=mean, se=se):
            return {"mean": mean} if se is None else {"mean": mean, "se": se}
        case str():
            return None
    return cell


if __name__ == "__main__":
    run(main)
