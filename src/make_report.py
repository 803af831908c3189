"""Gather what there is of some studies into one page to look at.

    python src/make_report.py STUDIES METRICS DATA REPORT

STUDIES are tables of runs joined by "+", such as main+table1. METRICS and DATA are the roots of all
studies, REPORT an HTML file that needs nothing beside it and no network; the tables that are put
into it are those in `tables` beside it. What a figure lacks is no error: the page says what to run.

make_report.html is the page's template; make_report.css and make_report.js are put into it.
"""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import jinja2
import numpy as np
import pandas as pd
from jaxtyping import Float
from markupsafe import Markup, escape
from pydantic import Field
from ruamel.yaml import YAML

from attnlabels.metrics.statistics import Mean, mean_se
from attnlabels.pipeline.params import check, load, read, record
from attnlabels.pipeline.results import (
    MAIN,
    Run,
    baseline_of,
    folder_of,
    read_arrays,
    read_csv,
    read_json,
    runs_of,
)
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing
from attnlabels.reporting.ambiguities import AMBIGUITIES, in_force
from attnlabels.reporting.charts import (
    Tree,
    chooser,
    colour_scales,
    heat,
    histogram,
    line,
    line_styles,
    parts,
    share_limits,
    upright,
)
from attnlabels.reporting.legend import CORRUPTED, READOUTS, SETS, TERMS, show
from attnlabels.reporting.pictures import (
    address_of_image,
    address_of_map,
    address_of_picture,
    address_of_text,
)
from attnlabels.reporting.provenance import (
    code_version,
    describe_data,
    describe_row,
    describe_scale,
    is_synthetic,
)
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA, SEVERITIES

PIPELINES = {  # beside the root's: what each adds, and the sections of parameters it alone reads
    "table1": (
        "the other rows of Table 1",
        ("table1", "supervised", "relabel_images", "train_supervised"),
    ),
    "ablations": ("ablations of the method and of its teacher", ("ablations", "teachers")),
}
LARGEST = 15_000_000  # bytes of a page
ALL_RUNS = "all runs beside each other"
HEAT_ROWS = [
    "clean",
    "mean of the 15",
    *map(show, CORRUPTIONS),
    "mean of the 4",
    *map(show, EXTRA),
]
NO_TERMS = ("epoch", "step", "lr", "spread")  # of the columns of the training curves
PEOPLE = {"eye": "eye fixations (eye)", "val": "mouse recordings (val)"}
TABLE_SECTIONS = {  # by the first word of a table's key; others are further tables
    "accuracy": "accuracy",
    "robustness": "robustness",
    "retrieval": "retrieval",
    "alignment": "alignment",
    "cc": "alignment",
    "teachers": "ablations",
}
SCORES = {  # of an ablation: path in the metrics of a stage
    "probe top-1": ("probe_linear", ("imagenet", "top1")),
    "retrieval mAP": ("score_retrieval", ("imagenet", "map")),
    "ImageNet-C": ("score_robustness", ("imagenet_c", "mean")),
    "CC with eye fixations, refitted": ("align_attention", ("eye", "refitted", "cc")),
}

Table = dict[str, Any]  # `made`, its `number` on the page and its files as links
Value = TypeVar("Value")


@record
class Shown:
    """What is shown first: the section `draw_figures` of params.yaml, the paper's own choices."""

    alignment_set: Literal["eye", "val"]
    retrieval_corruption: str
    examples: Annotated[int, Field(ge=1, le=8)]


@record
class Cell:
    text: str
    value: float | None
    se: float | None


@record
class Column:
    key: str
    label: str


@record
class Row:
    key: str
    label: str
    cells: dict[str, Cell]


@record
class Made:
    """A table of tables.json."""

    key: str
    title: str
    caption: str
    columns: list[Column]
    rows: list[Row]


@record
class AllMade:
    tables: list[Made]


