import pytest
import torch
from torch.distributions import Normal, kl_divergence

from attnlabels.losses.bottleneck import BIT, distance, divergence, divergence_repository

STANDARD = Normal(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))


def numbers(seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(5, 7, generator=generator).double()
    return mean, torch.rand(5, 7, generator=generator).double() + 0.01


def test_it_is_the_divergence_by_the_deviation_that_is_drawn_by():
    mean, deviation = numbers()
    expected = kl_divergence(Normal(mean, deviation), STANDARD)
    torch.testing.assert_close(divergence(mean, deviation) * BIT, expected)
    zero, one = torch.zeros(1), torch.ones(1)
    assert divergence(zero, one).item() == 0  # what is drawn from the prior tells nothing


def test_the_public_codes_is_by_another():
    mean, deviation = numbers()
    expected = kl_divergence(Normal(mean, deviation.exp()), STANDARD)
    torch.testing.assert_close(divergence_repository(mean, deviation) * BIT, expected)


@pytest.mark.parametrize("s", [1e-2, 0.3, 1.0, 2.0])
def test_the_slope_by_the_deviation_rewards_noise_and_in_the_public_code_its_absence(s):
    for form, slope in (
        (divergence, s - 1 / s),
        (divergence_repository, torch.tensor(2 * s).exp().item() - 1),
    ):
        deviation = torch.tensor([s], dtype=torch.float64, requires_grad=True)
        (form(torch.zeros(1).double(), deviation) * BIT).sum().backward()
        assert deviation.grad.item() == pytest.approx(slope, rel=1e-5, abs=1e-12)


def test_a_distance_moves_the_first_alone():
    one, other = (torch.rand(3, 4, requires_grad=True) for _ in range(2))
    found = distance(one, other)
    assert found.item() == pytest.approx(((one - other) ** 2).mean().item())
    found.backward()
    assert other.grad is None
    torch.testing.assert_close(one.grad, 2 * (one - other).detach() / one.numel())
