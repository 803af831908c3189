"""The weights of an encoder, wherever a trainer's file keeps them.

A checkpoint holds more than an encoder: projectors, queues, optimizers, and often a second network
whose weights are means of the first's. Keys are joined to names as `state_dict.module.encoder_q.`,
and the encoder is where all of its own names follow one such prefix: MoCo's `encoder_q`, DINO's
`teacher`, `backbone` in solo-learn, lightly and others, `module` of data parallel training. What
torch.compile puts into names is left out, and a network that was saved as a list of its children,
as lightly's are, is known by their places.
"""

import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from attnlabels.files.damage import NO_STATE, is_of_system

COMPILED = "_orig_mod."
# Of two networks in a file, those that the trainers' own evaluations leave aside: means of the
# other's weights in MoCo (v3), BYOL, solo-learn, lightly and ours, and in DINO the network that
# follows.
LEFT_ASIDE = (
    "encoder_k",
    "momentum",
    "momentum_encoder",
    "momentum_backbone",
    "backbone_momentum",
    "target_encoder",
    "target_network",
    "student",
)
# What training needs beside an encoder, and an encoder's features do not pass through.
HEADS = (
    "classifier",
    "fc",
    "head",
    "heads",
    "linear",
    "mlp_head",
    "predictor",
    "prediction_head",
    "projection_head",
    "projector",
    "prototypes",
    "queue",
    "queue_ptr",
)
COUNTER = "num_batches_tracked"  # of batch norm: older files lack it and nothing reads it here
DEPTH = 4  # of mappings in mappings; none of a trainer's is deeper
N_NAMED = 3  # of many keys, so many are named


@dataclass(frozen=True)
class Place:
    """A prefix in a file, the weights `found` after it by a network's names, and what is amiss."""

    prefix: str
    found: dict[str, Tensor]
    faults: dict[str, list[str]]

    @property
    def fits(self) -> bool:
        return not any(self.faults.values())

    @property
    def left_aside(self) -> bool:
        return any(part in LEFT_ASIDE for part in self.prefix.split("."))


def fill(
    network: nn.Module, path: Path, *, heads: Iterable[str], prefix: str | None, where: str
) -> str:
    """Fill `network` from the file `path`; returns the prefix of its weights there.

    `heads` are the classifiers that were taken off the network. `prefix`, or as much of its end as
    is needed, chooses one of several places. Raises ValueError that begins with `where` unless one
    place alone fits in full, and FileNotFoundError without a file.
    """
    state = read_state(path)
    places = find(network, state, heads=heads)
    asked = places if prefix is None else named(places, prefix)
    if places and not asked:
        raise ValueError(
            f"{where}: no network under the prefix {prefix!r}; there is {_all(places)}"
        )
    fitting = [each for each in asked if each.fits]
    first = [each for each in fitting if not each.left_aside] if prefix is None else []
    best = first or fitting
    if not best:
        raise ValueError(f"{where}: the weights do not fit, {_misfit(asked, state, network)}")
    if len(best) > 1:
        raise ValueError(f"{where}: {len(best)} networks fit; give --prefix, one of {_all(best)}")
    network.load_state_dict(network.state_dict() | best[0].found)
    return best[0].prefix


def named(places: Iterable[Place], prefix: str) -> list[Place]:
    """The place of that prefix or, if there is none, those whose prefix ends so."""
    asked = prefix.strip(".")
    same = [each for each in places if each.prefix.strip(".") == asked]
    return same or [each for each in places if asked and f".{each.prefix}".endswith(f".{asked}.")]


