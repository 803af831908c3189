import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from attnlabels.losses import nt_xent as module
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


def in_one_matrix(z0: torch.Tensor, z1: torch.Tensor, temperature: float) -> torch.Tensor:
    """The same by torch's cross-entropy over all similarities at once."""
    z = F.normalize(torch.cat([z0, z1]), dim=1)
    partners = torch.arange(len(z)).roll(len(z0))
    similarities = (z @ z.T / temperature).fill_diagonal_(-math.inf)
    return 2 * F.cross_entropy(similarities, partners)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CPU_ROWS", 4)


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


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("temperature", [0.003, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("n", [3, 4, 5, 8, 11, 12])  # within a block, whole blocks, and a rest
def test_blocks_are_the_whole(n: int, temperature: float) -> None:
    one, other = ([z.requires_grad_() for z in views(n, 6)] for _ in range(2))
    loss, expected = nt_xent(*one, temperature=temperature), in_one_matrix(*other, temperature)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    loss.backward()
    expected.backward()
    for a, b in zip(one, other):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("small_blocks")
def test_gradient_is_exact_over_blocks() -> None:
    z0, z1 = (z.requires_grad_() for z in views(6, 3))
    assert torch.autograd.gradcheck(lambda a, b: 3 * nt_xent(a, b, temperature=0.3), (z0, z1))


@pytest.mark.parametrize("temperature", [0.005, 0.01, 0.0245, 0.0255, 0.07])
def test_single_precision_is_near_double_at_any_temperature(temperature: float) -> None:
    """Also of a view whose most similar is opposite: its exponentials are smallest of all."""
    z0, z1 = views(40, 3)
    z0[0], z1[0] = 100 * torch.eye(3)[0], -100 * torch.eye(3)[0]
    z0[1:, 0], z1[1:, 0] = 0, 0
    exact = [z.clone().requires_grad_() for z in (z0, z1)]
    single = [z.float().requires_grad_() for z in (z0, z1)]
    expected, loss = in_one_matrix(*exact, temperature), nt_xent(*single, temperature=temperature)
    expected.backward()
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for a, b in zip(single, exact):
        assert a.grad is not None and a.grad.dtype == torch.float32
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-4, atol=1e-5)


def test_opposite_embeddings_alone_do_not_underflow() -> None:
    """Each row's largest exponential is exp(-1 / temperature), its own view's."""
    z = torch.tensor([[1.0, 0.0]])
    for temperature in (0.01, 0.03):
        assert nt_xent(z, -z, temperature=temperature).item() == 0


def test_a_loss_near_zero_keeps_its_digits() -> None:
    n, temperature = 4, 0.06
    z = torch.eye(n).requires_grad_()
    expected = 2 * math.log1p((2 * n - 2) * math.exp(-1 / temperature))  # 7e-7
    assert nt_xent(z, z, temperature=temperature).item() == pytest.approx(expected, abs=2e-7)


@pytest.mark.parametrize("temperature", [0.0, -0.1, 0.002, math.nan])
def test_refuses_a_temperature_that_overflows(temperature: float) -> None:
    with pytest.raises(ValueError, match="expected a positive one of about 0.003"):
        nt_xent(*views(2, 3), temperature=temperature)


def test_can_be_differentiated_once() -> None:
    z0, z1 = (z.requires_grad_() for z in views(4, 3))
    with pytest.raises(RuntimeError, match="nt_xent can be differentiated once"):
        torch.autograd.grad(nt_xent(z0, z1, temperature=0.3), z0, create_graph=True)


def test_a_graph_kept_gives_the_same_gradient_again() -> None:
    z0, z1 = (z.requires_grad_() for z in views(4, 3))
    loss = nt_xent(z0, z1, temperature=0.3)
    one, again = (torch.autograd.grad(loss, z0, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(one, again)


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.elements = max(self.elements, out.numel())
        return out


@pytest.mark.usefixtures("small_blocks")
def test_no_tensor_holds_all_similarities() -> None:
    z0, z1 = (z.requires_grad_() for z in views(64, 3))
    with Largest() as seen:
        nt_xent(z0, z1, temperature=0.3).backward()
    assert seen.elements == 2 * 64 * 3  # the views themselves; the similarities are 16,384


def test_autocast_leaves_the_loss_in_single_precision() -> None:
    expected = by_the_paper(*views(8, 16), 0.1)
    z0, z1 = (z.float() for z in views(8, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nt_xent(z0, z1, temperature=0.1)
        of_halves = nt_xent(z0.bfloat16(), z1.bfloat16(), temperature=0.1)
    assert loss.dtype == of_halves.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert of_halves.item() == pytest.approx(expected, rel=2e-2)


def test_a_gradient_taken_within_autocast_is_in_single_precision() -> None:
    one, other = ([z.float().requires_grad_() for z in views(8, 16)] for _ in range(2))
    nt_xent(*one, temperature=0.1).backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nt_xent(*other, temperature=0.1).backward()
    for a, b in zip(one, other):
        assert a.grad is not None and b.grad is not None and torch.equal(a.grad, b.grad)
