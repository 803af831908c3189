import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from attnlabels.evaluation import encoders
from attnlabels.evaluation.encoders import NORMALISATIONS, Shown, build_torchvision, open_encoder
from attnlabels.models.encoder import Encoder, features
from attnlabels.models.files import write_weights

SMALL = "resnet10t"  # of timm: 5 million parameters


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def open_(encoder, *, weights=None, precision="fp32", **shown):
    return open_encoder(
        str(encoder),
        weights=weights,
        shown=Shown(**shown),
        device=torch.device("cpu"),
        precision=precision,
    )


def images(n, side):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8))


def normalised(batch, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    pixels = batch.permute(0, 3, 1, 2).float() / 255
    return torchvision.transforms.functional.normalize(pixels, mean, std)


@pytest.fixture(scope="module")
def of_timm(tmp_path_factory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    network = timm.create_model(SMALL).eval()
    path = tmp_path_factory.mktemp("timm") / "weights.safetensors"
    save_file(network.state_dict(), path)
    return network, path


def test_a_network_of_torchvisions_that_adapts_its_input_does_as_with_its_own_weights():
    """Which it is told beside the weights, as no key of them."""
    built = build_torchvision("googlenet").network.eval()
    raw = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(each)[:, None, None] for each in NORMALISATIONS["imagenet"])
    with torch.no_grad():
        found = built((raw - mean) / std)
        built.transform_input = False
        torch.testing.assert_close(found, built(2 * raw - 1), atol=1e-4, rtol=1e-4)


def test_timm_gives_its_pooled_features_of_its_own_view(of_timm):
    network, path = of_timm
    opened = open_(f"timm:{SMALL}", weights=path)
    told = network.pretrained_cfg
    assert opened.view.size == told["input_size"][1] and opened.view.crop == told["crop_pct"]
    assert opened.view.mean == told["mean"] and opened.n_features == network.num_features
    batch = images(3, opened.view.size)
    with torch.no_grad():
        maps = network.forward_features(normalised(batch, told["mean"], told["std"]))
        expected = network.forward_head(maps, pre_logits=True)
    torch.testing.assert_close(opened.encode(batch), expected, rtol=1e-4, atol=1e-5)


def test_a_head_of_other_classes_wrapped_and_prefixed_is_the_same_encoder(of_timm, tmp_path):
    network, path = of_timm
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    state["module.fc.weight"], state["module.fc.bias"] = torch.zeros(7, 512), torch.zeros(7)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.pth")
    one = open_(f"timm:{SMALL}", weights=path, size=32)
    other = open_(f"timm:{SMALL}", weights=tmp_path / "w.pth", size=32)
    batch = images(2, 32)
    assert torch.equal(one.encode(batch), other.encode(batch))
    assert one.identity != other.identity  # the files are not the same


def test_what_a_user_says_takes_the_place_of_the_view(of_timm):
    _, path = of_timm
    told = open_(f"timm:{SMALL}", weights=path, size=48, crop=1.0, normalise="half")
    assert (told.view.size, told.view.crop, told.view.mean) == (48, 1.0, (0.5, 0.5, 0.5))
    own = open_(f"timm:{SMALL}", weights=path, size=48, crop=1.0)
    batch = images(2, 48)
    assert not torch.allclose(told.encode(batch), own.encode(batch), atol=1e-3)
    assert told.identity != own.identity


def test_torchvision_gives_what_its_last_layer_takes(tmp_path):
    network = torchvision.models.resnet18().eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    opened = open_("torchvision:resnet18", weights=tmp_path / "w.pth")
    assert (opened.view.size, opened.view.crop) == (224, 224 / 256)
    assert opened.view.interpolation == "bilinear" and opened.n_features == 512
    batch = images(2, 64)
    network.fc = nn.Identity()
    with torch.no_grad():
        expected = network(normalised(batch))
    torch.testing.assert_close(opened.encode(batch), expected, rtol=1e-4, atol=1e-5)


def test_our_encoder_may_go_the_way_of_torchvision(tmp_path):
    ours = Encoder("resnet18", width=64, stem="imagenet", taps="stages", zero_init=False).eval()
    save_file(ours.state_dict(), tmp_path / "w.safetensors")
    weights = tmp_path / "w.safetensors"
    opened = open_("torchvision:resnet18", weights=weights, size=32, normalise="none")
    batch = images(2, 32)
    with torch.no_grad():
        expected = features(ours(batch.permute(0, 3, 1, 2).float() / 255))
    torch.testing.assert_close(opened.encode(batch), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def student(tmp_path):
    arguments = {
        "backbone": "resnet10",
        "width": 8,
        "stem": "small",
        "taps": "stages",
        "zero_init": False,
    }
    encoder = Encoder(**arguments)
    config = {"encoder": arguments, "image_size": 24, "eval_crop": 0.875}
    write_weights(tmp_path / "s.safetensors", nn.ModuleDict({"encoder": encoder}), config)
    return tmp_path / "s.safetensors", encoder.eval()


def test_a_student_gives_its_features_in_either_precision(student):
    path, encoder = student
    opened = open_(path)
    assert (opened.view.size, opened.view.crop, opened.n_features) == (24, 0.875, 64)
    batch = images(3, 24)
    with torch.no_grad():
        expected = features(encoder(batch.permute(0, 3, 1, 2).float() / 255))
    torch.testing.assert_close(opened.encode(batch), expected, rtol=1e-4, atol=1e-5)
    rounded = open_(path, precision="bf16")
    torch.testing.assert_close(rounded.encode(batch), expected, rtol=0.1, atol=0.1)
    assert rounded.identity != opened.identity


def test_a_student_knows_its_normalisation(student):
    with pytest.raises(ValueError, match=r"trained on pixels in \[0, 1\]; leave out --normalise"):
        open_(student[0], normalise="imagenet")


class Pooled(nn.Module):
    """Means of a convolution, or what else a stranger's file may answer."""

    def __init__(self, answer: str = "features") -> None:
        super().__init__()
        self.conv, self.answer = nn.Conv2d(3, 5, 3, 2), answer

    def forward(self, images):
        maps = self.conv(images)
        if self.answer == "maps":
            return maps
        if self.answer == "pair":
            return maps.mean((2, 3)), maps
        if self.answer == "nan":
            return maps.mean((2, 3)) * torch.nan
        return maps.mean((2, 3))


VIEW = {"size": 16, "crop": 1.0, "normalise": "none"}


def write_torchscript(path, answer="features"):
    network = Pooled(answer).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have another format used
        torch.jit.trace(network, torch.zeros(2, 3, 16, 16)).save(path)
    return network


def test_torchscript_gives_its_features(tmp_path):
    network = write_torchscript(tmp_path / "f.pt")
    opened = open_(tmp_path / "f.pt", **VIEW)
    batch = images(3, 16)
    with torch.no_grad():
        expected = network(batch.permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(opened.encode(batch), expected)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("maps", r"gives \[2, 5, 7, 7\] for 2 images; expected features \[2, d\]"),
        ("pair", "gives tuple for 2 images"),
        ("nan", "its features of a black image are not finite"),
    ],
)
def test_what_gives_no_features_is_refused(tmp_path, answer, said):
    write_torchscript(tmp_path / "f.pt", answer)
    with pytest.raises(ValueError, match=said):
        open_(tmp_path / "f.pt", **VIEW)


@pytest.mark.parametrize("missing", VIEW)
def test_a_file_that_says_no_view_must_be_told_one(tmp_path, missing):
    write_torchscript(tmp_path / "f.pt")
    with pytest.raises(ValueError, match="does not say how it is to be shown an image; give"):
        open_(tmp_path / "f.pt", **(VIEW | {missing: None}))


@pytest.fixture
def write_onnx(tmp_path):
    """Writes an ONNX file of `Pooled` that takes images of a shape; numbers are fixed."""
    helper = pytest.importorskip("onnx.helper", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    onnx = pytest.importorskip("onnx")

    def write(shape, rank=2):
        kind = onnx.TensorProto.FLOAT
        taken = helper.make_tensor_value_info("images", kind, shape)
        given = helper.make_tensor_value_info("features", kind, [None] * rank)
        axes = onnx.numpy_helper.from_array(np.array([2, 3]), "axes")
        mean = helper.make_node("ReduceMean", ["images", "axes"], ["features"], keepdims=rank == 4)
        graph = helper.make_graph([mean], "g", [taken], [given], initializer=[axes])
        opset = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        onnx.save(model, tmp_path / "f.onnx")
        return tmp_path / "f.onnx"

    return write


@pytest.mark.parametrize("shape", [["n", 3, "s", "s"], ["n", 3, 16, 16], [1, 3, 16, 16]])
def test_onnx_gives_its_features_whatever_of_its_shape_is_fixed(write_onnx, shape):
    opened = open_(write_onnx(shape), **VIEW)
    batch = images(3, 16)
    torch.testing.assert_close(opened.encode(batch), batch.float().mean((1, 2)) / 255)


def test_onnx_may_fix_the_size_itself(write_onnx):
    path = write_onnx(["n", 3, 16, 16])
    assert open_(path, crop=1.0, normalise="none").view.size == 16
    with pytest.raises(ValueError, match="cannot encode images of 20 px .* give the --size"):
        open_(path, **(VIEW | {"size": 20}))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (["n", 1, 16, 16], "expected one input of images"),
        (["n", 3, 16, 20], "takes images of 16 x 20; only squares"),
        ([8, 3, 16, 16], "takes batches of 8 only"),
    ],
)
def test_onnx_of_other_inputs_is_refused(write_onnx, shape, said):
    with pytest.raises(ValueError, match=said):
        open_(write_onnx(shape), **VIEW)


