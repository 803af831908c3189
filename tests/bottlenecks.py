"""Small networks through a bottleneck, untrained, images for them, and a set of other ones."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import savemat

from attnlabels.bottleneck.networks import BottleneckClassifier, build_network
from attnlabels.models.files import write_weights

SIZE = 32
ENCODER: dict[str, Any] = {
    "backbone": "resnet10",
    "width": 4,
    "stem": "small",
    "zero_init": False,
    "stage": 2,
    "mask": "learnt",
    "mask_options": {},
    "noisy": True,
    "anchors": None,
    "code": 5,
    "decoder_layers": 2,
    "samples": 1,
    "test_samples": 2,
}
TRANSFER: dict[str, Any] = {
    "set": "digits",
    "layout": "svhn",
    "l2_times_n": [10.0, 1.0],
    "development": 0.25,
    "tolerance": 1e-3,
    "maximum_iterations": 1000,
    "seed": 0,
}
NO_HEAD = {"source": "none", "select": "local_mean_max", "output": "softplus", "size": 6}


def config_of(**encoder: Any) -> dict[str, Any]:
    return {
        "encoder": ENCODER | encoder,
        "attention": NO_HEAD,
        "image_size": SIZE,
        "clean_crop": 1.0,
        "eval_crop": 1.0,
    }


def network_of(*, n_classes: int = 3, **encoder: Any) -> BottleneckClassifier:
    """With a classifier that tells classes apart, which at first it hardly does."""
    torch.manual_seed(0)
    network = build_network(config_of(**encoder), n_classes=n_classes)
    torch.nn.init.normal_(network.probe.weight)
    return network


def write_network(path: Path, *, n_classes: int = 3, **encoder: Any) -> Path:
    """Its weights as `train_bottleneck` writes them."""
    write_weights(path, network_of(n_classes=n_classes, **encoder), config_of(**encoder))
    return path


def images(n: int = 3, size: int = SIZE) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def write_digits(folder: Path) -> Path:
    """40 training and 12 test images of two colours, as SVHN has its digits."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for split, n in (("train", 40), ("test", 12)):
        labels = np.arange(n) % 2 + 1
        images = rng.integers(0, 60, (n, 32, 32, 3), np.uint8)
        images[labels == 1, ..., 0] += 150
        images[labels == 2, ..., 2] += 150
        content = {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None]}
        savemat(folder / f"{split}_32x32.mat", content)
    return folder
