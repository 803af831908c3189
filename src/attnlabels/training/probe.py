"""The concurrent probe's score: top-1 accuracy on images that are not trained on (A13, §4.1)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from tqdm import tqdm

from attnlabels.images.folder import Manifest, read_manifest
from attnlabels.models.encoder import features
from attnlabels.processes.loading import as_input, load
from attnlabels.processes.world import World
from attnlabels.shards.labelled_squares import Listed, Sampled, Squares
from attnlabels.shards.shards import Shards

BATCH_SIZE = 256  # images; changes no score


def divide(
    samples: Shards, images: Path, manifest: Path, *, development: float, size: int, crop: float
) -> tuple[Int[np.ndarray, "n"], Squares]:
    """The numbers of the samples to train on, and the images that the probe is scored on.

    These are the validation `images` that `manifest` lists or, while something is chosen, a share
    `development` of the samples. Raises ValueError unless both are of the same classes, and where
    either would be empty.
    """
    listed = read_manifest(manifest)
    require_same_classes(samples, listed, manifest=manifest)
    chosen, held_out = hold_out(len(samples), development)
    if development and not (len(chosen) and len(held_out)):
        raise ValueError(
            f"development = {development} holds {len(held_out)} of {len(samples)} images out, "
            "which leaves none to train on or none to score; change it in params.yaml"
        )
    if development:  # the validation images are not looked at while something is chosen
        scored, labels = Sampled(samples, held_out), samples.labels[held_out]
        return chosen, Squares(scored, labels, size=size, crop=crop)
    return chosen, Squares(Listed(images, listed), listed.labels, size=size, crop=crop)


def require_same_classes(samples: Shards, listed: Manifest, *, manifest: Path) -> None:
    """Raises ValueError unless the labelled and the listed images are of the same classes."""
    if listed.classes != samples.classes:
        raise ValueError(
            f"{manifest} lists {len(listed.classes)} classes and {samples.folder} labels "
            f"{len(samples.classes)}, or others; the probe needs the same class folders in both"
        )


def hold_out(n: int, share: float) -> tuple[Int[np.ndarray, "a"], Int[np.ndarray, "b"]]:
    """The numbers below `n` to train on, in order, and those held out for choosing (§4.1).

    They are the same for every run and seed, so that choices are made on the same images.
    """
    order = np.random.default_rng(0).permutation(n)
    n_held = round(share * n)
    return np.sort(order[n_held:]), np.sort(order[:n_held])


@torch.no_grad()
def score_probe(network: Any, squares: Squares, *, workers: int, world: World) -> float:
    """Top-1 accuracy of `network.probe` on its encoder's features, shared among the processes."""
    network.eval()
    n = len(squares)
    own = range(world.rank, n, world.size)
    loaded = load(squares, workers=workers, batch_size=BATCH_SIZE, sampler=own)
    hits, seen = 0, 0
    quiet = None if world.first else True
    for images, labels in tqdm(loaded, "probe", -(-len(own) // BATCH_SIZE), disable=quiet):
        logits = network.probe(features(network.encoder(as_input(images.to(world.device)))))
        hits += int((logits.argmax(dim=1).cpu() == labels).sum())
        seen += len(labels)
    assert world.total(seen) == n  # each image once
    return world.total(hits) / n
