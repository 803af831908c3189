from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from attnlabels.teachers.backbones import Backbone, TimmNetwork, in_words

SMALL, TRANSFORMER = "timm:resnet10t", "timm:vit_tiny_patch16_224"


def images(n=2, h=64, w=96, *, seed=0):
    return torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "taps", "channels", "strides"),
    [
        (SMALL, (2, 3, 4), [128, 256, 512], [8, 16, 32]),
        ("timm:mobilenetv4_conv_small_035", (2, 3, 4), [24, 32, 336], [8, 16, 32]),
        ("timm:convnext_atto", (1, 2, 3), [80, 160, 320], [8, 16, 32]),
        (TRANSFORMER, (3, 7, 11), [192] * 3, [16] * 3),
        ("timm:swin_tiny_patch4_window7_224", (1, 2, 3), [192, 384, 768], [8, 16, 32]),
    ],
)
def test_the_last_three_strides_or_thirds_of_the_depth_are_read(name, taps, channels, strides):
    network = TimmNetwork(name)
    assert (network.taps, network.channels, network.strides) == (taps, channels, strides)
    with torch.no_grad():
        found = network.eval()(images())
    assert [tuple(each.shape) for each in found] == [
        (2, c, 64 // stride, 96 // stride) for c, stride in zip(channels, strides)
    ]


def test_maps_are_timms_own_of_normalised_images():
    own = timm.create_model("resnet10t").eval()
    mean, std = (torch.tensor(own.pretrained_cfg[key]) for key in ("mean", "std"))
    network = TimmNetwork(SMALL, [1, 4]).eval()
    network.network.load_state_dict(
        {key: each for key, each in own.state_dict().items() if not key.startswith("fc.")}
    )
    pixels = images()
    with torch.no_grad():
        normalised = (pixels - mean[:, None, None]) / std[:, None, None]
        expected = own.forward_intermediates(normalised, intermediates_only=True)
        found = network(pixels)
    for one, other in zip(found, (expected[1], expected[4]), strict=True):
        torch.testing.assert_close(one, other)


def test_a_token_is_put_where_its_patch_is():
    network = TimmNetwork(TRANSFORMER).eval()
    one = images(1, 48, 80)
    other = one.clone()
    other[:, :, 16:32, 48:64] += 1  # patch (1, 3) of 3 x 5
    with torch.no_grad():
        moved = (network(other)[0] - network(one)[0]).norm(dim=1)[0]
    assert moved.shape == (3, 5) and divmod(int(moved.argmax()), 5) == (1, 3)


def test_what_follows_the_last_tap_is_not_kept():
    whole = timm.create_model("resnet10t", num_classes=0)
    names = {key for key, _ in whole.named_parameters()}
    network = TimmNetwork(SMALL, [2, 3])
    kept = {key for key, _ in network.network.named_parameters()}
    assert names - kept == {key for key in names if key.startswith("layer4")}
    sum(each.sum() for each in network(images())).backward()
    assert all(each.grad is not None for each in network.parameters())
    norm = {key for key, _ in TimmNetwork(TRANSFORMER).named_parameters() if ".norm." in key}
    assert not norm  # of the end, which no map passes


def test_weights_are_found_in_a_trainers_file_with_their_classifier(tmp_path):
    own = timm.create_model("resnet10t", num_classes=7)
    state = {f"module.{key}": each for key, each in own.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.pth")
    network = TimmNetwork(SMALL, weights=tmp_path / "w.pth")
    assert network.prefix == "state_dict.module."
    assert all(
        torch.equal(each, own.state_dict()[key])
        for key, each in network.network.state_dict().items()
    )


def test_a_prefix_chooses_one_of_two_networks(tmp_path):
    own, other = timm.create_model("resnet10t"), timm.create_model("resnet10t")
    both = nn.ModuleDict({"a": own, "b": other})
    save_file(both.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"timm:resnet10t: .*w.safetensors: 2 networks fit"):
        TimmNetwork(SMALL, weights=tmp_path / "w.safetensors")
    network = TimmNetwork(SMALL, weights=tmp_path / "w.safetensors", prefix="b")
    assert torch.equal(network.network.conv1[0].weight, other.conv1[0].weight)


@pytest.mark.parametrize(
    ("name", "taps", "said"),
    [
        ("timm:resnet51", None, "timm:resnet51: timm .* knows no such model; there are"),
        ("timm:hf-hub:timm/resnet18", None, "nothing is downloaded"),
        (SMALL, [5], r"timm:resnet10t: taps \[5\]: expected increasing numbers from 0 to 4"),
        (SMALL, [3, 2], r"taps \[3, 2\]: expected increasing"),
        (SMALL, [], r"taps \[\]: expected increasing"),
        ("timm:levit_128s", None, "timm:levit_128s: takes no images of .* choose a network that"),
    ],
)
def test_what_gives_no_maps_is_refused(name, taps, said):
    with pytest.raises(ValueError, match=said):
        TimmNetwork(name, taps)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="timm:resnet10t: .*: the weights do not fit, it holds w"):
        TimmNetwork(SMALL, weights=tmp_path / "w.safetensors")
    with pytest.raises(FileNotFoundError, match="nowhere.pth: no weights here"):
        TimmNetwork(SMALL, weights=tmp_path / "nowhere.pth")


def test_channels_other_than_timm_tells_are_refused(monkeypatch):
    create = timm.create_model

    def lying(*words, **options) -> nn.Module:
        network = create(*words, **options)
        network.feature_info[4]["num_chs"] = 7
        return network

    monkeypatch.setattr(timm, "create_model", lying)
    with pytest.raises(ValueError, match=r"has \[128, 256, 512\] channels, and timm tells \[128"):
        TimmNetwork(SMALL)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"name": "resnet18"}, "backbone 'resnet18': expected timm:NAME"),
        ({"weights": Path("w.pth")}, "w.pth: weights of what"),
        ({"name": SMALL, "prefix": "a"}, "prefix 'a': of which file"),
        ({"name": SMALL, "frozen": True}, "a frozen backbone of random weights sees little"),
        ({"frozen": True}, "a frozen backbone of random weights sees little"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(parts, said):
    with pytest.raises(ValueError, match=said):
        Backbone(**parts)


def test_a_sentence_says_whose_the_weights_are():
    about = {"name": SMALL, "weights": {"file": "r.pth", "sha256": "0"}, "frozen": True}
    assert in_words(about) == (
        "Its backbone, timm:resnet10t, came with weights of r.pth, which may have learnt from "
        "class labels, and stayed as it was."
    )
    assert in_words(about | {"frozen": False}).endswith("class labels, and learnt on.")
    assert in_words({"name": SMALL}) == "Its backbone is timm:resnet10t, from random weights."