@dataclass(frozen=True)
class Results:
    """What the runs left; a file that is not there is noted under the section that asked for it."""

    metrics: Path
    data: Path
    runs: Mapping[str, Run]
    gaps: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # section, command: files

    def by_seed(
        self, section: str, each: Run, path: str, reader: Callable[[Path], Value]
    ) -> dict[int, Value]:
        """By seed, what `reader` makes of the files named such as "data/curves/*.csv"."""
        root, folder, end = path.split("/")
        suffix, found = end.removeprefix("*"), {}
        for seed in each.seeds:
            file = each.file(getattr(self, root), folder, seed, suffix=suffix)
            value = self.read(section, file, reader, study=each.study)
            if value is not None:
                found[seed] = value
        return found

    def read(
        self, section: str, path: Path, reader: Callable[[Path], Value], *, study: str
    ) -> Value | None:
        try:
            return reader(path)
        except FileNotFoundError:
            files = self.gaps.setdefault(section, {}).setdefault(command_of(study), [])
            if str(path) not in files:
                files.append(str(path))
            return None


def main(studies: str, metrics: Path, data: Path, report: Path) -> None:
    p = load(Shown, "draw_figures")
    tree = read()
    names = studies.split("+")
    results = Results(metrics, data, runs_of(studies, tree))
    labels = [show(name) for name in results.runs]
    if doubled := {label for label in labels if labels.count(label) > 1}:
        raise ValueError(f"params.yaml has several runs that read {min(doubled)!r}; rename one")
    tables = read_tables(results, report.parent)
    first = [*tree[MAIN]][-1]
    charts = {
        "cc": chart_cc(results, p.alignment_set),
        "heat": chart_robustness(results, baselines_of(results.runs, tree["make_tables"]), first),
        "retrieval": chart_retrieval(results, p.retrieval_corruption),
        "training": chart_training(results),
    }
    examples = show_examples(results, p.examples)
    extremes = show_extremes(results)
    charts["examples"] = chooser("part", ["attention heads"], parts(examples))
    forests = show_differences(tables["further"])
    charts["forests"] = chooser("part", ["shown"], parts(forests), start=[*forests][:1])
    charts["extremes"] = chooser("part", ["run"], parts(extremes), start=[show(first)])
    rows = {show(name): tree[each.study][name] for name, each in results.runs.items()}
    page = {
        "studies": names,
        "charts": charts,
        "lines": line_styles(results.runs),
        "tables": tables,
        "examples": examples,
        "extremes": extremes,
        "forests": forests,
        "labels": show_labels(results),
        "runs": describe_runs(results.runs, tree),
        "ablations": score_ablations(results, tree),
        "scores": list(SCORES),
        "ambiguities": [
            {"ambiguity": each, "chosen": in_force(each, rows, tree)} for each in AMBIGUITIES
        ],
        "scale": describe_scale(tree),
        "synthetic": is_synthetic(tree),
        "data_sets": describe_data(tree),
        "parameters": as_yaml(parameters_of(names, tree)),
        # Of src/ alone: a commit of results or of words leaves the page's bytes as they are. DVC
        # does not watch the commit: one that changes no number here asks for no other page.
        "code": code_version(Path(__file__).parent),
        "gaps": results.gaps,
        "others": {
            name: {"adds": adds, "command": command_of(name)}
            for name, (adds, _) in PIPELINES.items()
            if name not in names
        },
    }
    text = render(page).encode()
    if len(text) > LARGEST:
        raise ValueError(
            f"{report} would have {len(text) / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}; keep "
            "fewer examples (align_attention.examples) or report fewer studies at a time"
        )
    with replacing(report) as aside:
        aside.write_bytes(text)


def command_of(study: str) -> str:
    return "dvc repro" if study == MAIN else f"dvc repro stages/{study}/dvc.yaml"


def render(page: Mapping[str, Any]) -> str:
    """The page; every text that is put into it is escaped, the style and the script are ours."""
    source = Path(__file__)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["show"] = show
    environment.filters["code"] = code_spans
    drawn = {key: page[key] for key in ("charts", "lines")}
    return environment.from_string(source.with_suffix(".html").read_text()).render(
        page,
        style=source.with_suffix(".css").read_text(),
        script=source.with_suffix(".js").read_text(),
        drawn=jinja2.utils.htmlsafe_json_dumps(
            drawn | {"shades": colour_scales()}, allow_nan=False, separators=(",", ":")
        ),
    )


