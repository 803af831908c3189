import numpy as np
import pytest
import timm.optim
import torch
from torch import nn

from attnlabels.training.optimizers import Lars, build_optimizer, parameter_groups


def tensor(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def lars(
    w: nn.Parameter, *, adapt: bool = True, lr: float = 0.5, weight_decay: float = 0.0
) -> Lars:
    return Lars(
        [{"params": [w], "adapt": adapt}],
        lr=lr,
        momentum=0.9,
        weight_decay=weight_decay,
        trust_coefficient=0.001,
    )


def descend(optimizer: Lars, w: nn.Parameter, *gradients: list[float]) -> list[float]:
    for g in gradients:
        w.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
    return w.tolist()


def test_first_step_worked_by_hand() -> None:
    w = tensor(3, 4)  # |w| = 5, |g| = 10: ratio 0.001 * 5 / 10
    moved = descend(lars(w), w, [6, 8])
    assert moved == pytest.approx([3 - 0.5 * 0.0005 * 6, 4 - 0.5 * 0.0005 * 8])


def test_weight_decay_enters_before_the_ratio() -> None:
    w = tensor(3, 4)  # g + 2 w = (6, 8) when g is 0
    moved = descend(lars(w, weight_decay=2.0), w, [0, 0])
    assert moved == pytest.approx([3 - 0.5 * 0.0005 * 6, 4 - 0.5 * 0.0005 * 8])


def test_excluded_groups_get_plain_momentum() -> None:
    w = tensor(3, 4)
    optimizer = lars(w, adapt=False)
    moved = descend(optimizer, w, [1, 0], [1, 0])  # v: 0.5, then 0.9 * 0.5 + 0.5 = 0.95
    assert moved == pytest.approx([3 - 0.5 - 0.95, 4])


def test_a_group_may_decay_without_adapting() -> None:
    w = tensor(3, 4)
    optimizer = lars(w, adapt=False, weight_decay=0.1)
    moved = descend(optimizer, w, [1, 0])  # g + 0.1 w = (1.3, 0.4), times lr 0.5
    assert moved == pytest.approx([3 - 0.65, 4 - 0.2])


@pytest.mark.parametrize("w, g", [([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 0.0])])
def test_ratio_is_one_where_a_norm_is_zero(w: list[float], g: list[float]) -> None:
    p = tensor(*w)
    assert descend(lars(p), p, g) == pytest.approx([a - 0.5 * b for a, b in zip(w, g)])


def test_learning_rate_is_inside_the_momentum() -> None:
    w = tensor(1, 1)
    optimizer = lars(w, adapt=False, lr=0.1)
    descend(optimizer, w, [1, 0])  # v = 0.1
    optimizer.param_groups[0]["lr"] = 0.0
    moved = descend(optimizer, w, [1, 0])  # v = 0.09: the old rate lives on in the buffer
    assert moved == pytest.approx([1 - 0.1 - 0.09, 1])


def test_equals_timm_at_a_constant_rate_without_decay() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Linear(5, 3).double() for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    one = Lars(
        [
            {"params": [ours.weight], "adapt": True},
            {"params": [ours.bias], "adapt": False},
        ],
        lr=30.0,
        momentum=0.9,
        weight_decay=0.0,
        trust_coefficient=0.001,
    )
    other = timm.optim.Lars(
        [
            {"params": [theirs.weight], "always_adapt": True},
            {"params": [theirs.bias], "always_adapt": False, "lr": 0.3},
        ],
        lr=30.0,
        momentum=0.9,
        trust_coeff=0.001,
    )
    one.param_groups[1]["lr"] = 0.3
    start = ours.weight.detach().clone()
    for _ in range(20):
        x = torch.randn(4, 5, dtype=torch.float64)
        for model, optimizer in ((ours, one), (theirs, other)):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    assert (ours.weight - start).norm() > 0.1 * start.norm()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_equals_the_reference_code_under_a_changing_rate() -> None:
    draw = np.random.default_rng(0)
    start, gradients = draw.normal(size=6), draw.normal(size=(12, 6))
    w, v = start.copy(), np.zeros(6)
    p = tensor(*start)
    optimizer = lars(p, weight_decay=0.1)
    for step, g in enumerate(gradients):
        lr = 50.0 * (step + 1) / 12
        decayed = g + 0.1 * w
        ratio = 0.001 * np.linalg.norm(w) / np.linalg.norm(decayed)
        v = 0.9 * v + lr * ratio * decayed
        w = w - v
        optimizer.param_groups[0]["lr"] = lr
        descend(optimizer, p, g.tolist())
    assert p.tolist() == pytest.approx(w.tolist(), rel=1e-10)


def test_parameters_without_gradient_stay() -> None:
    w = tensor(1, 2)
    lars(w, weight_decay=0.1).step()
    assert w.tolist() == [1, 2]


def test_resumes_from_its_state() -> None:
    w, again = tensor(1, 2), tensor(1, 2)
    whole, first = lars(w), lars(again)
    descend(whole, w, [1, 0], [0, 1], [1, 1])
    descend(first, again, [1, 0], [0, 1])
    second = lars(again)
    second.load_state_dict(first.state_dict())
    assert descend(second, again, [1, 1]) == w.tolist()


def test_each_group_must_say_whether_it_adapts() -> None:
    with pytest.raises(ValueError, match="group 0 says adapt=None"):
        Lars(
            [{"params": [tensor(1)]}],
            lr=0.1,
            momentum=0.9,
            weight_decay=0.0,
            trust_coefficient=0.001,
        )


def network() -> nn.Module:
    """Parts as a student's, and one that is of no network here."""
    parts = {
        "encoder": nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
        "another": nn.Linear(4, 4),
        "attention": nn.Conv1d(2, 1, 1),
        "probe": nn.Linear(4, 3),
    }
    module = nn.Module()
    for name, part in parts.items():
        module.add_module(name, part)
    module.another.bias.requires_grad_(False)
    module.encoder.gain = nn.Parameter(torch.tensor(0.0))  # as of a residual path of NFNets
    return module


def test_each_trained_parameter_is_in_one_group_and_a_frozen_one_in_none() -> None:
    model = network()
    names = {id(each): name for name, each in model.named_parameters()}
    groups = [{names[id(w)] for w in group["params"]} for group in parameter_groups(model)]
    assert groups == [
        {"encoder.0.weight", "another.weight"},
        {"probe.weight"},
        {"encoder.gain", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias", "probe.bias"},
        {"attention.weight", "attention.bias"},
    ]


@pytest.mark.parametrize("name", ["lars", "sgd", "adamw"])
def test_kernels_decay_and_the_attention_has_a_rate_of_its_own(name) -> None:
    optimizer = build_optimizer(
        name, network(), learning_rate=0.2, attention_learning_rate=10.0, weight_decay=0.01
    )
    groups = optimizer.param_groups
    assert [group["base"] for group in groups] == [0.2, 0.2, 0.2, 2.0]
    assert [group["weight_decay"] for group in groups] == [0.01, 0.01, 0.0, 0.0]
    assert all(("adapt" in group) == (name == "lars") for group in groups)


def test_an_attention_without_parameters_has_no_group() -> None:
    model = network()
    model.attention = nn.Identity()
    optimizer = build_optimizer(
        "sgd", model, learning_rate=0.2, attention_learning_rate=10.0, weight_decay=0.01
    )
    assert len(optimizer.param_groups) == 3
