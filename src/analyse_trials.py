"""Analyse an experiment in rapid categorisation, and write tables, a figure and a page of it.

    python src/analyse_trials.py TRIALS STIMULI TABLES REPORT PAGE

TRIALS is a table of answers, of networks or of people (`attnlabels.psychophysics.trials`), STIMULI
what `make_stimuli` wrote. TABLES gets what `attnlabels experiment analyse` writes, REPORT the
numbers, and PAGE, an HTML file that needs nothing beside it, what was found, the figure and some of
the stimuli.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from attnlabels.images.decoding import read_image
from attnlabels.pipeline.machine import made_by, take_threads
from attnlabels.pipeline.params import load, part, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_metrics
from attnlabels.psychophysics.analysis import (
    NOT_REACHED,
    Analysing,
    Analysis,
    analyse,
    describe_leak,
    numbers_of,
    write_analysis,
)
from attnlabels.psychophysics.exclusions import Rules
from attnlabels.psychophysics.trials import TABLE, read_stimuli, read_trials
from attnlabels.reporting.legend import show
from attnlabels.reporting.tables import read_tables
from attnlabels.studies.page import Drawn, Page, Pictures, write_page

Share = Annotated[float, Field(ge=0, le=1)]


@record
class AnalyseTrials:
    rules: Rules
    accuracy: Share
    guess: Share | None
    most_lapses: Annotated[float, Field(ge=0, le=0.5)]
    pairs: list[tuple[str, str]] | None
    permutations: Annotated[int, Field(ge=1000)]
    resamples: Annotated[int, Field(ge=1)]
    level: Annotated[float, Field(gt=0.5, lt=1)]  # at which a difference is found
    seed: Annotated[int, Field(ge=0)]


def main(trials: Path, stimuli: Path, tables: Path, report: Path, page: Path) -> None:
    threads, p = take_threads(), load(AnalyseTrials, "analyse_trials")
    seen = read_stimuli(stimuli / TABLE)
    answered = read_trials(trials)
    found = analyse(answered, part(Analysing, p))
    with replacing_folder(tables) as aside:
        aside.mkdir()
        write_analysis(aside, found)
    write_metrics(report, numbers_of(found), threads=threads)
    rest = ((key, each) for key, each in vars(p).items() if key != "rules")
    asked = [*vars(p.rules).items(), *rest]
    curves = (tables / "curves.png").read_bytes()
    write_page(
        page,
        Page(
            title="Do maps of what matters need fewer pixels than maps of what draws the eye?",
            finding=[*filter(None, told(found, level=p.level))],
            tables=read_tables(tables / "tables.json"),
            figures=[Drawn("More and more revealed", "Points: means; lines: fits.", curves)],
            pictures=[show_stimuli(stimuli, seen)],
            notes=[*about(answered), *(f"{key}: {value}" for key, value in asked)],
            made_by=made_by(threads),
        ),
    )


def about(trials: pd.DataFrame) -> list[str]:
    """What is to be known of networks as participants; of people nothing."""
    if "network" not in trials:
        return []
    n, count = trials["network"].nunique(), trials["participant"].nunique()
    return [
        f"The {count} participants are {n} networks with noise on their answers: errors and tests "
        "tell how sure a difference is for these networks, and not for others."
    ]


def told(found: Analysis, *, level: float) -> list[str]:
    """What was found, in sentences."""
    return [told_thresholds(found), *told_comparisons(found, level=level), describe_leak(found)]


def told_thresholds(found: Analysis) -> str:
    """Of each map type, how much has to be revealed, the least first."""
    shares = {name: row["share"] for name, row in found.tables["thresholds"].items()}
    reached = [(share, name) for name, share in shares.items() if isinstance(share, float)]
    told = [f"{show(name)} {share:.1%}" for share, name in sorted(reached)]
    words = [f"{show(name)} {share}" for name, share in shares.items() if isinstance(share, str)]
    never = [each for each in words if each.endswith(NOT_REACHED)]
    below = [each for each in words if each not in never]
    return f"{found.texts['thresholds'][0]}: {', '.join([*below, *told, *never])}."


def told_comparisons(found: Analysis, *, level: float) -> list[str]:
    """At how many shares one map type's accuracy is above another's, by pair."""
    told = []
    for (one, other), of_pair in found.tests.items():
        sure = [test.difference for test, p in of_pair.values() if p < 1 - level]
        above = sum(difference > 0 for difference in sure)
        told.append(
            f"{show(one)} against {show(other)}: more accurate at {above}, less at "
            f"{len(sure) - above} of {len(of_pair)} shares."
        )
    return told


def show_stimuli(folder: Path, stimuli: pd.DataFrame) -> Pictures:
    """What is seen of the first image: a row a map type, a column a share."""
    first = stimuli[stimuli["image"] == stimuli["image"].iloc[0]]
    rows = []
    for name in dict.fromkeys(first["map_type"]):
        own = first[first["map_type"] == name].drop_duplicates("share").sort_values("share")
        rows.append((str(name), [read_image(folder / path) for path in own["stimulus"]]))
    return Pictures("Stimuli", "An image, more and more of it revealed.", rows)


if __name__ == "__main__":
    run(main)
