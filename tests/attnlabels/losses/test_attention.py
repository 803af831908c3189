import math

import pytest
import torch
from torchmetrics.functional import kl_divergence

from attnlabels.losses.attention import kld, nss


def one_map(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.float32)


def random_maps(n: int, h: int, w: int, *, seed: int) -> torch.Tensor:
    return torch.rand(n, h, w, generator=torch.Generator().manual_seed(seed))


def counts(n: int, h: int, w: int, *points: tuple[int, int, int]) -> torch.Tensor:
    drawn = torch.zeros(n, h, w)
    for image, row, col in points:
        drawn[image, row, col] += 1
    return drawn


# --- KL divergence


def test_kld_worked_by_hand() -> None:
    prediction, target = one_map([[1, 1], [1, 1]]), one_map([[2, 2], [0, 0]])
    # target (1/2, 1/2, 0, 0) against 1/4 each: 2 * 1/2 * log(1/2 / (1/4)) = log 2
    assert kld(prediction, target).item() == pytest.approx(math.log(2), abs=1e-5)


def test_kld_weighs_by_the_target() -> None:
    narrow, wide = one_map([[1, 0], [0, 0]]), one_map([[1, 1], [1, 1]])
    # narrow target: log 4; narrow prediction: three quarters fall where it is 0, about log 1/eps
    assert kld(wide, narrow).item() == pytest.approx(math.log(4), abs=1e-5)
    assert kld(narrow, wide).item() > 8


def test_kld_of_a_map_with_itself_is_zero() -> None:
    m = random_maps(3, 5, 6, seed=0)
    torch.testing.assert_close(kld(m, m), torch.zeros(3), atol=1e-5, rtol=0)


def test_kld_equals_torchmetrics_on_each_image() -> None:
    p, t = random_maps(4, 7, 5, seed=0), random_maps(4, 7, 5, seed=1)
    for i, value in enumerate(kld(p, t)):
        # torchmetrics weighs by its first argument
        expected = kl_divergence(t[i].reshape(1, -1), p[i].reshape(1, -1))
        torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4)


def test_kld_does_not_depend_on_the_scale_of_either_map() -> None:
    p, t = random_maps(4, 7, 5, seed=0), random_maps(4, 7, 5, seed=1)
    torch.testing.assert_close(kld(p, t), kld(5 * p, 65535 * t))


@pytest.mark.parametrize("value", [0.0, 1e-6, 1.0, 1e4])
def test_constant_prediction_has_finite_kld_and_gradient(value: float) -> None:
    p = torch.full((1, 4, 4), value, requires_grad=True)
    loss = kld(p, random_maps(1, 4, 4, seed=0)).sum()
    loss.backward()
    assert loss.isfinite() and p.grad is not None and p.grad.isfinite().all()


def test_constant_prediction_scores_like_the_uniform_map() -> None:
    t = random_maps(1, 4, 4, seed=0)
    shares = (t / t.sum()).flatten()
    expected = math.log(16) + (shares * shares.log()).sum()
    assert kld(torch.ones(1, 4, 4), t).item() == pytest.approx(expected.item(), abs=1e-5)


def test_kld_gradient_is_exact() -> None:
    p, t = random_maps(2, 3, 3, seed=0).double(), random_maps(2, 3, 3, seed=1).double()
    assert torch.autograd.gradcheck(lambda m: kld(m, t), p.requires_grad_())


# --- NSS


def test_nss_worked_by_hand() -> None:
    prediction = one_map([[0, 0], [0, 4]])  # mean 1, variance (1 + 1 + 1 + 9) / 4 = 3
    at_the_peak, beside, three = (
        counts(1, 2, 2, (0, 1, 1)),
        counts(1, 2, 2, (0, 0, 0)),
        counts(1, 2, 2, (0, 1, 1), (0, 1, 1), (0, 0, 1)),
    )
    root = math.sqrt(3)
    assert nss(prediction, at_the_peak).item() == pytest.approx(3 / root)
    assert nss(prediction, beside).item() == pytest.approx(-1 / root)
    assert nss(prediction, three).item() == pytest.approx((3 + 3 - 1) / 3 / root)


