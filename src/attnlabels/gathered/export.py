"""A study in the forms that others read; each export is a folder, whole or not there at all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from attnlabels.gathered.choosing import PASSING, Chosen, RoundRules, choose
from attnlabels.gathered.originals import Originals
from attnlabels.gathered.painted import (
    MapDrawing,
    write_heatmaps,
    write_labelled,
    write_submissions,
)
from attnlabels.gathered.psych_ds import write_description, write_images
from attnlabels.gathered.quality import measure_players
from attnlabels.gathered.study import read_study
from attnlabels.gathered.tables import (
    POINTS,
    ROUNDS,
    by_task,
    write_jspsych,
    write_points,
    write_salicon,
)
from attnlabels.pipeline.places import place_of_folder
from attnlabels.pipeline.writing import replacing_folder

Form = Literal["csv", "salicon", "clickme", "shards", "jspsych"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an export is made of."""

    chosen: Chosen
    originals: Originals
    drawing: MapDrawing

    @property
    def classes(self) -> list[str]:
        """Of all the study's images, sorted; none where these are in no folders."""
        return sorted({each.label for each in self.chosen.study.images} - {""})


class Written(NamedTuple):
    """How a form is written into a folder, what its files are, and the variables of its tables."""

    write: Callable[[Path, Source], None]
    about: str
    variables: dict[str, str]


def export_study(
    study: Path,
    out: Path,
    *,
    images: Path,
    form: Form,
    rules: RoundRules = RoundRules(),
    drawing: MapDrawing = MapDrawing(),
) -> Chosen:
    """Write what counts of a study as the new folder `out`, and return it.

    With a description as Psych-DS has it, and a table of the images, which are in the folder
    `images`, with their checksums. Raises FileExistsError where `out` is there already, and
    ValueError or OSError for a study that is not whole, for an image that is gone or was changed,
    and where no round is left. See `attnlabels.gathered.tables` and `painted`.
    """
    place_of_folder(out, replace=False)
    chosen = choose(read_study(study), rules)
    originals = Originals(images)
    originals.verify({each.round.image.number: each.round.image for each in chosen.rounds}.values())
    written = FORMS[form]
    with replacing_folder(out, replace=False) as folder:
        (folder / "data").mkdir(parents=True)
        write_images(folder, chosen)
        written.write(folder, Source(chosen=chosen, originals=originals, drawing=drawing))
        write_description(
            folder, chosen, form=form, about=written.about, variables=written.variables
        )
    return chosen


def _csv(folder: Path, source: Source) -> None:
    for task, played in by_task(source.chosen).items():
        write_points(folder / "data" / f"task-{task}_data.csv", played)


def _salicon(folder: Path, source: Source) -> None:
    for task, played in by_task(source.chosen).items():
        write_salicon(folder / f"{task}.json", played, workers=source.chosen.study.numbers)


def _clickme(folder: Path, source: Source) -> None:
    players = measure_players(source.chosen.study)
    catch = {id: each.values[PASSING] for id, each in players.items()}
    for task, played in by_task(source.chosen).items():
        write_submissions(folder / f"{task}.csv", played, catch=catch)
        if not source.classes:  # which the records cannot do without
            continue
        path = folder / f"{task}.tfrecords"
        reach = source.chosen.study.reach if task == "paint" else None
        write_heatmaps(path, played, source.originals, classes=source.classes, reach=reach)


def _shards(folder: Path, source: Source) -> None:
    for task, played in by_task(source.chosen).items():
        write_labelled(
            folder / task,
            played,
            source.originals,
            classes=source.classes,
            players=source.chosen.study.numbers,
            drawing=source.drawing,
        )


def _jspsych(folder: Path, source: Source) -> None:
    table = folder / "data" / "description-rounds_data.csv"
    write_jspsych(table, folder / "rounds.json", source.chosen)


FORMS: MappingProxyType[Form, Written] = MappingProxyType(
    {
        "csv": Written(
            _csv,
            "`data/task-*_data.csv` has a row a point: `attnlabels teacher train` reads it.",
            POINTS,
        ),
        "salicon": Written(
            _salicon,
            "`paint.json`, `peek.json`, `look.json`: SALICON's annotations of 2015, a worker a "
            "player, points [row, col] from 1: `attnlabels teacher train` reads them.",
            {},
        ),
        "clickme": Written(
            _clickme,
            "`*.csv`: ClickMe 2.0's table, clicks (x, y) from 0. `*.tfrecords`, where images have "
            "classes: a record an image with the share of players who uncovered a place (PNG, the "
            "largest 255, not blurred); labels are places among the classes, sorted.",
            {},
        ),
        "shards": Written(
            _shards,
            "`paint`, `peek`, `look`: labelled shards, one folder a task, of images with the mean "
            "of the players' blurred maps (tar files that webdataset reads, index.json).",
            {},
        ),
        "jspsych": Written(
            _jspsych,
            "`data/description-rounds_data.csv` and `rounds.json`: a row a finished round, by "
            "jsPsych's names; what does not count is there too, and `left_out` says why.",
            ROUNDS,
        ),
    }
)
