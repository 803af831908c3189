import math

import pytest
import torch

from attnlabels.losses.prediction import byol, moco, simsiam


def rows(n=6, d=4, *, seed=0, dtype=torch.float64):
    """Two predictions and two targets."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(4, n, d, generator=generator, dtype=torch.float64)
    return [each.to(dtype).requires_grad_() for each in found]


def unit(row):
    return row / row.square().sum().sqrt()


def naive_simsiam(p0, p1, z0, z1):
    n = len(p0)
    pairs = ((p0, z1.detach()), (p1, z0.detach()))
    return -sum(unit(p[i]) @ unit(z[i]) for p, z in pairs for i in range(n)) / n / 2


def naive_byol(p0, p1, k0, k1):
    n, pairs = len(p0), ((p0, k1.detach()), (p1, k0.detach()))
    return sum((unit(p[i]) - unit(k[i])).square().sum() for p, k in pairs for i in range(n)) / n


def naive_moco(p0, p1, k0, k1, *, temperature):
    n, loss = len(p0), 0
    for p, k in ((p0, k1.detach()), (p1, k0.detach())):
        for i in range(n):
            likeness = [(unit(p[i]) @ unit(k[j]) / temperature).exp() for j in range(n)]
            loss = loss - 2 * temperature * (likeness[i] / sum(likeness)).log() / n
    return loss


CASES = [
    pytest.param(simsiam, naive_simsiam, {}, id="SimSiam"),
    pytest.param(byol, naive_byol, {}, id="BYOL"),
    pytest.param(moco, naive_moco, {"temperature": 0.2}, id="MoCo v3"),
    pytest.param(moco, naive_moco, {"temperature": 1.0}, id="MoCo v3, warm"),
]
each_loss = pytest.mark.parametrize(("loss", "naive", "values"), CASES)


@each_loss
@pytest.mark.parametrize("shape", [(6, 4), (3, 8), (1, 5)], ids=str)
def test_value_and_gradients_are_those_of_the_formula_written_out(loss, naive, values, shape):
    ours, theirs = rows(*shape), rows(*shape)
    found, expected = loss(*ours, **values), naive(*theirs, **values)
    torch.testing.assert_close(found, expected)
    given = torch.autograd.grad(found, ours[:2])
    for one, other in zip(given, torch.autograd.grad(expected, theirs[:2])):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10)


@each_loss
def test_no_gradient_reaches_the_targets(loss, naive, values):
    given = rows()
    loss(*given, **values).backward()
    assert [each.grad is None for each in given] == [False, False, True, True]


@each_loss
def test_exchanging_the_views_or_the_order_of_images_changes_nothing(loss, naive, values):
    p0, p1, k0, k1 = rows()
    value = loss(p0, p1, k0, k1, **values)
    torch.testing.assert_close(loss(p1, p0, k1, k0, **values), value)
    order = torch.randperm(len(p0), generator=torch.Generator().manual_seed(3))
    mixed = [each[order] for each in (p0, p1, k0, k1)]
    torch.testing.assert_close(loss(*mixed, **values), value)


@each_loss
def test_only_directions_count(loss, naive, values):
    p0, p1, k0, k1 = rows()
    scaled = 3 * p0, 0.1 * p1, 7 * k0, 2 * k1
    torch.testing.assert_close(loss(*scaled, **values), loss(p0, p1, k0, k1, **values))


def test_closed_forms():
    same = torch.ones(5, 3, dtype=torch.float64)
    four = (same, same, same, same)
    assert simsiam(*four).item() == pytest.approx(-1)
    assert byol(*four).item() == pytest.approx(0, abs=1e-12)
    assert byol(same, same, -same, -same).item() == pytest.approx(8)
    # No key is more likely than another of the 5.
    assert moco(*four, temperature=0.3).item() == pytest.approx(4 * 0.3 * math.log(5))


@each_loss
def test_half_precision_is_reckoned_in_single(loss, naive, values):
    halves = rows(dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(*halves, **values)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(*(each.float() for each in halves), **values))
