import pytest
import torch
from torch import Tensor, nn

from attnlabels.tasks.network import BLOCKS, Given, Network, Side


class Mean(nn.Module):
    def forward(self, attended: Tensor, skip: Tensor) -> Tensor:
        return attended.mean(dim=(2, 3))


@pytest.mark.parametrize("block", BLOCKS)
def test_attention_is_at_a_quarter_of_the_sides(block):
    torch.manual_seed(0)
    network = Network(2, (4, 5, 8), block=block, head=Mean())
    found = network(torch.rand(3, 2, 24, 24), torch.rand(3, 24, 24))
    assert found.predicted.shape == (3, 8)
    assert found.mask.shape == ((3, 0, 0) if block == "none" else (3, 6, 6))
    if block != "none":
        assert (found.mask >= 0).all() and (found.mask <= 1).all()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_map_that_comes_along_is_seen_by_one_block_alone(block):
    torch.manual_seed(0)
    network = Network(2, (4, 5, 8), block=block, head=Mean()).eval()
    shown = torch.rand(3, 2, 24, 24)
    one, other = (network(shown, torch.rand(3, 24, 24)).predicted for _ in range(2))
    assert torch.equal(one, other) is (block != "given")


def test_a_mask_at_the_side_multiplies_nothing():
    torch.manual_seed(0)
    features = torch.rand(2, 8, 6, 6)
    attended, mask = Side(8)(features, torch.rand(2, 24, 24))
    assert torch.equal(attended, features) and mask.shape == (2, 6, 6)


def test_what_is_given_stresses_and_hides_nothing():
    given = torch.zeros(1, 8, 8)
    given[0, :4, :4] = 0.5
    features = torch.ones(1, 3, 2, 2)
    attended, mask = Given()(features, given)
    assert mask.tolist() == [[[1.0, 0.0], [0.0, 0.0]]]
    assert torch.equal(attended[0, 0], 1 + mask[0])


def test_a_map_of_nothing_changes_nothing():
    features = torch.rand(1, 3, 2, 2)
    attended, _ = Given()(features, torch.zeros(1, 8, 8))
    assert torch.equal(attended, features)
