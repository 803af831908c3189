import copy

import pytest
import torch
from torch import nn

from attnlabels.models.encoder import Encoder
from attnlabels.models.folding import fold_batch_norm


def trained(backbone: str, stem: str) -> Encoder:
    """An encoder in evaluation whose BN layers do something."""
    torch.manual_seed(0)
    encoder = Encoder(backbone, width=8, stem=stem, taps="units", zero_init=False)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias, 0.0, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return encoder.eval()


@pytest.mark.parametrize("stem", ["imagenet", "small", "cifar"])
@pytest.mark.parametrize("backbone", ["resnet10", "resnet18", "resnet50"])
@torch.no_grad()
def test_a_folded_encoder_gives_the_same_maps(backbone, stem):
    encoder = trained(backbone, stem).double()
    folded = copy.deepcopy(encoder)
    fold_batch_norm(folded)
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    for found, expected in zip(folded(images), encoder(images), strict=True):
        torch.testing.assert_close(found, expected)


def test_no_batch_norm_is_left_and_every_convolution_has_a_bias():
    encoder = trained("resnet50", "imagenet")
    fold_batch_norm(encoder)
    modules = list(encoder.modules())
    assert not any(isinstance(each, nn.BatchNorm2d) for each in modules)
    assert all(each.bias is not None for each in modules if isinstance(each, nn.Conv2d))


def test_a_network_in_training_is_refused():
    with pytest.raises(ValueError, match="call eval"):
        fold_batch_norm(trained("resnet10", "small").train())


def test_a_norm_that_follows_no_convolution_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    with pytest.raises(ValueError, match="2 of Sequential follows no convolution"):
        fold_batch_norm(network)
