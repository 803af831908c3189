"""A student's attention beside people's: its maps, and its readout refitted to convergence."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from tqdm import tqdm

from attnlabels.images.crops import centre_box, count_points, crop_map
from attnlabels.images.decoding import decode, resize_map
from attnlabels.images.squares import resize_centre_crop
from attnlabels.metrics.alignment import mean_scores, score_maps
from attnlabels.metrics.saliency import floor
from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.attention_maps import Contrast, alone, build_attention
from attnlabels.models.files import building, load_weights, read_config
from attnlabels.models.projector import projector
from attnlabels.models.timm_encoder import build_encoder
from attnlabels.processes.world import own_device
from attnlabels.readouts.head import fit_head
from attnlabels.recordings.recordings import Recording, read_recordings
from attnlabels.shards.shards import Shards

log = logging.getLogger(__name__)


class Aligned(NamedTuple):
    """A set's recordings and, by readout, the maps at their size and each image's scores."""

    recordings: list[Recording]
    maps: dict[str, list[Float[np.ndarray, "a b"]]]
    scores: dict[str, list[dict[str, float]]]

    def summary(self) -> dict[str, dict[str, float]]:
        """The mean over images of each score, by readout."""
        return {readout: mean_scores(images) for readout, images in self.scores.items()}


class Attended(NamedTuple):
    """What a student makes of images: what a readout weighs, and its own maps if it has any."""

    selected: Float[Tensor, "n s s 3"]
    maps: Float[Tensor, "n s s"] | None


class FrozenStudent:
    """A trained encoder with its attention, and the preprocessing it was trained with.

    `readout` is the attention head as trained, or a new one for a student whose attention comes
    from elsewhere (a block's mask, ContraCAM) or is not there; `refit` fits it.
    """

    def __init__(self, weights: Path, *, batch_size: int) -> None:
        config = read_config(weights, "encoder", "attention")
        self.projector: nn.Module = nn.Identity()
        with building(weights):
            about = {"source": "readout"} | config["attention"]
            self.source = about.pop("source")
            self.encoder = build_encoder(**config["encoder"])
            self.readout = AttentionHead(**about)
            self.attention = build_attention(self.source, **about)
            if self.source.startswith("contracam"):
                self.projector = projector(self.encoder.n_features, **config["projector"])
        load_weights(weights, self.encoder, prefix="encoder.")
        load_weights(weights, self.attention, prefix="attention.")
        if self.source == "readout":
            self.readout.load_state_dict(self.attention.state_dict())
        if self.source.startswith("contracam"):
            load_weights(weights, self.projector, prefix="projector.")
        self.refitted = False
        self.device = own_device()
        self.encoder.eval().to(self.device).to(memory_format=torch.channels_last)
        for each in (self.attention, self.readout, self.projector):
            each.eval().to(self.device)
        self.size, self.crop = config["image_size"], config["clean_crop"]
        self.batch_size = batch_size

    @torch.no_grad()
    def see(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Attended:
        """Clean images through encoder and attention. ContraCAM tells those of a batch apart."""
        contrast = Contrast(self.projector, alone)
        selected, maps = [], []
        n_batches = -(-len(images) // self.batch_size)
        for chosen in tqdm(
            np.array_split(np.arange(len(images)), n_batches), desc="attention", disable=None
        ):
            pixels = [resize_centre_crop(images[i], size=self.size, crop=self.crop) for i in chosen]
            batch = torch.from_numpy(np.stack(pixels)).to(self.device)
            stages = self.encoder(batch.permute(0, 3, 1, 2).float() / 255)
            selected.append(self.readout.selected(stages))
            if self.source != "none":
                maps.append(self.attention(stages, contrast))
        return Attended(torch.cat(selected), torch.cat(maps) if maps else None)


def align(student: FrozenStudent, folder: Path) -> Aligned:
    """The student's maps for a set of human recordings beside those.

    By "as_trained", unless it has no attention, and by "refitted", once it is. Recordings of which
    people's own map is constant are left out, as in `readouts.scoring.score`. Raises ValueError if
    none is left.
    """
    everyone = list(read_recordings(folder, crop=student.crop))
    recordings = [each for each in everyone if floor(each.density) < 1]
    if not recordings:
        raise ValueError(f"{folder}: people's maps are the same everywhere; prepare the set again")
    if undefined := len(everyone) - len(recordings):
        log.warning("%s: people's own map of %d images is constant; left out", folder, undefined)
    seen = student.see([each.image for each in recordings])
    read: dict[str, Tensor] = {}
    if seen.maps is not None:
        read["as_trained"] = seen.maps
    if student.refitted:
        with torch.no_grad():
            read["refitted"] = student.readout.read(seen.selected)
    humans, points = [each.density for each in recordings], [each.points for each in recordings]
    maps, scores = {}, {}
    for readout, predicted in read.items():
        maps[readout] = [resize_map(map, *humans[0].shape) for map in predicted.cpu().numpy()]
        scores[readout] = score_maps(maps[readout], humans, points)
    return Aligned(recordings, maps, scores)


def spread_over(labels: Shards, count: int) -> list[int]:
    """So many images of a set, or all that it has, spread over it, as it may be by class."""
    return np.linspace(0, len(labels) - 1, min(count, len(labels))).astype(int).tolist()


def refit(
    student: FrozenStudent,
    labels: Shards,
    *,
    n_images: int,
    steps: int,
    kld_weight: float,
    nss_weight: float,
) -> dict[str, float]:
    """Fit the student's readout to convergence on `n_images` of the labels.

    Its four parameters learn slowly beside a network, so a difference that a refit closes says
    nothing about the encoder. Returns the loss λ·KLD - β·NSS before and after; where the fit ends
    at the limit of `steps`, the log says so, and there is a `converged` that is false.
    """
    images, maps, fixations = [], [], []
    size = (student.readout.size, student.readout.size)
    chosen = spread_over(labels, n_images)
    for i in tqdm(chosen, desc="labels", disable=None):
        sample = labels[i]
        image = decode(sample["image"], name=f"{labels.folder}: {sample['key']}")
        box = centre_box(image.shape[0], image.shape[1], student.crop)
        images.append(image)
        maps.append(crop_map(sample["map"], box, size=size))
        fixations.append(count_points(sample["points"], grid=sample["grid"], box=box, size=size))
    selected = student.see(images).selected
    targets = torch.from_numpy(np.stack(maps)).to(student.device)
    counts = torch.from_numpy(np.stack(fixations)).to(student.device)
    found = fit_head(
        student.readout,
        selected,
        targets,
        counts,
        steps=steps,
        kld_weight=kld_weight,
        nss_weight=nss_weight,
    )
    student.refitted = True
    return found
