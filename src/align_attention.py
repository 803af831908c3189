"""Compare a student's attention with people's, image by image (paper §4.2).

    python src/align_attention.py WEIGHTS LABELS VAL EYE SCORES EXAMPLES REPORT

Twice: as the readout was trained, and with the readout refitted to convergence on the frozen
encoder and the labels it was trained with. Four parameters learn slowly beside a network, so a
difference that a refit closes says nothing about the encoder.
"""

import copy
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor
from tqdm import tqdm

from attnlabels.datasets.crops import centre_box, count_points, crop_map
from attnlabels.datasets.images import decode, resize
from attnlabels.datasets.recordings import enlarge, read_recordings
from attnlabels.datasets.shards import Shards
from attnlabels.datasets.squares import resize_centre_crop
from attnlabels.losses.attention import kld, nss
from attnlabels.metrics.alignment import SCORES, mean_scores, score_maps
from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import load_weights, read_config
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
    head = student.head
    trained = copy.deepcopy(head.state_dict())
    loss = refit(student, Shards(labels), p=p)
    readouts = {"as_trained": trained, "refitted": copy.deepcopy(head.state_dict())}

    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {"refit": loss}
    for name, folder in (("val", val), ("eye", eye)):
        recordings = list(read_recordings(folder, crop=student.crop))
        selected = student.selected([each.image for each in recordings])
        humans, points = [each.density for each in recordings], [each.points for each in recordings]
        summary[name], maps = {}, {}
        for readout, state in readouts.items():
            head.load_state_dict(state)
            predicted = student.read(selected)
            maps[readout] = [enlarge(map, humans[0].shape) for map in predicted]
            images = score_maps(maps[readout], humans, points)
            summary[name][readout] = mean_scores(images)
            rows += [
                {"set": name, "image": each.name, "readout": readout, **image}
                for each, image in zip(recordings, images)
            ]
    h, w = humans[0].shape
    shown = recordings[: p.examples]
    with replacing(examples) as aside, open(aside, "wb") as file:
        np.savez(
            file,
            images=np.stack([resize(each.image, h, w) for each in shown]),
            human=np.stack([each.density for each in shown]),
            maps_as_trained=np.stack(maps["as_trained"][: len(shown)]),
            maps_refitted=np.stack(maps["refitted"][: len(shown)]),
            names=np.array([each.name for each in shown]),
        )
    write_rows(scores, rows, columns=("set", "image", "readout", *SCORES))
    write_json(report, summary)


class FrozenStudent:
    """A trained encoder with its attention head, and the preprocessing it was trained with."""

    def __init__(self, weights: Path, *, batch_size: int) -> None:
        config = read_config(weights, "encoder", "attention")
        self.encoder = Encoder(**config["encoder"])
        self.head = AttentionHead(**config["attention"])
        load_weights(weights, self.encoder, prefix="encoder.")
        load_weights(weights, self.head, prefix="attention.")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.encoder.eval().to(self.device).to(memory_format=torch.channels_last)
        self.head.to(self.device)
        self.size, self.crop = config["image_size"], config["clean_crop"]
        self.batch_size = batch_size

    @torch.no_grad()
    def selected(
        self, images: list[UInt8[np.ndarray, "h w 3"]]
    ) -> Float[Tensor, "n s s 3"]:
        """What the head's readout weighs, for clean images."""
        found = []
        for first in tqdm(range(0, len(images), self.batch_size), desc="attention", disable=None):
            chosen = images[first : first + self.batch_size]
            pixels = [resize_centre_crop(each, size=self.size, crop=self.crop) for each in chosen]
            batch = torch.from_numpy(np.stack(pixels)).to(self.device)
            stages = self.encoder(batch.permute(0, 3, 1, 2).float() / 255)
            found.append(self.head.selected(stages))
        return torch.cat(found)

    @torch.no_grad()
    def read(self, selected: Float[Tensor, "n s s 3"]) -> Float[np.ndarray, "n s s"]:
        """The head's maps."""
        return self.head.read(selected).cpu().numpy()


def refit(student: FrozenStudent, labels: Shards, *, p: AlignAttention) -> dict[str, float]:
    """Fit the readout's four parameters to convergence on the first `refit_images` labels.

    Returns the loss λ·KLD - β·NSS before and after.
    """
    images, maps, fixations = [], [], []
    size = (student.head.size, student.head.size)
    # Spread over the set, which may be ordered by class.
    chosen = np.linspace(0, len(labels) - 1, min(p.refit_images, len(labels))).astype(int)
    for i in tqdm(chosen, desc="labels", disable=None):
        sample = labels[int(i)]
        image = decode(sample["image"], name=f"{labels.folder}: {sample['key']}")
        box = centre_box(image.shape[0], image.shape[1], student.crop)
        images.append(image)
        maps.append(crop_map(sample["map"], box, size=size))
        fixations.append(count_points(sample["points"], grid=sample["grid"], box=box, size=size))
    selected = student.selected(images)
    targets = torch.from_numpy(np.stack(maps)).to(student.device)
    counts = torch.from_numpy(np.stack(fixations)).to(student.device)
    optimizer = torch.optim.LBFGS(
        student.head.parameters(), max_iter=p.refit_steps, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        predicted = student.head.read(selected)
        total = (
            p.kld_weight * kld(predicted, targets).mean()
            - p.nss_weight * nss(predicted, counts).mean()
        )
        total.backward()
        return total.detach()

    before = float(loss())
    optimizer.step(loss)
    return {"loss_before": before, "loss_after": float(loss())}


if __name__ == "__main__":
    run(main)
