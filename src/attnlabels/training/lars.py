"""LARS as SimCLR runs it (google-research/simclr:lars_optimizer.py, `classic_momentum`)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lars(Optimizer):
    """SGD with momentum whose step is scaled to each tensor's norm.

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
