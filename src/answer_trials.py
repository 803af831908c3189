"""Let networks take part in an experiment in rapid categorisation, in the places of people.

    python src/answer_trials.py STUDY STIMULI NETWORKS TRIALS

STUDY is a table of runs in params.yaml, NETWORKS the folder of their weights, a file a run and
seed, as `train_supervised` writes them, and STIMULI what `make_stimuli` wrote. TRIALS (CSV) gets
the answers of `count` participants in the form that people's have, for the same analysis. A
participant is one of the networks with noise of its own on the logits.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from attnlabels.interpretation.frozen import open_classifier
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, read, record
from attnlabels.pipeline.results import runs_of
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_rows
from attnlabels.psychophysics.participants import answer, recruit, see_all
from attnlabels.psychophysics.trials import TABLE, read_stimuli


@record
class AnswerTrials:
    count: Annotated[int, Field(ge=2)]  # of participants
    noise_sd: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)]  # on logits
    batch_size: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]


def main(study: str, stimuli: Path, networks: Path, trials: Path) -> None:
    take_threads()
    p, table = load(AnswerTrials, "answer_trials"), read_stimuli(stimuli / TABLE)
    classes, pictures = sorted({*table["class"]}), sorted({*table["stimulus"]})
    places = {picture: i for i, picture in enumerate(pictures)}
    names = [f"{run.name}-{seed}" for run in runs_of(study, read()).values() for seed in run.seeds]
    logits = {}
    for name in names:
        network = open_classifier(networks / f"{name}.safetensors", n_classes=len(classes))
        logits[name] = see_all(stimuli, pictures, network.see, batch_size=p.batch_size)
    sets = {int(number): seen for number, seen in table.groupby("set")}
    rows = []
    for each in recruit(p.count, n_sets=len(sets), networks=names, noise_sd=p.noise_sd):
        seen = sets[each.set]
        of_set = logits[each.network][[places[picture] for picture in seen["stimulus"]]]
        rows += answer(each, seen, of_set, classes=classes, seed=p.seed)
    write_rows(trials, rows, columns=[*rows[0]])
    right = sum(row["response"] == row["class"] for row in rows) / len(rows)
    print(f"{p.count} participants of {len(names)} networks, {right:.3f} of answers right")


if __name__ == "__main__":
    run(main)
