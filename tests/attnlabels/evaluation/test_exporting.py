import json
import re
import shutil
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from attnlabels import export
from attnlabels.cli import main
from attnlabels.evaluation.cards import encoder_card, teacher_card
from attnlabels.evaluation.exporting import difference_of, write_onnx
from attnlabels.models.encoder import BACKBONES, Encoder, features
from attnlabels.models.files import load_weights, read_config, write_weights
from attnlabels.models.timm_encoder import build_encoder
from attnlabels.pipeline.places import mark
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.shards.shards import Sample, sha256_of, write_shards
from attnlabels.teachers.network import Teacher

STEMS = ("imagenet", "small", "cifar")
SEEN = {"image_size": 32, "eval_crop": 1.0}
EVERYWHERE = ("timm", "torchvision", "onnxruntime")


@pytest.fixture(scope="module")
def onnx_tools():
    """What the extra `export` installs, or a skip; shapes are not checked, which would fix them."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed: attnlabels[export]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        yield


def encoder(**changed) -> tuple[Encoder, dict]:
    """An encoder whose BN has seen something, ready to use, and its configuration."""
    about = {
        "backbone": "resnet10",
        "width": 64,
        "stem": "small",
        "taps": "stages",
        "zero_init": False,
    } | changed
    torch.manual_seed(0)
    network = Encoder(**about)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.0)
        network(torch.rand(4, 3, 64, 64))
    return network.eval(), {"encoder": about, **SEEN}


def write_student(path: Path, **changed) -> Path:
    """A student's weights, of which all but the encoder is a single layer."""
    network, config = encoder(**changed)
    student = nn.ModuleDict({"encoder": network, "probe": nn.Linear(2, 2)})
    write_weights(path, student, {**config, "run": "guided", "seed": 3})
    return path


@pytest.fixture
def checkpoint(tmp_path):
    """The weights of a student of width 8."""
    return write_student(tmp_path / "student.safetensors", width=8)


@pytest.fixture(scope="module")
def exported(onnx_tools, tmp_path_factory):
    """What is exported of that student; not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    scores = folder / "probe.json"
    scores.write_text(json.dumps({"imagenet": {"top1": 0.5917, "n": 480}}))
    student = write_student(folder / "student.safetensors", width=8)
    export(student, folder / "out", metrics=[scores], data="my | pictures", licence="CC BY 4.0")
    return folder / "out"


def code_of(card: str) -> dict[str, str]:
    """The Python of a card, by the library that it uses."""
    blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    return {next(name for name in EVERYWHERE if name in block): block for block in blocks}


def run(block: str, images: np.ndarray, *, result: str = "features") -> np.ndarray:
    """What the code of a card computes, as its reader would run it."""
    names = {"images": images if "onnxruntime" in block else torch.from_numpy(images)}
    with torch.no_grad():
        exec(block, names)
    return np.asarray(names[result])


def photographs(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_cards_code_gives_the_same_features_in_timm_and_torchvision(
    tmp_path, monkeypatch, backbone, stem
):
    monkeypatch.chdir(tmp_path)
    network, config = encoder(backbone=backbone, stem=stem)
    write_weights(Path("encoder.safetensors"), network, config)
    card = encoder_card(tmp_path, config, difference=0.0, metrics={}, data="", licence="")
    images = photographs(2, 3, 64, 96)
    with torch.no_grad():
        expected = features(network(torch.from_numpy(images))).numpy()
    assert expected.std() > 0.01
    for library in ("timm", "torchvision"):
        np.testing.assert_allclose(run(code_of(card)[library], images), expected, atol=1e-4, rtol=0)


@pytest.fixture(
    scope="module",
    params=[("resnet18", "cifar"), ("resnet10", "small"), ("resnet50", "imagenet")],
    ids="-".join,
)
def plain(request, onnx_tools, tmp_path_factory):
    """An encoder, and what is exported of it in an older export's place; not to be changed."""
    about = dict(zip(("backbone", "stem"), request.param))
    folder = tmp_path_factory.mktemp("plain")
    with replacing_folder(folder / "out") as aside:
        aside.mkdir()
        for name in ("README.md", "teacher.onnx"):
            (aside / name).write_text("older")
    written = export(write_student(folder / "student", **about), folder / "out")
    return encoder(**about)[0], written


