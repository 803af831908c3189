import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import SEModule
from torch import nn

from attnlabels.models.encoder import BACKBONES, Encoder
from attnlabels.training.optimizers import kernels_and_gains
from attnlabels.unit_attention import (
    features,
    gala,
    gala_repository,
    se,
    side_head,
    unattended,
)

MODULES = {
    "features": features,
    "se": se,
    "gala": gala,
    "gala_repository": gala_repository,
    "side_head": side_head,
    "unattended": unattended,
}
C = 8


def attention(name: str, channels: int = C) -> nn.Module:
    torch.manual_seed(0)
    return MODULES[name].Attention(channels)


def dense(n: int = 2, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, C, 3, 5, generator=torch.Generator().manual_seed(seed))


def build(name: str | None = None, backbone: str = "resnet18", **words) -> Encoder:
    torch.manual_seed(0)
    sizes = {"width": 8, "stem": "cifar", "taps": "stages", "zero_init": False}
    return Encoder(backbone, **sizes, unit_attention=name, **words)


def images(n: int = 3, size: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def count(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@torch.no_grad()
def test_gala_is_the_papers_formula():
    module, y = attention("gala"), dense(1)
    nn.init.normal_(module.additive)
    nn.init.normal_(module.multiplicative)
    weights = {key: value.squeeze().double().numpy() for key, value in module.state_dict().items()}
    maps = y[0].double().numpy()  # [c, i, j]
    p = maps.mean(axis=(1, 2))
    hidden = np.maximum(weights["what.shrink.weight"] @ p + weights["what.shrink.bias"], 0)
    g = weights["what.expand.weight"] @ hidden + weights["what.expand.bias"]
    local = np.einsum("rc,cij->rij", weights["shrink.weight"], maps)
    local = np.maximum(local + weights["shrink.bias"][:, None, None], 0)
    s = np.einsum("r,rij->ij", weights["collapse.weight"], local) + weights["collapse.bias"]
    g, a, m = (each[:, None, None] for each in (g, weights["additive"], weights["multiplicative"]))
    expected = np.tanh(a * (g + s) + m * (g * s))
    found, map = module(y)
    np.testing.assert_allclose(found[0], maps * expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(map[0], np.sqrt((expected**2).sum(axis=0)), rtol=1e-4)
    assert expected.min() < 0 < expected.max()  # it can turn signs


@torch.no_grad()
def test_the_repositorys_gala_squashes_rectifies_and_looks_around():
    module, y = attention("gala_repository"), dense(1)
    found, map = module(y)
    gain = found / y
    assert gain.min() > 0 and gain.max() < 1
    torch.testing.assert_close(map, gain.square().mean(dim=1))
    module.what.expand.bias.fill_(-100.0)  # G is 0 then, and S acts alone
    where = module.collapse(F.relu(module.local(F.relu(module.shrink(y)))))
    torch.testing.assert_close(module(y)[0], y * torch.sigmoid(where))
    for each in (module.shrink, module.local, module.collapse):
        each.weight.abs_()  # so that no ReLU hides what moves
        each.bias.fill_(1.0)
    y.abs_()
    moved = y.clone()
    moved[..., 0, 0] += 1
    changed = (module(moved)[1] != module(y)[1])[0]
    assert changed[2, 2] and not changed[:, 3:].any()  # two pixels further, and no more


@torch.no_grad()
def test_se_is_timms():
    theirs, ours, y = SEModule(C, rd_channels=C // se.REDUCTION), attention("se"), dense()
    names = {"fc1": "what.shrink", "fc2": "what.expand"}
    theirs.load_state_dict(
        {
            f"{name}.{kind}": ours.state_dict()[f"{own}.{kind}"]
            for name, own in names.items()
            for kind in ("weight", "bias")
        }
    )
    found, map = ours(y)
    torch.testing.assert_close(found, theirs(y))
    torch.testing.assert_close(map, found.norm(dim=1))


@pytest.mark.parametrize("name", ["features", "side_head"])
def test_controls_leave_the_features_as_they_are(name):
    y = dense()
    found, map = attention(name)(y)
    assert found is y and map.shape == (2, 3, 5) and map.min() >= 0


@pytest.mark.parametrize("name", ["gala", "gala_repository"])
def test_what_a_and_m_weigh_channels_by_does_not_decay(name):
    module = attention(name)
    _, gains = kernels_and_gains(module.parameters())
    assert {id(module.additive), id(module.multiplicative)} <= {id(each) for each in gains}


@pytest.mark.parametrize("channels", [8, 64, 1024])
def test_parameters_by_formula(channels):
    c, r = channels, channels // 4
    assert count(attention("se", c)) == 2 * c * r + r + c
    assert count(attention("gala", c)) == 3 * c * r + 3 * c + 3 * r + 1
    assert count(attention("side_head", c)) == c + 1
    assert count(attention("features", c)) == 0
    assert count(attention("gala_repository", c)) == count(attention("gala", c)) + 25 * r * r + r
    # as near as whole channels allow
    assert abs(count(attention("unattended", c)) - count(attention("gala", c))) <= c + 1


@pytest.mark.parametrize("name", MODULES)
def test_it_stands_in_all_units_of_its_stage_and_is_given_back_in_their_order(name):
    for backbone, stage, side in (("resnet18", 3, 8), ("resnet50", 2, 16)):
        encoder = build(name, backbone, attended_stage=stage)
        depth = BACKBONES[backbone][1][stage - 1]
        seen = encoder(images())
        assert seen.attended.shape == (3, depth, side, side)
        assert len(encoder.attentions) == depth
        layer = encoder.get_submodule(f"layer{stage}")
        hooked = []
        for unit in layer:
            unit.bn2.register_forward_hook(lambda *_, calls=hooked: calls.append(1))
        encoder(images(1))
        assert len(hooked) == depth  # each unit once


@pytest.mark.parametrize("name", MODULES)
def test_every_weight_learns_from_maps_and_classes_from_the_first_step(name):
    encoder = build(name)
    seen = encoder(images(4))
    (seen.last.mean() + seen.attended.square().mean()).backward()
    for key, each in encoder.named_parameters():
        assert each.grad is not None and each.grad.isfinite().all() and each.grad.ne(0).any(), key


def test_without_it_the_network_is_the_plain_one():
    plain, attended = build(), build("gala")
    names = {*plain.state_dict()}
    assert names == {key for key in attended.state_dict() if not key.startswith("attentions.")}
    seen = plain(images())
    assert seen.attended.shape == (3, 0, 0, 0)
    features_alone = build("features")
    features_alone.load_state_dict(plain.state_dict())
    torch.testing.assert_close(features_alone(images()).last, seen.last)


@torch.no_grad()
def test_timms_weights_load_where_the_slot_is_empty_and_beside_it():
    theirs = timm.create_model("resnet50", pretrained=False, num_classes=0)
    for name, missing in ((None, 0), ("gala", 6)):
        encoder = Encoder(
            "resnet50",
            width=64,
            stem="imagenet",
            taps="stages",
            zero_init=False,
            unit_attention=name,
        )
        found = encoder.load_state_dict(theirs.state_dict(), strict=False)
        assert not found.unexpected_keys
        assert {key.split(".")[1] for key in found.missing_keys} == set(map(str, range(missing)))


@pytest.mark.parametrize("name", ["", "no_such", "rooms/gala", "norms.x", "_norms"])
def test_another_name_is_refused(name):
    with pytest.raises(ValueError, match="no unit_attention .*attnlabels.unit_attention"):
        build(name)


@pytest.mark.parametrize("stage", [0, 5])
def test_a_stage_that_is_not_there_is_refused(stage):
    with pytest.raises(ValueError, match=f"attended_stage is {stage}; expected 1 to 4"):
        build("gala", attended_stage=stage)
