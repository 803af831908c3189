"""Score what simulated players did in the game: how far they agree, how well bad ones are told.

    python src/score_play.py CROWD FREE PLAYERS IMAGES PARTS TEACHER TABLES REPORT PAGE

CROWD and FREE are studies that `play_game` made: with a partner that players ask, and of painters
who go on until the time is over. PLAYERS has for each, by its folder's name, a CSV that says what
each participant is; PARTS are masks of what tells the class of IMAGES, and TEACHER is the report of
`teach_from_play`. TABLES gets the tables, REPORT the numbers and PAGE, an HTML file, all of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from attnlabels.clickmaps.blurring import Blur
from attnlabels.collecting.settings import Task
from attnlabels.gathered.choosing import choose
from attnlabels.gathered.figures import as_png, draw_agreement
from attnlabels.gathered.originals import Originals
from attnlabels.gathered.report import Told, notes_of, show_maps, show_ways
from attnlabels.gathered.report import tell as tell_study
from attnlabels.gathered.study import read_study
from attnlabels.pipeline.machine import made_by, take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.results import read_json
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_metrics
from attnlabels.reporting.tables import as_numbers, read_tables, write_tables
from attnlabels.simulated.findings import (
    TEXTS,
    compare_ways,
    painters_of,
    separate,
    tabulate_agreement,
    tabulate_growth,
    tabulate_teacher,
    tell,
)
from attnlabels.simulated.strokes import Manner
from attnlabels.studies.page import Drawn, Page, write_page

TASK: Task = "paint"
CAPTION = (
    "Left: the more players two mean maps are of, the better they agree. Right: a dot a player; on "
    "the dotted line their maps fit an image no better than any other."
)


@record
class ScorePlay:
    blur: Blur
    suspicion: Annotated[float, Field(ge=0, le=1)]
    permutations: Annotated[int, Field(ge=1000)]
    seed: Annotated[int, Field(ge=0)]


def main(
    crowd: Path,
    free: Path,
    players: Path,
    images: Path,
    parts: Path,
    teacher: Path,
    tables: Path,
    report: Path,
    page: Path,
) -> None:
    threads, p = take_threads(), load(ScorePlay, "score_play")
    told = tell_study(read_study(crowd), suspicion=p.suspicion, blur=p.blur)
    manners, taught = read_manners(players, crowd), read_json(teacher, stage="teach_from_play")
    kept, everyone = told.agreed_kept[TASK], told.agreed[TASK]
    painters = painters_of(choose(read_study(free)), read_manners(players, free))
    reach = told.study.reach
    assert reach is not None  # play_game's settings tell
    ways = compare_ways(
        painters_of(told.all, manners), painters, parts=parts, reach=reach, blur=p.blur
    )
    found = {
        "agreement": tabulate_agreement({"without the suspected": kept, "all": everyone}),
        "growth": tabulate_growth(kept),
        "ways": ways.table(permutations=p.permutations, seed=p.seed),
        "quality": separate(told.players, manners),
        "teacher": tabulate_teacher(taught),
    }
    with replacing_folder(tables) as aside:
        aside.mkdir()
        write_tables(aside, found, texts=TEXTS)
    write_metrics(report, {key: as_numbers(each) for key, each in found.items()}, threads=threads)
    sentences, originals = tell(found, kept, taught), Originals(images)
    show(page, told, sentences, tables, originals, threads=threads)
    print("\n".join(sentences))


def show(
    page: Path,
    told: Told,
    sentences: Sequence[str],
    tables: Path,
    originals: Originals,
    *,
    threads: int,
) -> None:
    """Write the page."""
    figure = draw_agreement(told.agreed_kept[TASK], told.players, suspicious=told.suspicious)
    write_page(
        page,
        Page(
            title="What simulated players paint for a partner, and who of them plays badly",
            finding=sentences,
            tables=read_tables(tables / "tables.json"),
            figures=[Drawn("Agreement", CAPTION, as_png(figure))],
            pictures=[*show_maps(told, originals), *show_ways(told, originals)],
            notes=[*told.all.told(), *notes_of(told)],
            made_by=made_by(threads),
        ),
    )


def read_manners(players: Path, study: Path) -> dict[str, Manner]:
    """What each participant of a study is, by id."""
    path = players / f"{study.name}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: who played is not told; run the stage play_game")
    table = pd.read_csv(path, dtype=str)
    return dict(zip(table["participant"], table["manner"]))


if __name__ == "__main__":
    run(main)