def test_an_exported_encoder_is_the_same_in_all_three_for_any_number_and_size(plain, monkeypatch):
    network, written = plain
    assert [each.name for each in written] == ["README.md", "encoder.onnx", "encoder.safetensors"]
    monkeypatch.chdir(written[0].parent)
    blocks = code_of(Path("README.md").read_text())
    assert set(blocks) == set(EVERYWHERE)
    for shape in ((1, 3, 64, 64), (3, 3, 50, 131)):
        images = photographs(*shape)
        with torch.no_grad():
            expected = features(network(torch.from_numpy(images))).numpy()
        for block in blocks.values():
            np.testing.assert_allclose(run(block, images), expected, atol=1e-4, rtol=0)


def test_an_older_export_is_replaced_and_what_is_not_said_is_missing(plain):
    _, written = plain
    assert not (written[0].parent / "teacher.onnx").exists()
    card = written[0].read_text()
    assert card.count("not stated by who exported this") == 2 and "## Scores" not in card


TOKENS = {"img_size": 32, "patch_size": 8, "depth": 3, "embed_dim": 24, "num_heads": 2}


def write_timm_student(path: Path, name: str, **about) -> nn.Module:
    """The weights of a student on a network of timm; returns the encoder."""
    about = {"backbone": f"timm:{name}", **about}
    torch.manual_seed(0)
    network = build_encoder(**about).eval()
    student = nn.ModuleDict({"encoder": network, "probe": nn.Linear(2, 2)})
    write_weights(path, student, {"encoder": about, **SEEN})
    return network