def test_onnx_that_is_broken_or_has_maps_is_refused(write_onnx):
    with pytest.raises(ValueError, match=r"gives \[2, 3, 1, 1\] for 2 images"):
        open_(write_onnx(["n", 3, "s", "s"], rank=4), **VIEW)
    path = write_onnx(["n", 3, "s", "s"])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="f.onnx: not an ONNX file that can be run"):
        open_(path, **VIEW)
    with pytest.raises(ValueError, match="has its own precision"):
        open_(path, **VIEW, precision="bf16")


def test_tensors_that_onnx_keeps_beside_its_file_are_part_of_what_it_is(write_onnx):
    onnx = pytest.importorskip("onnx")
    path = write_onnx(["n", 3, "s", "s"])
    assert "beside" not in open_(path, **VIEW).identity
    whole, identities = onnx.load(path), []
    for scale in (1, 2):
        model = onnx.ModelProto()
        model.CopyFrom(whole)
        weights = np.eye(3, dtype=np.float32) * scale
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
        model.graph.node[0].output[0] = "means"
        last = onnx.helper.make_node("MatMul", ["means", "w"], ["features"])
        model.graph.node.append(last)
        path.with_name("f.data").unlink(missing_ok=True)
        onnx.save(model, path, save_as_external_data=True, size_threshold=60, location="f.data")
        opened = open_(path, **VIEW)
        batch = images(2, 16)
        expected = scale * batch.float().mean((1, 2)) / 255
        torch.testing.assert_close(opened.encode(batch), expected)
        identities.append(opened.identity)
    assert identities[0]["sha256"] == identities[1]["sha256"], "the file alone cannot tell"
    assert identities[0]["beside"].keys() == {"f.data"}
    assert identities[0]["beside"] != identities[1]["beside"]