def test_nss_takes_the_population_deviation() -> None:
    m = random_maps(1, 3, 3, seed=0)
    z = (m - m.mean()) / m.std(correction=0)
    score = nss(m, counts(1, 3, 3, (0, 2, 1)))
    assert score.item() == pytest.approx(z[0, 2, 1].item(), rel=1e-5)


def test_nss_ignores_shift_and_scale() -> None:
    m, at = random_maps(3, 6, 5, seed=0), counts(3, 6, 5, (0, 1, 1), (1, 5, 4), (2, 0, 0))
    for moved in (1e-6 * m, 1e6 * m, m - 3):
        torch.testing.assert_close(nss(moved, at), nss(m, at), rtol=1e-4, atol=1e-4)


def test_each_image_is_scored_alone() -> None:
    m, at = random_maps(3, 6, 5, seed=0), counts(3, 6, 5, (0, 1, 1), (0, 2, 2), (2, 0, 0))
    alone = torch.cat([nss(m[i : i + 1], at[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(nss(m, at), alone)


def test_image_without_fixations_scores_zero_without_gradient() -> None:
    m = random_maps(2, 4, 4, seed=0).requires_grad_()
    score = nss(m, counts(2, 4, 4, (1, 0, 0)))
    score.sum().backward()
    assert m.grad is not None
    assert score[0] == 0 and m.grad[0].eq(0).all()
    assert score[1] != 0 and m.grad[1].ne(0).any()


@pytest.mark.parametrize("value", [0.0, 1 / 3136, 0.1, 7.3e5, -2.7])
def test_constant_prediction_scores_zero_with_zero_gradient(value: float) -> None:
    m = torch.full((1, 56, 56), value, requires_grad=True)
    score = nss(m, counts(1, 56, 56, (0, 3, 4), (0, 55, 55)))
    score.sum().backward()
    assert m.grad is not None
    assert score.item() == 0 and m.grad.eq(0).all()


def test_constant_map_beside_another_harms_neither() -> None:
    m = torch.stack([torch.full((4, 4), 0.3), random_maps(1, 4, 4, seed=0)[0]]).requires_grad_()
    score = nss(m, counts(2, 4, 4, (0, 1, 1), (1, 1, 1)))
    score.sum().backward()
    assert m.grad is not None and m.grad.isfinite().all()
    assert score[0] == 0 and score[1] != 0


def test_nss_gradient_is_exact() -> None:
    m, at = random_maps(2, 3, 4, seed=0).double(), counts(2, 3, 4, (0, 1, 1), (1, 2, 3), (1, 0, 0))
    assert torch.autograd.gradcheck(lambda p: nss(p, at), m.requires_grad_())


def test_nss_of_softmax_gives_gradient_at_every_size_of_map() -> None:
    readout = (1e-2 * random_maps(1, 224, 224, seed=0)).requires_grad_()
    m = readout.flatten(1).softmax(dim=1).view(1, 224, 224)  # values of 2e-5, range 2e-7
    z = (readout - readout.mean()) / readout.std(correction=0)
    score = nss(m, counts(1, 224, 224, (0, 100, 7)))
    score.sum().backward()
    assert score.item() == pytest.approx(z[0, 100, 7].item(), rel=1e-2)
    assert readout.grad is not None
    assert readout.grad.argmax() == 100 * 224 + 7


def test_integer_counts_serve() -> None:
    m, at = random_maps(1, 4, 4, seed=0), counts(1, 4, 4, (0, 1, 2), (0, 1, 2))
    assert torch.equal(nss(m, at), nss(m, at.to(torch.int64)))


def test_both_stay_in_single_precision_under_autocast() -> None:
    p, t, at = random_maps(2, 8, 8, seed=0), random_maps(2, 8, 8, seed=1), torch.ones(2, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(kld(p, t), kld(p.clone(), t)) and kld(p, t).dtype == torch.float32
        of_halves = kld(p.bfloat16(), t), nss(p.bfloat16(), at)
    assert all(value.dtype == torch.float32 for value in of_halves)
    torch.testing.assert_close(of_halves[0], kld(p, t), rtol=2e-2, atol=2e-3)