def code_spans(text: str) -> Markup:
    """What stands between `backticks`, as Markdown has it, as code."""
    marked = [
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part)
        for i, part in enumerate(text.split("`"))
    ]
    return Markup("").join(marked)


def baselines_of(runs: Mapping[str, Run], section: Mapping[str, Any]) -> dict[str, str]:
    """What the runs are compared with that are with anything, by the section make_tables."""
    default, others = section["baseline"], section["baselines"]
    found = {name: baseline_of(each, default=default, others=others) for name, each in runs.items()}
    return {name: baseline for name, baseline in found.items() if baseline}


def read_tables(results: Results, beside: Path) -> dict[str, list[Table]]:
    """The tables by the section of the page, each with its files as links."""
    folder = beside / "tables"
    study = beside.name if beside.name in PIPELINES else MAIN
    made = results.read(
        "tables", folder / "tables.json", lambda path: json.loads(path.read_text()), study=study
    )
    tables: dict[str, list[Table]] = {key: [] for key in (*TABLE_SECTIONS.values(), "further")}
    for each in check(AllMade, {"tables": made or []}, where=f"{folder}/tables.json").tables:
        section = TABLE_SECTIONS.get(each.key.split("_")[0], "further")
        tables[section].append(
            {
                "made": each,
                "number": sum(map(len, tables.values())),
                "csv": address_of_text((folder / f"{each.key}.csv").read_bytes(), kind="csv"),
                "markdown": address_of_text(
                    (folder / f"{each.key}.md").read_bytes(), kind="markdown"
                ),
            }
        )
    return tables


def show_differences(tables: Sequence[Table]) -> dict[str, list[dict[str, Any]]]:
    """By score, each run's difference to its baseline, and where to draw it, in % of a width."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in (table["made"] for table in tables):
        if not each.key.startswith("differences_"):
            continue
        for row in each.rows:
            told = row.cells.get("difference")
            if told is None or told.value is None:  # a run may lack the score
                continue
            error = row.cells["se"].value or 0
            found.setdefault(row.label, []).append(
                {
                    "label": each.title,
                    "text": f"{told.value:+.4f}" + (f" ± {error:.4f}" if error else ""),
                    "p": row.cells["p_holm"].text,
                    "ends": (told.value - error, told.value, told.value + error),
                }
            )
    for rows in found.values():
        low = min(0, *(row["ends"][0] for row in rows))
        width = max(0, *(row["ends"][2] for row in rows)) - low or 1.0
        for row in rows:
            places = [round(100 * (value - low) / width, 2) for value in (0, *row.pop("ends"))]
            row["zero"], row["low"], row["at"], high = places
            row["width"] = round(high - row["low"], 2)
    return found


def chart_cc(results: Results, first_set: str) -> Tree:
    """Distribution over images of CC with people, all seeds together (Fig. 3b)."""
    tables = {}
    reader = read_scores("align_attention")
    for name, each in results.runs.items():
        if found := results.by_seed("alignment", each, "data/alignment/*.csv", reader):
            tables[name] = pd.concat(found.values())
    if not tables:
        return {}
    path = folder_of(results.data, MAIN) / "alignment/teacher.csv"
    teacher = results.read("alignment", path, read_scores("evaluate_teacher"), study=MAIN)
    tree: Tree = {}
    for subset, readout in product(PEOPLE, READOUTS):
        lines = []
        for name, rows in tables.items():
            cc = rows[(rows["set"] == subset) & (rows["readout"] == readout)]["cc"]
            if len(cc):
                lines += histogram(name, cc.to_numpy())
        if teacher is not None:
            of_set = teacher[teacher["set"] == subset].groupby("readout")["cc"]
            means = of_set.mean()
            lines += histogram("/teacher", of_set.get_group("teacher").to_numpy())
            lines += [upright(f"/{key}", means[key]) for key in ("centre_prior", "split_half")]
        tree.setdefault(PEOPLE[subset], {})[READOUTS[readout]] = lines
    return chooser(
        "lines",
        ["recordings", "attention heads"],
        tree,
        start=[PEOPLE[first_set], "refitted"],
        x="CC with people, by image",
        y="density of images",
        x_range=[-1, 1],
    )


def read_scores(stage: str) -> Callable[[Path], pd.DataFrame]:
    columns = ("set", "image", "readout", "cc")
    return lambda path: read_csv(path, columns=columns, stage=stage)


def chart_robustness(results: Results, baselines: Mapping[str, str], first: str) -> Tree:
    """Top-1 accuracy for each corruption and severity, and its difference to the baseline's."""
    reports = {
        name: results.by_seed(
            "robustness",
            each,
            "metrics/score_robustness/*.json",
            lambda path: read_json(path, stage="score_robustness"),
        )
        for name, each in results.runs.items()
    }
    reports = {name: found for name, found in reports.items() if found}
    if not reports:
        return {}
    tree: Tree = {}
    for subset, title in CORRUPTED.items():
        scores = {
            name: {seed: accuracies(report[subset]) for seed, report in found.items()}
            for name, found in reports.items()
        }
        made = {name: heat([*found.values()], "sequential") for name, found in scores.items()}
        gains = {}
        for name, found in scores.items():
            other = scores.get(baselines.get(name, ""), {})
            pairs = [found[seed] - other[seed] for seed in found if seed in other]
            if pairs:
                gains[name] = heat(pairs, "diverging")
        of_set: Tree = {ALL_RUNS: {"top-1 accuracy": beside(made)}}
        if gains:
            of_set[ALL_RUNS]["minus the baseline"] = beside(gains)
        for tables in (made, gains):
            share_limits([*tables.values()])
        for name, table in made.items():
            of_set[show(name)] = {"top-1 accuracy": table}
        for name, table in gains.items():
            of_set[show(name)][f"minus {show(baselines[name])}"] = table
        ours = any(
            of_run[subset]["generated"] for found in reports.values() for of_run in found.values()
        )
        tree[f"{title}, corrupted by us" if ours else title] = of_set
    return chooser(
        "heat",
        ["data set", "run", "shown"],
        tree,
        start=[next(iter(tree)), show(first)],
        rows=HEAT_ROWS,
        columns=[*map(str, SEVERITIES), "mean"],
    )


