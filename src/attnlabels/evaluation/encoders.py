"""Frozen encoders from anywhere, behind one interface: images in, features [n, d] out.

- a checkpoint of ours (safetensors with a config in its header);
- `timm:NAME` or `torchvision:NAME` with a file of weights, never downloaded;
- an ONNX or a TorchScript file that gives features.

Weights are read from safetensors, or from what `torch.load(weights_only=True)` accepts: a file from
a stranger cannot run code. A TorchScript file is a program, though; open only what you trust.
"""

import dataclasses
import importlib
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torchvision
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from attnlabels.evaluation.students import DTYPE, Precision, read_encoder
from attnlabels.models.files import building, read_config
from attnlabels.pretrained.checkpoints import fill
from attnlabels.pretrained.timm_networks import N_NAMED, create, heads_of
from attnlabels.readouts.intermediates import Eye, of_timm, of_torchvision
from attnlabels.shards.shards import sha256_of

Normalisation = Literal["none", "imagenet", "half"]
Interpolation = Literal["bicubic", "bilinear"]
Vector = tuple[float, float, float]
Network = Callable[[Float[Tensor, "n 3 s s"]], Any]

ADAPTED = (
    "googlenet",
    "inception_v3",
)  # of torchvision's, which scale their input; see build_torchvision
NORMALISATIONS: dict[str, tuple[Vector, Vector]] = {  # mean and deviation of pixels in [0, 1]
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
ONNX_ERRORS = (  # of a file that is broken or wants what is not there
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NoModel",
    "NotImplemented",
    "RuntimeException",
)
ONNX, TORCHSCRIPT = ".onnx", (".pt", ".ts", ".torchscript")
WITHOUT_WEIGHTS = (
    "{encoder} comes without weights, and none are downloaded; give --weights FILE, its state dict "
    "as safetensors or .pth"
)


@dataclass(frozen=True, kw_only=True)
class View:
    """How an encoder is shown an image: the central `crop`, resized to a square, normalised."""

    size: int
    crop: float
    mean: Vector
    std: Vector
    interpolation: Interpolation


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What takes the place of an encoder's own view; None leaves what the encoder says itself.

    Raises ValueError for a crop outside of (0, 1] and a size below 1.
    """

    size: int | None = None  # side of the input, pixels
    crop: float | None = None  # central share of the shorter side, above 0 and at most 1
    normalise: Normalisation | None = None

    def __post_init__(self) -> None:
        if self.crop is not None and not 0 < self.crop <= 1:
            raise ValueError(f"crop {self.crop}: expected a share of the side above 0, at most 1")
        if self.size is not None and self.size < 1:
            raise ValueError(f"size {self.size}: expected 1 pixel or more")


@dataclass(frozen=True, kw_only=True)
class FrozenEncoder:
    """A function from images of 0 to 255 to float32 features, and the view that it is shown."""

    encode: Callable[[UInt8[Tensor, "n s s 3"]], Float[Tensor, "n d"]]
    view: View
    n_features: int
    identity: dict[str, Any]  # what else its features depend on, as JSON can hold it


def open_encoder(
    encoder: str,
    *,
    weights: Path | None,
    shown: Shown,
    device: torch.device,
    precision: Precision,
    prefix: str | None = None,
) -> FrozenEncoder:
    """The encoder called `encoder`: a path, `timm:NAME` or `torchvision:NAME`.

    A file of ONNX or TorchScript says no more of its view than, perhaps, the size, and so needs all
    of `shown`. Features are probed with two images. Raises ValueError or OSError for a name that is
    unknown, for weights that do not fit and for what gives no features. `prefix` chooses among
    several networks in the file of weights (`attnlabels.pretrained.checkpoints`).
    """
    kind, _, name = encoder.partition(":")
    place: dict[str, Any] = {}
    if kind in LIBRARIES and name:
        network, view, heads = LIBRARIES[kind](name)
        if weights is None:
            raise ValueError(WITHOUT_WEIGHTS.format(encoder=encoder))
        where = f"{encoder}: {weights}"
        place["prefix"] = fill(network, weights, heads=heads, prefix=prefix, where=where)
        read, file = of_module(network, device=device, precision=precision), weights
    else:
        if weights is not None or prefix is not None:
            raise ValueError(
                f"{encoder} holds its own weights; leave out --weights and --prefix, or name the "
                "network as timm:NAME or torchvision:NAME"
            )
        file = Path(encoder)
        if not file.is_file():
            raise FileNotFoundError(
                f"{encoder}: no such file; expected a checkpoint, an ONNX or TorchScript file, "
                "timm:NAME or torchvision:NAME"
            )
        if file.suffix not in (ONNX, *TORCHSCRIPT):
            return _student(file, shown, device=device, precision=precision)
        read, view = _read_program(file, shown, device=device, precision=precision)
    view = _changed(view, shown)
    encode = _normalising(read, view, device=device)
    opened = _probed(encode, view, encoder=encoder, file=file, precision=precision)
    return dataclasses.replace(opened, identity=opened.identity | place)


def open_eye(
    encoder: str,
    *,
    weights: Path | None,
    shown: Shown,
    device: torch.device,
    prefix: str | None = None,
    seed: int | None = None,
) -> Eye:
    """The network called `timm:NAME` or `torchvision:NAME`, seen into before it pools.

    It is shown whole photographs unless `shown` has another crop: people saw them whole. With a
    `seed` its weights are those that its library draws at random, and the file is not read. Raises
    ValueError for an encoder that gives no intermediate features, the rest is as in `open_encoder`.
    """
    kind, _, name = encoder.partition(":")
    if kind not in LIBRARIES or not name:
        raise ValueError(
            f"{encoder}: only pooled features are known of such a file, and maps are read before "
            "the pooling; give a checkpoint of train_simclr, or timm:NAME or torchvision:NAME with "
            "--weights"
        )
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        network, view, heads = LIBRARIES[kind](name)
    if seed is None:
        if weights is None:
            raise ValueError(WITHOUT_WEIGHTS.format(encoder=encoder))
        fill(network, weights, heads=heads, prefix=prefix, where=f"{encoder}: {weights}")
    view = _changed(view, dataclasses.replace(shown, crop=shown.crop or 1.0))
    network.eval().to(device)
    try:
        look = of_timm(network) if kind == "timm" else of_torchvision(network, size=view.size)
        eye = Eye(
            look=_normalising(look, view, device=device),
            size=view.size,
            crop=view.crop,
            interpolation=view.interpolation,
        )
        eye.see([np.zeros((view.size, view.size, 3), np.uint8)])
    except (ValueError, RuntimeError, AssertionError) as error:  # timm asserts sizes
        why = str(error).splitlines()[0]
        raise ValueError(
            f"{encoder}: no maps can be read of it at {view.size} px: {why}"
        ) from error
    return eye


class Built(NamedTuple):
    """A library's network without weights and without its classifiers `heads`, and its own view."""

    network: nn.Module
    view: View
    heads: tuple[str, ...]


def build_timm(name: str) -> Built:
    """A network of timm; a tag (`NAME.TAG`) says which of timm's views is its own."""
    network = create(name)
    told: Any = network.pretrained_cfg
    if told["input_size"][1] != told["input_size"][2]:
        raise ValueError(f"timm:{name}: takes images of {told['input_size'][1:]}; only squares are")
    interpolation = told["interpolation"]
    view = View(
        size=told["input_size"][1],
        crop=told["crop_pct"],
        mean=told["mean"],
        std=told["std"],
        interpolation="bilinear" if interpolation == "bilinear" else "bicubic",
    )
    return Built(network, view, heads_of(network))


def build_torchvision(name: str) -> Built:
    """A classifier of torchvision; its own view is that of its first weights.

    Torchvision resizes the shorter side and then crops; that is one central crop here. Those
    `ADAPTED` are taken to have learnt as its weights of them did, from pixels in [-1, 1], to which
    the network brings its view: torchvision says so beside the weights, and in none of their keys.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = [each for each in known if each.startswith(name[:4])][:N_NAMED]
        hint = f"; there are {', '.join(near)}" if near else ""
        raise ValueError(f"torchvision:{name}: torchvision knows no such classifier{hint}")
    adapted = {"transform_input": True, "init_weights": True} if name in ADAPTED else {}
    network = torchvision.models.get_model(name, weights=None, **adapted)
    layers = [key for key, each in network.named_modules() if isinstance(each, nn.Linear)]
    if not layers:
        raise ValueError(f"torchvision:{name} has no linear classifier to take off")
    above, _, last = layers[-1].rpartition(".")
    setattr(network.get_submodule(above), last, nn.Identity())
    told = next(iter(torchvision.models.get_model_weights(name))).transforms()
    (size,), (resized,) = told.crop_size, told.resize_size
    view = View(
        size=size,
        crop=size / resized,
        mean=tuple(told.mean),
        std=tuple(told.std),
        interpolation="bicubic" if "bicubic" in told.interpolation.value else "bilinear",
    )
    return Built(network, view, (layers[-1],))


LIBRARIES: dict[str, Callable[[str], Built]] = {
    "timm": build_timm,
    "torchvision": build_torchvision,
}


def read_torchscript(path: Path) -> nn.Module:
    """A TorchScript file's module."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a TorchScript file; write it with torch.jit.save")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch would have other files written
            return torch.jit.load(str(path), map_location="cpu")
    except RuntimeError as error:
        raise ValueError(
            f"{path}: not a TorchScript file ({str(error).splitlines()[0]}); for weights alone, "
            "give --weights and the network as timm:NAME or torchvision:NAME"
        ) from error


def read_onnx(path: Path) -> tuple[Network, int | None]:
    """A function that runs an ONNX file on the CPU, and the side of its images if that is fixed.

    The file has one input [n, 3, s, s], and its first output is taken.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
        importlib.import_module("onnx")  # for `tensors_beside`
    except ImportError as error:
        raise ValueError(
            f"{path}: ONNX files need onnxruntime and onnx; pip install onnxruntime onnx"
        ) from error
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    errors = tuple(getattr(state, each) for each in ONNX_ERRORS)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except errors as error:
        raise ValueError(
            f"{path}: not an ONNX file that can be run ({error}); export it again"
        ) from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] not in (3, "3"):
        shapes = {each.name: each.shape for each in inputs}
        raise ValueError(f"{path}: takes {shapes}; expected one input of images [n, 3, s, s]")
    n, _, h, w = inputs[0].shape
    if h != w and isinstance(h, int) and isinstance(w, int):
        raise ValueError(f"{path}: takes images of {h} x {w}; only squares are shown")
    if isinstance(n, int) and n != 1:
        raise ValueError(f"{path}: takes batches of {n} only; export it with a dynamic batch")
    feed, answer = inputs[0].name, session.get_outputs()[0].name

    def run(images: Float[Tensor, "n 3 s s"]) -> Tensor:
        pieces = images.cpu().split(1 if n == 1 else len(images))
        try:
            found = [session.run([answer], {feed: each.numpy()})[0] for each in pieces]
        except errors as error:
            raise RuntimeError(str(error)) from error
        return torch.from_numpy(np.concatenate(found))

    return run, h if isinstance(h, int) else None


def tensors_beside(file: Path) -> list[Path]:
    """The files that an ONNX file keeps tensors in, such as `.onnx.data`; of other formats none."""
    if file.suffix != ONNX:
        return []
    onnx = importlib.import_module("onnx")
    outside = onnx.TensorProto.EXTERNAL
    names = {
        entry.value
        for tensor in _tensors_of(onnx.load(str(file), load_external_data=False))
        if tensor.data_location == outside
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [file.parent / name for name in sorted(names)]


def _tensors_of(message: Any) -> Iterator[Any]:
    """All tensors of a protobuf message of ONNX: of its graph, of nodes, of graphs in nodes."""
    for _, value in message.ListFields():
        for each in value if isinstance(value, Sequence) else [value]:
            if hasattr(each, "external_data"):
                yield each
            elif hasattr(each, "ListFields"):
                yield from _tensors_of(each)


def of_module(network: nn.Module, *, device: torch.device, precision: Precision) -> Network:
    """A module in evaluation mode as a function; images are given to it in `precision`."""
    dtype = DTYPE[precision]
    network.eval().to(device, dtype)
    return torch.no_grad()(lambda images: network(images.to(dtype)))


def _read_program(
    file: Path, shown: Shown, *, device: torch.device, precision: Precision
) -> tuple[Network, View]:
    """An ONNX or TorchScript file as a function, and the view that its user says."""
    if file.suffix in TORCHSCRIPT:
        read = of_module(read_torchscript(file), device=device, precision=precision)
        return read, _told(file, shown)
    if precision != "fp32":
        raise ValueError(f"{file}: an ONNX file has its own precision; take fp32")
    read, own_size = read_onnx(file)
    return read, _told(file, dataclasses.replace(shown, size=shown.size or own_size))


def _student(
    file: Path, shown: Shown, *, device: torch.device, precision: Precision
) -> FrozenEncoder:
    config = read_config(file, "encoder", "image_size", "eval_crop")
    mean, std = NORMALISATIONS["none"]
    with building(file):
        view = View(
            size=int(config["image_size"]),
            crop=float(config["eval_crop"]),
            mean=mean,
            std=std,
            interpolation="bicubic",
        )
    if shown.normalise not in (None, "none"):
        raise ValueError(
            f"{file}: trained on pixels in [0, 1]; leave out --normalise {shown.normalise}"
        )
    view = _changed(view, shown)
    encode = read_encoder(file, device=device, precision=precision)
    return _probed(encode, view, encoder=str(file), file=file, precision=precision)


def _told(file: Path, shown: Shown) -> View:
    """The view of a file that does not say it, from what its user does."""
    if shown.size is None or shown.crop is None or shown.normalise is None:
        raise ValueError(
            f"{file} does not say how it is to be shown an image; give --size, --crop (SimCLR's "
            f"and ImageNet's usual is 0.875) and --normalise ({', '.join(NORMALISATIONS)})"
        )
    mean, std = NORMALISATIONS[shown.normalise]
    return View(size=shown.size, crop=shown.crop, mean=mean, std=std, interpolation="bicubic")


def _changed(view: View, shown: Shown) -> View:
    mean, std = NORMALISATIONS[shown.normalise] if shown.normalise else (view.mean, view.std)
    size, crop = shown.size or view.size, shown.crop or view.crop
    return dataclasses.replace(view, size=size, crop=crop, mean=mean, std=std)


def _normalising(
    network: Network, view: View, *, device: torch.device
) -> Callable[[UInt8[Tensor, "n s s 3"]], Any]:
    """`network` behind the view's normalisation; what it answers is not yet looked at."""
    mean = torch.tensor(view.mean, device=device)[:, None, None]
    std = torch.tensor(view.std, device=device)[:, None, None]

    def encode(images: UInt8[Tensor, "n s s 3"]) -> Any:
        pixels = images.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        answer = network((pixels - mean) / std)
        return answer.float() if isinstance(answer, Tensor) else answer

    return encode


def _probed(
    encode: Callable[[Tensor], Any], view: View, *, encoder: str, file: Path, precision: Precision
) -> FrozenEncoder:
    """The encoder, once two images have come back as two rows of finite features."""
    images = torch.zeros((2, view.size, view.size, 3), dtype=torch.uint8)
    try:
        found = encode(images)
    except (RuntimeError, AssertionError) as error:  # timm asserts sizes
        raise ValueError(
            f"{encoder}: cannot encode images of {view.size} px ({str(error).splitlines()[0]}); "
            "give the --size it was made for"
        ) from error
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2 or not found.shape[1]:
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"{encoder}: gives {shape} for 2 images; expected features [2, d], pooled over the "
            "image and without a classifier's names"
        )
    if not torch.isfinite(found).all():
        raise ValueError(f"{encoder}: its features of a black image are not finite")
    identity = {
        "network": encoder if encoder.partition(":")[0] in LIBRARIES else file.suffix,
        "sha256": sha256_of(file),
        "precision": precision,
        "view": dataclasses.asdict(view),
    }
    if beside := tensors_beside(file):
        identity["beside"] = {each.name: sha256_of(each) for each in beside}
    return FrozenEncoder(encode=encode, view=view, n_features=found.shape[1], identity=identity)
