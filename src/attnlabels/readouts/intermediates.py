"""What a frozen network holds of images before it pools: maps of three depths, and attention.

The depths are the paper's: the last three stages of a network that has stages. A plain transformer
has one resolution throughout; of it the ends of three equal parts of its depth are taken.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from timm.utils.attention_extract import AttentionExtract
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from attnlabels.images.squares import Interpolation, resize_centre_crop
from attnlabels.pretrained.timm_networks import N_STAGES, levels_of, three_of

ATTENTION = AttentionExtract.default_module_names[0].removeprefix("*")  # ends a module's name


class Seen(NamedTuple):
    """What a network holds of a batch of images."""

    stages: list[Float[Tensor, "n _ _ _"]]  # [n, channels, rows, columns], from the lowest
    # The class token's attention in the last block, mean over heads; None if there is none to have.
    class_token: Float[Tensor, "n i j"] | None

    def of(self, rows: Sequence[int]) -> "Seen":
        """What is held of some images of the batch."""
        chosen = list(rows)
        token = None if self.class_token is None else self.class_token[chosen]
        return Seen([stage[chosen] for stage in self.stages], token)


Look = Callable[[Float[Tensor, "n 3 h w"]], Seen]  # of images as the network takes them


@dataclass(frozen=True, kw_only=True)
class Eye:
    """A frozen network that looks at photographs: the central `crop` of each, as a square."""

    look: Callable[[UInt8[Tensor, "n s s 3"]], Seen]
    size: int  # side of the square, pixels
    crop: float  # share of the shorter side; 1 is the whole photograph, squeezed
    interpolation: Interpolation

    @torch.no_grad()
    def see(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Seen:
        """What it holds of photographs of any sizes, in float32.

        Raises ValueError if that is not finite.
        """
        squares = [
            resize_centre_crop(
                each, size=self.size, crop=self.crop, interpolation=self.interpolation
            )
            for each in images
        ]
        stages, token = self.look(torch.from_numpy(np.stack(squares)))
        seen = Seen([stage.float() for stage in stages], token)
        if not all(bool(torch.isfinite(stage).all()) for stage in seen.stages):
            raise ValueError("its intermediate features are not finite; mend its weights")
        return seen


def of_timm(network: nn.Module) -> Look:
    """The stages that timm tells of a network, tokens as maps without those before them.

    Raises ValueError for a network whose intermediate features timm does not give.
    """
    chosen = three_of([level["reduction"] for level in levels_of(network)])
    told: Any = network  # of what timm's networks have and a module has not
    last_attention = _last_attention(network)

    def look(images: Float[Tensor, "n 3 h w"]) -> Seen:
        stages = told.forward_intermediates(images, indices=chosen, intermediates_only=True)
        attention = last_attention(images.device)
        rows, columns = stages[-1].shape[2:]
        n_prefix = getattr(network, "num_prefix_tokens", 1)
        return Seen(stages, class_token_map(attention, n_prefix=n_prefix, grid=(rows, columns)))

    return look


def _last_attention(network: nn.Module) -> Callable[[torch.device], Tensor | None]:
    """A function that gives the last block's attention in the forward pass before it is called.

    That is None of a network without a class token, or without attention that timm can extract.
    """
    heads = [name for name, _ in network.named_modules() if name.endswith(ATTENTION)]
    if not heads or getattr(network, "cls_token", None) is None:
        return lambda device: None
    for module in network.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010 (mypy takes it for a tensor)
    hooks: Any = AttentionExtract(network, names=heads[-1:], method="hook").hooks
    return lambda device: hooks.get_output(device=device).get(heads[-1])


def class_token_map(
    attention: Tensor | None, *, n_prefix: int, grid: tuple[int, int]
) -> Float[Tensor, "n i j"] | None:
    """How much the first token attends to each patch, mean over heads, from all attention.

    `attention` is [n, heads, tokens, tokens], of which `n_prefix` come before the patches of the
    `grid` (rows, columns). None for attention of any other shape, as that within windows.
    """
    rows, columns = grid
    tokens = n_prefix + rows * columns
    if attention is None or attention.ndim != 4 or attention.shape[2:] != (tokens, tokens):
        return None
    return attention[:, :, 0, n_prefix:].mean(dim=1).reshape(-1, rows, columns).float()


class Place(NamedTuple):
    """A module of a network and the grid, rows by columns, of what it gives for a square image."""

    name: str
    kind: type[nn.Module]
    grid: tuple[int, int]
    is_tokens: bool


def of_torchvision(network: nn.Module, *, size: int) -> Look:
    """Stages of a network of torchvision that is shown squares of `size` pixels.

    They are found among its modules, the outermost among which are three resolutions or, of a
    transformer, three blocks. Raises ValueError for a network without such.
    """
    places = _places(network, size)
    chosen = [places[i] for i in three_of([each.grid for each in places])]
    extractor = create_feature_extractor(network, {each.name: each.name for each in chosen})
    extractor.eval()

    def look(images: Float[Tensor, "n 3 h w"]) -> Seen:
        found = extractor(images)
        return Seen([as_map(found[each.name], each.grid) for each in chosen], None)

    return look


def as_map(features: Tensor, grid: tuple[int, int]) -> Float[Tensor, "n c i j"]:
    """Maps [n, c, i, j] or [n, i, j, c], or tokens [n, t, c] of which the last are the `grid`'s."""
    rows, columns = grid
    if features.ndim == 3:
        tokens = features[:, -rows * columns :]
        return tokens.transpose(1, 2).reshape(len(features), -1, rows, columns)
    return features if features.shape[2:] == grid else features.permute(0, 3, 1, 2)


