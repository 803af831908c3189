"""Compare runs through a bottleneck, and write tables, a figure and a page of it.

    python src/compare_bottleneck.py STUDY METRICS DATA TABLES REPORT PAGE

STUDY is a table of runs in params.yaml. METRICS has a file a run and seed in `score_bottleneck`;
DATA the images' scores in `scores`, and pictures and curves in `examples`. TABLES gets the tables
as CSV, as Markdown and as tables.json, and `figure.png`; REPORT their numbers, and PAGE, an HTML
file that needs nothing beside it, the finding, the figure, the tables and pictures.
"""

from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from attnlabels.bottleneck import tables as made_of
from attnlabels.bottleneck.pictures import show_masks
from attnlabels.bottleneck.tables import NETWORKS, STAGE, TEXTS
from attnlabels.pipeline.params import load, read, record
from attnlabels.pipeline.results import Run, runs_of
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_json
from attnlabels.reporting.figures import write_png
from attnlabels.reporting.tables import Table, as_numbers, read_tables, write_tables
from attnlabels.studies.likeness import Scored, contrast, read_comparable, require_runs, tell
from attnlabels.studies.page import Drawn, Page, write_page

Pair = tuple[str, str]
FIGURE = (
    "Left: bits of the code and accuracy of the runs that differ in β alone. Middle: a point a run "
    "and seed; the dashed line is chance. Right: accuracy as cells are made grey, or shown."
)


@record
class CompareBottleneck:
    """The section `compare_bottleneck`."""

    measures: list[str]  # columns of the first table that runs are contrasted in
    contrasts: list[Pair]  # one run minus another
    masked: list[Pair]  # the same of runs with a mask, in measures of the mask
    pictured: list[str]  # runs of which there are pictures
    curves: str  # the run whose deletion and insertion are drawn
    level: Annotated[float, Field(gt=0.5, lt=1)]
    permutations: Annotated[int, Field(ge=1000)]
    seed: Annotated[int, Field(ge=0)]

    def pairs(self, measure: str) -> list[Pair]:
        """The contrasts of a measure."""
        return self.masked if NETWORKS[measure].startswith("mask.") else self.contrasts


def main(study: str, metrics: Path, data: Path, tables: Path, report: Path, page: Path) -> None:
    p, tree = load(CompareBottleneck, "compare_bottleneck"), read()
    runs = runs_of(study, tree)
    require_named(p, runs)
    scored = read_comparable(runs, metrics / STAGE, data / "scores", stage=STAGE)
    contrasts = contrast_all(p, scored)
    made: dict[str, Table] = {
        "networks": made_of.tabulate_networks(scored),
        "stability": made_of.tabulate_stability(scored),
        "curves": made_of.tabulate_curves(scored),
        "transfer": made_of.tabulate_transfer(scored),
    }
    about = next(iter(scored.values())).about
    values = {**about, **vars(p), "seeds": len(runs[p.curves].seeds), "level": 100 * p.level}
    texts = {key: words(key, values) for key in made}
    for name, table in contrasts.items():
        key = f"contrasts_{name.replace(' ', '_')}"
        made[key], texts[key] = table, words("contrasts", values | {"measure": name})
    betas = made_of.by_beta(tree[study], scored)
    curves = made_of.read_curves(runs[p.curves], data / "examples")
    pictures = [show_masks([runs[name] for name in p.pictured], data / "examples")]
    with replacing_folder(tables) as aside:
        aside.mkdir()
        write_tables(aside, made, texts=texts)
        write_png(aside / "figure.png", made_of.draw(scored, betas, curves, p.curves))
    write_json(report, {key: as_numbers(table) for key, table in made.items()})
    found = [summed_up(name, *tell(each, level=p.level)) for name, each in contrasts.items()]
    png = (tables / "figure.png").read_bytes()
    write_page(
        page,
        Page(
            title="Does attention through an information bottleneck find objects, and help?",
            finding=[*made_of.told_bits(scored, betas), made_of.told_masks(scored), *found],
            tables=read_tables(tables / "tables.json"),
            figures=[Drawn("Bits, accuracy and objects", FIGURE, png)],
            pictures=pictures,
            notes=[f"{name}: {row_words(tree[study][name])}" for name in runs],
            made_by=about["made_by"],
        ),
    )


def require_named(p: CompareBottleneck, runs: dict[str, Run]) -> None:
    """Raises ValueError where the section names what is no run, or no measure."""
    stage = "compare_bottleneck"
    require_runs("contrasts", chain(*p.contrasts), runs, stage=stage)
    require_runs("masked", chain(*p.masked), runs, stage=stage)
    require_runs("pictured", p.pictured, runs, stage=stage)
    require_runs("curves", [p.curves], runs, stage=stage)
    for name in {*p.measures} - {*NETWORKS}:
        known = ", ".join(NETWORKS)
        raise ValueError(f"params.yaml: {stage}.measures names {name!r}; expected some of {known}")


def contrast_all(p: CompareBottleneck, scored: dict[str, Scored]) -> dict[str, Table]:
    """A table of differences of runs for each measure."""
    given: dict[str, Any] = {key: getattr(p, key) for key in ("permutations", "seed", "level")}
    paths = {name: NETWORKS[name] for name in p.measures}
    return {
        name: contrast(path, scored, p.pairs(name), stage=STAGE, **given)
        for name, path in paths.items()
    }


def words(key: str, values: dict[str, Any]) -> tuple[str, str]:
    """Title and caption of a table."""
    title, caption = TEXTS[key]
    return title.format(**values), caption.format(**values)


def summed_up(measure: str, found: list[str], others: list[str]) -> str:
    """What is found of a measure, and what is not, in two sentences."""
    told = "; ".join(found) or "no difference is found"
    rest = f" Not found: {'; '.join(others)}." if found and others else ""
    return f"{measure[0].upper()}{measure[1:]}: {told}.{rest}"


def row_words(row: dict[str, Any]) -> str:
    """A run's row in words."""
    return ", ".join(f"{key} {value}" for key, value in row.items())


if __name__ == "__main__":
    run(main)
