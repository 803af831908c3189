"""Networks that can be a partner: encoders with a probe, and classifiers, ours or of timm."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from attnlabels.collecting.guessing import Partner
from attnlabels.evaluation.encoders import Shown, build_timm, open_encoder
from attnlabels.images.names import some_of
from attnlabels.images.squares import Interpolation, resize_square
from attnlabels.interpretation.frozen import open_classifier
from attnlabels.models.files import read_config
from attnlabels.pretrained.checkpoints import fill
from attnlabels.processes.world import own_device
from attnlabels.shards.shards import sha256_of

TIMM = "timm:"
WEIGHT, BIAS = "weight", "bias"  # how the names of a probe's arrays end


def open_partner(
    network: str,
    classes: Sequence[str],
    *,
    weights: Path | None = None,
    probe: Path | None = None,
    names: Path | None = None,
) -> Partner:
    """The partner called `network`, which has to know all of a study's `classes`.

    With `probe`, the classifier that `probe_linear` wrote (npz), any encoder that `evaluate` takes,
    with its `weights`. Without, a classifier: what `train_supervised` wrote, or `timm:NAME` with
    `weights`, its head among them. Its classes are those of its file where that names them, or of
    `names`, a text file with one a line in their order; else they are taken to be the study's in
    their order, and their number has to be the same.

    Raises ValueError or OSError, naming the file, for what does not fit.
    """
    told = _names_in(names)
    if probe is not None:
        see, size, interpolation, found = _probed(network, weights, probe, told or classes)
    elif network.startswith(TIMM):
        see, size, interpolation, found = _of_timm(network, weights, told or classes)
    else:
        if weights is not None:
            raise ValueError(f"{network} holds its own weights; leave out --weights")
        see, size, interpolation, found = _ours(Path(network), told or classes)
    if missing := sorted({*classes} - {*found}):
        raise ValueError(
            f"{network} does not know {some_of(missing)}, classes of the study; take a partner "
            "that learnt them, or give --partner-classes FILE, its classes in their order"
        )
    # Paper: the first game shows the partner a central crop. Here it sees the whole image, or what
    # is painted at the border would be lost on it.
    square = partial(resize_square, size=size, interpolation=interpolation)
    files = [each for each in (Path(network), weights, probe) if each and each.is_file()]
    identity = {"network": Path(network).name, "classes": [*found], "size": size}
    return Partner(
        classes=found,
        square=square,
        see=see,
        identity=identity | {"sha256": [sha256_of(each) for each in files]},
    )


See = Callable[[UInt8[np.ndarray, "n s s 3"]], Float[np.ndarray, "n k"]]
Opened = tuple[See, int, Interpolation, Sequence[str]]


def _names_in(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    if not names or "" in names or len({*names}) < len(names):
        raise ValueError(f"{path}: expected the partner's classes, each once, one a line")
    return names


def _ours(file: Path, classes: Sequence[str]) -> Opened:
    config = read_config(file, "encoder", "attention", "image_size", "eval_crop")
    found = config.get("classes", classes)
    frozen = open_classifier(file, n_classes=len(found))

    def see(images: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n k"]:
        return _softmax(torch.from_numpy(frozen.see(images).logits))

    return see, frozen.size, "bicubic", found


def _of_timm(network: str, weights: Path | None, classes: Sequence[str]) -> Opened:
    if weights is None:
        raise ValueError(
            f"{network} comes without weights, and none are downloaded; give --weights"
        )
    name = network.removeprefix(TIMM)
    view = build_timm(name).view
    classifier = timm.create_model(name, pretrained=False, num_classes=len(classes))
    fill(classifier, weights, heads=(), prefix=None, where=f"{network}: {weights}")
    device = own_device()
    classifier.eval().requires_grad_(False).to(device)
    mean, std = (torch.tensor(each, device=device)[:, None, None] for each in (view.mean, view.std))

    @torch.no_grad()
    def see(images: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n k"]:
        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
        return _softmax(classifier((pixels - mean) / std))

    return see, view.size, view.interpolation, classes


def _probed(network: str, weights: Path | None, probe: Path, classes: Sequence[str]) -> Opened:
    encoder = open_encoder(
        network, weights=weights, shown=Shown(), device=own_device(), precision="fp32"
    )
    weight, bias = _read_probe(probe, n_features=encoder.n_features, n_classes=len(classes))

    def see(images: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n k"]:
        features = encoder.encode(torch.from_numpy(images)).cpu()
        return _softmax(features @ weight.T + bias)

    return see, encoder.view.size, encoder.view.interpolation, classes


def _read_probe(path: Path, *, n_features: int, n_classes: int) -> tuple[Tensor, Tensor]:
    """The probe in the file that fits: of several data sets there may be one each."""
    expected = (n_classes, n_features)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [each for each in arrays.files if each.endswith(WEIGHT)]
            found = [each for each in names if arrays[each].shape == expected]
            pairs = [(arrays[each], arrays[each.removesuffix(WEIGHT) + BIAS]) for each in found]
    except (ValueError, KeyError, EOFError) as error:
        raise ValueError(f"{path}: no probe; expected what probe_linear writes (npz)") from error
    if len(pairs) != 1 or pairs[0][1].shape != (n_classes,):
        raise ValueError(
            f"{path}: {len(pairs)} probes of {n_classes} classes and {n_features} features; "
            "expected one, of the study's classes"
        )
    weight, bias = (torch.from_numpy(each.astype(np.float32)) for each in pairs[0])
    return weight, bias


def _softmax(logits: Tensor) -> Float[np.ndarray, "n k"]:
    return logits.float().softmax(dim=1).cpu().numpy()
