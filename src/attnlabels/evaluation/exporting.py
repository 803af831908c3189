"""Trained networks for other people's tools: safetensors, ONNX, and a card that says what it is."""

import copy
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.blocks import none
from attnlabels.evaluation.cards import PIXELS, data_card, encoder_card, teacher_card
from attnlabels.models.encoder import Encoder, features
from attnlabels.models.files import building, load_weights, read_config, write_weights
from attnlabels.models.timm_encoder import TimmEncoder, build_encoder
from attnlabels.pipeline.places import place_of_folder
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.shards.index import read_index
from attnlabels.teachers.network import Teacher

CARD = "README.md"
NEEDED = ("onnx", "onnxscript", "onnxruntime")
NEEDED_OF = {  # a checkpoint's config, by what is exported of it
    "teacher": ("teacher", "image_size"),
    "encoder": ("encoder", "image_size", "eval_crop"),
}
TOLERANCE = 1e-4  # of what ONNX Runtime computes, as a share of the largest; rounding is some 1e-6
TRIED = ((2, 3, 64, 96), (1, 3, 97, 65))  # shapes that an ONNX file is tried on


def export(
    checkpoint: Path,
    out: Path,
    *,
    metrics: Sequence[Path] = (),
    data: str = "",
    licence: str = "",
) -> list[Path]:
    """Write what others can load of `checkpoint` into the folder `out`; returns the files.

    Of a student: its encoder as `encoder.safetensors`, with the key names of timm (and torchvision,
    of a ResNet), and as `encoder.onnx`. Of a teacher: `teacher.safetensors`, `teacher.onnx`. Both
    with a model card `README.md`. Of a folder of attention shards, the data card `README.md` alone.
    The cards quote the JSON files `metrics`, what the `data` were and under which `licence`. An
    older export in `out` is replaced.

    The ONNX files take any number and size of images, of timm's networks of the size that they were
    trained with, and are tried in ONNX Runtime: one that differs from PyTorch by more than 1e-4 of
    the largest output is not written. Raises ValueError or OSError for anything that is no
    checkpoint of this project, and if the extra `export` is not installed.
    """
    scores = {path.name: _read_scores(path) for path in metrics}
    place = place_of_folder(out, of=CARD)
    if place in (checkpoint.resolve(), *checkpoint.resolve().parents):
        raise FileExistsError(f"{checkpoint} is in {out}, which is replaced; name another place")
    if checkpoint.is_dir():
        card = data_card(checkpoint, read_index(checkpoint), data=data, licence=licence)
        with replacing_folder(out, of=CARD) as aside:
            aside.mkdir()
            (aside / CARD).write_text(card)
        return [out / CARD]

    kind = "teacher" if "teacher" in read_config(checkpoint) else "encoder"
    config = read_config(checkpoint, *NEEDED_OF[kind])
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ValueError(
            f"{', '.join(missing)} not installed, without which no ONNX is written; "
            "pip install 'attnlabels[export]'"
        )
    network = _build(kind, config, checkpoint)
    with replacing_folder(out, of=CARD) as aside:
        aside.mkdir()
        difference = _write(aside, kind, network, config)
        describe = teacher_card if kind == "teacher" else encoder_card
        card = describe(
            aside, config, difference=difference, metrics=scores, data=data, licence=licence
        )
        (aside / CARD).write_text(card)
        names = sorted(path.name for path in aside.iterdir())
    return [out / name for name in names]


def _write(folder: Path, kind: str, network: nn.Module, config: Mapping[str, Any]) -> float:
    """Both files of the weights; of a network of timm under its own names, and for its one size."""
    own, size = network, None
    if isinstance(network, TimmEncoder):
        own, size = network.network, config["image_size"]
    write_weights(folder / f"{kind}.safetensors", own, config)
    return write_onnx(folder / f"{kind}.onnx", network, size=size)


class Passing(nn.Module):
    """`attnlabels.blocks.none` for torch.export, to which that one's `len` is a constant.

    It then begins anew the slow way, which takes half as long again; and to mend the block itself
    would make all runs of all studies stale.
    """

    def forward(
        self, maps: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n 0 0"]]:
        return maps, maps.new_empty(maps.shape[0], 0, 0)


class Features(nn.Module):
    """An encoder's forward pass to the features, which is what others want of it."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        if isinstance(encoder, Encoder) and isinstance(encoder.block, none.Block):
            self.encoder = copy.deepcopy(encoder)
            self.encoder.block = Passing()

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Pixels in [0, 1] to features, of a ResNet >= 0."""
        return features(self.encoder(images))


def write_onnx(path: Path, network: nn.Module, *, size: int | None = None) -> float:
    """Write `network` for images of any number and size; returns how far its outputs differ.

    Of the one `size` that is given, for a network that takes no other. The difference is a share of
    the largest output, and ValueError is raised if it is above 1e-4.
    """
    name = "maps" if isinstance(network, Teacher) else "features"
    module = network if isinstance(network, Teacher) else Features(network)
    module.eval()
    shapes = TRIED if size is None else tuple((n, 3, size, size) for n in (2, 1))
    sides = {2: "height", 3: "width"} if size is None else {}
    program = torch.onnx.export(
        module,
        (torch.rand(shapes[0]),),
        dynamo=True,
        input_names=["images"],
        output_names=[name],
        dynamic_shapes={"images": {0: "n", **sides}},
        verbose=False,
    )
    assert program is not None
    for node in program.model.graph:  # traces of where this ran, paths of the machine included
        node.metadata_props.clear()
    program.model.metadata_props.update({"pixels": PIXELS, "producer": "attnlabels"})
    program.save(path)
    session = import_module("onnxruntime").InferenceSession(
        path.read_bytes(), providers=["CPUExecutionProvider"]
    )
    generator = torch.Generator().manual_seed(0)
    differences = []
    for shape in shapes:
        images = torch.rand(shape, generator=generator)
        (found,) = session.run([name], {"images": images.numpy()})
        with torch.no_grad():
            expected = module(images).numpy()
        differences.append(difference_of(found, expected))
    if not max(differences) <= TOLERANCE:
        raise ValueError(
            f"{path.name}: ONNX Runtime's {name} differ from PyTorch's by {max(differences):.1e}, "
            f"of the largest, more than {TOLERANCE:g}; try another version of onnxscript"
        )
    return max(differences)


def difference_of(found: Float[np.ndarray, "..."], expected: Float[np.ndarray, "..."]) -> float:
    """The largest difference, as a share of the largest value that is expected."""
    largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(found - expected).max()) / largest


def _build(kind: str, config: Mapping[str, Any], checkpoint: Path) -> nn.Module:
    with building(checkpoint):
        network: nn.Module = (
            Teacher(**config[kind]) if kind == "teacher" else build_encoder(**config[kind])
        )
    if config[kind].get("block", "none") != "none":
        raise ValueError(
            f"{checkpoint}: this encoder has the block {config[kind]['block']!r}, which timm's and "
            "torchvision's ResNets have not; an export would lose it"
        )
    load_weights(checkpoint, network, prefix="" if kind == "teacher" else "encoder.")
    return network.eval()


def _read_scores(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no metrics here; name a JSON file of scores")
    try:
        tree = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); name a file of scores") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{path} holds a {type(tree).__name__}; expected names with scores")
    return tree
