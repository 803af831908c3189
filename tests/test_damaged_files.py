"""Files with bytes changed, cut out or put in are read, or refused in a line that names them.

Not HDF5: the library itself can crash on damage.
"""

import errno
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from scipy.io import savemat

from attnlabels.clickmaps.masks import read_mask
from attnlabels.clickmaps.sources import Manner, RecordedImages
from attnlabels.clickmaps.submissions import read_csv as read_clicks
from attnlabels.clickmaps.submissions import read_npz
from attnlabels.clickmaps.tfrecord import encode_example, write_records
from attnlabels.evaluation.features import read_corrupted, read_features
from attnlabels.evaluation.students import read_encoder
from attnlabels.files.damage import NO_ARRAY, refusing
from attnlabels.images.decoding import decode_grey
from attnlabels.images.listed import read_listed
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import write_weights
from attnlabels.pipeline.frames import read_csv
from attnlabels.pipeline.results import read_arrays
from attnlabels.pipeline.writing import write_arrays, write_rows
from attnlabels.pretrained.checkpoints import read_state
from attnlabels.processes.checkpoint import Scratch
from attnlabels.recordings.osie import read_eye, read_mouse
from attnlabels.reporting.tables import read_tables
from attnlabels.teachers.network import Teacher
from attnlabels.teachers.trained import read_trained
from attnlabels.testsets.archives import unpack_classes
from attnlabels.testsets.corruptions import CORRUPTIONS
from attnlabels.testsets.imagenet_c import open_corrupted
from score_robustness import read_classifiers

EXAMPLES = 40  # of each kind of file, the same in each run


class Kind(NamedTuple):
    """A whole file, and what reads it; of `several` files, one may tell what another lacks."""

    path: Path
    read: Callable[[Path], object]
    several: bool = False


def osie_eye(folder: Path) -> Kind:
    subject = {"fix_x": np.array([1.0, 5]), "fix_y": np.array([2.0, 600])}
    image = {"img": "1001.jpg", "subjects": cell(subject, subject)}
    # Compressed, as MATLAB writes it: of what is not, scipy reads lengths without a look at them.
    savemat(folder / "a.mat", {"fixations": cell(image)}, do_compression=True)
    return Kind(folder / "a.mat", read_eye)


def osie_mouse(folder: Path) -> Kind:
    fixations = {"coord": np.array([[1.0, 2], [3, 4]]), "subj": np.array([[1.0, 2]])}
    savemat(folder / "a.mat", {"fixations": fixations}, do_compression=True)
    return Kind(folder / "a.mat", lambda path: read_mouse(path.parent))


def cell(*values: object) -> np.ndarray:
    array = np.empty((len(values), 1), object)
    array[:, 0] = values
    return array


