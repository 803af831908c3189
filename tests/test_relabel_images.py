import fcntl
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import label_images
import relabel_images
from attnlabels.images.decoding import read_image
from attnlabels.images.squares import resize_centre_crop
from attnlabels.labelling import relabelling, sources
from attnlabels.labelling.pseudo_fixations import pseudo_fixations
from attnlabels.models.contracam import contracam, queries
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import load_weights, read_config, write_weights
from attnlabels.models.projector import projector
from attnlabels.pipeline.params import read
from attnlabels.recordings.density import centre_prior, density
from attnlabels.recordings.recordings import read_recordings
from attnlabels.recordings.salicon import read_json
from attnlabels.shards.faults import check
from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Sample, Shards, decode_map, encode_map, write_shards

SIZE = 12  # label_images.map_size
MANNER = {  # what a teacher's labels say of how they are drawn
    "map_size": SIZE,
    "density_sigma": [1.0, 1.0],
    "sigma": [1.0, 1.0],
    "threshold": 0.2,
    "maximum_points": 64,
}
FIFTH = "n00000002/n00000002_5"  # images are numbered from 1 and take the three classes in turn
BOXES: dict[str, Any] = {"source": "boxes", "options": {"above": 0.5}}
WITHOUT_POINTS = ("centre", "masks", "contracam")
EVERY = pytest.mark.parametrize("row", ["centre", "shuffled", "human", "masks", "contracam"])
Relabel = Callable[..., Shards]


@pytest.fixture(scope="module")
def labels(world, teacher, tmp_path_factory, tiny_params) -> Shards:
    """The world's training images with a teacher's labels."""
    folder = tmp_path_factory.mktemp("labels")
    tiny_params(folder, {})
    data = world / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ATTNLABELS_SCRATCH", str(folder / "scratch"))
        patch.setattr(torch.cuda, "is_available", lambda: False)
        label_images.main(
            teacher,
            data / "scenes/imagenet/train",
            data / "images/train.csv",
            data / "attention/eye",
            folder / "train",
            folder / "examples.npz",
        )
    return Shards(folder / "train")


@pytest.fixture
def given(world, labels, student) -> dict[str, Path]:
    """What each row's source is given."""
    scenes = world / "data/scenes"
    return {
        "centre": labels.folder / "index.json",
        "shuffled": labels.folder / "index.json",
        "human": scenes / "people/fixations_train.json",
        "masks": scenes / "masks/train",
        "contracam": student,
    }


@pytest.fixture
def relabel(params, labels, given) -> Relabel:
    """Relabels the images as a row says; changes are to the row."""

    def call(
        row: str,
        out: str = "out",
        *,
        of: Path | None = None,
        by: Path | None = None,
        **changed: Any,
    ) -> Shards:
        params({f"relabel_images.{row}.{key}": value for key, value in changed.items()})
        relabel_images.main(row, of or labels.folder, by or given[row], Path(out))
        return Shards(Path(out))

    return call


