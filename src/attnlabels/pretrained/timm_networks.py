"""Networks of timm by their names, without weights, and the depths at which they are read."""

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import nn

N_STAGES = 3  # depths of a network that are read: the paper's are the last three stages
N_NAMED = 3  # of many names, so many are named
ANY_SIZE = {"dynamic_img_size": True, "strict_img_size": False}  # timm's words, of transformers


def create(name: str, **options: Any) -> nn.Module:
    """A network of timm without weights and without its classifier; `options` are its class's.

    Raises ValueError for a name that timm does not know, and for one of weights elsewhere.
    """
    if ":" in name or "/" in name:
        raise ValueError(
            f"timm:{name}: nothing is downloaded; fetch the weights and name the network as "
            "timm.list_models() does, timm:NAME --weights FILE"
        )
    timm = timm_itself()
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.')[0][:6]}*")[:N_NAMED]
        hint = f"; there are {', '.join(near)}" if near else ""
        raise ValueError(f"timm:{name}: timm {timm.__version__} knows no such model{hint}")
    bare, _, tag = name.partition(".")
    tagged = timm.list_models(f"{bare}.*", pretrained=True)
    if tag and name not in tagged:
        there = f", or take {', '.join(tagged[:N_NAMED])}" if tagged else ""
        raise ValueError(f"timm:{name}: timm knows no such tag; leave it out{there}")
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return network


def timm_itself() -> Any:
    """The package timm, for who builds a network of it, or has one.

    No other waits for it: it brings torchvision and torch's compiler, two seconds at the start of
    each stage.
    """
    return import_module("timm")


def create_for_any_size(name: str) -> nn.Module:
    """`create`, and a transformer so that it takes images of other sizes than its own, if it can.

    Its position embeddings are then drawn larger or smaller at each call.
    """
    with torch.device("meta"):  # draws no weights
        words = inspect.signature(type(create(name)).__init__).parameters
    return create(name, **{key: value for key, value in ANY_SIZE.items() if key in words})


def heads_of(network: nn.Module) -> tuple[str, ...]:
    """The names of the classifiers that were taken off a network of timm."""
    told: Any = network.pretrained_cfg
    heads = told.get("classifier") or ()
    return (heads,) if isinstance(heads, str) else tuple(heads)


def levels_of(network: nn.Module) -> list[dict[str, Any]]:
    """What timm tells of each of a network's feature levels, from the lowest.

    `num_chs` are its channels, `reduction` its stride in pixels. Raises ValueError for a network
    whose intermediate features timm does not give.
    """
    if not hasattr(network, "forward_intermediates") or not hasattr(network, "feature_info"):
        raise ValueError("timm gives no intermediate features of it (no forward_intermediates)")
    told: Any = network.feature_info
    return list(told)


def three_of(scales: Sequence[object]) -> list[int]:
    """Which of a network's places, in order and each given by its scale, are read.

    The last place of each of the last three scales; where the scales are fewer, the ends of three
    equal parts of the places. Raises ValueError for fewer than three.
    """
    ends = [i for i, scale in enumerate(scales) if [scale] != list(scales[i + 1 : i + 2])]
    if len(scales) < N_STAGES:
        raise ValueError(f"has intermediate features at {len(scales)} places; {N_STAGES} are read")
    if len(ends) >= N_STAGES:
        return ends[-N_STAGES:]
    return [len(scales) * part // N_STAGES - 1 for part in range(1, N_STAGES + 1)]
