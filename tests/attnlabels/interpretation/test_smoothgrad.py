from typing import Any, get_args

import pytest
import torch
from captum.attr import NoiseTunnel, Saliency
from torch import Tensor, nn

from attnlabels.interpretation.smoothgrad import Channels, Manner, draw_noise, smoothgrad

ABSOLUTE = Manner(level=0.15, order="absolute_first", channels="mean", chunk=4)
SIGNED = ABSOLUTE._replace(order="signed", channels="signed_mean")


@pytest.fixture
def network() -> nn.Module:
    """Curved, so that its gradient depends on where it is taken."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.Softplus(), nn.Conv2d(8, 8, 3), nn.Tanh()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)).eval()


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(1)
    spread = torch.tensor([1.0, 0.3, 0.05]).view(-1, 1, 1, 1)
    return torch.rand(3, 3, 9, 11) * spread


CLASSES = torch.tensor([2, 0, 3])


def by_hand(network: nn.Module, image: Tensor, label: int) -> Tensor:
    x = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(x[None])[0, label], x)
    return gradient


def naive(network: nn.Module, images: Tensor, noise: Tensor, manner: Manner) -> Tensor:
    maps = []
    for i, image in enumerate(images):
        sigma = manner.level * (image.max() - image.min())
        gradients = [by_hand(network, image + sigma * e[i], int(CLASSES[i])) for e in noise]
        if manner.order == "absolute_first":
            gradients = [each.abs() for each in gradients]
        mean = torch.stack(gradients).mean(dim=0)
        match manner.channels:
            case "max":
                maps.append(mean.abs().max(dim=0).values)
            case "mean":
                maps.append(mean.abs().sum(dim=0) / 3)
            case "l2":
                maps.append((mean**2).sum(dim=0).sqrt())
            case "signed_mean":
                maps.append(mean.sum(dim=0) / 3)
    return torch.stack(maps)


@pytest.mark.parametrize(
    ("order", "channels"),
    [(o, c) for o in ("absolute_first", "mean_first") for c in ("max", "mean", "l2")]
    + [("signed", "signed_mean")],
)
def test_it_is_the_mean_of_gradients_one_by_one(network, images, order, channels) -> None:
    manner = Manner(level=0.2, order=order, channels=channels, chunk=3)
    noise = torch.randn(7, *images.shape)
    found = smoothgrad(network, images, CLASSES, noise, manner)
    torch.testing.assert_close(found, naive(network, images, noise, manner), atol=1e-6, rtol=1e-5)


def captum(network: nn.Module, images: Tensor, *, absolute: bool, count: int) -> Tensor:
    """SmoothGrad of captum under the seed 5, its colours averaged; its noise is absolute."""
    sigma = 0.15 * (images.amax((1, 2, 3)) - images.amin((1, 2, 3)))
    rows = []
    torch.manual_seed(5)
    for i, image in enumerate(images):  # of which captum takes one deviation
        found = NoiseTunnel(Saliency(network)).attribute(
            image[None],
            nt_type="smoothgrad",
            nt_samples=count,
            stdevs=float(sigma[i]),
            target=int(CLASSES[i]),
            abs=absolute,
        )
        rows.append(found[0].mean(dim=0))
    return torch.stack(rows)


@pytest.mark.parametrize("absolute", [True, False])
def test_it_is_captums_where_the_noise_is_given(network, images, absolute) -> None:
    expected = captum(network, images, absolute=absolute, count=20)
    torch.manual_seed(5)
    noise = torch.stack([torch.normal(0.0, torch.ones(20, *e.shape)) for e in images], dim=1)
    manner = ABSOLUTE if absolute else SIGNED
    found = smoothgrad(network, images, CLASSES, noise, manner)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_without_noise_it_is_the_gradient(network, images) -> None:
    plain = ABSOLUTE._replace(level=0.0, channels="max")
    found = smoothgrad(network, images, CLASSES, torch.randn(1, *images.shape), plain)
    expected = [by_hand(network, e, int(k)).abs().amax(0) for e, k in zip(images, CLASSES)]
    torch.testing.assert_close(found, torch.stack(expected))


def test_of_a_linear_function_noise_changes_nothing(images) -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 9 * 11, 4))
    noise = torch.randn(5, *images.shape)
    found = smoothgrad(linear, images, CLASSES, noise, SIGNED)
    weights = linear[1].weight[CLASSES].view_as(images)
    torch.testing.assert_close(found, weights.mean(dim=1))


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_how_many_pass_at_once_changes_rounding_alone(network, images, chunk) -> None:
    noise = torch.randn(8, *images.shape)
    expected = smoothgrad(network, images, CLASSES, noise, ABSOLUTE)
    found = smoothgrad(network, images, CLASSES, noise, ABSOLUTE._replace(chunk=chunk))
    torch.testing.assert_close(found, expected)


def test_an_images_noise_is_its_own_whatever_the_batch(images) -> None:
    whole = torch.stack([*draw_noise(images, count=4, first=10, seed=3)])
    parts = [
        torch.stack([*draw_noise(images[i : i + 1], count=4, first=10 + i, seed=3)])
        for i in range(3)
    ]
    assert torch.equal(whole, torch.cat(parts, dim=1))
    assert whole.unique().numel() > 0.99 * whole.numel()
    assert not torch.equal(whole, torch.stack([*draw_noise(images, count=4, first=10, seed=4)]))
    assert whole.std() == pytest.approx(1, abs=0.05)


def test_nothing_is_left_on_the_networks_weights(network, images) -> None:
    smoothgrad(network, images, CLASSES, torch.randn(2, *images.shape), ABSOLUTE)
    assert all(each.grad is None for each in network.parameters())


@pytest.mark.parametrize("channels", get_args(Channels))
def test_a_sign_that_one_step_keeps_and_the_other_drops_is_refused(images, channels) -> None:
    wrong: Any = "mean_first" if channels == "signed_mean" else "signed"
    manner = ABSOLUTE._replace(order=wrong, channels=channels)
    with pytest.raises(ValueError, match="only signed and signed_mean go together"):
        smoothgrad(nn.Flatten(), images, CLASSES, torch.randn(1, *images.shape), manner)


def test_without_copies_there_is_no_gradient(images) -> None:
    with pytest.raises(ValueError, match="no noise"):
        smoothgrad(nn.Flatten(), images, CLASSES, [], ABSOLUTE)
