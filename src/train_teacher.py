"""Train the saliency teacher on human attention, from random weights (paper §3.2).

    python src/train_teacher.py ROW TRAIN DEV WEIGHTS CURVE REPORT

ROW is the path of the teacher's row in params.yaml: `teacher`, or `teachers.taps_3` in a table.
TRAIN and DEV are folders of attention shards. The epoch with the best mean CC on DEV is kept: DEV
is held out of the training recordings and is no test set. A run that was killed goes on where it
was, to the same weights. They say the σ of the densities, and that with which the teacher's maps of
DEV give as many pseudo fixations as people's; REPORT, how many times wider it is (`fitted_sigma`).
"""

from functools import partial
from pathlib import Path

from attnlabels.labelling.fitted_sigma import fit_to
from attnlabels.models.files import write_weights
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.places import settle
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing, write_metrics, write_rows
from attnlabels.processes.checkpoint import Scratch, fingerprint
from attnlabels.processes.room import Shares
from attnlabels.processes.world import joined
from attnlabels.teachers.network import Teacher
from attnlabels.training.teachers import Design, Recipe, Recordings, architecture, header
from attnlabels.training.teachers import train as train_on

TrainTeacher = record(Recipe)  # the section `train_teacher` of params.yaml
Row = record(Design)


def main(row: str, train: Path, dev: Path, weights: Path, curve: Path, report: Path) -> None:
    settle(weights, curve, report)
    threads = take_threads()
    p, design = load(TrainTeacher, "train_teacher"), load(Row, *row.split("."))
    recordings, held_out = Recordings(train, p), Recordings(dev, p.tested())
    indices = [train / "index.json", dev / "index.json"]
    mark = fingerprint([vars(p), vars(design), code_of(Path(__file__))], indices)
    with joined() as world:
        world.agree("the training", mark)
        scratch = Scratch(f"teacher-{mark}")
        shares = Shares(
            section="train_teacher",
            batch_size=p.batch_size,
            processes=world.size,
            gpus=world.device.type == "cuda",
        )
        teacher, history, measured = train_on(
            p,
            partial(Teacher, **architecture(p, design)),
            recordings=recordings,
            dev=held_out,
            scratch=scratch,
            world=world,
            cures=shares.cures,
        )
        if not world.first:
            return
        best = max(history, key=lambda each: each["dev_cc"])
        fitted = fit_to(teacher, held_out, sigma_px=recordings.sigma_px)
        config = header(teacher, recordings, fitted_sigma_px=fitted) | measured
        with replacing(weights) as aside:
            write_weights(aside, teacher, config)
        write_rows(curve, history, columns=list(best))
        scores = {key: best[key] for key in ("dev_cc", "epoch", "loss")}
        scores["fitted_sigma"] = fitted[0] / recordings.sigma_px[0]
        write_metrics(report, scores, threads=threads, **measured)
        scratch.clear()


if __name__ == "__main__":
    run(main, before=lambda: launch(load(TrainTeacher, "train_teacher").processes))
