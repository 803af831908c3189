"""Train a teacher on what players of a study of `attnlabels collect` pointed at, and score it.

    python src/teach_from_play.py STUDY IMAGES WEIGHTS REPORT

STUDY is a study's folder, IMAGES that of its images. The study is exported as the table of points
that `attnlabels teacher train` reads, without players who look wrong, and a teacher is trained on
that; beside WEIGHTS are the report and the curve that it writes. REPORT has the scores on images
held out, beside those of a centre prior and of one half of the players.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import Field

from attnlabels.gathered.choosing import RoundRules
from attnlabels.gathered.export import export_study
from attnlabels.labelling.own_teacher import describe, train_teacher
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_metrics


@record
class TeachFromPlay:
    suspicion: Annotated[float, Field(ge=0, le=1)] | None  # of players who are left out
    sigma: Annotated[float, Field(gt=0)]  # of the maps, in widths of the image
    side: Annotated[int, Field(ge=32)]
    epochs: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]


def main(study: Path, images: Path, weights: Path, report: Path) -> None:
    threads, p = take_threads(), load(TeachFromPlay, "teach_from_play")
    with TemporaryDirectory(prefix="attnlabels-") as folder:
        points = Path(folder) / "points"
        rules = RoundRules(suspicion=p.suspicion)
        chosen = export_study(study, points, images=images, form="csv", rules=rules)
        (task,) = {each.round.task for each in chosen.rounds}
        found = train_teacher(
            points / "data" / f"task-{task}_data.csv",
            weights,
            images=images,
            sigma=p.sigma,
            side=p.side,
            epochs=p.epochs,
            seed=p.seed,
        )
    told = {"rounds": len(chosen.rounds), "players": len(chosen.players)}
    counts = {key: found["images"][key] for key in ("train", "dev", "val")}
    write_metrics(
        report,
        {**told, "images": counts, "val": found["val"], "cc_above_prior": found["cc_above_prior"]},
        threads=threads,
    )
    print(describe(found))


if __name__ == "__main__":
    run(main)