def archive(folder: Path, mode: str) -> Kind:
    image = cv2.imencode(".jpg", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with tarfile.open(folder / "a.tar", mode) as tar:
        for name in ("train/a", "train/b", "val/a", "val/b"):
            member = tarfile.TarInfo(f"set/{name}/1.jpg")
            member.size = len(image)
            tar.addfile(member, io.BytesIO(image))
    take = {"train": None, "val": 1}
    return Kind(folder / "a.tar", lambda path: unpack_classes(path, path.parent / "out", take))


def state(folder: Path, *, zipped: bool) -> Kind:
    tree = {"state_dict": {"a": torch.ones(3, 3), "b": torch.zeros(2)}, "epoch": 3}
    torch.save(tree, folder / "a.pth", _use_new_zipfile_serialization=zipped)
    return Kind(folder / "a.pth", read_state)


def safetensors(folder: Path) -> Kind:
    save_file({"a": torch.ones(3, 3), "b": torch.zeros(2)}, folder / "a.safetensors")
    return Kind(folder / "a.safetensors", read_state)


def training_state(folder: Path) -> Kind:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTNLABELS_SCRATCH", str(folder))
        scratch = Scratch("damaged")
    scratch.folder.mkdir(parents=True, exist_ok=True)
    torch.save({"step": 3, "a": torch.ones(3)}, scratch.file)
    return Kind(scratch.file, lambda path: scratch.read())


def clicks(folder: Path) -> Kind:
    head = "image_path,clicks,user_id,user_catch_trial,is_mobile"
    rows = ['a/1.jpg,"[(1,2),(3,4)]",u,0.97,False', 'b/2.jpg,"[(5, 6)]",v,1.0,True']
    (folder / "a.csv").write_text("\n".join([head, *rows, ""]))
    return Kind(folder / "a.csv", lambda path: list(read_clicks(path)))


def clicks_npz(folder: Path) -> Kind:
    columns = {"file_pointer": ["a", "b"], "user_id": ["u", "v"], "n_clicks": [1, 2]}
    np.savez(folder / "a.npz", clickmap_x=np.ones(3), clickmap_y=np.ones(3), **columns)
    return Kind(folder / "a.npz", lambda path: list(read_npz(path)))


def records(folder: Path) -> Kind:
    jpeg = cv2.imencode(".jpg", np.arange(192, dtype=np.uint8).reshape(8, 8, 3))[1].tobytes()
    example = encode_example({"image": [jpeg], "heatmap": [jpeg], "label": np.array([1])})
    write_records(folder / "a.tfrecords", [example] * 2)
    manner = Manner(broken="stop", outside="refuse", count="binary", filters=None)

    def read(path: Path) -> None:
        images = RecordedImages([path], n_classes=3, manner=manner)
        for each in map(images.__getitem__, range(len(images))):
            if each.painted is None:
                raise ValueError(each.why)

    return Kind(folder / "a.tfrecords", read)


def a_map(folder: Path) -> Kind:
    """A JPEG within a record, whose checksum is right."""
    (folder / "a.jpg").write_bytes(cv2.imencode(".jpg", np.eye(16, dtype=np.uint8) * 255)[1])
    return Kind(folder / "a.jpg", lambda path: decode_grey(path.read_bytes(), name=str(path)))


def mask(folder: Path) -> Kind:
    cv2.imwrite(str(folder / "a.png"), np.eye(8, dtype=np.uint8) * 255)
    return Kind(folder / "a.png", lambda path: read_mask(path, size=(8, 8)))


def arrays(folder: Path) -> Kind:
    np.savez(folder / "a.npz", images=np.ones((2, 2)), x=np.arange(2))
    return Kind(folder / "a.npz", lambda path: read_arrays(path, keys=("x",), stage="any"))


def features(folder: Path, damaged: str) -> Kind:
    np.save(folder / "features.npy", np.ones((2, 2), np.float16))
    np.save(folder / "labels.npy", np.zeros(2, np.int64))
    return Kind(folder / damaged, lambda path: read_features(path.parent), several=True)


def corrupted(folder: Path, damaged: str) -> Kind:
    for name in CORRUPTIONS:
        np.save(folder / f"{name}.npy", np.zeros((5, 4, 4, 3), np.uint8))
    np.save(folder / "labels.npy", np.zeros(5, np.int64))

    def read(path: Path) -> object:
        return open_corrupted(path.parent, layout="arrays")

    return Kind(folder / damaged, read, several=True)


def of_corruptions(folder: Path) -> Kind:
    tree = {"corruptions": ["fog"], "generated": 1, "of_imagenet": 0}
    (folder / "set.json").write_text(json.dumps(tree))
    return Kind(folder / "set.json", lambda path: read_corrupted(path.parent))


def generated(folder: Path) -> Kind:
    corrupted(folder, "labels.npy")
    (folder / "generated.json").write_text('{"generated": 1}')
    return Kind(
        folder / "generated.json", lambda path: open_corrupted(path.parent, layout="arrays")
    )


def classifiers(folder: Path) -> Kind:
    keys = [f"{key}_{each}" for key in ("imagenet", "cifar10") for each in ("weight", "bias")]
    write_arrays(folder / "a.npz", **{key: np.ones((2, 2)) for key in keys})
    return Kind(folder / "a.npz", read_classifiers)


def tables(folder: Path) -> Kind:
    (folder / "tables.json").write_text("[]")
    return Kind(folder / "tables.json", read_tables)


def scores(folder: Path) -> Kind:
    write_rows(folder / "a.csv", [{"image": "a.jpg", "cc": 0.5}] * 3, columns=("image", "cc"))
    return Kind(folder / "a.csv", lambda path: read_csv(path, columns=("image", "cc"), stage="any"))


def listed(folder: Path) -> Kind:
    names = ["train/a.jpg", "train/b.jpg", "val/a.jpg", "val/b.jpg"]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    rows = [f"{name},{label}" for name, label in zip(names, ["cat", "dog"] * 2)]
    (folder / "a.csv").write_text("\n".join(["image,label", *rows, ""]))
    return Kind(folder / "a.csv", lambda path: read_listed(path, path.parent))


KINDS: dict[str, Callable[[Path], Kind]] = {
    "osie_eye": osie_eye,
    "osie_mouse": osie_mouse,
    "tar": lambda folder: archive(folder, "w"),
    "tar_gz": lambda folder: archive(folder, "w:gz"),
    "tar_xz": lambda folder: archive(folder, "w:xz"),
    "torch": lambda folder: state(folder, zipped=True),
    "torch_before_1.6": lambda folder: state(folder, zipped=False),
    "safetensors": safetensors,
    "training_state": training_state,
    "clicks": clicks,
    "clicks_npz": clicks_npz,
    "records": records,
    "map": a_map,
    "mask": mask,
    "arrays": arrays,
    "features": lambda folder: features(folder, "features.npy"),
    "labels": lambda folder: features(folder, "labels.npy"),
    "cifar_c": lambda folder: corrupted(folder, f"{next(iter(CORRUPTIONS))}.npy"),
    "cifar_c_labels": lambda folder: corrupted(folder, "labels.npy"),
    "of_corruptions": of_corruptions,
    "generated": generated,
    "classifiers": classifiers,
    "tables": tables,
    "scores": scores,
    "listed": listed,
}


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A few bytes changed, what follows a place cut off, some put in or some taken out."""
    places = st.floats(0, 1, exclude_max=True)
    harms = draw(
        st.lists(
            st.tuples(st.sampled_from(["change", "change", "cut", "insert", "remove"]), places),
            min_size=1,
            max_size=4,
        )
    )
    put = draw(st.binary(min_size=1, max_size=8))

    def harm(data: bytes) -> bytes:
        for kind, place in harms:
            at = int(place * len(data))
            after = {"change": at + 1, "cut": len(data), "insert": at, "remove": at + len(put)}
            filled = {"change": put[:1], "insert": put}.get(kind, b"")
            data = data[:at] + filled + data[after[kind] :]
        return data

    return harm


def refused_by_name(kind: Kind) -> None:
    try:
        kind.read(kind.path)
    except (ValueError, FileNotFoundError) as error:
        said = str(error)
        assert str(kind.path.parent if kind.several else kind.path) in said, said
        assert "\n" not in said, said


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(harm=damage())
def test_a_damaged_file_is_read_or_refused_by_its_name(name, harm, tmp_path):
    kind = KINDS[name](tmp_path)
    kind.path.write_bytes(harm(kind.path.read_bytes()))
    refused_by_name(kind)


HEADER = {
    "teacher": {"taps": [3, 5], "output": "learnt_offset", "pool_stride": 1},
    "image_size": [32, 48],
    "sigma_px": [1.0, 1.0],
    "fitted_sigma_px": [1.0, 1.0],
}


@pytest.mark.parametrize(
    "changed",
    [
        {"teacher": {"tapz": [3, 5]}},
        {"teacher": 3},
        {"teacher": {"taps": 3, "output": "learnt_offset", "pool_stride": 1}},
        {"image_size": 32},
        {"image_size": "32"},
        {"image_size": [-3, 0]},
        {"image_size": [32.7, 48]},
        {"image_size": None},
        {"sigma_px": [1.0]},
        {"sigma_px": ["a", "b"]},
        {"sigma_px": [0.0, 1.0]},
        {"fitted_sigma_px": {}},
    ],
)
def test_a_teachers_header_that_describes_none_is_refused(changed, tmp_path):
    path = tmp_path / "teacher.safetensors"
    write_weights(path, Teacher(**HEADER["teacher"]), HEADER)
    assert read_trained(path).image_size == (32, 48)
    write_weights(path, Teacher(**HEADER["teacher"]), HEADER | changed)
    with pytest.raises(ValueError, match=r"teacher\.safetensors: the config in its header"):
        read_trained(path)


ENCODER = {
    "backbone": "resnet10",
    "width": 4,
    "stem": "small",
    "taps": "stages",
    "zero_init": False,
}


@pytest.mark.parametrize(
    "changed", [{"width": -1}, {"width": "4"}, {"backbone": "resnet99"}, {"stem": None}, {"tap": 3}]
)
def test_an_encoders_header_that_describes_none_is_refused(changed, tmp_path):
    path, how = tmp_path / "a.safetensors", {"device": torch.device("cpu"), "precision": "fp32"}
    network = torch.nn.ModuleDict({"encoder": Encoder(**ENCODER)})
    write_weights(path, network, {"encoder": ENCODER})
    read_encoder(path, **how)
    write_weights(path, network, {"encoder": ENCODER | changed})
    with pytest.raises(ValueError, match=r"a\.safetensors: the config in its header builds no"):
        read_encoder(path, **how)


def test_what_the_system_refuses_keeps_its_own_words(tmp_path):
    with (
        pytest.raises(PermissionError, match="no entry"),
        refusing(NO_ARRAY, tmp_path, what="cut short", cure="fetch it again"),
    ):
        raise PermissionError(errno.EACCES, "no entry")
    with (
        pytest.raises(ValueError, match=r"cut short \(lies\); fetch it again"),
        refusing(NO_ARRAY, tmp_path, what="cut short", cure="fetch it again"),
    ):
        raise MemoryError("lies")
    with (
        pytest.raises(ValueError, match=r"cut short \(no array\); fetch it again"),
        refusing(NO_ARRAY, tmp_path, what="cut short", cure="fetch it again"),
    ):
        np.load(io.BytesIO(b"no array at all"))
