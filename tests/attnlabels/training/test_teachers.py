from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from attnlabels.teachers.network import Teacher
from attnlabels.training.teachers import BACKBONE_RATE, parameter_groups


@pytest.fixture
def weights(tmp_path) -> Path:
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def on_timm(weights: Path | None) -> Teacher:
    return Teacher(
        taps=None,
        pool_stride=1,
        output="learnt_offset",
        backbone="timm:resnet10t",
        weights=weights,
    )


def shares(teacher: Teacher) -> dict[str, float]:
    """The share of the learning rate at which each parameter learns."""
    names = {id(each): name for name, each in teacher.named_parameters()}
    found = [
        (names[id(each)], group["share"])
        for group in parameter_groups(teacher)
        for each in group["params"]
    ]
    assert len(found) == len(dict(found))  # each once
    return dict(found)


def test_from_random_weights_all_learn_alike():
    for teacher in (on_timm(None), Teacher(taps=(3,), pool_stride=1, output="learnt_offset")):
        (group,) = parameter_groups(teacher)
        assert list(map(id, group["params"])) == list(map(id, teacher.parameters()))
        assert group["share"] == 1.0


def test_a_backbone_with_weights_learns_at_a_tenth_of_the_rate(weights):
    found = shares(on_timm(weights))
    assert found.keys() == {name for name, _ in on_timm(weights).named_parameters()}
    assert BACKBONE_RATE == 0.1
    for name, share in found.items():
        assert share == (BACKBONE_RATE if name.startswith("backbone.") else 1.0), name


def test_of_a_frozen_backbone_nothing_learns(weights):
    teacher = on_timm(weights)
    teacher.freeze()
    found = shares(teacher)
    own = {name for name, _ in teacher.named_parameters() if not name.startswith("backbone.")}
    assert found == dict.fromkeys(own, 1.0)
