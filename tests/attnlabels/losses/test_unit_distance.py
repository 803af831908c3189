import numpy as np
import pytest
import torch

from attnlabels.losses.attention import unit_distance


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_papers_formula() -> None:
    maps, target = draw(2, 3, 4, 5), draw(2, 4, 5, seed=1)
    expected = []
    for image, r in zip(maps.double().numpy(), target.double().numpy()):
        unit = r / np.sqrt((r**2).sum())
        expected.append(
            sum(np.sqrt(((unit - a / np.sqrt((a**2).sum())) ** 2).sum()) for a in image)
        )
    torch.testing.assert_close(unit_distance(maps, target).double(), torch.tensor(expected))


def test_scales_do_not_matter_and_it_stays_within_its_bounds() -> None:
    maps, target = draw(2, 1, 4, 4), draw(2, 8, 8, seed=1)
    found = unit_distance(maps, target)
    torch.testing.assert_close(unit_distance(7 * maps, 100 * target), found)
    apart = torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2)
    apart[0][0, 0, 0, 0] = apart[1][0, 1, 1] = 1
    assert float(unit_distance(*apart)) == pytest.approx(2**0.5)
    assert float(unit_distance(target[:1, None], target[:1])) == pytest.approx(0, abs=1e-3)


def test_an_image_that_nobody_painted_on_takes_no_part() -> None:
    maps, target = draw(3, 2, 4, 4).requires_grad_(), draw(3, 8, 8, seed=1)
    target[1] = 0
    found = unit_distance(maps, target)
    found.sum().backward()
    assert found[1] == 0 and maps.grad is not None
    assert maps.grad[1].eq(0).all() and maps.grad[[0, 2]].ne(0).any(dim=(1, 2, 3)).all()


def test_flat_and_equal_maps_have_finite_gradients() -> None:
    target = draw(2, 4, 4)
    for maps in (torch.zeros(2, 1, 4, 4), target.unsqueeze(1).clone()):
        maps.requires_grad_()
        unit_distance(maps, target).sum().backward()
        assert maps.grad is not None and maps.grad.isfinite().all()


def test_the_gradient_is_that_of_differences() -> None:
    maps = draw(2, 2, 3, 3).double().requires_grad_()
    target = draw(2, 6, 6, seed=1).double()
    assert torch.autograd.gradcheck(lambda each: unit_distance(each, target), maps)
