import numpy as np
import pytest
import torch

from attnlabels.bottleneck.frozen import Frozen, open_network
from attnlabels.losses.bottleneck import divergence
from bottlenecks import SIZE, config_of, network_of, write_network

IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)


def test_a_network_is_opened_as_it_was_written(tmp_path):
    frozen = open_network(write_network(tmp_path / "n.safetensors"), n_classes=3)
    again = Frozen(network_of(), config_of()).see(IMAGES)
    for found, expected in zip(frozen.see(IMAGES), again):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="probe.bias has another shape"):
        open_network(tmp_path / "n.safetensors", n_classes=4)


def test_bits_and_noise_are_those_of_what_is_drawn():
    frozen = Frozen(network_of(), config_of())
    seen = frozen.see(IMAGES)
    passed = frozen.network.encoder.look(frozen._pixels(IMAGES))
    bits = divergence(passed.code_mean, passed.code_deviation).sum(dim=-1).mean(dim=1)
    np.testing.assert_allclose(seen.code_bits, bits, rtol=1e-5)
    np.testing.assert_allclose(seen.mask_noise, passed.mask.deviation.mean(dim=(1, 2)), rtol=1e-5)
    assert seen.masks.shape == (4, 8, 8) and seen.code.shape == (4, 5)
    assert seen.features.shape == (4, 32) and seen.anchored.shape[1:] == (0, 0, 0)


def test_what_a_network_has_not_is_empty():
    seen = Frozen(network_of(mask=None, noisy=False), config_of(mask=None, noisy=False)).see(IMAGES)
    for name in ("masks", "code_bits", "code_noise", "mask_bits", "mask_noise", "anchored"):
        assert getattr(seen, name).size == 0, name


def test_a_gradient_is_the_slope_of_the_chosen_logit():
    frozen = Frozen(network_of(), config_of())
    classes = np.array([0, 1, 2, 0])
    found = frozen.gradients(IMAGES, classes)
    pixels = frozen._pixels(IMAGES[2:3]).requires_grad_()
    logit = frozen.network.probe(frozen.network.encoder.look(pixels).decoded)[0, 2]
    (expected,) = torch.autograd.grad(logit, pixels)
    np.testing.assert_allclose(found[2], expected.abs().amax(dim=1)[0], rtol=1e-3, atol=1e-5)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="images of 16 x 16; the network learnt from 32 x 32"):
        Frozen(network_of(), config_of()).see(IMAGES[:, :16, :16])
