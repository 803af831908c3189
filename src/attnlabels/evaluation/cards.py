"""Cards in Markdown that travel with what is exported: a model card, a data card.

After Mitchell et al. 2019 (model cards) and Gebru et al. 2021 (datasheets), as far as the files
themselves can tell; what they cannot, such as a licence, is said by who exports or is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attnlabels.models.encoder import BACKBONES
from attnlabels.models.timm_encoder import TIMM
from attnlabels.shards.index import KINDS
from attnlabels.shards.shards import sha256_of
from attnlabels.teachers.backbones import in_words

PIXELS = "RGB, float32 in [0, 1], not normalised by any mean or deviation"
UNSAID = "not stated by who exported this; ask before you use it"
METHOD = (
    "Made with attnlabels, after *Teacher-generated spatial-attention labels boost robustness and "
    "accuracy of contrastive models* (CVPR 2023)."
)
MEAN = "the spatial mean of the last stage, >= 0"
SIZES = "and size of images"
STANDARD_WIDTH = 64  # channels of the stem of every ResNet of timm and torchvision
KERNEL = {"small": (3, 2), "cifar": (3, 1)}  # side and stride of the stems that are not standard


def encoder_card(
    folder: Path,
    config: Mapping[str, Any],
    *,
    difference: float,
    metrics: Mapping[str, Mapping[str, Any]],
    data: str,
    licence: str,
) -> str:
    """The card of an encoder whose `encoder.safetensors` and `encoder.onnx` are in `folder`.

    `config` is its checkpoint's; `difference` is by how much ONNX was seen to differ; `metrics`
    are nested numbers by the name of their file.
    """
    about, size = config["encoder"], config["image_size"]
    crop = config["eval_crop"]
    is_timm = about["backbone"].startswith(TIMM)
    kind, pooled, sizes = "residual network", MEAN, SIZES
    if is_timm:
        kind, pooled, sizes = "network of timm", "pooled as timm does", f"of images of {size} px"
    cut = "the whole image" if crop == 1 else f"the central square of {crop:g} of the shorter side"
    run = f", the run `{config['run']}` with seed {config['seed']}" if "run" in config else ""
    return _join(
        f"# Encoder: {_name(about)}",
        f"A {kind} that turns a photograph into features, trained with an attention head beside "
        f"it{run}. {METHOD}",
        *_origin(data, licence),
        "## Use",
        f"- Input: `images` [n, 3, h, w], {PIXELS}. It was trained and scored at {size} x {size} "
        f"pixels: {cut}, resized by Pillow's bicubic.\n"
        f"- Output: features [n, d], {pooled}. Compare them by "
        "cosine similarity or train a linear classifier on them.",
        *(_timm_code(about) if is_timm else _encoder_code(about)),
        *_onnx_code("encoder.onnx", "features", difference, of=sizes),
        *_files(folder),
        *_metrics(metrics),
        "## Limits",
        f"- Features depend on the size of the images: {size} pixels are what it knows.\n"
        "- Scores hold for the data named with them. Corruptions that were generated, not "
        "published, compare only with each other.\n"
        "- It was not tested for fairness among people, and no picture of anybody should be "
        "judged by it.",
    )


def teacher_card(
    folder: Path,
    config: Mapping[str, Any],
    *,
    difference: float,
    metrics: Mapping[str, Mapping[str, Any]],
    data: str,
    licence: str,
) -> str:
    """The card of a teacher whose files are in `folder`; the rest as in `encoder_card`."""
    h, w = config["image_size"]
    return _join(
        "# Teacher: a map of human attention for a photograph",
        f"{_network_of_teacher(config)}, trained on recordings of where people looked. {METHOD}",
        *([in_words(config["backbone"])] if "backbone" in config else []),
        *_origin(data, licence),
        "## Use",
        f"- Input: `images` [n, 3, h, w], {PIXELS}. It is scored on whole images resized to "
        f"{h} x {w} (height x width).\n"
        "- Output: maps [n, h, w] in [0, 1]. A map ranks the places of its own image; values of "
        f"two images do not compare. Its form is `{config['teacher']['output']}`.",
        "In Python: `attnlabels label IMAGES --teacher teacher.safetensors` labels a folder.",
        *_onnx_code("teacher.onnx", "maps", difference, of=SIZES),
        *_files(folder),
        *_metrics(metrics),
        "## Limits",
        "- It predicts where a group of people looks, on average, at pictures like those it was "
        "trained on and doing what they did; no single person, and no reading of their mind.\n"
        "- People look at the centre of any picture: beside its scores belong those of a centre "
        "prior.\n"
        "- Recordings by mouse are flatter and more central than eye tracking.",
    )


def _network_of_teacher(config: Mapping[str, Any]) -> str:
    taps = ", ".join(map(str, config["teacher"]["taps"]))
    if "backbone" in config["teacher"]:
        return f"`{config['teacher']['backbone']}`, read at its feature levels {taps}"
    return (
        f"MobileNetV3-small from random weights, read at the depths {taps} of torchvision's "
        "`features`"
    )


def data_card(folder: Path, index: Mapping[str, Any], *, data: str, licence: str) -> str:
    """The card of the attention shards in `folder`, of which `index` is what `read_index` gives."""
    by = index["maps_by"]
    n, shards = index["samples"], index["shards"]
    drawn = KINDS | {
        "human": "recordings of where people looked",
        "teacher": "a saliency network, the teacher; no person looked at these images for them",
    }
    classes = f"{len(index['classes'])} classes" if index["classes"] else "no classes"
    provenance = [(key, value) for key, value in by.items() if key != "kind"]
    return _join(
        f"# Attention labels of {n} images",
        f"{n} images with attention maps and points in {len(shards)} tar "
        f"{'shard' if len(shards) == 1 else 'shards'} (webdataset), {classes}. The maps are by "
        f"{drawn[by['kind']]}.",
        *_origin(data, licence),
        "The images are in the shards, unchanged: their own licence goes on holding.",
        "## How the maps were made",
        _table(("", "value"), provenance),
        f"Images left out: {len(index['skipped'])}; `index.json` names them under `skipped`.",
        "## A sample",
        _table(
            ("member", "holds"),
            [
                ("`<key>.jpg`, `.png` ...", "the original file"),
                ("`<key>.map.png`", "attention map, 16-bit grey, its largest value 65535"),
                ("`<key>.points.npy`", "int16 [n, 2], (row, col) from 0 on a grid"),
                ("`<key>.observers.npy`", "int16 [n], who made each point; only of people's maps"),
                ("`<key>.json`", "label (-1: none), grid [h, w], image [h, w], source, name"),
            ],
        ),
        "## Files",
        _table(
            ("file", "bytes", "sha256"),
            [
                *((shard["name"], shard["bytes"], shard["sha256"]) for shard in shards[:10]),
                *(_file_row(folder / name) for name in ("samples.npy", "index.json")),
            ],
        ),
        *([f"`index.json` has the checksums of all {len(shards)} shards."] if shards[10:] else []),
        "## Limits",
        "- A map ranks the places of its own image; values of two images do not compare.\n"
        "- Points of a teacher's map are pseudo fixations, found as the map's peaks: they have "
        "neither an order nor an observer.\n"
        "- The pictures may show people who were not asked. Follow the licence of their source.",
    )


def _name(about: Mapping[str, Any]) -> str:
    if about["backbone"].startswith(TIMM):
        options = ", ".join(f"{key} {value}" for key, value in about["options"].items())
        return f"{about['backbone']}{f' ({options})' if options else ''}"
    return f"{about['backbone']}, {about['width']} channels, stem `{about['stem']}`"


def _timm_code(about: Mapping[str, Any]) -> Iterator[str]:
    options = "".join(f", {key}={value!r}" for key, value in about["options"].items())
    yield (
        "In timm:\n```python\nimport timm\nfrom safetensors.torch import load_file\n\n"
        f"encoder = timm.create_model({about['backbone'].removeprefix(TIMM)!r}, num_classes=0"
        f"{options})\n"
        'encoder.load_state_dict(load_file("encoder.safetensors"))\n'
        "features = encoder.eval()(images)\n```"
    )


def _encoder_code(about: Mapping[str, Any]) -> Iterator[str]:
    if about["width"] != STANDARD_WIDTH:
        yield (
            f"**Neither timm nor torchvision can build this encoder**: their ResNets begin with "
            f"{STANDARD_WIDTH} channels, this one with {about['width']}. Take `encoder.onnx`. "
            "`encoder.safetensors` has their key names and loads in "
            "`attnlabels.models.encoder.Encoder`."
        )
        return
    block, depths = BACKBONES[about["backbone"]]
    stem = ""
    if about["stem"] in KERNEL:
        side, stride = KERNEL[about["stem"]]
        stem = (
            f"encoder.conv1 = torch.nn.Conv2d(3, {STANDARD_WIDTH}, {side}, stride={stride}, "
            f"padding={side // 2}, bias=False)\nencoder.maxpool = torch.nn.Identity()\n"
        )
    built = f"ResNet({block.__name__}, {list(depths)}"
    for library, imported, head in (
        ("timm", "timm.models.resnet", f"encoder = {built}, num_classes=0)\n"),
        (
            "torchvision",
            "torchvision.models.resnet",
            f"encoder = {built})\nencoder.fc = torch.nn.Identity()\n",
        ),
    ):
        yield (
            f"In {library}:\n```python\nimport torch\nfrom safetensors.torch import load_file\n"
            f"from {imported} import {block.__name__}, ResNet\n\n{head}{stem}"
            'encoder.load_state_dict(load_file("encoder.safetensors"))\n'
            "features = encoder.eval()(images)\n```"
        )


def _onnx_code(file: str, output: str, difference: float, *, of: str) -> Iterator[str]:
    yield (
        f"In ONNX Runtime, with any number {of} (a NumPy array):\n```python\n"
        "import onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{file}")\n'
        f'({output},) = session.run(["{output}"], {{"images": images}})\n```'
    )
    yield (
        f"Its outputs differed from PyTorch's by at most {difference:.1e} of the largest when "
        "it was written."
    )


def _origin(data: str, licence: str) -> Iterator[str]:
    yield f"- Data: {data or UNSAID}\n- Licence: {licence or UNSAID}"


def _files(folder: Path) -> Iterator[str]:
    yield "## Files"
    yield _table(
        ("file", "bytes", "sha256"), [_file_row(path) for path in sorted(folder.iterdir())]
    )


def _file_row(path: Path) -> tuple[str, int, str]:
    return path.name, path.stat().st_size, sha256_of(path)


def _metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not metrics:
        return
    yield "## Scores"
    for name, tree in metrics.items():
        yield _table((name, ""), list(_leaves(tree)))


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", f"{value:.4f}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", r"\|").replace("\n", " ")


def _join(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
