import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attnlabels.losses.attention import kld
from attnlabels.models.folding import fold_batch_norm
from attnlabels.teachers.network import OUTPUT, Teacher, minmax

KERAS = (3, 5, 7, 9)  # "conv 2, 4, 6, 8" as Keras counts, as slim counts and as torchvision counts
SLIM = (1, 3, 5, 7)
TORCHVISION = (2, 4, 6, 8)


def build(*, taps=KERAS, pool_stride=1, output="tanh_half", seed=0, **words):
    torch.manual_seed(seed)
    return Teacher(taps=taps, pool_stride=pool_stride, output=output, **words)


def images(n=2, h=64, w=96, *, seed=0):
    return torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(seed))


def count(module):
    return sum(each.numel() for each in module.parameters())


@pytest.mark.parametrize(
    "last, expected",
    [
        (1, 1_208),
        (2, 5_072),
        (3, 10_488),
        (4, 24_224),
        (5, 81_488),
        (6, 138_752),
        (7, 160_720),
        (8, 190_520),
        (9, 282_368),
        (12, 927_008),
    ],
)
def test_backbone_up_to_each_tap_has_the_published_number_of_parameters(last, expected):
    assert count(build(taps=(last,)).backbone) == expected


@pytest.mark.parametrize(
    "taps, expected", [(KERAS, 123_684), (SLIM, 42_884), (TORCHVISION, 55_028)]
)
def test_branches_have_nine_c_squared_and_two_c_and_one_parameters_each(taps, expected):
    teacher = build(taps=taps)
    assert count(teacher.branches) == expected
    assert count(teacher) == expected + count(teacher.backbone)


def test_the_learnt_offset_is_one_more_parameter_started_at_minus_three_or_as_given():
    plain, offset = build(), build(output="learnt_offset")
    assert count(offset) == count(plain) + 1
    assert offset.offset.item() == -3
    assert plain.offset is None
    assert build(output="learnt_offset", offset=-6.0).offset.item() == -6


def test_far_below_zero_the_learnt_offset_makes_a_softmax_of_the_map():
    near, far = (build(output="learnt_offset", offset=each).eval() for each in (-3.0, -12.0))
    with torch.no_grad():
        maps, seen = far(images()), near(images())
    shares = maps / maps.sum((1, 2), keepdim=True)
    logits = torch.logit(seen.double()).flatten(1)
    assert torch.allclose(shares.flatten(1), logits.softmax(1).float(), rtol=1e-3)


def test_where_the_offset_started_the_file_of_a_teacher_need_not_say():
    far = build(output="learnt_offset", offset=-6.0)
    again = Teacher(**far.architecture)
    again.load_state_dict(far.state_dict())
    assert again.offset.item() == -6


