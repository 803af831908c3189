import math

import pytest
import timm
import torch
import torchvision
from torch import nn

from attnlabels.models.encoder import BACKBONES, Encoder, Stages, features, pooled
from attnlabels.models.units import BasicBlock, Bottleneck


def build(
    backbone="resnet18", *, width=64, stem="imagenet", taps="stages", zero_init=True, **block
):
    torch.manual_seed(0)
    return Encoder(backbone, width=width, stem=stem, taps=taps, zero_init=zero_init, **block)


def bare(make, *words, **options):
    """A network of shapes alone, as drawing its weights takes seconds: to measure, or to load."""
    with torch.device("meta"):
        return make(*words, **options)


def images(n=1, size=64):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def trained(network):
    """The network with statistics and gains as training leaves them: not 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for each in (module.running_mean, module.bias.data):
                each.copy_(0.1 * torch.randn(each.shape, generator=generator))
            for each in (module.running_var, module.weight.data):
                each.copy_(0.5 + torch.rand(each.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50"])
@torch.no_grad()
def test_torchvisions_weights_load_and_give_torchvisions_maps(backbone):
    theirs = trained(torchvision.models.get_model(backbone, weights=None))
    weights = {key: value for key, value in theirs.state_dict().items() if key[:3] != "fc."}
    ours = bare(build, backbone).eval()
    ours.load_state_dict(weights, assign=True)  # strict: the same names, no more and no fewer
    x = theirs.layer1(theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images())))))
    for ours_l, layer in zip(ours(images()), (theirs.layer2, theirs.layer3, theirs.layer4)):
        x = layer(x)
        torch.testing.assert_close(ours_l, x)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
@torch.no_grad()
def test_timms_weights_load_and_give_timms_features(backbone):
    theirs = trained(timm.create_model(backbone, pretrained=False, num_classes=0))
    ours = bare(build, backbone).eval()
    ours.load_state_dict(theirs.state_dict(), assign=True)
    torch.testing.assert_close(features(ours(images())), theirs(images()))


@torch.no_grad()
def test_weights_load_into_torchvision_as_they_stand():
    ours = trained(build("resnet50"))
    theirs = bare(torchvision.models.resnet50, weights=None)
    theirs.fc = nn.Identity()
    theirs.load_state_dict(ours.state_dict(), assign=True)
    torch.testing.assert_close(theirs.eval()(images()), features(ours(images())))


@pytest.mark.parametrize(
    "backbone, n_features",
    [("resnet10", 512), ("resnet18", 512), ("resnet34", 512), ("resnet50", 2048)],
)
def test_feature_sizes(backbone, n_features):
    encoder = bare(build, backbone)
    assert encoder.n_features == n_features
    assert features(encoder(images(2, 32).to("meta"))).shape == (2, n_features)


@pytest.mark.parametrize("backbone, n_features", [("resnet18", 128), ("resnet50", 512)])
def test_width_scales_all_channels(backbone, n_features):
    encoder = build(backbone, width=16)
    assert encoder.n_features == n_features
    assert [each.shape[1] for each in encoder(images(2, 32))[:3]] == [
        n_features // 4,
        n_features // 2,
        n_features,
    ]


@pytest.mark.parametrize(
    "stem, strides", [("imagenet", (8, 16, 32)), ("small", (4, 8, 16)), ("cifar", (2, 4, 8))]
)
@pytest.mark.parametrize("backbone", ["resnet10", "resnet50"])
def test_strides_of_the_stages_by_stem(backbone, stem, strides):
    maps = build(backbone, stem=stem, width=8)(images(1, 64))[:3]
    assert [each.shape[2:] for each in maps] == [(64 // s, 64 // s) for s in strides]


def test_published_sizes_of_resnet50_at_224_pixels():
    with torch.no_grad():
        maps = bare(build, "resnet50").eval()(images(1, 224).to("meta"))[:3]
    assert [tuple(each.shape[1:]) for each in maps] == [(512, 28, 28), (1024, 14, 14), (2048, 7, 7)]


@pytest.mark.parametrize(
    "backbone, strides", [("resnet18", (16, 32, 32)), ("resnet50", (32, 32, 32))]
)
@torch.no_grad()
def test_units_are_the_last_three_residual_units(backbone, strides):
    encoder = trained(build(backbone, width=8, taps="units"))
    seen = []
    units = [*encoder.layer3, *encoder.layer4][-3:]
    for unit in units:
        unit.register_forward_hook(lambda _, inputs, out: seen.append(out))
    maps = encoder(images())[:3]
    assert [64 // each.shape[2] for each in maps] == list(strides)
    assert all(torch.equal(a, b) for a, b in zip(maps, seen, strict=True))


@torch.no_grad()
def test_both_taps_end_in_the_same_features():
    stages, units = (trained(build(width=8, taps=taps)) for taps in ("stages", "units"))
    assert torch.equal(features(stages(images())), features(units(images())))


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_a_block_starts_as_the_identity_if_its_last_gain_is_zero(backbone):
    for zero_init in (True, False):
        encoder = build(backbone, width=8, zero_init=zero_init)
        unit = encoder.layer2[1]
        last = unit.bn3 if backbone == "resnet50" else unit.bn2
        assert last.weight.eq(0 if zero_init else 1).all() and unit.bn1.weight.eq(1).all()
        x = torch.rand(2, last.num_features, 8, 8)
        assert torch.equal(unit(x), x) is zero_init
    assert not any(each.eq(0).all() for each in encoder.parameters() if each.ndim > 1)


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_every_block_has_its_last_gain_at_zero(backbone):
    encoder = build(backbone, width=8)
    blocks = [each for each in encoder.modules() if isinstance(each, (BasicBlock, Bottleneck))]
    last = [each.bn3 if isinstance(each, Bottleneck) else each.bn2 for each in blocks]
    assert len(last) == sum(BACKBONES[backbone][1])
    assert all(each.weight.eq(0).all() for each in last)


def test_convolutions_start_with_variance_one_over_fan_in_cut_at_two_deviations():
    encoder = build("resnet18")
    for conv in (encoder.conv1, encoder.layer2[0].conv1, encoder.layer4[1].conv2):
        fan_in = conv.in_channels * conv.kernel_size[0] ** 2
        deviation = math.sqrt(1 / fan_in)
        assert conv.weight.std().item() == pytest.approx(deviation, rel=0.02)
        assert conv.weight.abs().max() <= 2 * deviation / 0.8796
        assert conv.bias is None


def test_maps_are_not_negative_and_every_weight_learns():
    encoder = build("resnet10", width=8, stem="cifar", zero_init=False)
    maps = encoder(images(4, 32))[:3]
    assert all(each.min() >= 0 and each.max() > 0 for each in maps)
    torch.stack([each.square().sum() for each in maps]).sum().backward()
    assert all(each.grad.ne(0).any() for each in encoder.parameters())


def test_features_are_the_spatial_mean_of_the_last_stage():
    last = torch.arange(12.0).reshape(1, 2, 2, 3)
    empty = torch.zeros(1, 0)
    stages = Stages(empty, empty, last, empty, empty, empty)
    for read in (features, pooled):
        assert read(stages).tolist() == [[2.5, 8.5]]
        assert read(stages._replace(pooled=torch.tensor([[7.0]]))).tolist() == [[7.0]]


@pytest.mark.parametrize(("block", "kept"), [("mask", 0.0), ("residual_mask", 1.0)])
def test_a_mask_multiplies_the_last_stage(block, kept):
    plain, masked = build("resnet18", width=8), build("resnet18", width=8, block=block)
    masked.load_state_dict(plain.state_dict(), strict=False)
    before, after = (each.eval()(images(3)) for each in (plain, masked))
    assert before.mask.shape == (3, 0, 0) and after.mask.shape == (3, *after.last.shape[2:])
    assert 0 < after.mask.min() < after.mask.max() < 1
    assert torch.equal(after.second, before.second)
    expected = before.last * (kept + after.mask.unsqueeze(1))
    torch.testing.assert_close(after.last, expected)


def test_no_block_adds_no_parameters():
    assert not [name for name in bare(build, "resnet18").state_dict() if "block" in name]


@pytest.mark.parametrize("name", ["nothing", "..encoder", "none.Block"])
def test_a_block_that_is_not_there_is_named(name):
    with pytest.raises(ValueError, match="no block .*: expected a module of attnlabels.blocks"):
        build("resnet18", width=8, block=name)
