import pytest
import torch

from attnlabels.models.files import write_weights
from attnlabels.teachers.network import Teacher
from attnlabels.teachers.trained import read_trained

GEOMETRY = {"image_size": [48, 64], "sigma_px": [2.0, 1.5], "fitted_sigma_px": [3.0, 2.25]}


@pytest.mark.parametrize("backbone", [None, "timm:resnet10t", "timm:vit_tiny_patch16_224"])
def test_what_was_written_is_read_in_evaluation_mode(tmp_path, backbone):
    torch.manual_seed(0)
    taps = (3, 5) if backbone is None else None
    network = Teacher(taps=taps, pool_stride=1, output="learnt_offset", backbone=backbone)
    network(torch.rand(4, 3, 48, 64))  # moves the statistics of batch norm
    config = {"teacher": network.architecture, **GEOMETRY}
    write_weights(tmp_path / "t.safetensors", network, config)
    trained = read_trained(tmp_path / "t.safetensors")
    assert (trained.image_size, trained.sigma_px) == ((48, 64), (2.0, 1.5))
    assert trained.fitted_sigma_px == (3.0, 2.25) and not trained.teacher.training
    images = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        assert torch.equal(trained.teacher(images), network.eval()(images))


def test_a_file_from_before_there_were_other_backbones_is_read(tmp_path):
    network = Teacher(taps=(3, 5, 7, 9), pool_stride=1, output="learnt_offset")
    old = {"taps": [3, 5, 7, 9], "pool_stride": 1, "output": "learnt_offset"}
    write_weights(tmp_path / "t.safetensors", network, {"teacher": old, **GEOMETRY})
    state = read_trained(tmp_path / "t.safetensors").teacher.state_dict()
    assert {key.partition(".")[0] for key in state} == {"backbone", "branches", "offset"}
    assert {"backbone.0.0.weight", "backbone.9.block.0.0.weight", "branches.3.conv.bias"} < {*state}
    assert len(state) == 207


def test_a_file_that_does_not_say_its_geometry_is_refused(tmp_path):
    network = Teacher(taps=(3,), pool_stride=1, output="literal")
    write_weights(tmp_path / "t", network, {"teacher": network.architecture, "image_size": [9, 9]})
    with pytest.raises(ValueError, match="does not say sigma_px and fitted_sigma_px of .*; train"):
        read_trained(tmp_path / "t")
