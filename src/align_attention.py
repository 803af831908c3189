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

from attnlabels.alignment import FrozenStudent, align, refit
from attnlabels.datasets.images import resize
from attnlabels.datasets.shards import Shards
from attnlabels.metrics.alignment import SCORES
from attnlabels.params import load, record
from attnlabels.report import replacing, write_json, write_rows
from attnlabels.script import run

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
    shown, maps = aligned.recordings[: p.examples], aligned.maps
    h, w = shown[0].density.shape
    arrays: dict[str, Any] = {
        "images": np.stack([resize(each.image, h, w) for each in shown]),
        "human": np.stack([each.density for each in shown]),
        **{f"maps_{readout}": np.stack(each[: len(shown)]) for readout, each in maps.items()},
        "names": np.array([each.name for each in shown]),
    }
    with replacing(examples) as aside, open(aside, "wb") as file:
        np.savez(file, **arrays)
    write_rows(scores, rows, columns=("set", "image", "readout", *SCORES))
    write_json(report, summary)


if __name__ == "__main__":
    run(main)
