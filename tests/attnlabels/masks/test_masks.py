import numpy as np
import pytest
import torch

from attnlabels.bottleneck.trunks import build_trunk
from attnlabels.masks import centre, learnt, wide_branch


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


@torch.no_grad()
@pytest.mark.parametrize("first_relu", [True, False])
def test_the_branch_is_the_next_stage_of_all_cells_and_a_map_of_each_class(first_relu):
    torch.manual_seed(0)
    mask = wide_branch.Mask(4, units=2, classes=5, first_relu=first_relu).eval()
    found = mask(maps())
    assert found.shape == (3, 6, 8) and found.min() > 0 and found.max() < 1
    first, second, norm, _, to_classes, class_norm, _, to_one, last_norm = mask.mean
    y = norm(second(first(maps())))
    y = class_norm(to_classes(y.relu() if first_relu else y)).relu()
    assert y.shape == (3, 5, 6, 8)
    torch.testing.assert_close(found, torch.sigmoid(last_norm(to_one(y)))[:, 0])


def test_the_branchs_stage_is_the_wide_networks_but_for_its_stride():
    # WRN-28-10's mask is of its second stage, 320 maps, and the copied stage is the third (640).
    with torch.device("meta"):
        trunk = build_trunk("wrn28_10", width=16, stem="cifar", zero_init=False)
        mask = wide_branch.Mask(trunk.channels[1], units=4, classes=10)
    stage, copied = ([*part[:5]] for part in (trunk.stages[2], mask.mean))  # and their batch norm
    shapes = [
        [(name, each.shape) for module in part for name, each in module.named_parameters()]
        for part in (stage, copied)
    ]
    assert shapes[0] == shapes[1]
    extra = 10 * 640 + 2 * 10 + 10 * 9 + 2  # to the classes, to a single map, and their norms
    of_stage = sum(shape.numel() for _, shape in shapes[0])
    assert sum(each.numel() for each in mask.parameters()) == of_stage + extra


@pytest.mark.parametrize("options", [{"units": 0, "classes": 2}, {"units": 1, "classes": 0}])
def test_a_branch_without_units_or_classes_is_refused(options):
    with pytest.raises(ValueError, match=r"the mask wide_branch has 0 \w+; expected at least 1"):
        wide_branch.Mask(4, **options)
