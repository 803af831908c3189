import pytest
import timm
import torch
from torch import nn

from attnlabels.pretrained.timm_networks import (
    create,
    create_for_any_size,
    heads_of,
    levels_of,
    three_of,
)


def test_the_last_places_of_three_scales_or_thirds_of_the_depth_are_read():
    assert three_of([2, 4, 8, 16, 32]) == [2, 3, 4]
    assert three_of([4, 4, 8, 8, 8, 16]) == [1, 4, 5]
    assert three_of([16] * 12) == [3, 7, 11]
    assert three_of([16, 16, 32]) == [0, 1, 2]
    with pytest.raises(ValueError, match="at 2 places; 3 are read"):
        three_of([8, 16])


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224"])
def test_a_network_for_any_size_is_the_same_network(name):
    torch.manual_seed(0)
    own = create(name).eval()
    other = create_for_any_size(name).eval()
    other.load_state_dict(own.state_dict())
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(other(images), own(images))
        assert other(torch.rand(1, 3, 64, 96)).shape == own(images).shape


def test_weights_are_drawn_once():
    torch.manual_seed(0)
    own = create("vit_tiny_patch16_224").state_dict()
    torch.manual_seed(0)
    other = create_for_any_size("vit_tiny_patch16_224").state_dict()
    assert all(torch.equal(own[key], other[key]) for key in own)


def test_timm_tells_levels_and_heads():
    assert [level["reduction"] for level in levels_of(create("resnet10t"))] == [2, 4, 8, 16, 32]
    assert heads_of(create("resnet10t")) == ("fc",)
    two = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=0)
    assert heads_of(two) == ("head", "head_dist")
    with pytest.raises(ValueError, match="timm gives no intermediate features of it"):
        levels_of(nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet51", "timm:resnet51: timm .* knows no such model; there are"),
        ("resnet18.no_such_tag", "knows no such tag; leave it out, or take resnet18.a1_in1k"),
        ("hf-hub:timm/resnet18.a1_in1k", "nothing is downloaded; fetch the weights"),
    ],
)
def test_a_name_that_timm_does_not_know_is_refused(name, said):
    with pytest.raises(ValueError, match=said):
        create_for_any_size(name)
