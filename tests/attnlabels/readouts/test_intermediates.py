import warnings

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from attnlabels.readouts.intermediates import (
    Eye,
    Seen,
    as_map,
    class_token_map,
    of_timm,
    of_torchvision,
)

TINY = {"embed_dim": 16, "depth": 4, "num_heads": 2, "num_classes": 0}


def transformer(**changed) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", **TINY | {"patch_size": 8} | changed).eval()


def test_a_residual_networks_last_three_stages_are_read():
    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=0).eval()
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        seen = of_timm(network)(images)
        expected = network.forward_intermediates(images, intermediates_only=True)[-3:]
    assert [tuple(each.shape) for each in seen.stages] == [
        (2, 128, 8, 12),
        (2, 256, 4, 6),
        (2, 512, 2, 3),
    ]
    for one, other in zip(seen.stages, expected):
        torch.testing.assert_close(one, other)
    assert seen.class_token is None


@pytest.mark.parametrize("registers", [0, 3])
def test_a_token_is_put_where_its_patch_is(registers):
    network = transformer(img_size=(24, 40), reg_tokens=registers)
    look = of_timm(network)
    image = torch.rand(1, 3, 24, 40)
    changed = image.clone()
    changed[:, :, 8:16, 24:32] += 1  # patch (1, 3) of 3 x 5
    with torch.no_grad():
        # Without attention a token knows of its own patch alone.
        for block in network.blocks:
            block.attn.proj.weight.zero_()
        one, other = look(image), look(changed)
    assert [tuple(each.shape) for each in one.stages] == [(1, 16, 3, 5)] * 3
    for a, b in zip(one.stages, other.stages):
        moved = (a - b).abs().amax(dim=1)[0] > 1e-6
        assert moved.nonzero().tolist() == [[1, 3]]


@pytest.mark.parametrize("registers", [0, 3])
def test_the_class_tokens_attention_is_that_of_the_last_block_and_sums_to_its_share(registers):
    network = transformer(img_size=(24, 40), reg_tokens=registers)
    caught = []
    last = network.blocks[-1]
    last.norm1.register_forward_hook(lambda module, given, answer: caught.append(answer))
    with torch.no_grad():
        seen = of_timm(network)(torch.rand(2, 3, 24, 40))
        q, k, _ = last.attn.qkv(caught[0]).reshape(2, -1, 3, 2, 8).permute(2, 0, 3, 1, 4)
        attention = (q[:, :, 0:1] @ k.transpose(-2, -1) / 8**0.5).softmax(-1)[:, :, 0].mean(1)
    torch.testing.assert_close(
        seen.class_token.flatten(1), attention[:, 1 + registers :], atol=1e-5, rtol=1e-4
    )
    rest = attention[:, : 1 + registers].sum(1)
    torch.testing.assert_close(seen.class_token.sum(dim=(1, 2)), 1 - rest, atol=1e-5, rtol=1e-4)


def test_attention_of_another_shape_is_none_of_a_class_token():
    assert class_token_map(None, n_prefix=1, grid=(2, 2)) is None
    assert class_token_map(torch.rand(8, 2, 4, 4), n_prefix=1, grid=(2, 2)) is None
    assert class_token_map(torch.rand(1, 2, 5, 5), n_prefix=1, grid=(2, 2)) is not None


def test_a_transformer_without_a_class_token_has_none_of_its_attention():
    network = transformer(img_size=16, class_token=False, global_pool="avg")
    with torch.no_grad():
        seen = of_timm(network)(torch.rand(1, 3, 16, 16))
    assert seen.class_token is None and seen.stages[0].shape == (1, 16, 2, 2)


def test_what_timm_tells_nothing_of_is_refused():
    with pytest.raises(ValueError, match="timm gives no intermediate features of it"):
        of_timm(nn.Linear(3, 3))


@pytest.mark.parametrize(
    ("name", "size", "shapes"),
    [
        ("resnet18", 64, [(128, 8, 8), (256, 4, 4), (512, 2, 2)]),
        ("mobilenet_v3_small", 64, [(24, 8, 8), (48, 4, 4), (576, 2, 2)]),
        ("densenet121", 64, [(512, 8, 8), (1024, 4, 4), (1024, 2, 2)]),
        ("swin_t", 64, [(192, 8, 8), (384, 4, 4), (768, 2, 2)]),
    ],
)
def test_torchvisions_stages_are_found(name, size, shapes):
    network = torchvision.models.get_model(name, weights=None).eval()
    with torch.no_grad():
        seen = of_torchvision(network, size=size)(torch.rand(1, 3, size, size))
    assert [tuple(each.shape[1:]) for each in seen.stages] == shapes


def test_torchvisions_transformer_is_read_at_thirds_of_its_depth():
    torch.manual_seed(0)
    network = torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=6, num_heads=2, hidden_dim=16, mlp_dim=16
    ).eval()
    caught: list[torch.Tensor] = []
    for i in (1, 3, 5):
        network.encoder.layers[i].register_forward_hook(lambda _, given, out: caught.append(out))
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad(), warnings.catch_warnings():
        seen = of_torchvision(network, size=32)(images)
        caught.clear()
        network(images)
    for stage, tokens in zip(seen.stages, caught, strict=True):
        expected = tokens[:, 1:].reshape(2, 4, 4, 16).permute(0, 3, 1, 2)
        torch.testing.assert_close(stage, expected)


def test_maps_of_either_layout_and_tokens_become_maps():
    maps = torch.rand(2, 5, 3, 3)
    torch.testing.assert_close(as_map(maps, (3, 3)), maps)
    torch.testing.assert_close(as_map(maps.permute(0, 2, 3, 1), (3, 3)), maps)
    tokens = torch.cat([torch.zeros(2, 2, 5), maps.flatten(2).transpose(1, 2)], dim=1)
    torch.testing.assert_close(as_map(tokens, (3, 3)), maps)


def test_a_network_without_stages_is_refused():
    with pytest.raises(ValueError, match="no 3 stages or blocks"):
        of_torchvision(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), size=16)


def eye(look) -> Eye:
    return Eye(look=look, size=8, crop=1.0, interpolation="bicubic")


def test_an_eye_is_shown_squares_of_photographs_of_any_size():
    def look(squares):
        assert squares.shape == (2, 8, 8, 3) and squares.dtype == torch.uint8
        return Seen([squares.permute(0, 3, 1, 2).double()] * 3, None)

    seen = eye(look).see([np.zeros((9, 30, 3), np.uint8), np.full((20, 8, 3), 255, np.uint8)])
    assert seen.stages[0].dtype == torch.float32 and seen.stages[0].amax(dim=(1, 2, 3))[1] == 255
    assert seen.of([1]).stages[2].shape == (1, 3, 8, 8)


def test_features_that_are_not_finite_are_refused():
    broken = Seen([torch.full((1, 3, 2, 2), torch.nan)] * 3, None)
    with pytest.raises(ValueError, match="not finite"):
        eye(lambda squares: broken).see([np.zeros((9, 9, 3), np.uint8)])
