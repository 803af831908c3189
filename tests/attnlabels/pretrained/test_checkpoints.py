"""Checkpoints as trainers write them, of one small network and what they keep beside it."""

import argparse
import os
import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from attnlabels.pretrained.checkpoints import fill


class Small(nn.Module):
    """The beginning and the names of a ResNet, whose classifier was taken off."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Identity()


def weights(seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {
        key: torch.randn_like(each) if each.is_floating_point() else each
        for key, each in Small().state_dict().items()
    }


OWN, OTHER = weights(1), weights(2)
HEAD = {"fc.weight": torch.zeros(5, 4), "fc.bias": torch.zeros(5)}


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: each for key, each in state.items()}


def by_place(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of nn.Sequential(*network.children())."""
    places = {name: str(i) for i, (name, _) in enumerate(Small().named_children())}
    parts = {key: key.partition(".") for key in state}
    return {f"{places[child]}.{rest}": state[key] for key, (child, _, rest) in parts.items()}


MLP = {"fc.0.weight": torch.zeros(4, 4), "fc.2.weight": torch.zeros(2, 4)}
ADAM = {"state": {0: {"exp_avg": torch.zeros(4, 3, 3, 3)}}, "param_groups": [{"lr": 0.1}]}
LAYOUTS = {  # what a trainer's file holds, and where the encoder is in it
    "plain": ({**OWN, **HEAD}, ""),
    "timm": ({"state_dict": {**OWN, **HEAD}, "epoch": 3, "optimizer": ADAM}, "state_dict."),
    "DistributedDataParallel": (under("module.", {**OWN, **HEAD}), "module."),
    "ours": (
        under("encoder.network.", OWN) | under("momentum.encoder.network.", OTHER),
        "encoder.network.",
    ),
    "torch.compile": ({"model": under("_orig_mod.module.", OWN)}, "model.module."),
    "torch.compile of a part": (under("module.backbone._orig_mod.", OWN), "module.backbone."),
    "MoCo": (
        {
            "arch": "resnet50",
            "state_dict": {
                **under("module.encoder_q.", {**OWN, **MLP}),
                **under("module.encoder_k.", {**OTHER, **MLP}),
                "module.queue": torch.zeros(2, 8),
                "module.queue_ptr": torch.zeros(1),
            },
            "optimizer": ADAM,
        },
        "state_dict.module.encoder_q.",
    ),
    "MoCo v3": (
        {
            "state_dict": {
                **under("module.base_encoder.", {**OWN, **MLP}),
                **under("module.momentum_encoder.", {**OTHER, **MLP}),
                "module.predictor.0.weight": torch.zeros(2, 2),
            }
        },
        "state_dict.module.base_encoder.",
    ),
    "DINO": (
        {
            "student": {
                **under("module.backbone.", OTHER),
                "module.head.mlp.0.weight": torch.zeros(2, 2),
            },
            "teacher": {**under("backbone.", OWN), "head.mlp.0.weight": torch.zeros(2, 2)},
            "optimizer": ADAM,
            "args": argparse.Namespace(arch="resnet50", output_dir=Path("runs")),
            "dino_loss": {"center": torch.zeros(1, 8)},
        },
        "teacher.backbone.",
    ),
    "SwAV": (
        under("module.", {**OWN, "projection_head.0.weight": torch.zeros(2, 4)})
        | {"module.prototypes.weight": torch.zeros(3, 2)},
        "module.",
    ),
    "solo-learn": (
        {
            "state_dict": {
                **under("backbone.", OWN),
                **under("momentum_backbone.", OTHER),
                "classifier.weight": torch.zeros(2, 4),
                "projector.0.weight": torch.zeros(2, 4),
            },
            "hyper_parameters": {"cfg": argparse.Namespace(method="mocov2plus")},
            "callbacks": {"checkpoint": {"best_model_path": ""}},
            "optimizer_states": [ADAM],
        },
        "state_dict.backbone.",
    ),
    "lightly": (
        {
            "state_dict": {
                **under("backbone.", by_place(OWN)),
                **under("backbone_momentum.", by_place(OTHER)),
                "projection_head.layers.0.weight": torch.zeros(2, 4),
            }
        },
        "state_dict.backbone.",
    ),
}


def read(path: Path, prefix: str | None = None) -> tuple[str, dict[str, Tensor]]:
    network = Small()
    place = fill(network, path, heads=("fc",), prefix=prefix, where=f"timm:small: {path.name}")
    return place, network.state_dict()


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return all(torch.equal(found[key], each) for key, each in expected.items())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_encoder_is_found_in_a_trainers_file(layout, tmp_path):
    tree, expected = LAYOUTS[layout]
    torch.save(tree, tmp_path / "w.pth")
    place, found = read(tmp_path / "w.pth")
    assert place == expected and same(found, OWN)


