"""The report's page: what its sections hold, put into page.html with page.css and page.js."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from attnlabels.metrics.statistics import Mean, mean_se
from attnlabels.pipeline.gaps import Results, command_of
from attnlabels.pipeline.results import MAIN, Run, baseline_of, own_baselines, read_json
from attnlabels.pipeline.writing import replacing
from attnlabels.reporting.ambiguities import AMBIGUITIES, in_force
from attnlabels.reporting.charts import (
    Tree,
    chart_cc,
    chart_retrieval,
    chart_robustness,
    chart_training,
    chooser,
    colour_scales,
    line_styles,
    parts,
)
from attnlabels.reporting.finding import (
    Difference,
    draw,
    find_differences,
    show_differences,
    tell,
)
from attnlabels.reporting.legend import show
from attnlabels.reporting.pictures import (
    address_of_text,
    show_examples,
    show_extremes,
    show_labels,
)
from attnlabels.reporting.provenance import (
    PIPELINES,
    as_yaml,
    describe_data,
    describe_maker,
    describe_runs,
    describe_scale,
    is_synthetic,
    parameters_of,
)
from attnlabels.reporting.tables import Printed, PrintedColumn, read_tables

LARGEST = 15_000_000  # bytes of a page
# Of a table, in letters, so that it is within a window of 1,280 px in the widest of usual types.
WIDTH, LABEL, LEAST, BETWEEN = 128, 22, 7, 2
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


def gather(
    results: Results,
    tree: Mapping[str, Any],
    *,
    beside: Path,
    alignment_set: str,
    retrieval_corruption: str,
    examples: int,
) -> dict[str, Any]:
    """What there is to show of some runs, by its name in page.html; all but the code's version.

    `tree` is the whole of params.yaml. The tables are those in `tables` in the folder `beside`;
    the last arguments say what is shown first, and how many pictures. Raises ValueError for two
    runs of one label.
    """
    names = [*dict.fromkeys(each.study for each in results.runs.values())]
    labels = [show(name) for name in results.runs]
    if doubled := {label for label in labels if labels.count(label) > 1}:
        raise ValueError(f"params.yaml has several runs that read {min(doubled)!r}; rename one")
    tables = sort_tables(results, beside)
    first = [*tree[MAIN]][-1]
    baselines = baselines_of(results.runs, tree)
    charts = {
        "cc": chart_cc(results, alignment_set),
        "heat": chart_robustness(results, baselines, first),
        "retrieval": chart_retrieval(results, retrieval_corruption),
        "training": chart_training(results),
    }
    made = [each["made"] for each in tables["further"]]
    shown = {
        "examples": show_examples(results, examples),
        "extremes": show_extremes(results),
        "forests": show_differences(made),
    }
    charts |= choose_parts(shown, first)
    return {
        "studies": names,
        "finding": sum_up(find_differences(made, baselines), level=tree["make_tables"]["level"]),
        "charts": charts,
        "lines": line_styles(results.runs),
        "tables": tables,
        **shown,
        "labels": show_labels(results),
        "ablations": score_ablations(results, tree),
        "scores": list(SCORES),
        **describe(results.runs, tree, names),
        "makers": read_makers(beside),
        "gaps": results.gaps,
    }


def read_makers(beside: Path) -> list[str]:
    """The machines that the tables' scores were made on, where these say."""
    path = beside / "tables" / "made_by.json"
    if not path.is_file():  # tables of before they said
        return []
    return [describe_maker(each) for each in read_json(path, stage="make_tables")["made_by"]]


def sum_up(found: Sequence[Sequence[Difference]], *, level: float) -> dict[str, Any] | None:
    """What the page opens with; None where no run was compared with another."""
    if not found:
        return None
    return {"sentences": tell(found, level=level), "level": f"{100 * level:.3g} %", **draw(found)}


def choose_parts(shown: Mapping[str, Mapping[str, Any]], first: str) -> Tree:
    """What chooses between the parts of what is shown; at first, those of the run `first`."""
    forests, extremes = shown["forests"], shown["extremes"]
    return {
        "examples": chooser("part", ["attention heads"], parts(shown["examples"])),
        "forests": chooser("part", ["shown"], parts(forests), start=[*forests][:1]),
        "extremes": chooser("part", ["run"], parts(extremes), start=[show(first)]),
    }


