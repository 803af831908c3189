import math

import pytest
import torch
import torch.nn.functional as F

from attnlabels.losses.attention import kld, nss
from attnlabels.models.attention_head import (
    OUTPUT,
    SELECT,
    AttentionHead,
    channel_max,
    channel_mean,
    gap_argmax,
    local_mean_max,
    spatial_softmax,
)
from attnlabels.models.encoder import Stages

# One image of two channels and four pixels in a row.
SMALL = torch.tensor([[[[0.0, 3.0, 6.0, 0.0]], [[4.0, 0.0, 0.0, 0.0]]]])


def build(*, select="local_mean_max", output="spatial_softmax", size=8):
    return AttentionHead(select=select, output=output, size=size)


def stages(*, n=2, seed=0):
    """Maps as three stages leave them: of falling size, after a ReLU."""
    torch.manual_seed(seed)
    maps = (torch.randn(n, c, s, s).relu() for c, s in ((4, 8), (6, 4), (8, 2)))
    return Stages(*maps, torch.empty(n, 0, 0), torch.empty(n, 0, 0, 0), torch.empty(n, 0))


@pytest.mark.parametrize("select", sorted(SELECT))
@pytest.mark.parametrize("output", sorted(OUTPUT))
def test_the_head_has_four_parameters(select, output):
    head = build(select=select, output=output)
    assert sum(each.numel() for each in head.parameters()) == 4


@pytest.mark.parametrize(
    "select, expected",
    [
        # the first channel's mean is 9/4, the second's 1
        (gap_argmax, [0.0, 3.0, 6.0, 0.0]),
        (channel_max, [4.0, 3.0, 6.0, 0.0]),
        (channel_mean, [2.0, 1.5, 3.0, 0.0]),
        # means over neighbours, of two at the ends: 3/2 3 3 3 and 2 4/3 0 0
        (local_mean_max, [2.0, 3.0, 3.0, 3.0]),
    ],
)
def test_readings_worked_by_hand(select, expected):
    assert select(SMALL).tolist() == [[expected]]


def test_gap_argmax_chooses_for_each_image():
    both = torch.cat([SMALL, SMALL.flip(1) * torch.tensor([2.0, 0.1]).view(1, 2, 1, 1)])
    # the second image: 8 0 0 0 with mean 2, and 0 .3 .6 0
    assert gap_argmax(both)[1].tolist() == [[8.0, 0.0, 0.0, 0.0]]
    assert gap_argmax(both)[0].tolist() == [[0.0, 3.0, 6.0, 0.0]]


def test_local_mean_max_takes_the_maximum_after_the_mean():
    stage = torch.rand(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    found = local_mean_max(stage)
    for n, i, j in ((0, 0, 0), (1, 3, 3), (0, 5, 6), (1, 0, 4)):
        window = stage[n, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        assert found[n, i, j].item() == pytest.approx(window.mean(dim=(1, 2)).max().item())


@pytest.mark.parametrize("select, reached", [(gap_argmax, 1), (channel_max, 2), (channel_mean, 2)])
def test_how_many_channels_the_gradient_reaches(select, reached):
    stage = SMALL.clone().requires_grad_()
    select(stage).sum().backward()
    assert stage.grad.ne(0).any(dim=3).sum() == reached


def test_spatial_softmax_has_mean_one_and_ignores_a_shift():
    logits = 5 * torch.randn(3, 6, 7, generator=torch.Generator().manual_seed(0))
    maps = spatial_softmax(logits)
    torch.testing.assert_close(maps.mean(dim=(1, 2)), torch.ones(3))
    torch.testing.assert_close(spatial_softmax(logits + 40), maps)
    ratio = (logits[0, 1, 2] - logits[0, 3, 4]).exp()
    torch.testing.assert_close(maps[0, 1, 2] / maps[0, 3, 4], ratio)


def test_spatial_softmax_worked_by_hand():
    logits = torch.tensor([[[0.0, math.log(3.0)]]])
    torch.testing.assert_close(spatial_softmax(logits), torch.tensor([[[0.5, 1.5]]]))


@pytest.mark.parametrize("select", sorted(SELECT))
@pytest.mark.parametrize("output", sorted(OUTPUT))
def test_maps_are_positive_and_of_the_size_asked_for(select, output):
    maps = build(select=select, output=output, size=12)(stages())
    assert maps.shape == (2, 12, 12) and maps.min() > 0 and maps.isfinite().all()


def test_the_head_starts_as_the_mean_of_three_maps():
    selected = torch.rand(2, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = F.softplus(selected.mean(dim=3) - 2)
    torch.testing.assert_close(build(output="softplus").read(selected), expected)


def test_each_stage_is_selected_then_enlarged_between_pixel_centres():
    selected = build(select="channel_max", size=8).selected(stages())
    assert selected.shape == (2, 8, 8, 3)
    for index, stage in enumerate(stages()[:3]):
        single = stage.amax(dim=1)
        enlarged = F.interpolate(single[:, None], (8, 8), mode="bilinear", align_corners=False)
        torch.testing.assert_close(selected[..., index], enlarged[:, 0])
    coarse = stages()[2].amax(dim=1)
    torch.testing.assert_close(selected[:, 0, 0, 2], coarse[:, 0, 0])  # a corner stays a corner


def test_forward_is_select_then_read():
    head = build()
    assert torch.equal(head(stages()), head.read(head.selected(stages())))


@pytest.mark.parametrize("select", sorted(SELECT))
@pytest.mark.parametrize("output", sorted(OUTPUT))
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_flat_stages_give_finite_loss_and_gradient(select, output, value):
    flat = Stages(*(torch.full_like(each, value).requires_grad_() for each in stages()))
    head = build(select=select, output=output)
    maps = head(flat)
    target = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    loss = (kld(maps, target) - 0.1 * nss(maps, torch.ones(2, 8, 8))).sum()
    loss.backward()
    assert loss.isfinite()
    for each in (*flat[:3], *head.parameters()):
        assert each.grad.isfinite().all()


@pytest.mark.parametrize("select", sorted(SELECT))
def test_readout_and_every_stage_learn(select):
    leaves = Stages(*(each.requires_grad_() for each in stages()))
    head = build(select=select)
    target = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    kld(head(leaves), target).sum().backward()
    assert head.readout.weight.grad.ne(0).all()
    assert all(each.grad.ne(0).any() for each in leaves[:3])


@pytest.mark.parametrize("output", sorted(OUTPUT))
def test_half_precision_stages_are_read_in_single_precision(output):
    head = build(output=output)
    halves = Stages(*(each.bfloat16() for each in stages()))
    with torch.autocast("cpu", torch.bfloat16):
        maps = head(halves)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, head(stages()), atol=2e-2, rtol=2e-2)
