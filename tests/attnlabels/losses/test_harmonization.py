import cv2
import numpy as np
import pytest
import torch

from attnlabels.losses.harmonization import LEVELS, harmonization


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_published_formula() -> None:
    gradient, target = draw(2, 24, 32, seed=0), draw(2, 24, 32, seed=1).abs()
    expected = []
    for g, t in zip(gradient.double().numpy(), target.double().numpy()):
        ours, theirs = (np.maximum((m - m.mean()) / m.std(), 0) for m in (g, t))
        theirs *= ours.max() / theirs.max()
        levels = []
        for _ in range(LEVELS):
            levels.append(((ours - theirs) ** 2).mean())
            kernel = np.array([1, 4, 6, 4, 1]) / 16
            ours, theirs = (
                cv2.sepFilter2D(m, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)[::2, ::2]
                for m in (ours, theirs)
            )
        expected.append(np.mean(levels))
    found = harmonization(gradient, target).double()
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-7)


def test_scales_and_shifts_do_not_matter_and_agreement_is_0() -> None:
    gradient, target = draw(2, 16, 16, seed=0), draw(2, 16, 16, seed=1).abs()
    found = harmonization(gradient, target)
    torch.testing.assert_close(harmonization(3 * gradient + 1, 5 * target), found)
    torch.testing.assert_close(harmonization(target, target), torch.zeros(2))


def test_signs_count() -> None:
    blob = torch.from_numpy(cv2.getGaussianKernel(24, 4).astype(np.float32))
    bump = (blob @ blob.T)[None]
    assert harmonization(bump, bump) == 0
    assert harmonization(-bump, bump) > 0.1


def test_an_image_without_a_map_has_no_part_and_a_constant_gradient_no_slope() -> None:
    gradient = draw(3, 8, 8, seed=0)
    gradient[2] = 1.0
    gradient.requires_grad_()
    target = torch.stack([torch.zeros(8, 8), *draw(2, 8, 8, seed=1).abs()])
    found = harmonization(gradient, target)
    found.sum().backward()
    assert found[0] == 0 and gradient.grad[0].eq(0).all()
    assert gradient.grad.isfinite().all() and gradient.grad[1].ne(0).any()


@pytest.mark.parametrize("side", [6, 48])
def test_a_target_of_another_size_is_brought_to_the_gradients(side: int) -> None:
    place = torch.zeros(1, side, side)
    place[:, : side // 2, : side // 2] = 1.0
    gradient = torch.zeros(1, 24, 24)
    gradient[:, :12, :12] = 1.0
    assert harmonization(gradient, place) < harmonization(gradient.flip(2), place) / 5