def bands_of(table: Printed) -> list[list[PrintedColumn]]:
    """The columns of a table in as many parts, one below the other, as its width asks for."""
    bands: list[list[PrintedColumn]] = [[]]
    left = WIDTH - LABEL
    for column in table.columns:
        cells = [row.cells[column.key].text for row in table.rows if column.key in row.cells]
        width = BETWEEN + max(LEAST, *map(len, [*column.label.split(), *cells]))
        if width > left and bands[-1]:
            bands.append([])
            left = WIDTH - LABEL
        bands[-1].append(column)
        left -= width
    return bands


def describe(
    runs: Mapping[str, Run], tree: Mapping[str, Any], studies: Sequence[str]
) -> dict[str, Any]:
    """What was run, in words."""
    rows = {show(name): tree[each.study][name] for name, each in runs.items()}
    return {
        "runs": describe_runs(runs, tree),
        "ambiguities": [
            {"ambiguity": each, "chosen": in_force(each, rows, tree)} for each in AMBIGUITIES
        ],
        "scale": describe_scale(tree),
        "synthetic": is_synthetic(tree),
        "data_sets": describe_data(tree),
        "parameters": as_yaml(parameters_of(studies, tree)),
        "others": {
            name: {"adds": adds, "command": command_of(name)}
            for name, (adds, _) in PIPELINES.items()
            if name not in studies
        },
    }


def write_page(path: Path, page: Mapping[str, Any]) -> None:
    """One file, of what `gather` leaves and the version of the `code`.

    Raises ValueError for a page of more than LARGEST bytes; an older one stays.
    """
    text = render(page).encode()
    if len(text) > LARGEST:
        raise ValueError(
            f"{path} would have {len(text) / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}; keep "
            "fewer examples (align_attention.examples) or report fewer studies at a time"
        )
    with replacing(path) as aside:
        aside.write_bytes(text)


def render(page: Mapping[str, Any]) -> str:
    """The page; every text that is put into it is escaped, the style and the script are ours."""
    source = Path(__file__)
    drawn = {key: page[key] for key in ("charts", "lines")}
    return (
        environment()
        .from_string(source.with_suffix(".html").read_text())
        .render(
            page,
            style=style(),
            script=source.with_suffix(".js").read_text(),
            drawn=jinja2.utils.htmlsafe_json_dumps(
                drawn | {"shades": colour_scales()}, allow_nan=False, separators=(",", ":")
            ),
        )
    )


def environment() -> jinja2.Environment:
    """For pages: every text that is put into one is escaped, and one that is missing an error."""
    made = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"show": show, "code": _code_spans}
    return made


def style() -> str:
    """The style of all pages."""
    return Path(__file__).with_suffix(".css").read_text()


def baselines_of(runs: Mapping[str, Run], tree: Mapping[str, Any]) -> dict[str, str]:
    """What the runs are compared with that are with anything, by the parameters `tree`."""
    section = tree["make_tables"]
    default, others = section["baseline"], section["baselines"] | own_baselines(runs, tree)
    found = {name: baseline_of(each, default=default, others=others) for name, each in runs.items()}
    return {name: baseline for name, baseline in found.items() if baseline}


def sort_tables(results: Results, beside: Path) -> dict[str, list[Table]]:
    """The tables by the section of the page, each with its files as links."""
    folder = beside / "tables"
    study = beside.name if beside.name in PIPELINES else MAIN
    made = results.read("tables", folder / "tables.json", read_tables, study=study)
    tables: dict[str, list[Table]] = {key: [] for key in (*TABLE_SECTIONS.values(), "further")}
    for each in made or []:
        section = TABLE_SECTIONS.get(each.key.split("_")[0], "further")
        tables[section].append(
            {
                "made": each,
                "bands": bands_of(each),
                "number": sum(map(len, tables.values())),
                "csv": address_of_text((folder / f"{each.key}.csv").read_bytes(), kind="csv"),
                "markdown": address_of_text(
                    (folder / f"{each.key}.md").read_bytes(), kind="markdown"
                ),
            }
        )
    return tables


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
            found = results.by_seed("ablations", each, path, _scorer(stage, keys))
            row[label] = _as_text(mean_se(np.array([*found.values()]))) if found else ""
    return rows


def _scorer(stage: str, keys: Sequence[str]) -> Callable[[Path], float]:
    def score(path: Path) -> float:
        node: Any = read_json(path, stage=stage)
        for key in keys:
            node = node[key]
        return node

    return score


def _as_text(score: Mean) -> str:
    return f"{score.mean:.3f}" + ("" if score.se is None else f" ± {score.se:.3f}")


def _code_spans(text: str) -> Markup:
    """What stands between `backticks`, as Markdown has it, as code."""
    marked = [
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part)
        for i, part in enumerate(text.split("`"))
    ]
    return Markup("").join(marked)
