import pytest
import torch

from attnlabels.losses.redundancy import EPS, barlow_twins, vicreg

PAPER = {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}


def views(n=7, d=5, *, seed=0, dtype=torch.float64):
    """Two views that agree in part, of dimensions that differ in mean and scale."""
    generator = torch.Generator().manual_seed(seed)
    shared, *own = torch.randn(3, n, d, generator=generator, dtype=torch.float64)
    scale, shift = torch.linspace(0.3, 2, d), torch.linspace(-3, 1, d)
    return [((shared + 0.5 * each) * scale + shift).to(dtype).requires_grad_() for each in own]


def naive_barlow_twins(z0, z1, *, off_diagonal):
    """The paper's pseudo-code, an entry of the matrix at a time."""
    n, d = z0.shape

    def normalised(z):
        return [
            (z[:, i] - z[:, i].mean()) / (z[:, i].var(correction=0) + 1e-5).sqrt() for i in range(d)
        ]

    a, b = normalised(z0), normalised(z1)
    loss = torch.zeros((), dtype=z0.dtype)
    for i in range(d):
        for j in range(d):
            c = sum(a[i][k] * b[j][k] for k in range(n)) / n
            loss = loss + ((1 - c) ** 2 if i == j else off_diagonal * c**2)
    return loss


def naive_vicreg(z0, z1, *, invariance, variance, covariance):
    """The paper's equations 1 to 6, with its code's halves of the variance term."""
    n, d = z0.shape
    s = sum(((z0[k] - z1[k]) ** 2).sum() for k in range(n)) / (n * d)
    v = c = torch.zeros((), dtype=z0.dtype)
    for z in (z0, z1):
        centred = [z[k] - z.mean(dim=0) for k in range(n)]
        matrix = sum(torch.outer(each, each) for each in centred) / (n - 1)
        for i in range(d):
            v = v + torch.clamp(1 - torch.sqrt(matrix[i, i] + EPS), min=0) / d / 2
            for j in range(d):
                c = c + (matrix[i, j] ** 2 / d if i != j else 0)
    return invariance * s + variance * v + covariance * c


CASES = [
    pytest.param(barlow_twins, naive_barlow_twins, {"off_diagonal": 0.005}, id="Barlow Twins"),
    pytest.param(barlow_twins, naive_barlow_twins, {"off_diagonal": 0.5}, id="heavy off-diagonal"),
    pytest.param(vicreg, naive_vicreg, PAPER, id="VICReg"),
    *(
        pytest.param(vicreg, naive_vicreg, {**dict.fromkeys(PAPER, 0.0), name: 1.0}, id=name)
        for name in PAPER
    ),
]
each_loss = pytest.mark.parametrize(("loss", "naive", "weights"), CASES)


@each_loss
@pytest.mark.parametrize("shape", [(7, 5), (4, 9), (2, 3)], ids=str)
def test_value_and_gradients_are_those_of_the_formula_written_out(loss, naive, weights, shape):
    ours, theirs = views(*shape), views(*shape)
    found, expected = loss(*ours, **weights), naive(*theirs, **weights)
    torch.testing.assert_close(found, expected)
    given = torch.autograd.grad(found, ours)
    for one, other in zip(given, torch.autograd.grad(expected, theirs)):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10)


@each_loss
def test_exchanging_the_views_or_the_order_of_images_changes_nothing(loss, naive, weights):
    z0, z1 = views()
    value = loss(z0, z1, **weights)
    torch.testing.assert_close(loss(z1, z0, **weights), value)
    order = torch.randperm(len(z0), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(loss(z0[order], z1[order], **weights), value)


def test_equal_views_of_independent_dimensions_cost_nothing():
    z = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    assert barlow_twins(z, z, off_diagonal=1.0).item() == pytest.approx(0, abs=1e-8)
    assert vicreg(z, z, **PAPER).item() == pytest.approx(0, abs=1e-12)


def test_barlow_twins_does_not_feel_scale_and_shift_and_vicreg_does():
    z0, z1 = views()
    moved = 3 * z0 + 7, 0.5 * z1 - 2
    same = barlow_twins(*moved, off_diagonal=0.1)
    torch.testing.assert_close(same, barlow_twins(z0, z1, off_diagonal=0.1), rtol=1e-3, atol=0)
    assert vicreg(*moved, **PAPER).item() != pytest.approx(vicreg(z0, z1, **PAPER).item(), rel=0.1)


def test_a_collapse_costs_as_much_as_it_can():
    point = torch.ones(6, 4, dtype=torch.float64, requires_grad=True)
    assert barlow_twins(point, point, off_diagonal=1.0).item() == pytest.approx(4)
    loss = vicreg(point, point, **PAPER)
    assert loss.item() == pytest.approx(25 * (1 - EPS**0.5))
    loss.backward()
    assert point.grad.isfinite().all()


@each_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_reckoned_in_single(loss, naive, weights, dtype):
    halves = views(dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(*halves, **weights)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(*(z.float() for z in halves), **weights))


@each_loss
def test_one_image_has_no_statistics(loss, naive, weights):
    with pytest.raises(ValueError, match="needs statistics of a batch, and this one has 1 image"):
        loss(*views(1), **weights)
