import pytest
import torch
from torch import nn
from torchvision.models import resnet

from attnlabels.models import units


@pytest.mark.parametrize("kind", ["BasicBlock", "Bottleneck"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_unit_is_torchvisions_to_the_bit_forward_and_backward(kind, stride):
    ours, theirs = getattr(units, kind), getattr(resnet, kind)
    built = []
    for unit in (ours, theirs):
        torch.manual_seed(0)
        out = 8 * unit.expansion
        shortcut = nn.Sequential(nn.Conv2d(16, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        built.append(unit(16, 8, stride, shortcut))
    assert ours.expansion == theirs.expansion
    states = [unit.state_dict() for unit in built]
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    x = torch.randn(4, 16, 10, 10, generator=torch.Generator().manual_seed(1))
    found = []
    for unit in built:
        inputs = x.clone().requires_grad_()
        unit(inputs).square().sum().backward()
        found.append([inputs.grad, *(weight.grad for weight in unit.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("kind", ["BasicBlock", "Bottleneck"])
def test_a_unit_without_a_shortcut_adds_its_input(kind):
    unit = getattr(units, kind)(8 if kind == "BasicBlock" else 32, 8)
    nn.init.zeros_((unit.bn2 if kind == "BasicBlock" else unit.bn3).weight)
    x = torch.randn(2, 8 if kind == "BasicBlock" else 32, 5, 5)
    assert torch.equal(unit(x), x.relu())