def _places(network: nn.Module, size: int) -> list[Place]:
    """The outermost modules, in order, among which there are stages enough to choose from."""
    grids = _grids(network, size)
    level: list[tuple[str, nn.Module]] = [("", network)]
    while True:
        places = [Place(name, type(each), *grids[name]) for name, each in level if name in grids]
        if len({place.grid for place in places}) >= N_STAGES:
            return places
        blocks = [place.kind for place in places if place.is_tokens]
        alike = [place for place in places if blocks.count(place.kind) >= N_STAGES]
        if alike:
            return alike
        inner = [pair for name, each in level for pair in _inside(name, each)]
        if len(inner) == len(level):
            raise ValueError(f"no {N_STAGES} stages or blocks are found among its modules")
        level = inner


def _inside(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules right inside one, or itself if there are none."""
    children = list(module.named_children())
    for child, each in children:
        yield (f"{name}.{child}" if name else child), each
    if not children:
        yield name, module


@torch.no_grad()
def _grids(network: nn.Module, size: int) -> dict[str, tuple[tuple[int, int], bool]]:
    """The grid that each module's output is on, and whether that is tokens, by its name.

    Only of outputs that are larger than one pixel.
    """
    found: dict[str, tuple[tuple[int, int], bool]] = {}

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, given: object, answer: object) -> None:
            grid = _grid(answer.shape) if isinstance(answer, Tensor) else None
            if grid and isinstance(answer, Tensor):
                found[name] = (grid, answer.ndim == 3)

        return hook

    hooks = [each.register_forward_hook(note(name)) for name, each in network.named_modules()]
    try:
        device = next(network.parameters()).device
        network.eval()(torch.zeros((1, 3, size, size), device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _grid(shape: Sequence[int]) -> tuple[int, int] | None:
    """Rows and columns of maps, channels first or last, or of tokens, of a square image."""
    if len(shape) == 3:
        side = math.isqrt(shape[1])  # of the patches; what is over are tokens before them
    elif len(shape) == 4 and shape[2] == shape[3]:
        side = shape[2]
    elif len(shape) == 4 and shape[1] == shape[2]:
        side = shape[1]
    else:
        return None
    return (side, side) if side > 1 else None
