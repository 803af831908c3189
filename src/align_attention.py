"""Compare a student's attention with people's, image by image (paper §4.2).

    python src/align_attention.py WEIGHTS LABELS VAL EYE SCORES EXAMPLES REPORT

Twice: as the readout was trained, and with the readout refitted to convergence on the frozen
encoder and LABELS. Four parameters learn slowly beside a network, so a difference that a refit
closes says nothing about the encoder. Attention that is no readout (a block's mask, ContraCAM) is
compared as trained, beside a readout that is fitted; a run without attention has only that.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from attnlabels.images.decoding import resize
from attnlabels.metrics.alignment import SCORES
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import write_arrays, write_metrics, write_rows
from attnlabels.readouts.students import Aligned, FrozenStudent, align, refit
from attnlabels.shards.shards import Shards

NotNegative = Annotated[float, Field(ge=0)]


@record
class AlignAttention:
    """The section `align_attention` of params.yaml."""

    refit_images: Annotated[int, Field(gt=0)]
    refit_steps: Annotated[int, Field(gt=0)]
    kld_weight: NotNegative
    nss_weight: NotNegative
    batch_size: Annotated[int, Field(gt=0)]
    examples: Annotated[int, Field(gt=0)]


def main(
    weights: Path, labels: Path, val: Path, eye: Path, scores: Path, examples: Path, report: Path
) -> None:
    threads = take_threads()
    p = load(AlignAttention, "align_attention")
    student = FrozenStudent(weights, batch_size=p.batch_size)
    loss = refit(
        student,
        Shards(labels),
        n_images=p.refit_images,
        steps=p.refit_steps,
        kld_weight=p.kld_weight,
        nss_weight=p.nss_weight,
    )
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {"refit": loss}
    for name, folder in (("val", val), ("eye", eye)):
        aligned = align(student, folder)
        summary[name] = aligned.summary()
        rows += [
            {"set": name, "image": each.name, "readout": readout, **image}
            for readout, images in aligned.scores.items()
            for each, image in zip(aligned.recordings, images)
        ]
    first = list(range(min(p.examples, len(aligned.recordings))))
    ends = worst_and_best(aligned, count=p.examples)
    write_arrays(
        examples,
        **pictures(aligned, first),
        **{f"extreme_{key}": array for key, array in pictures(aligned, ends).items()},
    )
    write_rows(scores, rows, columns=("set", "image", "readout", *SCORES))
    write_metrics(report, summary, threads=threads)


def worst_and_best(aligned: Aligned, *, count: int) -> list[int]:
    """Places of the images of least and of largest CC as refitted, ascending; half each."""
    order = np.argsort([each["cc"] for each in aligned.scores["refitted"]], kind="stable")
    n = max(1, min(count, len(order)) // 2)
    return [*map(int, order[:n]), *map(int, order[-n:])]


def pictures(aligned: Aligned, chosen: list[int]) -> dict[str, Any]:
    """The chosen images, people's maps and the student's, all of one size, and their names."""
    h, w = aligned.recordings[0].density.shape
    return {
        "images": np.stack([resize(aligned.recordings[i].image, h, w) for i in chosen]),
        "human": np.stack([aligned.recordings[i].density for i in chosen]),
        "names": np.array([aligned.recordings[i].name for i in chosen]),
        **{
            f"maps_{readout}": np.stack([maps[i] for i in chosen])
            for readout, maps in aligned.maps.items()
        },
    }


if __name__ == "__main__":
    run(main)