@pytest.mark.parametrize(
    "taps, strides",
    [(KERAS, (8, 16, 16, 32)), (SLIM, (4, 8, 16, 16)), (TORCHVISION, (8, 16, 16, 16))],
)
def test_taps_are_read_at_their_strides(taps, strides):
    teacher, sizes = build(taps=taps).eval(), []
    for branch in teacher.branches:
        branch.register_forward_hook(lambda _, inputs, out: sizes.append((inputs[0], out)))
    with torch.no_grad():
        teacher(images(1, 224, 224))
    assert [tap.shape[2:] for tap, _ in sizes] == [(224 // s, 224 // s) for s in strides]
    assert [out.shape for _, out in sizes] == [(1, 1, 224 // s, 224 // s) for s in strides]
    # taps are the blocks' linear outputs, so signed
    assert all((tap < 0).any() for tap, _ in sizes)


@pytest.mark.parametrize("seed", range(2))
def test_the_literal_output_never_falls_below_one_half(seed):
    teacher = build(output="literal", seed=seed)
    for training in (True, False):
        maps = teacher.train(training)(4 * images(seed=seed) - 2)
        assert maps.min() >= 0.5 and maps.max() <= 1
    for each in teacher.branches:  # whatever it learns
        torch.nn.init.constant_(each.collapse.bias, -100.0)
    assert teacher(images()).min() == 0.5


@pytest.mark.parametrize("output", ["learnt_offset", "tanh_half", "logits_sigmoid"])
def test_the_other_forms_reach_below_one_half(output):
    teacher = build(output=output)
    for each in teacher.branches:
        torch.nn.init.constant_(each.collapse.bias, -100.0)
    maps = teacher(images())
    assert maps.min() >= 0 and maps.max() < 0.05


def test_minmax_reaches_both_ends_of_each_image():
    maps = build(output="literal_minmax")(images(3))
    assert torch.equal(maps.amin(dim=(1, 2)), torch.zeros(3))
    assert torch.equal(maps.amax(dim=(1, 2)), torch.ones(3))


def test_a_flat_map_is_stretched_to_zero_with_finite_gradient():
    flat = torch.full((2, 4, 4), 0.7, requires_grad=True)
    maps = minmax(flat)
    maps.sum().backward()
    assert torch.equal(maps, torch.zeros(2, 4, 4))
    assert flat.grad.isfinite().all()


def test_forms_are_the_same_sum_read_differently():
    teacher = build(output="literal").eval()
    logits = torch.logit(teacher(images()).double())
    for output, expected in (
        ("tanh_half", 2 * torch.sigmoid(logits) - 1),
        ("learnt_offset", torch.sigmoid(logits - 3)),
    ):
        other = build(output=output).eval()
        torch.testing.assert_close(other(images()).double(), expected, atol=1e-5, rtol=1e-4)


def test_the_map_is_the_sum_of_the_branches_enlarged():
    teacher, x = build(output="literal").eval(), images(2, 64, 96) * 2 - 1
    total = torch.zeros(2, 1, 64, 96)
    for tap, branch in zip(KERAS, teacher.branches):
        read = nn.Sequential(*list(teacher.backbone.children())[: tap + 1])(x)
        pooled = F.max_pool2d(branch.conv(read), 3, stride=1, padding=1)
        single = F.relu(branch.collapse(F.relu(pooled)))
        total += F.interpolate(single, (64, 96), mode="bilinear", align_corners=False)
    expected = torch.sigmoid(total).squeeze(1)
    torch.testing.assert_close(teacher(images(2, 64, 96)), expected)


@pytest.mark.parametrize("h, w", [(64, 64), (63, 97), (1, 1)])
@pytest.mark.parametrize("pool_stride", [1, 3])
def test_maps_have_the_size_of_the_images(h, w, pool_stride):
    maps = build(pool_stride=pool_stride).eval()(images(2, h, w))
    assert maps.shape == (2, h, w) and maps.dtype == torch.float32
    assert maps.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("h, w", [(240, 320), (97, 65), (64, 90)])
@pytest.mark.parametrize(
    "taps, pool_stride, stride", [(KERAS, 1, 32), ((3,), 1, 8), (KERAS, 3, 96)]
)
def test_a_branch_is_drawn_at_the_same_place_whatever_the_size(h, w, taps, pool_stride, stride):
    teacher = build(taps=taps, pool_stride=pool_stride).eval()
    assert teacher.stride == stride
    seen = images(1, h, w)
    extended = F.pad(seen, (0, -w % stride, 0, -h % stride), mode="replicate")
    assert torch.equal(teacher(seen), teacher(extended)[:, :h, :w])
    # Cells of the last tap are a stride apart, on the map as on the image.
    *_, last = teacher.backbone(extended)
    tap = teacher.branches[-1](last)
    assert [side * stride for side in tap.shape[2:]] == list(extended.shape[2:])


def test_pooling_with_stride_three_shrinks_the_branch():
    branch = build(pool_stride=3).branches[0]
    assert branch(torch.zeros(1, 24, 28, 28)).shape == (1, 1, 10, 10)


@pytest.mark.parametrize("output", sorted(OUTPUT))
@pytest.mark.parametrize("seed", range(2))
def test_every_branch_and_the_offset_learn_from_the_start(output, seed):
    teacher = build(output=output, seed=seed)
    target = torch.zeros(2, 64, 96)
    target[:, 20:30, 40:60] = 1
    kld(teacher(images(seed=seed)), target).sum().backward()
    for name, each in teacher.named_parameters():
        if name.startswith("branches") or name == "offset":
            assert each.grad.isfinite().all() and each.grad.ne(0).any(), name


@pytest.mark.parametrize("taps", [(), (5, 3), (3, 3), (-1, 3), (3, 13)])
def test_bad_taps_are_refused(taps):
    with pytest.raises(ValueError, match="taps .*: expected increasing numbers from 0 to 12"):
        build(taps=taps)


def test_autocast_leaves_the_map_in_single_precision():
    teacher = build(output="learnt_offset").eval()
    expected = teacher(images())
    with torch.autocast("cpu", torch.bfloat16):
        maps = teacher(images())
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, expected, atol=2e-2, rtol=0.1)


def test_weights_are_drawn_from_the_generator_and_not_fetched():
    key = "backbone.0.0.weight"
    first, equal, unlike = (build(seed=seed).get_parameter(key) for seed in (0, 0, 1))
    assert torch.equal(first, equal) and not torch.equal(first, unlike)


@torch.no_grad()
def test_folding_batch_norm_changes_no_map():
    network = build(taps=KERAS, output="learnt_offset").double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    folded = copy.deepcopy(network)
    fold_batch_norm(folded)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in folded.modules())
    torch.testing.assert_close(folded(images().double()), network(images().double()))


def on_timm(name="timm:resnet10t", **changed):
    torch.manual_seed(0)
    words = {"taps": None, "pool_stride": 1, "output": "learnt_offset", "backbone": name}
    return Teacher(**words | changed)


@pytest.mark.parametrize(
    ("name", "stride", "channels"),
    [
        ("timm:resnet10t", 32, [128, 128, 128]),
        ("timm:mobilenetv4_conv_small_035", 32, [24, 32, 128]),
        ("timm:vit_tiny_patch16_224", 16, [128, 128, 128]),
    ],
)
def test_branches_stand_on_a_network_of_timm_none_wider_than_128(name, stride, channels):
    network = on_timm(name)
    assert network.stride == stride
    assert [branch.conv.in_channels for branch in network.branches] == channels
    maps = network(images(2, 50, 70))
    assert maps.shape == (2, 50, 70) and (maps > 0).all() and (maps < 1).all()
    maps.sum().backward()
    assert all(each.grad is not None for each in network.parameters())


def test_the_architecture_builds_it_again():
    for network in (build(), on_timm(), on_timm(taps=[1, 2])):
        again = Teacher(**network.architecture)
        again.load_state_dict(network.state_dict())
        with torch.no_grad():
            assert torch.equal(again.eval()(images()), network.eval()(images()))
    assert build().architecture == {"taps": KERAS, "pool_stride": 1, "output": "tanh_half"}
    assert on_timm().architecture["taps"] == (2, 3, 4)


def test_a_frozen_backbone_has_no_gradient_and_stays_in_evaluation_mode():
    network = on_timm()
    network.freeze()
    network.train()
    before = {key: each.clone() for key, each in network.backbone.state_dict().items()}
    network(images()).sum().backward()
    assert all(each.grad is None for each in network.backbone.parameters())
    assert all(each.grad is not None for each in network.branches.parameters())
    assert network.branches.training
    assert not any(each.training for each in network.backbone.modules())
    after = network.backbone.state_dict()
    assert all(torch.equal(after[key], each) for key, each in before.items())
