"""Make the stimuli of an experiment in rapid categorisation (Linsley et al. 2019, §2.2).

    python src/make_stimuli.py IMAGES OUT REPORT

IMAGES has a folder for each class; the folders of maps are those that `make_stimuli.maps` in
params.yaml names. OUT gets the pictures, and `stimuli.csv`, which says who sees which and how much
of each is revealed (`attnlabels.psychophysics.trials`), as `attnlabels experiment make` writes it.
REPORT counts them.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from attnlabels.images.broken import Broken
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, part, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_metrics
from attnlabels.psychophysics.design import Assignment
from attnlabels.psychophysics.making import Control, Making, make_experiment
from attnlabels.psychophysics.stimuli import Background
from attnlabels.psychophysics.trials import TABLE, read_stimuli

Share = Annotated[float, Field(ge=0, le=1)]


@record
class MakeStimuli:
    images: str  # given to this script by dvc.yaml, which watches the maps too
    maps: dict[str, str]
    shares: list[Share]
    per_class: Annotated[int, Field(ge=1)] | None
    side: Annotated[int, Field(ge=8)] | None
    alpha: Annotated[float, Field(ge=0)]
    noise: Annotated[float, Field(ge=0)]
    background: Background
    controls: list[Control]
    assignment: Assignment
    missing: Broken
    seed: Annotated[int, Field(ge=0)]


def main(images: Path, out: Path, report: Path) -> None:
    threads, p = take_threads(), load(MakeStimuli, "make_stimuli")
    maps = {name: Path(folder) for name, folder in p.maps.items()}
    made = make_experiment(maps, images, out, making=part(Making, p))
    stimuli = read_stimuli(out / TABLE)
    lost = stimuli["lost"].sum() / max(1, stimuli["pixels"].sum())
    counts = {key.replace(" ", "_"): count for key, count in made.items()}
    write_metrics(report, {**counts, "lost": float(lost)}, threads=threads)
    print(", ".join(f"{count} {key}" for key, count in made.items()), f"{lost:.1%} of pixels lost")


if __name__ == "__main__":
    run(main)
