from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attnlabels.interpretation.frozen import Frozen, open_classifier, untrained_twin
from attnlabels.interpretation.smoothgrad import Manner
from painted import write_classifier

CLASSES = 4
PLAIN = Manner(level=0.0, order="absolute_first", channels="max", chunk=1)
NOISY = PLAIN._replace(level=0.2, chunk=4)


def written(folder: Path, **encoder: Any) -> Path:
    return write_classifier(folder / "network.safetensors", n_classes=CLASSES, **encoder)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


def pixels(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("attention", ["gala", "se", "side_head", "features"])
def test_what_is_seen_is_what_the_network_makes(tmp_path, images, attention) -> None:
    frozen = open_classifier(written(tmp_path, unit_attention=attention), n_classes=CLASSES)
    assert frozen.attention == attention and not frozen.network.training
    seen = frozen.see(images)
    with torch.no_grad():
        stages = frozen.network.encoder(pixels(images))
        outputs = frozen.network(pixels(images), pixels(images), joint=False, stop_gradient=True)
    np.testing.assert_allclose(seen.logits, outputs.logits[:, 0], atol=1e-5)
    np.testing.assert_allclose(seen.attention, stages.attended, atol=1e-5)
    assert seen.attention.shape[:2] == (5, 2) and (seen.attention >= 0).all()


@pytest.mark.parametrize("said", [{}, {"unit_attention": None}])
def test_without_attention_the_norm_of_features_is_seen(tmp_path, images, said) -> None:
    path = written(tmp_path, **said)
    frozen = open_classifier(path, n_classes=CLASSES)
    assert frozen.attention == "features"
    seen = frozen.see(images)
    encoder = frozen.network.encoder
    with torch.no_grad():
        x = encoder.relu(encoder.bn1(encoder.conv1(pixels(images))))
        x = encoder.layer3[0](encoder.layer2(encoder.layer1(x)))
        last = encoder.layer3[1].dense(x).norm(dim=1)
    np.testing.assert_allclose(seen.attention[:, -1], last, atol=1e-5)


def test_the_gradient_is_that_of_the_class_asked_for(tmp_path, images) -> None:
    frozen = open_classifier(written(tmp_path, unit_attention="gala"), n_classes=CLASSES)
    classes = np.array([0, 3, 1, 2, 2])
    found = gradients(frozen, images, classes, PLAIN, count=1)
    for image, label, map in zip(pixels(images), classes, found):
        x = image[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(frozen.logits_of(x)[0, label], x)
        np.testing.assert_allclose(map, gradient[0].abs().amax(dim=0), rtol=1e-4, atol=1e-7)


def gradients(
    frozen: Frozen, images: np.ndarray, classes: np.ndarray, manner: Manner, **more: Any
) -> np.ndarray:
    said = {"count": 5, "seed": 0, "first": 0} | more
    return frozen.gradients(images, classes, manner=manner, **said)


def test_the_size_of_a_batch_changes_rounding_alone_and_the_seed_the_noise(
    tmp_path, images
) -> None:
    frozen, classes = open_classifier(written(tmp_path), n_classes=CLASSES), np.arange(5) % 4
    found = gradients(frozen, images, classes, NOISY)
    parts = [
        gradients(frozen, images[i : i + 2], classes[i : i + 2], NOISY, first=i) for i in (0, 2, 4)
    ]
    by_two = np.concatenate(parts)
    np.testing.assert_allclose(by_two, found, rtol=1e-3, atol=1e-5 * found.max())
    assert not np.allclose(gradients(frozen, images, classes, NOISY, seed=1), found, rtol=0.01)


def test_the_twin_is_of_one_shape_other_weights_and_its_seed(tmp_path, images) -> None:
    frozen = open_classifier(written(tmp_path, unit_attention="gala"), n_classes=CLASSES)
    state = torch.random.get_rng_state()
    twins = [untrained_twin(frozen, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(state, torch.random.get_rng_state())
    seen = [each.see(images) for each in (frozen, *twins)]
    assert seen[0].attention.shape == seen[1].attention.shape
    assert (seen[1].attention == seen[2].attention).all()
    assert not np.allclose(seen[1].attention, seen[3].attention, rtol=0.01)
    assert twins[0].attention == "gala" and not twins[0].network.training


def test_images_of_another_size_are_refused(tmp_path, images) -> None:
    frozen = open_classifier(written(tmp_path), n_classes=CLASSES)
    with pytest.raises(ValueError, match="images of 16 x 16; the network learnt from 32 x 32"):
        frozen.see(images[:, :16, :16])


def test_a_network_of_other_classes_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="probe.* has another shape"):
        open_classifier(written(tmp_path), n_classes=CLASSES + 1)