def test_safetensors_are_searched_too(tmp_path):
    save_file(under("encoder.", OWN), tmp_path / "w.safetensors")
    place, found = read(tmp_path / "w.safetensors")
    assert place == "encoder." and same(found, OWN)


def test_of_several_networks_one_is_chosen_and_the_choice_that_is_offered_works(tmp_path):
    torch.save({"state_dict": OWN, "state_dict_ema": OTHER}, tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match="2 networks fit; give --prefix, one of 'state_dict.', 'state_dict_ema.'"
    ):
        read(tmp_path / "w.pth")
    for prefix, expected in (("state_dict.", OWN), ("state_dict_ema", OTHER)):
        assert same(read(tmp_path / "w.pth", prefix)[1], expected)
    with pytest.raises(ValueError, match="no network under the prefix 'ema'; there is 'state_d"):
        read(tmp_path / "w.pth", "ema")


def test_a_prefix_takes_what_would_be_left_aside_and_may_be_its_end_alone(tmp_path):
    torch.save(LAYOUTS["MoCo"][0], tmp_path / "w.pth")
    place, found = read(tmp_path / "w.pth", "encoder_k")
    assert place == "state_dict.module.encoder_k." and same(found, OTHER)
    torch.save({**OWN, **under("copy.", OTHER)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="1 unknown|unknown"):
        read(tmp_path / "w.pth", "")  # the copy is none of a trainer's usual parts
    assert same(read(tmp_path / "w.pth", "copy.")[1], OTHER)


def test_the_momentum_network_alone_is_taken(tmp_path):
    torch.save(under("module.encoder_k.", OWN), tmp_path / "w.pth")
    assert read(tmp_path / "w.pth")[0] == "module.encoder_k."


def test_a_larger_network_whose_weights_hold_these_names_is_refused(tmp_path):
    # As a ResNet-34's hold a ResNet-18's, of the same shapes.
    torch.save(under("module.", {**OWN, "layer1.2.weight": torch.zeros(1)}), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"1 unknown \(layer1.2.weight\).* the prefix 'module.'"):
        read(tmp_path / "w.pth")
    larger = torchvision.models.resnet34().state_dict()
    torch.save(larger, tmp_path / "w.pth")
    network = torchvision.models.resnet18()
    with pytest.raises(ValueError, match=r"the weights do not fit, 96 unknown \(layer1.2.bn1.bias"):
        fill(network, tmp_path / "w.pth", heads=("fc",), prefix=None, where="torchvision:resnet18")


def test_weights_of_another_kind_of_network_say_what_there_is(tmp_path):
    torch.save({"cls_token": torch.zeros(1), "blocks.0.norm": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(
        ValueError,
        match=r"timm:small: w.pth: .* it holds blocks.0.norm, cls_token, and the network bn1.bias",
    ):
        read(tmp_path / "w.pth")


def test_a_file_of_old_batch_norm_lacks_counters_and_loads(tmp_path):
    state = {key: each for key, each in OWN.items() if not key.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "w.pth")
    assert same(read(tmp_path / "w.pth")[1], state)


def touch(name: str) -> None:
    Path(name).touch()


class Ran:
    """What runs a function where it is unpickled."""

    def __init__(self, function) -> None:
        self.function = function

    def __reduce__(self):
        return self.function, ("ran",)


def test_objects_beside_the_weights_are_not_built(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": OWN, "args": Ran(touch)}, tmp_path / "w.pth")
    assert same(read(tmp_path / "w.pth")[1], OWN)
    torch.save({"model": OWN, "args": Ran(os.mkdir)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w.pth: no weights .*\(Trying to load .* is blocked.\)"):
        read(tmp_path / "w.pth")
    assert not Path("ran").exists()


@pytest.mark.parametrize("tree", [[OWN], {"epoch": 3}, {"a": {"b": [1]}}, 3])
def test_a_file_without_named_tensors_is_refused(tree, tmp_path):
    torch.save(tree, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="w.pth: holds no state dict"):
        read(tmp_path / "w.pth")


def test_a_pickle_of_no_tensors_is_refused(tmp_path):
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": Path("b")}, protocol=2))
    with pytest.raises(ValueError, match="w.pth: no weights that can be read safely"):
        read(tmp_path / "w.pth")
