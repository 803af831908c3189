"""The optimizers of encoders: which parameters decay and adapt, and LARS as SimCLR runs it."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

Optimizer = Literal["lars", "sgd", "adamw"]


def build_optimizer(
    name: Optimizer,
    network: nn.Module,
    *,
    learning_rate: float,
    attention_learning_rate: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Kernels decay and, under LARS, adapt; gains and biases do neither.

    So does SimCLR (lars_optimizer.py). A kernel is what has two axes or more, a ViT's position
    embeddings with them. The kernel of `network.probe` decays but does not adapt. The few
    parameters of `network.attention`, where it has any, have a rate of their own,
    `attention_learning_rate` times the others' (A12). SGD has Nesterov's momentum of 0.9.
    """
    groups = [group for group in parameter_groups(network) if group["params"]]
    for group in groups:
        rate = attention_learning_rate if group.pop("own_rate") else 1.0
        group["base"] = group["lr"] = learning_rate * rate
        group["weight_decay"] = weight_decay if group.pop("decays") else 0.0
        if name != "lars":
            group.pop("adapt")
    if name == "lars":
        momentum, trust = 0.9, 1e-3
        return Lars(
            groups, lr=learning_rate, momentum=momentum, weight_decay=0.0, trust_coefficient=trust
        )
    if name == "sgd":
        return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=learning_rate)


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """The trained parameters of a network, by what is done to them; some may be empty.

    Its `probe` and its `attention` are apart; whatever other parts it has are trained alike.
    """
    probe, attention = network.probe, network.attention
    assert isinstance(probe, nn.Linear) and isinstance(attention, nn.Module)
    parts = [each for each in network.children() if each not in (probe, attention)]
    kernels, gains = kernels_and_gains(each for part in parts for each in part.parameters())
    plain = {"adapt": False, "decays": False, "own_rate": False}
    return [
        plain | {"params": kernels, "adapt": True, "decays": True},
        plain | {"params": [probe.weight], "decays": True},
        plain | {"params": [*gains, probe.bias]},
        plain | {"params": list(attention.parameters()), "own_rate": True},
    ]


def kernels_and_gains(
    parameters: Iterable[nn.Parameter],
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those that are trained: what has two axes or more, and gains and biases, which have fewer."""
    trained = [each for each in parameters if each.requires_grad]
    kernels = [each for each in trained if each.ndim > 1]
    return kernels, [each for each in trained if each.ndim <= 1]


class Lars(torch.optim.Optimizer):
    """SGD with momentum whose step is scaled to each tensor's norm.

    As google-research/simclr:lars_optimizer.py runs it, with `classic_momentum`.

    Each group says `adapt`. True: the step has the ratio trust_coefficient * |w| / |g|, where g has
    the weight decay in it. False, for biases, normalisation and linear heads: plain momentum. To
    leave such a group without decay give it a `weight_decay` of 0; SimCLR decays the head's kernel.

    The learning rate is inside the momentum buffer, so a change of rate acts on new gradients
    only. `timm.optim.Lars` and facebookresearch/barlowtwins:main.py keep it outside, which is
    the same at a constant rate and another optimizer under warm-up and decay. timm also divides
    by |g| + weight_decay * |w|, SimCLR by |g + weight_decay * w|, as here.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        trust_coefficient: float,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
        }
        super().__init__(groups, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if not isinstance(param_group.get("adapt"), bool):
            raise ValueError(
                f"parameter group {len(self.param_groups)} says adapt="
                f"{param_group.get('adapt')!r}, expected True or False in each group"
            )
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    self._update(w, group)

    def _update(self, w: Tensor, group: dict[str, Any]) -> None:
        g, lr = w.grad + group["weight_decay"] * w, group["lr"]
        if group["adapt"]:
            g = _ratio(w, g, trust_coefficient=group["trust_coefficient"]) * g
        state = self.state[w]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(w)
        v = state["momentum_buffer"].mul_(group["momentum"]).add_(g, alpha=lr)
        w.sub_(v)


def _ratio(w: Tensor, g: Tensor, *, trust_coefficient: float) -> Tensor:
    """1 where either norm is 0. Stays on the device: no value is read back."""
    w_norm, g_norm = torch.linalg.vector_norm(w), torch.linalg.vector_norm(g)
    defined = (w_norm > 0) & (g_norm > 0)
    return torch.where(defined, trust_coefficient * w_norm / g_norm, 1.0)
