"""A student's attention beside people's: its maps, and its readout refitted to convergence."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from attnlabels.datasets.crops import centre_box, count_points, crop_map
from attnlabels.datasets.images import decode
from attnlabels.datasets.recordings import Recording, enlarge, read_recordings
from attnlabels.datasets.shards import Shards
from attnlabels.datasets.squares import resize_centre_crop
from attnlabels.losses.attention import kld, nss
from attnlabels.metrics.alignment import mean_scores, score_maps
from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import load_weights, read_config

Readouts = dict[str, dict[str, Any]]  # states of a head, by name


class Aligned(NamedTuple):
    """A set's recordings and, by readout, the maps at their size and each image's scores."""

    recordings: list[Recording]
    maps: dict[str, list[Float[np.ndarray, "a b"]]]
    scores: dict[str, list[dict[str, float]]]

    def summary(self) -> dict[str, dict[str, float]]:
        """The mean over images of each score, by readout."""
        return {readout: mean_scores(images) for readout, images in self.scores.items()}


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
        self, images: Sequence[UInt8[np.ndarray, "h w 3"]]
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


def align(student: FrozenStudent, folder: Path, *, readouts: Readouts) -> Aligned:
    """The student's maps for a set of human recordings, read out in each of the ways."""
    recordings = list(read_recordings(folder, crop=student.crop))
    selected = student.selected([each.image for each in recordings])
    humans, points = [each.density for each in recordings], [each.points for each in recordings]
    maps, scores = {}, {}
    for readout, state in readouts.items():
        student.head.load_state_dict(state)
        predicted = student.read(selected)
        maps[readout] = [enlarge(map, humans[0].shape) for map in predicted]
        scores[readout] = score_maps(maps[readout], humans, points)
    return Aligned(recordings, maps, scores)


def readout_of(student: FrozenStudent) -> dict[str, Any]:
    """The state of the student's head as it is now."""
    return copy.deepcopy(student.head.state_dict())


def refit(
    student: FrozenStudent,
    labels: Shards,
    *,
    n_images: int,
    steps: int,
    kld_weight: float,
    nss_weight: float,
) -> dict[str, float]:
    """Fit the readout's four parameters to convergence on `n_images` of the labels.

    Four parameters learn slowly beside a network, so a difference that a refit closes says nothing
    about the encoder. Returns the loss λ·KLD - β·NSS before and after.
    """
    images, maps, fixations = [], [], []
    size = (student.head.size, student.head.size)
    # Spread over the set, which may be ordered by class.
    chosen = np.linspace(0, len(labels) - 1, min(n_images, len(labels))).astype(int)
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
        student.head.parameters(), max_iter=steps, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        predicted = student.head.read(selected)
        total = (
            kld_weight * kld(predicted, targets).mean() - nss_weight * nss(predicted, counts).mean()
        )
        total.backward()
        return total.detach()

    before = float(loss())
    optimizer.step(loss)
    return {"loss_before": before, "loss_after": float(loss())}