def beside(tables: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The last columns of some tables, a column a run."""
    columns = [[row[-1] for row in table["values"]] for table in tables.values()]
    together = {
        "values": [[*row] for row in zip(*columns)],
        "shades": next(iter(tables.values()))["shades"],
        "columns": [*map(show, tables)],
        "note": "Means over severities and seeds.",
    }
    share_limits([together])
    return together


def accuracies(scores: Mapping[str, Any]) -> Float[np.ndarray, "r 6"]:
    """Rows as HEAT_ROWS; the severities, then their mean, which alone the sums have."""

    def whole(value: float) -> list[float]:
        return [np.nan] * len(SEVERITIES) + [value]

    def row(corruption: str) -> list[float]:
        by_severity = scores[corruption]
        return [*(by_severity[str(severity)] for severity in SEVERITIES), by_severity["mean"]]

    return np.array(
        [
            whole(scores["clean"]),
            whole(scores["mean"]),
            *map(row, CORRUPTIONS),
            whole(scores["mean_extra"]),
            *map(row, EXTRA),
        ]
    )


def chart_retrieval(results: Results, first: str) -> Tree:
    """Precision against recall, clean and under each corruption and severity (§4.5)."""
    columns = ("set", "corruption", "severity", "k", "precision", "recall")
    found: dict[tuple, dict[str, list[pd.DataFrame]]] = {}
    for name, each in results.runs.items():
        tables = results.by_seed(
            "retrieval",
            each,
            "data/retrieval/*.csv",
            lambda path: read_csv(path, columns=columns, stage="score_retrieval"),
        )
        for table in tables.values():
            for key, curve in table.groupby(["set", "corruption", "severity"], sort=False):
                found.setdefault(key, {}).setdefault(name, []).append(curve)
    if not found:
        return {}
    tree: Tree = {}
    for (subset, corruption, severity), by_run in found.items():
        lines = [
            line(
                name,
                [curve["precision"].to_numpy(float) for curve in curves],
                np.mean([curve["recall"].to_numpy(float) for curve in curves], axis=0),
            )
            for name, curves in by_run.items()
        ]
        of_corruption = tree.setdefault(SETS[subset], {}).setdefault(show(corruption), {})
        of_corruption[str(severity) if severity else "none"] = lines
    return chooser(
        "lines",
        ["data set", "corruption", "severity"],
        tree,
        start=[next(iter(tree)), show(first), "3"],
        x="recall",
        y="precision",
        x_range=[0, 1],
    )


def chart_training(results: Results) -> Tree:
    """The loss and its terms by epoch."""
    tree: Tree = {}
    for name, each in results.runs.items():
        tables = [
            *results.by_seed(
                "training",
                each,
                "data/curves/*.csv",
                lambda path: read_csv(path, columns=("epoch", "loss"), stage=each.trained_by),
            ).values()
        ]
        for term in [key for key in tables[0] if key not in NO_TERMS] if tables else []:
            tree.setdefault(TERMS.get(term, show(term)), {})[name] = line(
                name,
                [table[term].to_numpy(float) for table in tables],
                tables[0]["epoch"].to_numpy(float),
            )
    if not tree:
        return {}
    tree = {label: [*lines.values()] for label, lines in tree.items()}
    return chooser("lines", ["shown"], tree, start=[next(iter(tree))], x="epoch", y="")


def show_examples(results: Results, count: int) -> dict[str, Any]:
    """By readout, rows of pictures: images, people's maps, the teacher's, each run's (Fig. 3a)."""
    root = folder_of(results.data, MAIN) / "alignment"
    keys = ("images", "human", "maps", "names")
    teacher = results.read(
        "alignment",
        root / "teacher.npz",
        lambda path: read_arrays(path, keys=keys, stage="evaluate_teacher"),
        study=MAIN,
    )
    scores = results.read(
        "alignment", root / "teacher.csv", read_scores("evaluate_teacher"), study=MAIN
    )
    if teacher is None or scores is None:
        return {}
    names = [str(name) for name in teacher["names"][:count]]
    common = [
        {
            "label": "image",
            "pictures": [
                {"source": address_of_image(image), "alt": f"Image {name}", "note": ""}
                for name, image in zip(names, teacher["images"])
            ],
        },
        {
            "label": "people",
            "pictures": [
                pictured(map, f"{name}: where people looked")
                for name, map in zip(names, teacher["human"])
            ],
        },
        {
            "label": "teacher",
            "pictures": [
                pictured(map, f"{name}: the teacher's map", cc)
                for name, map, cc in zip(names, teacher["maps"], cc_of(scores, "teacher", names))
            ],
        },
    ]
    shown = {}
    for readout, title in READOUTS.items():
        rows = []
        for each in results.runs.values():
            found = read_maps(results, each, readout)
            if found is None:
                continue
            if [*found["names"][:count]] != names:
                raise ValueError(
                    f"{each.name}-{each.seeds[0]}.npz shows other images than "
                    f"{root / 'teacher.npz'}; run the stages evaluate_teacher and "
                    "align_attention again"
                )
            label = show(each.name)
            rows.append(
                {
                    "label": label,
                    "pictures": [
                        pictured(map, f"{name}: the map of {label}, {title}", cc)
                        for name, map, cc in zip(names, found["maps"], found["cc"])
                    ],
                }
            )
        shown[title] = {"names": names, "rows": common + rows}
    return shown


def read_maps(results: Results, each: Run, readout: str, *, prefix: str = "") -> Any:
    """A run's pictures of its first seed with their CC; None where it has no such readout."""
    path = each.file(results.data, "alignment", each.seeds[0], suffix=".npz")
    scores = results.read(
        "alignment", path.with_suffix(".csv"), read_scores("align_attention"), study=each.study
    )
    if scores is None or readout not in {*scores["readout"]}:
        return None
    keys = {key: f"{prefix}{key}" for key in ("images", "human", "names")}
    keys["maps"] = f"{prefix}maps_{readout}"
    arrays = results.read(
        "alignment",
        path,
        lambda path: read_arrays(path, keys=tuple(keys.values()), stage="align_attention"),
        study=each.study,
    )
    if arrays is None:
        return None
    found = {key: arrays[name] for key, name in keys.items()}
    return found | {"cc": cc_of(scores, readout, [*map(str, found["names"])])}


def cc_of(scores: pd.DataFrame, readout: str, names: Sequence[str]) -> list[float]:
    """Of eye fixations, which are what is pictured."""
    rows = scores[(scores["set"] == "eye") & (scores["readout"] == readout)]
    return [float(value) for value in rows.set_index("image")["cc"].loc[names]]


def show_extremes(results: Results) -> dict[str, Any]:
    """By run, the eye images of least and of largest CC as refitted."""
    shown = {}
    for each in results.runs.values():
        found = read_maps(results, each, "refitted", prefix="extreme_")
        if found is not None:
            label = show(each.name)
            shown[label] = [
                {
                    "name": str(name),
                    "cc": cc,
                    "pictures": [
                        {"source": address_of_image(image), "alt": f"Image {name}"},
                        pictured(human, f"{name}: where people looked"),
                        pictured(map, f"{name}: the map of {label}, refitted, CC {cc:.2f}"),
                    ],
                }
                for name, image, human, map, cc in zip(
                    found["names"], found["images"], found["human"], found["maps"], found["cc"]
                )
            ]
    return shown


def pictured(map: Float[np.ndarray, "h w"], alt: str, cc: float | None = None) -> dict[str, str]:
    note = "" if cc is None else f"CC {cc:.2f}"
    said = ", ".join(filter(None, [alt, note]))
    return {"source": address_of_map(map), "alt": said, "note": note}


def show_labels(results: Results) -> str | None:
    """The figure of the teacher's labels, as drawn."""
    path = folder_of(results.metrics, MAIN) / "figures/labels.png"
    content = results.read("labels", path, Path.read_bytes, study=MAIN)
    return None if content is None else address_of_picture(content, kind="png")


def describe_runs(runs: Mapping[str, Run], tree: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of `main` in full, those of other tables by what they change of these."""
    of_main = {show(name): row for name, row in tree[MAIN].items()}
    return [
        {
            "label": show(name),
            "study": show(each.study),
            "seeds": ", ".join(map(str, each.seeds)),
            "built": describe_row(tree[each.study][name], {} if each.study == MAIN else of_main),
        }
        for name, each in runs.items()
    ]


def score_ablations(results: Results, tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table `ablations`, after those of `main`."""
    shown = {name: each for name, each in results.runs.items() if each.study in (MAIN, "ablations")}
    if {each.study for each in shown.values()} != {MAIN, "ablations"}:
        return []
    rows: list[dict[str, Any]] = [*describe_runs(shown, tree)]
    for row, each in zip(rows, shown.values()):
        row["built"] = "" if each.study == MAIN else row["built"]
        for label, (stage, keys) in SCORES.items():
            path = f"metrics/{stage}/*.json"
            found = results.by_seed("ablations", each, path, scorer(stage, keys))
            row[label] = as_text(mean_se(np.array([*found.values()]))) if found else ""
    return rows


def scorer(stage: str, keys: Sequence[str]) -> Callable[[Path], float]:
    def score(path: Path) -> float:
        node: Any = read_json(path, stage=stage)
        for key in keys:
            node = node[key]
        return node

    return score


def as_text(score: Mean) -> str:
    return f"{score.mean:.3f}" + ("" if score.se is None else f" ± {score.se:.3f}")


def parameters_of(studies: Sequence[str], tree: Mapping[str, Any]) -> dict[str, Any]:
    """All but what other studies alone read, which changes nothing here."""
    left_out = {"study_seeds"} if [*studies] == [MAIN] else set()
    for name, (_, sections) in PIPELINES.items():
        if name not in studies:
            left_out |= {*sections}
    return {key: section for key, section in tree.items() if key not in left_out}


def as_yaml(tree: Mapping[str, Any]) -> str:
    """The parameters as they are in force, without comments: those make nothing stale."""
    text = io.StringIO()
    writer = YAML()
    writer.representer.ignore_aliases = lambda *_: True
    writer.dump(json.loads(json.dumps(tree)), text)
    return text.getvalue()


if __name__ == "__main__":
    run(main)