@pytest.fixture
def masks(given, tmp_path) -> Path:
    """The masks, to be changed."""
    return Path(shutil.copytree(given["masks"], tmp_path / "masks"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def as_stored(map: np.ndarray) -> np.ndarray:
    return decode_map(encode_map(map))


@EVERY
def test_images_keys_classes_and_order_stay_and_maps_and_points_fit_the_shards(
    row, relabel, labels
):
    shards = relabel(row)
    assert [str(fault) for fault in check(shards.folder)] == []
    assert len(shards) == len(labels) == 24 and shards.classes == labels.classes
    assert [each["count"] for each in shards.index["shards"]] == [10, 10, 4]
    for i in range(24):
        ours, theirs = shards[i], labels[i]
        for key in ("key", "image", "name", "label", "image_size"):
            assert ours[key] == theirs[key]
        assert ours["map"].shape == (SIZE, SIZE) and ours["map"].max() == 1
        assert not np.array_equal(ours["map"], theirs["map"])


@EVERY
def test_a_second_run_leaves_the_same_bytes(row, relabel):
    relabel(row, "first")
    relabel(row, "second")
    assert contents(Path("first")) == contents(Path("second"))


@pytest.mark.parametrize("row", WITHOUT_POINTS)
def test_points_are_pseudo_fixations_as_a_teachers_labels_have_them(row, relabel, labels):
    shards = relabel(row)
    p = labels.index["maps_by"]
    for i in (0, 7, 23):
        sample = shards[i]
        points, counts = pseudo_fixations(
            torch.from_numpy(sample["map"])[None],
            sigma_px=(2.0 * SIZE / 24, 2.5 * SIZE / 32),  # of the teacher's file
            threshold=p["threshold"],
            maximum=p["maximum_points"],
        )
        # Maps are stored in 16 bits, which may decide between two that are nearly as high.
        assert abs(counts.item() - len(sample["points"])) <= 1
        assert sample["points"][0].tolist() == points[0, 0].tolist()
        assert sample["grid"] == (SIZE, SIZE) and sample["observers"] is None


def test_a_centre_label_is_the_prior_that_alignment_is_compared_with(relabel):
    shards = relabel("centre")
    for i in range(24):
        np.testing.assert_array_equal(shards[i]["map"], as_stored(centre_prior(SIZE, SIZE)))
    assert shards.index["maps_by"]["kind"] == "centre"


@pytest.fixture
def painted(labels, tmp_path) -> Path:
    """The same images with maps by players; nobody painted on the third."""
    samples = [dict(each) for each in labels]
    y, x = np.mgrid[:6, :6]
    for i, each in enumerate(samples):
        each["map"] = np.exp(-((y - i % 5) ** 2) - (x - i % 4) ** 2 / 2)
        each["observers"] = np.zeros(len(each["points"]), np.int16)
        if i == 2:
            each["map"], each["source"] = np.zeros_like(each["map"]), NOBODY
            each["points"], each["observers"] = np.zeros((0, 2), np.int16), None
    classes = labels.classes
    folder = tmp_path / "painted"
    write_shards(folder, samples, maximum_count=9, maps_by={"kind": "players"}, classes=classes)
    return folder


@pytest.mark.parametrize(
    ("row", "changed"),
    [("centre", {}), ("centre", BOXES), ("shuffled", {}), ("masks", {})],
    ids=["centre", "boxes", "shuffled", "masks"],
)
def test_players_maps_are_replaced_without_a_teachers_manner(relabel, painted, row, changed):
    before, after = Shards(painted), relabel(row, of=painted, **changed)
    assert not list(check(after.folder)) and after.index["maps_by"]["of"] == "players"
    assert [each["key"] for each in after] == [each["key"] for each in before]
    for i, (old, new) in enumerate(zip(before, after)):
        assert new["map"].shape == old["map"].shape
        assert new["map"].any() is np.bool_(i != 2)  # what nobody painted on stays without
        assert (new["source"] == NOBODY) is (i == 2)
        if row != "shuffled":
            assert len(new["points"]) == 0


def test_a_box_is_around_the_map_where_it_is_above_a_share_of_its_largest_value(relabel, painted):
    above = BOXES["options"]["above"]
    for before, after in zip(Shards(painted), relabel("centre", of=painted, **BOXES)):
        rows, cols = np.nonzero(before["map"] > above)
        expected = np.zeros((6, 6))
        if len(rows):  # nobody painted on one
            expected[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] = 1
        np.testing.assert_array_equal(after["map"], expected)


def test_what_is_drawn_as_wide_as_a_teachers_maps_needs_a_teacher(relabel, painted):
    with pytest.raises(ValueError, match="painted: not a teacher's labels.*take a teacher's"):
        relabel("human", of=painted)


def donors(shards: Shards, labels: Shards) -> list[int]:
    """Whose label each image has; a teacher's maps differ from one another."""
    theirs = [labels[i] for i in range(len(labels))]
    found = []
    for i in range(len(shards)):
        (donor,) = (
            k
            for k, each in enumerate(theirs)
            if np.array_equal(each["map"], shards[i]["map"])
            and np.array_equal(each["points"], shards[i]["points"])
            and each["grid"] == shards[i]["grid"]
        )
        found.append(donor)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_every_label_is_shuffled_to_another_image(seed, relabel, labels):
    found = donors(relabel("shuffled", options={"seed": seed}), labels)
    assert sorted(found) == list(range(24))
    assert all(donor != i for i, donor in enumerate(found))


def test_another_seed_shuffles_otherwise(relabel, labels):
    first, second = (
        donors(relabel("shuffled", str(seed), options={"seed": seed}), labels) for seed in (0, 1)
    )
    assert first != second
    # Not one image's neighbour after the other's, which are of its class.
    assert len({(donor - i) % 24 for i, donor in enumerate(first)}) > 5


def test_recorded_labels_are_peoples_of_that_image(relabel, given, world):
    shards = relabel("human")
    people = {each.name: each for each in read_json(given["human"])}
    for i in range(24):
        sample, recorded = shards[i], people[shards[i]["name"]]
        assert sample["grid"] == (24, 24) == sample["image_size"]
        assert sample["points"].tolist() == recorded.points.tolist()
        assert sample["observers"].tolist() == recorded.observers.tolist()
        map = density(
            recorded.points,
            height=24,
            width=24,
            count="counted",
            sigma_px=(2.0 * 24 / 24, 2.5 * 24 / 32),  # of the teacher's file
        )
        area = map.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(sample["map"], area / area.max(), atol=2e-5)
    assert len(list(read_recordings(shards.folder, crop=1.0))) == 24  # as any set of people's


def test_mask_labels_are_the_visible_share_of_objects(relabel, given):
    shards = relabel("masks")
    for i in range(24):
        path = given["masks"] / Path(shards[i]["name"]).with_suffix(".png")
        grey = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(float)
        area = grey.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(shards[i]["map"], area / area.max(), atol=2e-5)


def test_masks_of_classes_are_objects_wherever_a_class_is(relabel, masks):
    grey = np.zeros((24, 24), np.uint8)
    grey[:12, :12], grey[12:, 12:] = 1, 80
    cv2.imwrite(str(masks / f"{FIFTH}.png"), grey)
    expected = np.kron(np.eye(2), np.ones((SIZE // 2, SIZE // 2)))
    for pixels, darkest in (("classes", 1.0), ("shares", 1 / 80)):
        shards = relabel("masks", pixels, by=masks, options={"pixels": pixels})
        (map,) = (shards[i]["map"] for i in range(24) if shards[i]["name"] == f"{FIFTH}.JPEG")
        np.testing.assert_allclose(map[SIZE // 2 :], expected[SIZE // 2 :])
        np.testing.assert_allclose(map[: SIZE // 2], darkest * expected[: SIZE // 2], atol=1e-5)


@pytest.mark.real_data
def test_masks_of_cocos_photographs_make_labels_but_of_two_without_objects(
    relabel, real_data, tmp_path
):
    coco = real_data("coco128_seg")
    samples = [
        Sample(
            key=path.stem,
            image=path.read_bytes(),
            map=np.eye(2),
            points=np.zeros((1, 2), int),
            observers=None,
            label=-1,
            grid=(2, 2),
            image_size=read_image(path).shape[:2],
            source="a test",
            name=path.name,
        )
        for path in sorted((coco / "images").iterdir())
    ]
    write_shards(
        tmp_path / "coco",
        samples,
        maximum_count=96,
        maps_by={"kind": "teacher", **MANNER},
        classes=[],
    )
    shards = relabel(
        "masks",
        of=tmp_path / "coco",
        by=coco / "masks",
        missing="skip",
        options={"pixels": "classes"},
    )
    assert len(shards) == 94 and len(shards.index["skipped"]) == 2
    for i in range(94):
        grey = cv2.imread(str(coco / "masks" / f"{shards[i]['key']}.png"), cv2.IMREAD_UNCHANGED)
        shares = cv2.resize((grey > 0) * 1.0, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(shards[i]["map"], shares / shares.max(), atol=2e-5)


def network(weights: Path) -> tuple[Encoder, torch.nn.Module]:
    config = read_config(weights)
    encoder = Encoder(**config["encoder"])
    head = projector(encoder.n_features, **config["projector"])
    load_weights(weights, encoder, prefix="encoder.")
    load_weights(weights, head, prefix="projector.")
    return encoder.eval(), head.eval()


def test_contracam_labels_are_those_of_the_encoder_stretched_and_enlarged(
    relabel, student, labels, world
):
    shards = relabel("contracam", options={"seed": 0, "batch_size": 24, "expand": 1, "workers": 0})
    encoder, head = network(student)
    pixels = [
        resize_centre_crop(
            read_image(world / "data/scenes/imagenet/train" / labels[i]["name"]), size=24, crop=1.0
        )
        for i in range(24)
    ]
    stage = encoder(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255).last
    keys = queries(stage, head)
    maps = contracam(stage, head, negatives=keys, own=slice(None), second_order=False)
    for i, map in enumerate(maps.detach().numpy()):
        large = cv2.resize(map, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        stretched = (large - large.min()) / (large.max() - large.min())
        np.testing.assert_allclose(shards[i]["map"], stretched, atol=2e-3)


def test_contracam_tells_images_from_those_of_a_batch_drawn_by_the_seed(relabel):
    def maps(name: str, **options: int) -> list[np.ndarray]:
        whole = {"seed": 0, "batch_size": 6, "expand": 1, "workers": 0} | options
        shards = relabel("contracam", name, options=whole)
        return [shards[i]["map"] for i in range(24)]

    first = maps("a")
    assert any(not np.array_equal(*each) for each in zip(first, maps("b", seed=1)))
    assert any(not np.array_equal(*each) for each in zip(first, maps("c", batch_size=12)))
    finer = maps("d", expand=4)
    assert sum(np.abs(np.diff(each)).sum() for each in finer) > 1.2 * sum(
        np.abs(np.diff(each)).sum() for each in first
    )


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_number_of_workers_changes_nothing(relabel):
    for workers in (0, 2):
        options = {"seed": 0, "batch_size": 6, "expand": 2, "workers": workers}
        relabel("contracam", str(workers), options=options)
    ours, theirs = (contents(Path(name)) for name in ("0", "2"))
    assert ours.pop("index.json") != theirs.pop("index.json") and ours == theirs


@pytest.mark.parametrize("expand, cells", [(1, 2), (2, 3), (4, 6)])
def test_wider_stages_have_finer_maps_of_the_same_weights(student, expand, cells):
    encoder, _ = network(student)
    before = [each.clone() for each in encoder.parameters()]
    sources.widen(encoder, expand)
    assert all(map(torch.equal, before, encoder.parameters()))
    assert encoder(torch.rand(1, 3, 24, 24)).last.shape[2:] == (cells, cells)


def test_the_row_its_options_and_the_teachers_manner_are_the_maps_provenance(relabel, labels):
    manner = {key: labels.index["maps_by"][key] for key in MANNER}
    assert relabel("human").index["maps_by"] == manner | {
        "kind": "human",
        "given": "data/scenes/people/fixations_train.json",
        "count": "counted",
        "border": "zeros",
    }
    assert relabel("masks").index["maps_by"] == manner | {
        "kind": "masks",
        "given": "data/scenes/masks/train",
        "pixels": "shares",
    }


def test_labels_that_do_not_say_how_they_are_drawn_are_refused(relabel, labels, tmp_path):
    about = {"maximum_count": 1, "classes": labels.classes}
    for number, maps_by in enumerate(({}, MANNER | {"sigma": [1.0]}, MANNER | {"map_size": 0})):
        old = tmp_path / str(number)
        write_shards(old, [labels[0]], maps_by={"kind": "teacher", **maps_by}, **about)
        what = "does not say how its labels are drawn; label" if not maps_by else "index.json"
        with pytest.raises(ValueError, match=f"{number}: .*{what}"):
            relabel("centre", of=old)


@pytest.fixture
def recordings(given, tmp_path) -> Path:
    """People's recordings without the images numbered 5 and 7, and with no point on 9."""
    tree = json.loads(given["human"].read_text())
    tree["images"] = [each for each in tree["images"] if each["id"] not in (5, 7)]
    tree["annotations"] = [each for each in tree["annotations"] if each["image_id"] not in (5, 7)]
    for each in tree["annotations"]:
        if each["image_id"] == 9:
            each["fixations"] = []
    (tmp_path / "people.json").write_text(json.dumps(tree))
    return tmp_path / "people.json"


def test_an_image_without_a_recording_stops_with_its_name_and_leaves_nothing(relabel, recordings):
    with pytest.raises(
        ValueError,
        match=(
            r"^n00000001/n00000001_7.JPEG: nobody's attention to it was recorded; complete .*people"
            r"\.json, or set relabel_images\.human\.missing to skip$"
        ),
    ):
        relabel("human", by=recordings)
    assert not Path("out").exists() and not list(Path().glob(".out*"))


def test_an_image_without_a_recording_is_left_out_and_counted(relabel, recordings, labels, capsys):
    shards = relabel("human", by=recordings, missing="skip")
    assert "human: 21 images, 3 left out" in capsys.readouterr().out
    gone = ["n00000001/n00000001_7.JPEG", f"{FIFTH}.JPEG", "n00000003/n00000003_9.JPEG"]
    assert shards.index["skipped"] == gone
    assert [shards[i]["name"] for i in range(21)] == [
        labels[i]["name"] for i in range(24) if labels[i]["name"] not in gone
    ]
    assert [str(fault) for fault in check(shards.folder)] == []
    # What others make of these shards keeps the note of what was left out before.
    assert relabel("centre", "again", of=Path("out")).index["skipped"] == gone


def test_an_image_without_a_mask_or_with_an_empty_one_is_unknown(relabel, masks):
    (masks / f"{FIFTH}.png").unlink()
    with pytest.raises(ValueError, match=f"{FIFTH}.JPEG: it has no mask .*{FIFTH}.png; complete "):
        relabel("masks", by=masks)
    cv2.imwrite(str(masks / f"{FIFTH}.png"), np.zeros((24, 24), np.uint8))
    with pytest.raises(ValueError, match=f"{FIFTH}.JPEG: nothing is in its mask .*5.png; comp"):
        relabel("masks", by=masks)
    assert relabel("masks", by=masks, missing="skip").index["skipped"] == [f"{FIFTH}.JPEG"]


def test_players_images_without_a_mask_are_left_out_and_counted(relabel, masks, painted):
    cv2.imwrite(str(masks / f"{FIFTH}.png"), np.zeros((24, 24), np.uint8))
    shards = relabel("masks", of=painted, by=masks, missing="skip")
    assert shards.index["skipped"] == [f"{FIFTH}.JPEG"] and not list(check(shards.folder))


def test_a_mask_of_another_picture_stops_whatever_is_missing(relabel, masks):
    cv2.imwrite(str(masks / f"{FIFTH}.png"), np.full((24, 32), 255, np.uint8))
    with pytest.raises(ValueError, match="5.png: .* has 24 x 32 pixels .* and 24 x 24 as it was"):
        relabel("masks", by=masks, missing="skip")
    (masks / f"{FIFTH}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="5.png: not a readable PNG; fetch it again"):
        relabel("masks", by=masks, missing="skip")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; put the masks there"):
        relabel("masks", by=Path("nowhere"))


def test_recordings_of_another_size_stop(relabel, given, tmp_path):
    tree = json.loads(given["human"].read_text())
    tree["images"][4]["width"] = 32
    (tmp_path / "people.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError, match="json: .* has 24 x 32 pixels .* take what belongs to the"):
        relabel("human", by=tmp_path / "people.json")


def rewritten(
    student: Path, path: Path, change: Callable[[Encoder], object], **config: Any
) -> Path:
    """The student with its encoder changed, and what its file says of it."""
    about = read_config(student) | config
    encoder, head = network(student)
    with torch.no_grad():
        change(encoder)
    whole = torch.nn.ModuleDict({"encoder": encoder, "projector": head})
    write_weights(path, whole, {key: value for key, value in about.items() if value is not None})
    return path


def test_images_that_nothing_tells_apart_are_unknown(relabel, student, tmp_path):
    blind = rewritten(student, tmp_path / "blind", lambda encoder: encoder.conv1.weight.zero_())
    with pytest.raises(ValueError, match="_1.JPEG: nothing tells it from other images; complete "):
        relabel("contracam", by=blind)
    with pytest.raises(ValueError, match="no sample was written"):
        relabel("contracam", by=blind, missing="skip")


def test_weights_that_make_no_maps_are_refused(relabel, student, tmp_path):
    bad = rewritten(
        student, tmp_path / "bad", lambda encoder: encoder.conv1.weight.fill_(torch.nan)
    )
    with pytest.raises(ValueError, match="bad: the encoder's maps are not finite; train it again"):
        relabel("contracam", by=bad)
    supervised = rewritten(student, tmp_path / "supervised", lambda encoder: None, projector=None)
    with pytest.raises(ValueError, match="supervised holds no projector"):
        relabel("contracam", by=supervised)
    with pytest.raises(FileNotFoundError, match="nowhere: no weights here"):
        relabel("contracam", by=Path("nowhere"))


@pytest.mark.parametrize("row", ["shuffled", "contracam"])
def test_one_image_has_no_other(row, relabel, labels, tmp_path):
    write_shards(
        tmp_path / "one",
        [labels[0]],
        maximum_count=1,
        maps_by={"kind": "teacher", **MANNER},
        classes=labels.classes,
    )
    with pytest.raises(ValueError, match="one: holds 1 image, and no other"):
        relabel(row, of=tmp_path / "one")


@pytest.mark.parametrize("row", ["masks", "contracam"])
@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_leaves_the_same_bytes(
    run_script, row, processes, relabel, labels, given, masks, params
):
    (masks / f"{FIFTH}.png").unlink()
    by = masks if row == "masks" else given[row]
    relabel(row, "one", by=by, missing="skip")
    params({f"relabel_images.{row}.processes": processes, f"relabel_images.{row}.missing": "skip"})
    done = run_script(row, labels.folder, by, Path("many"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{row}: {23 if row == 'masks' else 24} images, ")
    assert contents(Path("many")) == contents(Path("one"))
    assert not list(Path("scratch").iterdir())


@pytest.fixture
def run_script(call_python: Any) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The stage as a command, or `script`, on one thread of the CPU."""

    def call(*words: str | Path, script: str = "") -> "subprocess.CompletedProcess[str]":
        Path("stage.py").write_text(script)
        stage = "stage.py" if script else Path(relabel_images.__file__)
        return call_python(stage, *words)

    return call


# Runs the stage, which is killed as it begins its second shard.
KILLED = """
import os, signal
import relabel_images
from attnlabels.labelling import relabelling

keep, made = relabelling.keep_shard, []

def keep_one(path, samples, **about):
    if made:
        path.with_name(path.name + ".part").write_bytes(b"half of a shard")
        os.kill(os.getpid(), signal.SIGKILL)
    made.append(path)
    keep(path, samples, **about)

relabelling.keep_shard = keep_one
relabel_images.run(relabel_images.main)
"""


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """Grows by the name of each shard that is made and by "cells" for each batch of ContraCAM's."""
    names: list[str] = []
    keep, find = relabelling.keep_shard, sources.contracam

    def kept(path: Path, samples, **about) -> None:
        keep(path, samples, **about)
        names.append(path.stem)

    def found(*about, **more) -> torch.Tensor:
        maps = find(*about, **more)
        names.append("cells")
        return maps

    monkeypatch.setattr(relabelling, "keep_shard", kept)
    monkeypatch.setattr(sources, "contracam", found)
    return names


@EVERY
def test_what_was_killed_goes_on_at_its_first_missing_shard_to_the_same_bytes(
    run_script, row, relabel, made, labels, given
):
    whole = relabel(row, "whole")
    assert made[-3:] == ["shard-000000", "shard-000001", "shard-000002"]
    made.clear()
    done = run_script(row, labels.folder, given[row], Path("cut"), script=KILLED)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not Path("cut").exists()
    relabel(row, "cut")
    assert made == ["shard-000001", "shard-000002"]  # and no batch of ContraCAM's again
    assert contents(Path("cut")) == contents(whole.folder)
    assert not list(Path("scratch").iterdir())


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_contracam_that_is_interrupted_goes_on_with_the_batch_it_was_at(
    batch, relabel, made, monkeypatch
):
    relabel("contracam", "whole")
    made.clear()
    find = sources.contracam

    def stop(*about, **more) -> torch.Tensor:
        if made.count("cells") == batch:
            raise KeyboardInterrupt
        return find(*about, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sources, "contracam", stop)
        relabel("contracam", "cut")
    relabel("contracam", "cut")
    assert made.count("cells") == 24 // 6
    assert contents(Path("cut")) == contents(Path("whole"))


@pytest.fixture
def interrupted(relabel, monkeypatch) -> Callable[..., None]:
    """Relabels as far as the third shard."""

    def call(*words: str, **about: Any) -> None:
        keep = relabelling.keep_shard

        def stop(path: Path, samples, **more) -> None:
            if path.stem == "shard-000002":
                raise KeyboardInterrupt
            keep(path, samples, **more)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(relabelling, "keep_shard", stop)
            relabel(*words, **about)

    return call


def test_what_is_changed_does_not_go_on_from_the_old_shards(
    relabel, interrupted, made, masks, labels, tmp_path
):
    def all_made(row: str, **about: Any) -> bool:
        made.clear()
        relabel(row, "cut", **about)
        return len([name for name in made if name != "cells"]) == 3

    interrupted("shuffled")
    assert all_made("shuffled", options={"seed": 1})
    interrupted("masks", by=masks)
    cv2.imwrite(str(masks / f"{FIFTH}.png"), np.eye(24, dtype=np.uint8))
    assert all_made("masks", by=masks)
    interrupted("centre")
    write_shards(
        tmp_path / "fewer",
        [labels[i] for i in range(21)],
        maximum_count=10,
        maps_by={"kind": "teacher", **MANNER},
        classes=labels.classes,
    )
    assert all_made("centre", of=tmp_path / "fewer")


def test_workers_and_what_is_missing_change_no_finished_shard(relabel, interrupted, made, masks):
    options = {"seed": 0, "batch_size": 6, "expand": 1}
    interrupted("contracam", options={**options, "workers": 0})
    made.clear()
    relabel("contracam", "out", options={**options, "workers": 1}, missing="skip")
    assert made == ["shard-000002"]
    # But an image that was left out stops where it is to stop.
    (masks / f"{FIFTH}.png").unlink()
    interrupted("masks", by=masks, missing="skip")
    with pytest.raises(ValueError, match=f"{FIFTH}.JPEG: it has no mask"):
        relabel("masks", "out", by=masks)


def test_a_second_run_at_the_same_time_is_refused(relabel, interrupted):
    interrupted("centre")
    (kept,) = Path("scratch").iterdir()
    with open(kept / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match=f"{kept.name} is in use: another process is at the s"):
            relabel("centre")


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"source": "cat"}, r"relabel_images\.shuffled\.source is 'cat'; expected one of centre, "),
        ({"missing": "guess"}, r"relabel_images\.shuffled\.missing"),
        ({"options": {}}, r"relabel_images\.shuffled\.options\.seed is missing; add it"),
        ({"options": {"seed": -1}}, r"relabel_images\.shuffled\.options\.seed"),
        ({"options": {"seed": 0, "sed": 0}}, r"relabel_images\.shuffled\.options\.sed is unknown"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_its_full_name(changed, message, relabel):
    with pytest.raises(ValueError, match=message):
        relabel("shuffled", **changed)
    assert not Path("out").exists()


@pytest.mark.parametrize("file", ["embedded", "real", "paper"])
def test_the_options_of_every_row_fit_their_source(file):
    path = Path(relabel_images.__file__).parents[1] / "params" / f"{file}.yaml"
    for name, row in read(path)["relabel_images"].items():
        options = relabel_images.SOURCES[row["source"]].options
        relabel_images.check(
            relabel_images.record(options), row["options"], where=f"{file}: {name}"
        )
