import numpy as np
import pytest
import torch

from attnlabels.masks import centre, learnt


def maps(n=3, size=(6, 8)):
    return torch.randn(n, 4, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_learnt_mask_is_the_sigmoid_of_a_convolution():
    mask = learnt.Mask(4)
    found = mask(maps())
    assert found.shape == (3, 6, 8) and found.min() > 0 and found.max() < 1
    kernel, bias = mask.mean.weight[0].double().numpy(), mask.mean.bias.item()
    window = maps()[1, :, 2:5, 3:6].double().numpy()
    expected = 1 / (1 + np.exp(-((kernel * window).sum() + bias)))
    assert found[1, 3, 4].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("share", [0.1, 0.21, 0.5, 0.9])
def test_the_centre_is_as_large_as_it_is_said_to_be_and_the_same_for_all_images(share):
    mask = centre.Mask(4, share=share)
    found = mask(maps(size=(10, 10)))
    assert found.sum(dim=(1, 2)).tolist() == [round(100 * share)] * 3
    assert (found == found[0]).all() and not [*mask.parameters()]
    y, x = np.mgrid[:10, :10] - 4.5
    far = np.hypot(y, x)
    inside = found[0].numpy() > 0
    assert far[inside].max() <= far[~inside].min() + 1e-9


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=f"the centre mask's share is {share}; expected one betw"):
        centre.Mask(4, share=share)