def read_state(path: Path) -> dict[str, Tensor]:
    """All tensors of a file of safetensors or of torch's own format, by their joined names.

    Of torch's format tensors are read and no code is run: an object of any other class, such as
    the options of a run, is not built. Raises ValueError where there is no tensor.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no weights here")
    try:
        tree = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except (SafetensorError, *NO_STATE) as error:
        if is_of_system(error):
            raise
        raise ValueError(
            f"{path}: no weights that can be read safely ({_why(error)}); save the state dict as "
            "safetensors, or its tensors alone with torch.save"
        ) from error
    state = {key.replace(COMPILED, ""): each for key, each in _flat(tree, "", DEPTH)}
    if not state:
        raise ValueError(f"{path}: holds no state dict; save the network's tensors")
    return state


def find(network: nn.Module, state: Mapping[str, Tensor], *, heads: Iterable[str]) -> list[Place]:
    """Where most of `network` is in `state`, by the names of its children or by their places."""
    names = [*network.state_dict()]
    by_place = {name: str(place) for place, (name, _) in enumerate(network.named_children())}
    found = []
    for children in ({}, by_place):
        renamed = {_rename(name, children): name for name in names}
        prefixes = Counter(key[:end] for key in state for end in _ends(key) if key[end:] in renamed)
        found += [
            _place(prefix, renamed, network.state_dict(), state, heads=heads)
            for prefix, count in prefixes.items()
            if count > len(names) / 2
        ]
    return found


class Inert:
    """Stands in for an object that is not built: whatever it is given, it keeps nothing."""

    def __new__(cls, *words: Any, **options: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *words: Any, **options: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _load(path: Path) -> Any:
    asked: list[str] = []
    if zipfile.is_zipfile(path):  # the format of before torch 1.6 cannot be asked
        asked = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with torch.serialization.safe_globals([(Inert, name) for name in asked]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _why(error: Exception) -> str:
    """What torch has to say, without its advice to run the file's code."""
    said = str(error)
    if said.startswith("Weights only load failed"):
        _, *rest = (each.strip() for each in said.split("\n\n"))
        said = rest[0] if rest else ""
    return said.splitlines()[0] if said else type(error).__name__


def _flat(node: Any, above: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, Tensor):
        yield above.removesuffix("."), node
    elif isinstance(node, Mapping) and depth:
        for key, each in node.items():
            yield from _flat(each, f"{above}{key}.", depth - 1)


def _rename(key: str, renamed: Mapping[str, str]) -> str:
    child, dot, rest = key.partition(".")
    return f"{renamed.get(child, child)}{dot}{rest}"


def _ends(key: str) -> Iterator[int]:
    """Where a prefix of `key` may end."""
    yield 0
    yield from (place + 1 for place, sign in enumerate(key) if sign == ".")


def _place(
    prefix: str,
    renamed: Mapping[str, str],
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    *,
    heads: Iterable[str],
) -> Place:
    there = {key.removeprefix(prefix): key for key in state if key.startswith(prefix)}
    found = {name: state[there[key]] for key, name in renamed.items() if key in there}
    ours = {key.partition(".")[0] for key in own}
    apart = (*heads, *(each for each in HEADS if each not in ours))
    unknown = [
        key
        for key in there.keys() - renamed.keys()
        if not any(f"{key}.".startswith(f"{each}.") for each in apart)
    ]
    missing = [key for key in own.keys() - found.keys() if not key.endswith(COUNTER)]
    unlike = [key for key in found if own[key].shape != found[key].shape]
    return Place(
        prefix, found, {"missing": missing, "unknown": unknown, "of another shape": unlike}
    )


def _misfit(places: Sequence[Place], state: Mapping[str, Tensor], network: nn.Module) -> str:
    """What is amiss at the place where least is."""
    if not places:
        return f"it holds {_some(state)}, and the network {_some(network.state_dict())}"
    best = min(places, key=lambda each: sum(map(len, each.faults.values())))
    said = [f"{len(keys)} {fault} ({_some(keys)})" for fault, keys in best.faults.items() if keys]
    under = f" under the prefix {best.prefix!r}" if best.prefix else ""
    return f"{'; '.join(said)} of {len(network.state_dict())} keys{under}"


def _all(places: Iterable[Place]) -> str:
    return ", ".join(repr(each.prefix) for each in places)


def _some(keys: Iterable[str]) -> str:
    named = sorted(keys)
    return ", ".join(named[:N_NAMED] + ["..."] * (len(named) > N_NAMED))