@pytest.mark.parametrize(
    ("name", "options"),
    [("vit_tiny_patch16_224", TOKENS), ("test_efficientnet", {}), ("test_convnext", {})],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_exported_network_of_timm_has_timms_keys_and_features(
    onnx_tools, tmp_path, monkeypatch, name, options
):
    network = write_timm_student(tmp_path / "student", name, taps=[1, 2, 3], options=options)
    export(tmp_path / "student", tmp_path / "out")
    own = timm.create_model(name, num_classes=0, **options).state_dict()
    assert load_file(tmp_path / "out/encoder.safetensors").keys() == own.keys()
    monkeypatch.chdir(tmp_path / "out")
    card = Path("README.md").read_text()
    assert f"# Encoder: timm:{name}" in card and "with any number of images of 32 px" in card
    blocks = code_of(card)
    assert set(blocks) == {"timm", "onnxruntime"}
    images = photographs(3, 3, 32, 32)
    with torch.no_grad():
        expected = features(network(torch.from_numpy(images))).numpy()
    assert expected.std() > 0.1 * np.abs(expected).max()
    for block in blocks.values():
        assert difference_of(run(block, images), expected) < 1e-4


def test_an_encoder_of_another_width_says_who_cannot_build_it_and_offers_onnx(
    exported, monkeypatch
):
    monkeypatch.chdir(exported)
    card = Path("README.md").read_text()
    assert "Neither timm nor torchvision can build this encoder" in card
    assert set(code_of(card)) == {"onnxruntime"}
    network, images = encoder(width=8)[0], photographs(2, 3, 40, 56)
    with torch.no_grad():
        expected = features(network(torch.from_numpy(images))).numpy()
    found = run(code_of(card)["onnxruntime"], images)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    again = Encoder("resnet10", width=8, stem="small", taps="stages", zero_init=True)
    load_weights(Path("encoder.safetensors"), again)


def test_a_teacher_is_the_same_in_onnx_runtime(onnx_tools, tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = {"taps": [3, 5, 7, 9], "pool_stride": 1, "output": "learnt_offset"}
    network = Teacher(**model)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # maps with peaks: of a flat one, stretched, little is left
    network(torch.rand(4, 3, 64, 64))
    write_weights(tmp_path / "t", network.eval(), {"teacher": model, "image_size": [48, 64]})
    written = export(tmp_path / "t", tmp_path / "out")
    assert [each.name for each in written] == ["README.md", "teacher.onnx", "teacher.safetensors"]
    monkeypatch.chdir(tmp_path / "out")
    (block,) = code_of(Path("README.md").read_text()).values()
    for shape in ((1, 3, 48, 64), (3, 3, 70, 45)):
        images = photographs(*shape)
        with torch.no_grad():
            expected = network(torch.from_numpy(images)).numpy()
        found = run(block, images, result="maps")
        assert found.shape == expected.shape == (shape[0], *shape[2:])
        assert np.ptp(expected) > 0.03
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_a_teacher_on_a_network_of_timm_says_whose_its_weights_are(timm_teacher):
    config = read_config(timm_teacher)
    card = teacher_card(
        timm_teacher.parent, config, difference=0.0, metrics={}, data="", licence=""
    )
    assert "`timm:resnet10t`, read at its feature levels 2, 3, 4, trained on recordings" in card
    assert (
        "Its backbone, timm:resnet10t, came with weights of w.pth, which may have learnt from "
        "class labels, and stayed as it was." in card
    )
    assert "MobileNet" not in card


def test_an_onnx_file_says_what_pixels_it_takes_and_nothing_of_the_machine(exported, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(exported / "encoder.onnx")
    assert "[0, 1]" in session.get_modelmeta().custom_metadata_map["pixels"]
    assert session.get_inputs()[0].shape == ["n", 3, "height", "width"]
    data = (exported / "encoder.onnx").read_bytes()
    assert str(Path(__file__).parents[3]).encode() not in data and b"stack_trace" not in data
    write_onnx(tmp_path / "again.onnx", encoder(width=8)[0])
    assert (tmp_path / "again.onnx").read_bytes() == data


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_what_an_onnx_file_computes_is_compared_whatever_the_size_of_features(scale):
    expected = np.float32([[1, -2], [0, 4]]) * np.float32(scale)
    off = expected + np.float32([[0, 0], [0, 0.04]]) * np.float32(scale)
    assert difference_of(off, expected) == pytest.approx(0.01, rel=1e-3)
    assert difference_of(0 * expected, 0 * expected) == 0


def test_an_onnx_file_that_computes_something_else_is_refused_and_nothing_is_left(
    onnx_tools, tmp_path, monkeypatch
):
    small = {"taps": [1, 2, 3], "options": TOKENS}  # takes half of a ResNet's time
    write_timm_student(tmp_path / "student", "vit_tiny_patch16_224", **small)
    monkeypatch.setattr("attnlabels.evaluation.exporting.TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=r"onnx: ONNX Runtime's features differ .*version"):
        export(tmp_path / "student", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


def test_the_card_says_from_what_with_which_scores_and_checksums(exported):
    card = (exported / "README.md").read_text()
    for line in (
        "- Data: my | pictures",
        "- Licence: CC BY 4.0",
        "| imagenet.top1 | 0.5917 |",
        "| imagenet.n | 480 |",
        "the run `guided` with seed 3",
        "32 x 32 pixels",
        "float32 in [0, 1], not normalised by any mean or deviation",
    ):
        assert line in card
    for name in ("encoder.onnx", "encoder.safetensors"):
        size, digest = (exported / name).stat().st_size, sha256_of(exported / name)
        assert f"| {name} | {size} | {digest} |" in card


@pytest.fixture
def shards(tmp_path):
    """Three labelled images in two shards."""
    samples = [
        Sample(
            key=f"k{i}",
            image=b"\x89PNG\r\n\x1a\n",
            map=np.eye(4, dtype=np.float32),
            points=np.array([[1, 1]]),
            observers=None,
            label=-1,
            grid=(4, 4),
            image_size=(4, 4),
            source="test",
            name=f"k{i}.png",
        )
        for i in range(3)
    ]
    write_shards(
        tmp_path / "shards",
        samples,
        maximum_count=2,
        classes=[],
        skipped=["broken.jpg"],
        maps_by={"kind": "teacher", "sigma_px": 3.0},
    )
    return tmp_path / "shards"


def test_shards_get_a_data_card_with_provenance_and_checksums(shards, tmp_path):
    (path,) = export(shards, tmp_path / "card", data="photographs", licence="CC0")
    card = path.read_text()
    for line in (
        "# Attention labels of 3 images",
        "no person looked",
        "| sigma_px | 3.0 |",
        "- Licence: CC0",
        "Images left out: 1;",
    ):
        assert line in card
    for name in ("shard-000000.tar", "shard-000001.tar", "index.json", "samples.npy"):
        assert f"| {name} | {(shards / name).stat().st_size} | {sha256_of(shards / name)} |" in card


def test_a_folder_with_anything_else_in_it_is_not_replaced(checkpoint, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="out holds thesis.tex, which attnlabels did not"):
        export(checkpoint, tmp_path / "out")
    with pytest.raises(FileExistsError, match="student.safetensors is a file; name a folder"):
        export(checkpoint, tmp_path / "student.safetensors")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


def test_labels_are_not_replaced_by_an_export_of_them_or_of_something_else(
    shards, checkpoint, tmp_path
):
    mark(shards)
    before = {path.name: path.read_bytes() for path in shards.iterdir()}
    for given in (shards, checkpoint):
        with pytest.raises(FileExistsError, match="shards holds something else than is written"):
            export(given, shards)
    card = tmp_path / "card"
    export(shards, card)
    shutil.copy(checkpoint, card / "student.safetensors")
    mark(card)
    with pytest.raises(FileExistsError, match="student.safetensors is in .*card, which is repla"):
        export(card / "student.safetensors", card)
    assert {path.name: path.read_bytes() for path in shards.iterdir()} == before


def test_weights_of_others_are_refused_with_the_cure(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no config in its header"):
        export(path, tmp_path / "out")
    write_weights(path, nn.Linear(1, 1), {"image_size": 3})
    with pytest.raises(ValueError, match="holds no encoder: these are the weights of another"):
        export(path, tmp_path / "out")
    write_weights(path, nn.Linear(1, 1), {"teacher": {"colour": "red"}, "image_size": [9, 9]})
    with pytest.raises(ValueError, match=r"builds no network here \("):
        export(path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="nowhere: no weights here"):
        export(tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_says_what_to_install(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("attnlabels.evaluation.exporting.NEEDED", ("onnx_that_is_not_there",))
    with pytest.raises(ValueError, match=r"not installed.*pip install 'attnlabels\[export\]'"):
        export(checkpoint, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[1]", "holds a list; expected names"), (None, "no metrics here")],
)
def test_metrics_that_are_none_are_refused(checkpoint, tmp_path, text, message):
    path = tmp_path / "m.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises((ValueError, OSError), match=message):
        export(checkpoint, tmp_path / "out", metrics=[path])


def test_only_the_encoders_tensors_are_exported(exported):
    keys = load_file(exported / "encoder.safetensors").keys()
    assert keys == encoder(width=8)[0].state_dict().keys()


def test_the_command_says_what_it_wrote_or_why_not(shards, tmp_path, monkeypatch, capsys):
    def call(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["attnlabels", "export", *words])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0)

    out = str(tmp_path / "card")
    assert call(str(shards), "--out", out, "--licence", "CC0") == 0
    assert capsys.readouterr().out == f"{out}/README.md\n"
    assert "Licence: CC0" in (tmp_path / "card" / "README.md").read_text()
    assert call(str(tmp_path / "none"), "--out", out) == 1
    assert "attnlabels: error: " in (said := capsys.readouterr().err) and "none: no weights" in said
    assert call(str(shards)) == 2
