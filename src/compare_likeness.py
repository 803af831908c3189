"""Compare runs by how alike they and people are, and write tables and a page of it.

    python src/compare_likeness.py STUDY METRICS DATA TABLES REPORT PAGE

STUDY is a table of runs in params.yaml. METRICS has a file a run and seed in `score_likeness`, and
`measure_reliability.json`; DATA the images' scores in `scores`, and pictures in `examples`. TABLES
gets the tables as CSV, as Markdown and as tables.json, REPORT their numbers, and PAGE, an HTML file
that needs nothing beside it, the finding, the tables and the pictures.
"""

from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from attnlabels.pipeline.params import load, read, record
from attnlabels.pipeline.results import read_json, runs_of
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_json
from attnlabels.reporting.tables import Table, as_numbers, read_tables, write_tables
from attnlabels.studies.likeness import (
    MEASURES,
    STAGE,
    TESTED,
    TEXTS,
    contrast,
    measured,
    read_comparable,
    require_runs,
    tabulate,
    tabulate_people,
    tell,
)
from attnlabels.studies.overlaps import contrast_overlaps
from attnlabels.studies.page import Page, write_page
from attnlabels.studies.pictures import show_attention, show_gradients

Pair = tuple[str, str]


@record
class CompareLikeness:
    """The section `compare_likeness`."""

    contrasts: list[Pair]  # one run minus another
    pictured: list[str]  # runs of which there are pictures
    gradients: list[Pair]  # runs whose gradients are set against each other (Fig. 8)
    level: Annotated[float, Field(gt=0.5, lt=1)]
    permutations: Annotated[int, Field(ge=1000)]
    seed: Annotated[int, Field(ge=0)]


def main(study: str, metrics: Path, data: Path, tables: Path, report: Path, page: Path) -> None:
    p, tree = load(CompareLikeness, "compare_likeness"), read()
    runs = runs_of(study, tree)
    require_runs("contrasts", chain(*p.contrasts), runs)
    require_runs("gradients", chain(*p.gradients), runs)
    require_runs("pictured", p.pictured, runs)
    scored = read_comparable(runs, metrics / STAGE, data / "scores")
    people = read_json(metrics / "measure_reliability.json", stage="measure_reliability")
    drawn: dict[str, Any] = {"permutations": p.permutations, "seed": p.seed}
    contrasts = {
        measure: contrast(MEASURES[measure], scored, p.contrasts, level=p.level, **drawn)
        for measure in measured(TESTED, scored)
    }
    pairs = [(runs[a], runs[b]) for a, b in p.contrasts]
    first = next(iter(scored.values()))
    values = {**first.about, **drawn, "seeds": len(first.seeds), "level": 100 * p.level}
    made: dict[str, Table] = {"networks": tabulate(scored), "people": tabulate_people(people)}
    texts = {key: words(key, values) for key in made}
    for measure, table in contrasts.items():
        key = f"contrasts_{measure.replace(' ', '_')}"
        made[key], texts[key] = table, words("contrasts", values | {"measure": measure})
    if measured(["IoU object"], scored):  # else there were no masks
        made["overlaps"] = contrast_overlaps(pairs, data / "examples", **drawn)
        texts["overlaps"] = words("overlaps", values)
    with replacing_folder(tables) as aside:
        aside.mkdir()
        write_tables(aside, made, texts=texts)
    write_json(report, {key: as_numbers(table) for key, table in made.items()})
    write_page(
        page,
        Page(
            title="Does attention, or do people's maps, make a network look where people look?",
            finding=[
                summed_up(m, *tell(t, level=p.level), n_seeds=len(first.seeds))
                for m, t in contrasts.items()
            ],
            tables=read_tables(tables / "tables.json"),
            pictures=[
                show_attention([runs[name] for name in p.pictured], data / "examples"),
                show_gradients([(runs[a], runs[b]) for a, b in p.gradients], data / "examples"),
            ],
            notes=[f"{name}: {rows_words(tree[study][name])}" for name in runs],
            made_by=first.about["made_by"],
        ),
    )


def words(key: str, values: dict[str, Any]) -> tuple[str, str]:
    """Title and caption of a table."""
    title, caption = TEXTS[key]
    return title.format(**values), caption.format(**values)


def summed_up(measure: str, found: list[str], others: list[str], *, n_seeds: int) -> str:
    """What is found of a measure, and what is not, in two sentences."""
    nothing = "no difference is found" if n_seeds > 1 else "one seed, which tests nothing"
    told = "; ".join(found) or nothing
    rest = f" Not found: {'; '.join(others)}." if found and others else ""
    return f"{measure[0].upper()}{measure[1:]}: {told}.{rest}"


def rows_words(row: dict[str, Any]) -> str:
    """A run's row in words."""
    return ", ".join(f"{key} {value}" for key, value in row.items())


if __name__ == "__main__":
    run(main)
