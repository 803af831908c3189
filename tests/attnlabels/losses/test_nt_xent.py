import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from attnlabels.losses.nt_xent import nt_xent


def views(n: int, d: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    z0, z1 = torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed)).double()
    return z0, z1


def by_the_paper(z0: torch.Tensor, z1: torch.Tensor, temperature: float) -> float:
    """Equation 1 of SimCLR in loops over all 2n views, summed over both directions."""
    z = [v / np.linalg.norm(v) for v in (*z0.numpy(), *z1.numpy())]
    n = len(z0)
    losses = []
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        similar = [math.exp(float(z[i] @ z[j]) / temperature) for j in range(2 * n)]
        others = sum(similar[j] for j in range(2 * n) if j != i)
        losses.append(-math.log(similar[partner] / others))
    return 2 * sum(losses) / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_equals_the_papers_loops(n: int, temperature: float) -> None:
    z0, z1 = views(n, 5)
    expected = by_the_paper(z0, z1, temperature)
    assert nt_xent(z0, z1, temperature=temperature).item() == pytest.approx(expected, rel=1e-12)


def test_equals_the_reference_codes_masked_logits() -> None:
    z0, z1 = views(6, 8)
    a, b = F.normalize(z0, dim=1), F.normalize(z1, dim=1)
    large = 1e9 * torch.eye(6)
    logits_a = torch.cat([a @ b.T / 0.1, a @ a.T / 0.1 - large], dim=1)
    logits_b = torch.cat([b @ a.T / 0.1, b @ b.T / 0.1 - large], dim=1)
    rows = torch.arange(6)
    expected = -(logits_a.log_softmax(1)[rows, rows] + logits_b.log_softmax(1)[rows, rows]).mean()
    torch.testing.assert_close(nt_xent(z0, z1, temperature=0.1), expected)


@pytest.mark.parametrize("n", [2, 16, 2048])
def test_equal_embeddings_give_the_log_of_the_candidates_in_each_direction(n: int) -> None:
    z = torch.ones(n, 3)
    loss = nt_xent(z, z, temperature=0.1).item()
    assert loss == pytest.approx(2 * math.log(2 * n - 1), rel=1e-6)


def test_random_embeddings_of_many_dimensions_start_near_chance() -> None:
    z0, z1 = views(256, 4096)
    assert nt_xent(z0, z1, temperature=1.0).item() == pytest.approx(2 * math.log(511), rel=1e-2)


def test_perfect_views_reach_the_closed_form() -> None:
    n, temperature = 4, 0.1
    z = torch.eye(n)  # own view at similarity 1, the 2n - 2 other views at 0
    expected = 2 * math.log1p((2 * n - 2) * math.exp(-1 / temperature))
    assert nt_xent(z, z, temperature=temperature).item() == pytest.approx(expected, rel=1e-3)


def test_swapping_views_changes_nothing() -> None:
    z0, z1 = views(9, 4)
    torch.testing.assert_close(nt_xent(z0, z1, temperature=0.2), nt_xent(z1, z0, temperature=0.2))


def test_permuting_the_batch_changes_nothing() -> None:
    z0, z1 = views(9, 4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    permuted = nt_xent(z0[order], z1[order], temperature=0.2)
    torch.testing.assert_close(nt_xent(z0, z1, temperature=0.2), permuted)


def test_permuting_one_view_costs() -> None:
    z, _ = views(9, 4)
    assert nt_xent(z, z, temperature=0.2) < nt_xent(z, z.roll(1, 0), temperature=0.2)


def test_length_of_embeddings_does_not_matter() -> None:
    z0, z1 = views(5, 4)
    lengths = torch.linspace(0.1, 9, 5)[:, None].double()
    torch.testing.assert_close(
        nt_xent(z0, z1, temperature=0.2), nt_xent(lengths * z0, 3 * z1, temperature=0.2)
    )


def test_gradient_is_exact() -> None:
    z0, z1 = (z.requires_grad_() for z in views(4, 3))
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, temperature=0.3), (z0, z1))


def test_autocast_leaves_the_loss_in_single_precision() -> None:
    expected = by_the_paper(*views(8, 16), 0.1)
    z0, z1 = (z.float() for z in views(8, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nt_xent(z0, z1, temperature=0.1)
        of_halves = nt_xent(z0.bfloat16(), z1.bfloat16(), temperature=0.1)
    assert loss.dtype == of_halves.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert of_halves.item() == pytest.approx(expected, rel=2e-2)
