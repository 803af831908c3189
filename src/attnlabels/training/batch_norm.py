"""Batch normalisation over the batches of all processes, as one process would have it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

TIMMS = "timm.layers.norm_act"  # not there unless a network of timm is, as it takes long to import


def synchronise(model: nn.Module, device: torch.device) -> nn.Module:
    """`model` with each BatchNorm2d and 1d taking its statistics over all processes.

    SimCLR aggregates them over its replicas too (FACTS §4.3). Names and values of its state stay.
    """
    if device.type != "cpu":
        # Torch's own would lose the activations that timm keeps inside of its norms.
        synchronised: nn.Module = import_module(TIMMS).convert_sync_batchnorm(model)
        return synchronised
    for name, child in model.named_children():
        if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
            setattr(model, name, SyncBatchNorm.of(child))
        else:
            synchronise(child, device)
    return model


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """In this block a pass through `model` in training leaves its running statistics alone."""
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._NormBase)]
    norms = [each for each in norms if each.track_running_stats]  # the others have none to read
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


class SyncBatchNorm(nn.BatchNorm2d):
    """For CPUs, where torch has none: inputs [n, c] or [n, c, h, w] of equally many n a process."""

    after: nn.Module  # what timm's norms do to their outputs

    @classmethod
    def of(cls, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> "SyncBatchNorm":
        """One that shares the parameters and buffers of `norm`."""
        new = cls(norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
        new.weight, new.bias = norm.weight, norm.bias
        new.running_mean, new.running_var = norm.running_mean, norm.running_var
        new.num_batches_tracked = norm.num_batches_tracked
        timms, own = sys.modules.get(TIMMS), list[Any]()
        if timms is not None and isinstance(norm, timms.BatchNormAct2d):
            own = [norm.drop, norm.act]
        new.after = nn.Sequential(*own)
        return new.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self._normalise(x) if self.training else super().forward(x))

    def _normalise(self, x: Tensor) -> Tensor:
        dims = [0, *range(2, x.ndim)]
        shape = (1, -1, *[1] * (x.ndim - 2))
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = dist.get_world_size() * (x.numel() // x.shape[1])
        mean = _Sum.apply(wide.sum(dims)) / count
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(dims)) / count
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * (count / (count - 1)))
        out = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    def _track(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        assert self.num_batches_tracked is not None and self.momentum is not None
        assert self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased_variance.to(self.running_var.dtype), self.momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 4):
            raise ValueError(f"{input.ndim} dimensions; expected an input [n, c] or [n, c, h, w]")


class _Sum(torch.autograd.Function):
    """The sum over processes. Each one's loss depends on every summand, so gradients sum too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total
