import json

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from attnlabels.collecting.partners import open_partner
from attnlabels.interpretation.frozen import open_classifier
from attnlabels.models.files import read_config
from attnlabels.pipeline.writing import write_arrays
from painted import write_classifier

CLASSES = ["ant", "bee", "cow", "dog"]
SMALL = "resnet10t"


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("ours") / "ours.safetensors", n_classes=4)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)


def squares(partner, images):
    return np.stack([partner.square(image) for image in images])


def test_our_classifier_sees_the_whole_image_and_gives_probabilities(ours, images):
    partner = open_partner(str(ours), CLASSES)
    shown = squares(partner, images)
    frozen = open_classifier(ours, n_classes=4)
    assert shown.shape == (3, frozen.size, frozen.size, 3)
    expected = torch.from_numpy(frozen.see(shown).logits).softmax(dim=1)
    np.testing.assert_allclose(partner.see(shown), expected, atol=1e-6)
    assert partner.classes == CLASSES


def test_what_is_painted_at_the_border_is_seen(ours):
    partner = open_partner(str(ours), CLASSES)
    image = np.full((60, 60, 3), 128, np.uint8)
    image[:4] = 255
    assert (partner.square(image) > 200).any()


def named(ours, path, classes):
    """A copy of the classifier's file that names its classes."""
    config = read_config(ours) | {"classes": classes}
    save_file(load_file(ours), path, metadata={"config": json.dumps(config)})
    return str(path)


def test_a_file_that_names_its_classes_need_only_know_the_studys(ours, tmp_path, images):
    path = named(ours, tmp_path / "p.safetensors", ["dog", "bee", "ant", "cow"])
    partner = open_partner(path, ["bee", "cow"])
    assert partner.classes == ["dog", "bee", "ant", "cow"]
    with pytest.raises(ValueError, match=r"p.safetensors does not know eel, classes of the study"):
        open_partner(path, ["bee", "eel"])


def test_another_number_of_classes_is_refused(ours):
    with pytest.raises(ValueError, match=r"ours.safetensors: probe.* has another shape"):
        open_partner(str(ours), CLASSES[:3])


def test_a_file_of_names_says_what_the_classes_are(ours, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("dog\ncow\nbee\nant\n")
    assert open_partner(str(ours), ["ant"], names=names).classes == ["dog", "cow", "bee", "ant"]
    names.write_text("dog\n\ncow\n")
    with pytest.raises(ValueError, match=r"names.txt: expected the partner's classes"):
        open_partner(str(ours), ["ant"], names=names)


def test_our_classifier_needs_no_weights_beside_it(ours):
    with pytest.raises(ValueError, match="holds its own weights; leave out --weights"):
        open_partner(str(ours), CLASSES, weights=ours)


def test_a_classifier_of_timm_keeps_its_head(tmp_path, images):
    torch.manual_seed(0)
    network = timm.create_model(SMALL, num_classes=4).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    partner = open_partner(f"timm:{SMALL}", CLASSES, weights=tmp_path / "w.safetensors")
    shown = squares(partner, images)
    told = network.pretrained_cfg
    assert shown.shape[1] == told["input_size"][1]
    pixels = torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(told[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        expected = network((pixels - mean) / std).softmax(dim=1)
    np.testing.assert_allclose(partner.see(shown), expected, atol=1e-5)
    with pytest.raises(ValueError, match=f"timm:{SMALL}: .*the weights do not fit"):
        open_partner(f"timm:{SMALL}", CLASSES[:3], weights=tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="none are downloaded; give --weights"):
        open_partner(f"timm:{SMALL}", CLASSES)


def test_an_encoder_has_its_probe(tmp_path, images):
    torch.manual_seed(0)
    network = timm.create_model(SMALL, num_classes=0).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(4, network.num_features)) * 0.01, rng.normal(size=4)
    other = rng.normal(size=(10, network.num_features))
    write_arrays(
        tmp_path / "probe.npz",
        imagenet_weight=weight,
        imagenet_bias=bias,
        cifar10_weight=other,
        cifar10_bias=np.zeros(10),
    )
    asked = {"weights": tmp_path / "w.safetensors", "probe": tmp_path / "probe.npz"}
    partner = open_partner(f"timm:{SMALL}", CLASSES, **asked)
    shown = squares(partner, images)
    told = network.pretrained_cfg
    mean, std = (torch.tensor(told[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        features = network((torch.from_numpy(shown).permute(0, 3, 1, 2) / 255 - mean) / std)
    logits = features.numpy() @ weight.T + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(partner.see(shown), expected, atol=1e-5)
    assert len(partner.identity["sha256"]) == 2
    with pytest.raises(ValueError, match=r"probe.npz: 0 probes of 3 classes"):
        open_partner(f"timm:{SMALL}", CLASSES[:3], **asked)
    (tmp_path / "probe.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"probe.npz: no probe"):
        open_partner(f"timm:{SMALL}", CLASSES, **asked)


def test_what_is_not_there_is_told():
    with pytest.raises(FileNotFoundError, match=r"nothing.safetensors: no weights here"):
        open_partner("nothing.safetensors", CLASSES)
