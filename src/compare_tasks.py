"""Compare the runs of tasks: does closeness to people go with doing the task better?

    python src/compare_tasks.py REPORTS EXAMPLES TABLES REPORT PAGE

REPORTS and EXAMPLES are what `train_tasks` left, a folder a task and seed. TABLES gets the tables
and a figure a task, REPORT the numbers, and PAGE, an HTML file that needs nothing beside it, what
was found, the figures, the tables and pictures of masks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from matplotlib.figure import Figure
from pydantic import Field

from attnlabels.pipeline.params import load, read, record
from attnlabels.pipeline.results import runs_of
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_json
from attnlabels.reporting.figures import write_png
from attnlabels.reporting.legend import show
from attnlabels.reporting.tables import Table, as_numbers, read_tables, write_tables
from attnlabels.studies import tasks
from attnlabels.studies.page import Drawn, Page, write_page
from attnlabels.studies.task_figures import draw_points, show_masks
from attnlabels.studies.tasks import NAMES, Told, score_of

TASKS = "tasks"
UNDER = "A point is a run of one seed; the line, runs without attention."
PICTURED = ("implicit", "wrong")  # families, beside the chosen explicit runs


@record
class CompareTasks:
    """The section `compare_tasks`."""

    level: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Annotated[int, Field(ge=100)]
    seed: Annotated[int, Field(ge=0)]


def main(reports: Path, examples: Path, tables: Path, report: Path, page: Path) -> None:
    p, tree = load(CompareTasks, "compare_tasks"), read()
    seeds = next(iter(runs_of(TASKS, tree).values())).seeds
    told = {
        task: tasks.read_task(task, setting, seeds, reports)
        for task, setting in tree[TASKS].items()
    }
    made: dict[str, Table] = {"correlations": {}}
    values: dict[str, Any] = {"level": 100 * p.level, "resamples": p.resamples, "seeds": len(seeds)}
    texts = {"correlations": words("correlations", values)}
    for task, each in told.items():
        for people in tree[TASKS][task]["people"]:
            made["correlations"] |= tasks.correlate(each, task=task, people=people, **vars(p))
        chosen = [
            run
            for family in ("explicit", tasks.SIDE)
            for run in tasks.choose(each, task=task, family=family).values()
        ]
        more = {"task": show(task), "chosen": ", ".join(chosen)}
        made[f"{task}_runs"] = tasks.tabulate(each, task=task)
        made[f"{task}_contrasts"] = tasks.contrast(each, tasks.pairs_of(each, task=task), task=task)
        for kind in ("runs", "contrasts"):
            texts[f"{task}_{kind}"] = words(kind, values | more)
    with replacing_folder(tables) as aside:
        aside.mkdir()
        write_tables(aside, made, texts=texts)
        for task, each in told.items():
            write_png(aside / f"{task}.png", draw(task, each, tree[TASKS][task]["people"]))
    write_json(report, {key: as_numbers(table) for key, table in made.items()})
    write_page(
        page,
        Page(
            title="Does attention that is closer to people's do a task better?",
            finding=[
                *tasks.tell_correlations(made["correlations"]),
                *(tasks.tell_contrasts(made[f"{task}_contrasts"], task=task) for task in told),
            ],
            tables=read_tables(tables / "tables.json"),
            pictures=[
                show_masks(examples / f"{task}-{seeds[0]}", pictured(each, task=task), task=task)
                for task, each in told.items()
            ],
            figures=[
                Drawn(f"{show(task)}: closeness and score", UNDER, figure.read_bytes())
                for task, figure in ((task, tables / f"{task}.png") for task in told)
            ],
            notes=[f"{key}: {value}" for key, value in tree["train_tasks"].items()],
            made_by=next(iter(told.values()))[0].about["made_by"],
        ),
    )


def words(key: str, values: dict[str, Any]) -> tuple[str, str]:
    """Title and caption of a table."""
    title, caption = tasks.TEXTS[key]
    return title.format(**values), caption.format(**values)


def draw(task: str, told: Sequence[Told], people: Sequence[str]) -> Figure:
    """The figure of a task."""
    key = score_of(task)
    panels = {
        f"people: {name}": tasks.points_of(told, task=task, people=name, measure="cc")
        for name in people
    }
    none = [each.about["test"][key] for each in told if each.run == "none"]
    return draw_points(panels, none=none, score=NAMES[key])


def pictured(told: Sequence[Told], *, task: str) -> list[str]:
    """The runs of which there are pictures."""
    families = {each.run: each.family for each in told}
    chosen = {*tasks.choose(told, task=task).values()}
    return [run for run, family in families.items() if family in PICTURED or run in chosen]


if __name__ == "__main__":
    run(main)