def test_without_onnxruntime_the_cure_is_said(monkeypatch, tmp_path):
    def absent(name):
        raise ImportError(name)

    (tmp_path / "f.onnx").write_bytes(b"")
    monkeypatch.setattr(encoders.importlib, "import_module", absent)
    with pytest.raises(ValueError, match="pip install onnxruntime"):
        open_(tmp_path / "f.onnx", **VIEW)


def test_unknown_names_are_named_with_near_ones(of_timm):
    with pytest.raises(ValueError, match="timm:resnet51: timm .* knows no such model; there are"):
        open_("timm:resnet51", weights=of_timm[1])
    with pytest.raises(ValueError, match="torchvision:resnet51: .* no such classifier; there are"):
        open_("torchvision:resnet51", weights=of_timm[1])
    with pytest.raises(FileNotFoundError, match="keras:resnet50: no such file; expected a check"):
        open_("keras:resnet50")


def test_nothing_is_downloaded(of_timm):
    with pytest.raises(ValueError, match="none are downloaded; give --weights FILE"):
        open_(f"timm:{SMALL}")
    with pytest.raises(ValueError, match="holds its own weights; leave out --weights"):
        open_(of_timm[1], weights=of_timm[1])


def test_weights_that_do_not_fit_are_named_by_key(of_timm, tmp_path):
    network, _ = of_timm
    state = network.state_dict()
    del state["conv1.0.weight"]
    state["layer1.0.bn1.bias"] = torch.zeros(3)
    state["stranger"] = torch.zeros(1)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError) as raised:
        open_(f"timm:{SMALL}", weights=tmp_path / "w.safetensors")
    said = str(raised.value)
    assert f"timm:{SMALL}: {tmp_path / 'w.safetensors'}: the weights do not fit" in said
    assert "1 missing (conv1.0.weight); 1 unknown (stranger)" in said
    assert "1 of another shape (layer1.0.bn1.bias)" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18.no_such_tag", "timm knows no such tag; leave it out, or take resnet18.a1_in1k"),
        ("resnet10t.c4_in1k", "timm knows no such tag; leave it out, or take resnet10t.c3_in1k"),
        ("hf-hub:timm/resnet18.a1_in1k", "nothing is downloaded; fetch the weights and name the"),
        ("local-dir:weights", "nothing is downloaded"),
    ],
)
@pytest.mark.parametrize("weights", [True, False])
def test_names_that_timm_knows_only_in_part_are_one_line(of_timm, name, said, weights):
    with pytest.raises(ValueError) as raised:
        open_(f"timm:{name}", weights=of_timm[1] if weights else None)
    assert str(raised.value).startswith(f"timm:{name}: ") and said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_tag_that_is_offered_is_taken(of_timm):
    opened = open_(f"timm:{SMALL}.c3_in1k", weights=of_timm[1], size=32)
    assert opened.identity["prefix"] == ""


