"""Small networks through a bottleneck, untrained, and images for them."""

from pathlib import Path
from typing import Any

import torch

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
