"""Weights on disk: safetensors with the constructor's arguments beside them."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from attnlabels.files.damage import refusing

NO_NETWORK = (  # what constructors raise, ours and torch's, where arguments make no sense
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)


def write_weights(path: Path, module: nn.Module, config: Mapping[str, Any]) -> None:
    """Write all of `module`'s tensors, and `config` as JSON in the header."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    # Not by `save_file`: killed, it leaves a file of another name, and only owners read its own.
    path.write_bytes(save(tensors, metadata={"config": json.dumps(config)}))


def read_config(path: Path, *expected: str) -> dict[str, Any]:
    """What `write_weights` was given as `config`, in which the keys `expected` must be."""
    with _open(path) as file:
        metadata = file.metadata() or {}
    if "config" not in metadata:
        raise ValueError(f"{path} has no config in its header; was it written by this project?")
    try:
        config = json.loads(metadata["config"])
    except ValueError as error:
        raise ValueError(f"{path}: the config in its header is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: the config in its header is {type(config).__name__}, no names")
    if missing := [key for key in expected if key not in config]:
        raise ValueError(f"{path} holds no {missing[0]}: these are the weights of another network")
    return config


def building(path: Path) -> AbstractContextManager[None]:
    """For a block that builds what the config of the file `path` describes.

    Raises ValueError, naming the file, where that is no description of it, as after damage.
    """
    return refusing(
        NO_NETWORK,
        path,
        what="the config in its header builds no network here",
        cure="fetch the file again, train again, or install the versions it was written with",
    )


def load_weights(path: Path, module: nn.Module, *, prefix: str = "") -> None:
    """Fill `module` with the tensors whose names begin with `prefix`; every one must fit."""
    with _open(path) as file:
        keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118 (no mapping)
        tensors = {key.removeprefix(prefix): file.get_tensor(key) for key in keys}
    own = module.state_dict()
    faults = {
        "is missing": own.keys() - tensors.keys(),
        "is unknown": tensors.keys() - own.keys(),
        "has another shape": {
            key for key in own.keys() & tensors.keys() if own[key].shape != tensors[key].shape
        },
    }
    for fault, names in faults.items():
        if names:
            raise ValueError(
                f"{path}: {prefix}{min(names)} {fault} ({len(names)} tensors in all): the weights "
                f"do not fit this {type(module).__name__}; build it as its config says, or train "
                "again"
            )
    module.load_state_dict(tensors)


def _open(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no weights here; name a file of them, or run the stage that trains them"
        )
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); fetch it or train again"
        ) from error