class Malice:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


def test_a_pickle_that_asks_for_more_than_tensors_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Malice()}, "w.pth")
    with pytest.raises(ValueError, match="w.pth: no weights that can be read safely"):
        open_("torchvision:resnet18", weights=Path("w.pth"))
    assert not Path("touched").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_files_that_are_no_weights_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match=f"{name}: no weights that can be read safely"):
        open_("torchvision:resnet18", weights=tmp_path / name)
    with pytest.raises(FileNotFoundError, match="missing: no weights here"):
        open_("torchvision:resnet18", weights=tmp_path / "missing")
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        open_("torchvision:resnet18", weights=tmp_path / "w.pth")


def test_a_file_of_weights_in_place_of_torchscript_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="not a TorchScript file .* for weights alone"):
        open_(tmp_path / "w.pt", **VIEW)
    (tmp_path / "w.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a TorchScript file; write it with torch.jit.save"):
        open_(tmp_path / "w.pt", **VIEW)


@pytest.mark.parametrize("crop", [0.0, 1.5])
def test_a_crop_that_is_no_share_is_refused(of_timm, crop):
    with pytest.raises(ValueError, match="expected a share of the side"):
        open_(f"timm:{SMALL}", weights=of_timm[1], size=32, crop=crop)


@pytest.mark.parametrize("crop", [-0.5, 0.0, 1.5, np.nan])
def test_a_crop_that_is_no_share_is_refused_before_any_file_is_opened(crop):
    with pytest.raises(ValueError, match=f"crop {crop}: expected a share of the side above 0, at"):
        Shown(size=32, crop=crop)
    with pytest.raises(ValueError, match="size 0: expected 1 pixel or more"):
        Shown(size=0)
