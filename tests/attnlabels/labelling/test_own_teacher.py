import csv
import json
import shutil
import sys
from dataclasses import fields
from os import pardir
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from attnlabels import Backbone, Drawing, Reading, train_teacher
from attnlabels.cli import main
from attnlabels.labelling.labeller import read_labeller
from attnlabels.labelling.own_teacher import describe, input_size, split
from attnlabels.models.files import load_weights, read_config
from attnlabels.recordings.salicon import read_json
from attnlabels.shards.shards import sha256_of
from attnlabels.teachers.network import Teacher
from attnlabels.training import teachers

SCORES = ("cc", "nss", "kl", "sim", "auc", "sauc", "floor")


@pytest.fixture
def recorded(world, tmp_path, monkeypatch) -> Path:
    """The made world's mouse recordings as JSON beside `images`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    torch.set_num_threads(1)
    salicon = world / "data/scenes/salicon"
    Path("images").symlink_to(salicon / "images/train")
    Path("a.json").write_bytes((salicon / "annotations/fixations_train2014.json").read_bytes())
    return Path("a.json")


def write_csv(path: Path, *, columns=("image", "x", "y", "observer"), origin: float = 1) -> None:
    """The recordings of a.json as a table."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for each in read_json(Path("a.json")):
            for (row, col), who in zip(each.points, each.observers):
                found = {"image": each.name, "x": col + origin, "y": row + origin, "observer": who}
                table.writerow([found[key] for key in columns])


def tiny(data: Path | str, out: str = "t.safetensors", **changes) -> dict:
    names = {each.name for each in fields(Reading)} & changes.keys()
    reading = Reading(**{name: changes.pop(name) for name in names})
    options = {"side": 32, "epochs": 2, "reading": reading}
    return train_teacher(Path(data), Path(out), **(options | changes))


def contents(*names: str) -> list[bytes]:
    return [Path(name).read_bytes() for name in names]


def test_json_and_the_same_points_as_csv_give_the_same_teacher(recorded):
    first = tiny(recorded)
    assert contents("t.json", "t.csv") and not list(Path("scratch").iterdir())
    for origin in (0, 1):
        write_csv(Path("a.csv"), origin=origin)
        assert tiny("a.csv", "u.safetensors", origin=origin) == first
        assert contents("t.csv", "t.safetensors", "t.json") == contents(
            "u.csv", "u.safetensors", "u.json"
        )


def test_the_report_has_counts_scores_and_the_ceiling(recorded):
    report = tiny(recorded)
    assert report["images"] == {"train": 11, "dev": 2, "val": 3, "skipped": 0, "merged": 0}
    used = sum(len(each.points) for each in read_json(recorded))
    assert report["points"] == {"used": used, "lost": 0, "dropped": 0, "clipped": 0}
    assert list(report["val"]) == ["teacher", "centre_prior", "split_half"]
    assert list(report["val"]["teacher"]) == list(report["val"]["centre_prior"]) == list(SCORES)
    assert 0 < report["val"]["split_half"]["cc"] < report["val"]["split_half"]["cc_all_observers"]
    difference = report["val"]["teacher"]["cc"] - report["val"]["centre_prior"]["cc"]
    assert report["cc_above_prior"]["mean"] == pytest.approx(difference)
    assert json.loads(Path("t.json").read_text()) == report
    config = read_config(Path("t.safetensors"), "teacher", "image_size")
    # Trained at 32 x 32, and shown all of an image 8/7 as large.
    assert config["image_size"] == [37, 37] and config["sigma_px"] == pytest.approx([1.48, 1.11])
    load_weights(Path("t.safetensors"), Teacher(**config["teacher"]))


def test_without_observers_there_is_no_ceiling_and_it_says_so(recorded):
    write_csv(Path("a.csv"), columns=("image", "x", "y"))
    report = tiny("a.csv", origin=1)
    assert "split_half" not in report["val"] and report["val"]["teacher"]["cc"]
    assert "No human ceiling" in describe(report)


def test_a_teacher_of_people_who_look_at_a_spot_beats_the_centre_prior(recorded):
    Path("spots").mkdir()
    rows = ["image,x,y,observer"]
    for k in range(40):
        rng = np.random.default_rng(k)
        row, col = rng.integers(8, 40), rng.integers(8, 56)
        image = rng.integers(100, 140, (48, 64, 3), dtype=np.uint8)
        cv2.circle(image, (int(col), int(row)), 5, (0, 0, 255), -1)
        assert cv2.imwrite(f"spots/{k}.png", image)
        for who in range(3):
            x, y = rng.normal((col, row), 2, (5, 2)).clip(0, (63, 47)).T
            rows += [f"{k}.png,{a:.2f},{b:.2f},s{who}" for a, b in zip(x, y)]
    Path("spots.csv").write_text("\n".join(rows))
    report = tiny("spots.csv", images=Path("spots"), side=64, epochs=25, sigma=0.06)
    assert report["val"]["teacher"]["cc"] > report["val"]["centre_prior"]["cc"] + 0.1
    assert "It predicts people better than the centre prior" in describe(report)


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        ({"mean": 0.2, "se": 0.02, "t": 10.0, "p": 0.001}, "better than the centre prior: CC is"),
        (
            {"mean": -0.2, "se": 0.02, "t": -10.0, "p": 0.001},
            "WORSE than the centre prior: CC is lower by",
        ),
        ({"mean": 0.2, "se": 0.2, "t": 1.0, "p": 0.3}, "cannot be told from the centre prior"),
        ({"mean": 0.2, "se": 0.0}, "cannot be told from the centre prior"),
    ],
)
def test_the_verdict_is_that_of_a_paired_test(gap, words):
    scores = dict.fromkeys(SCORES, 0.5)
    report = {
        "images": {"train": 5, "dev": 1, "val": 2, "skipped": 0, "merged": 0},
        "points": {"used": 9, "lost": 0, "dropped": 0, "clipped": 0},
        "epoch": 3,
        "val": {"teacher": scores, "centre_prior": scores},
        "cc_above_prior": gap,
    }
    assert words in describe(report)


def test_one_photograph_under_two_names_is_on_one_side_of_the_split(recorded):
    folder = Path("images").resolve()
    Path("images").unlink()
    shutil.copytree(folder, "images")
    first = tiny(recorded)
    tree = json.loads(recorded.read_text())
    for number, image in enumerate(tree["images"][:]):
        other = ("copy.jpg", "link.jpg", f"./{image['file_name']}", image["file_name"])[number % 4]
        other = f"{number}{other}" if number % 4 < 2 else other
        if number % 4 == 0:
            shutil.copy(f"images/{image['file_name']}", f"images/{other}")
        if number % 4 == 1:
            Path("images", other).symlink_to(image["file_name"])
        tree["images"].append({**image, "id": 10**6 + number, "file_name": other})
        halves = [each for each in tree["annotations"] if each["image_id"] == image["id"]][::2]
        for each in halves:
            each["image_id"] = 10**6 + number
    recorded.write_text(json.dumps(tree))
    report = tiny(recorded)
    assert report["images"].pop("merged") == 16 and first["images"].pop("merged") == 0
    assert report["images"] == first["images"] and report["points"] == first["points"]
    assert describe(report | {"images": {**report["images"], "merged": 16}}).splitlines()[1] == (
        "16 names of a photograph that has another, joined."
    )


def test_what_is_left_out_of_a_table_is_counted_and_said(recorded):
    write_csv(Path("a.csv"), origin=0.5)
    first, *rows = Path("a.csv").read_text().splitlines()
    name = rows[0].partition(",")[0]
    odd = [f"{name},.,.,1", f"{name},0,0,1", f"{name},-3,5,1", f"{name},5,60,2"]
    Path("a.csv").write_text("\n".join([first, *odd, *rows]))
    report = tiny("a.csv", lost="drop", outside="drop")
    assert report["points"] == {"used": len(rows), "lost": 2, "dropped": 2, "clipped": 0}
    assert describe(report).splitlines()[1] == (
        "2 points in which nothing was measured, left out; "
        "2 points outside of their image, left out."
    )
    report = tiny("a.csv", lost="drop", outside="clip")
    assert report["points"] == {"used": len(rows) + 2, "lost": 2, "dropped": 0, "clipped": 2}


def test_points_that_count_something_else_are_no_teacher(recorded):
    write_csv(Path("a.csv"), origin=0)
    first, *rows = Path("a.csv").read_text().splitlines()
    shares = [row.split(",") for row in rows]
    for row in shares:
        row[1:3] = [str((int(row[1]) + 0.5) / 32), str((int(row[2]) + 0.5) / 24)]
    shares[3][1] = "1.01"  # one is above 1
    Path("a.csv").write_text("\n".join([first, *map(",".join, shares)]))
    with pytest.raises(ValueError, match=r"a\.csv: nine tenths .*pass --units shares"):
        tiny("a.csv")
    report = tiny("a.csv", units="shares", outside="clip")
    assert report["points"]["clipped"] == 1
    assert report["points"]["used"] == len(rows)


def test_points_from_the_bottom_are_refused_where_the_pictures_tell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    rows = []
    for k in range(20):
        rng = np.random.default_rng(k)
        row, col = rng.integers(8, 40), rng.integers(8, 56)
        image = np.full((48, 64, 3), 128, np.uint8)
        image[row - 6 : row + 6, col - 6 : col + 6] = rng.integers(0, 256, (12, 12, 3))
        assert cv2.imwrite(f"images/{k}.png", image)
        points = rng.normal((col, row), 3, (12, 2)).clip(0, (63, 47))
        rows += [f"{k}.png,{x:.2f},{48 - y:.2f}" for x, y in points]
    Path("a.csv").write_text("\n".join(["image,x,y", *rows]))
    found = r"y counted from the bottom: over 20 images, .*pass --zero bottom-left"
    with pytest.raises(ValueError, match=found):
        tiny("a.csv")
    assert tiny("a.csv", zero="bottom-left")["images"]["skipped"] == 0


def test_the_parts_share_no_image_and_depend_on_the_names_alone(recorded):
    recordings = read_json(recorded)
    parts = split(recordings)
    names = [each.name for part in parts.values() for each in part]
    assert sorted(names) == sorted(each.name for each in recordings)
    again = split(recordings[::-1])
    for key, part in parts.items():
        assert [each.name for each in again[key]] == [each.name for each in part]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((300, 400), (288, 384)),
        ((400, 300), (384, 288)),
        ((50, 50), (384, 384)),
        ((10, 1000), (32, 384)),
    ],
)
def test_the_input_has_the_images_shape_in_multiples_of_the_stride(recorded, shape, expected):
    (one, *_), (h, w) = read_json(recorded), shape
    recording = type(one)(
        name="a", height=h, width=w, points=one.points[:1] * 0, observers=one.observers[:1]
    )
    assert input_size([recording], side=384) == expected


def test_it_goes_on_where_it_was_killed(recorded, monkeypatch):
    tiny(recorded, "whole.safetensors", epochs=3)
    train_step, left = teachers.train_step, 2

    def interrupted(*args, **kwargs):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return train_step(*args, **kwargs)

    monkeypatch.setattr(teachers, "train_step", interrupted)
    clock = iter(range(0, 10**6, 600))  # ten minutes a look: the state is kept after every step
    monkeypatch.setattr("attnlabels.processes.resumable.time.monotonic", clock.__next__)
    with pytest.raises(KeyboardInterrupt):
        tiny(recorded, "cut.safetensors", epochs=3)
    assert list(Path("scratch").rglob("state.pt")) and not list(Path().glob("cut*"))
    left = 1  # of three
    tiny(recorded, "cut.safetensors", epochs=3)
    assert contents("cut.safetensors", "cut.json") == contents("whole.safetensors", "whole.json")


def test_broken_images_stop_or_are_left_out_and_counted(recorded):
    folder = Path("images").resolve()
    Path("images").unlink()
    Path("images").mkdir()
    for path in sorted(folder.iterdir())[1:]:
        Path("images", path.name).write_bytes(path.read_bytes())
    whole, *_ = sorted(Path("images").iterdir())
    whole.write_bytes(whole.read_bytes()[:-200])
    for data in ("a.json", "a.csv"):
        write_csv(Path("a.csv"))
        with pytest.raises((ValueError, FileNotFoundError), match="truncated|missing|no image"):
            tiny(data, origin=1, trust_coordinates=True)
        report = tiny(data, origin=1, broken="skip")
        assert report["images"]["skipped"] == 2
        assert sum(report["images"].values()) == 16 and report["images"]["merged"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": "t.pt"}, r"t\.pt: the teacher's file ends in \.safetensors"),
        ({"data": "a.xlsx"}, r"a\.xlsx: expected a table of points \(\.csv, .*or a folder of its"),
        ({"images": Path("nowhere")}, "nowhere: no such folder; say where the photographs are"),
        ({"side": 20}, "side is 20; expected at least 32 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(recorded, changes, message):
    with pytest.raises((ValueError, OSError), match=message):
        tiny(**({"data": recorded} | changes))


def test_the_recordings_are_not_replaced_by_what_is_written_beside_the_weights(recorded):
    before = recorded.read_bytes()
    with pytest.raises(ValueError, match=r"a\.json would be replaced by .*; rename it"):
        tiny(recorded, "a.safetensors")
    write_csv(Path("a.csv"))
    with pytest.raises(ValueError, match=r"a\.csv would be replaced"):
        tiny("a.csv", "a.safetensors")
    assert recorded.read_bytes() == before


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_files_of_the_users_beside_the_weights_are_kept(recorded, suffix):
    theirs = Path("mouse").with_suffix(suffix)
    for text in ("[1]", '{"images": 3}', "image,x,y\na.jpg,1,2\n", ""):
        theirs.write_text(text)
        with pytest.raises(FileExistsError, match=rf"mouse\{suffix} is there already.*; move it"):
            tiny(recorded, "mouse.safetensors")
        assert theirs.read_text() == text and not Path("mouse.safetensors").exists()


def test_weights_that_no_training_here_wrote_are_kept(recorded):
    Path("mine.safetensors").write_bytes(b"months of work")
    with pytest.raises(FileExistsError, match="mine.safetensors is there already, without the rep"):
        tiny(recorded, "mine.safetensors")
    assert Path("mine.safetensors").read_bytes() == b"months of work"


def test_what_an_earlier_training_wrote_beside_the_weights_is_replaced(recorded):
    Path("t.json").write_text(json.dumps({"dev_cc": 0.1, "cc_above_prior": {}, "mine": 1}))
    Path("t.csv").write_text("epoch,step,loss,dev_cc\n")
    tiny(recorded, "t.safetensors")
    assert "mine" not in json.loads(Path("t.json").read_text())
    assert len(Path("t.csv").read_text().splitlines()) > 1


def test_too_many_skipped_images_are_one_clear_error(recorded):
    names = [each.name for part in list(split(read_json(recorded)).values())[2:] for each in part]
    folder = Path("images").resolve()
    Path("images").unlink()
    Path("images").mkdir()
    for path in folder.iterdir():
        if path.name not in names[1:]:
            Path("images", path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=r"a\.json: of 16 images 2 were skipped, too many to"):
        tiny(recorded, broken="skip")


def test_few_images_are_too_few(recorded):
    tree = json.loads(recorded.read_text())
    ids = [image["id"] for image in tree["images"][:7]]
    tree["images"] = tree["images"][:7]
    tree["annotations"] = [each for each in tree["annotations"] if each["image_id"] in ids]
    recorded.write_text(json.dumps(tree))
    with pytest.raises(ValueError, match=r"a\.json: 7 images; expected at least 8"):
        tiny(recorded)


def test_an_annotation_cannot_name_a_file_elsewhere(recorded):
    tree = json.loads(recorded.read_text())
    tree["images"][0]["file_name"] = f"{pardir}/images/{tree['images'][0]['file_name']}"
    recorded.write_text(json.dumps(tree))
    with pytest.raises(ValueError, match="names an image outside of images; mend the name"):
        tiny(recorded, trust_coordinates=True)


def test_the_command_prints_the_comparison(recorded, monkeypatch, capsys):
    words = [
        "teacher",
        "train",
        "a.json",
        "--out",
        "t.safetensors",
        "--side",
        "32",
        "--epochs",
        "2",
    ]
    monkeypatch.setattr(sys, "argv", ["attnlabels", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    said = capsys.readouterr().out
    assert "11 images trained it, 2 chose epoch" in said and "centre prior" in said
    monkeypatch.setattr(sys, "argv", ["attnlabels", *words[:2], "b.json", *words[3:]])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert "attnlabels: error: b.json: no annotation file here" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["attnlabels", *words, "--side", "3"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2


BACKBONE = "timm:resnet10t"


@pytest.fixture
def weights(recorded) -> Path:
    """A trainer's file of the weights of BACKBONE, its classifier among them."""
    torch.manual_seed(1)
    network = timm.create_model("resnet10t", num_classes=3, zero_init_last=False)
    torch.save({"state_dict": network.state_dict()}, "w.pth")
    return Path("w.pth")


def backbone_of(file: str) -> dict[str, torch.Tensor]:
    """The tensors of a teacher's file that are its backbone's, by the backbone's names."""
    before = "backbone.network."
    found = load_file(file)
    return {key.removeprefix(before): found[key] for key in found if key.startswith(before)}


@pytest.mark.parametrize("frozen", [True, False])
def test_branches_are_put_on_a_network_of_timm(recorded, weights, frozen):
    below = Backbone(name=BACKBONE, weights=weights, frozen=frozen)
    report = tiny(recorded, backbone=below, epochs=3)
    given = torch.load(weights, weights_only=True)["state_dict"]
    kept = backbone_of("t.safetensors")
    assert kept.keys() == {key for key in given if not key.startswith("fc.")}
    equal = {key for key, each in kept.items() if torch.equal(each, given[key])}
    moved = {key for key in kept.keys() - equal if key.endswith("weight")}
    assert not moved if frozen else moved == {key for key in kept if key.endswith("weight")}
    told = {
        "name": BACKBONE,
        "weights": {"file": "w.pth", "sha256": sha256_of(weights), "prefix": "state_dict."},
        "frozen": frozen,
    }
    assert report["backbone"] == told == read_config(Path("t.safetensors"))["backbone"]
    after = "stayed as it was" if frozen else "learnt on"
    assert describe(report).splitlines()[1] == (
        f"Its backbone, {BACKBONE}, came with weights of w.pth, which may have learnt from class "
        f"labels, and {after}."
    )
    weights.unlink()
    labeller = read_labeller(Path("t.safetensors"), Drawing(map_size=16))
    photographs = [cv2.imread(str(each)) for each in sorted(Path("images").iterdir())[:2]]
    maps, points = labeller.label_images(photographs)
    assert [each.shape for each in maps] == [(16, 16)] * 2 and not torch.equal(*maps)
    assert all(len(each) for each in points)


def test_a_backbone_of_random_weights_is_told_so(recorded):
    report = tiny(recorded, backbone=Backbone(name="timm:vit_tiny_patch16_224"), side=64)
    assert report["backbone"] == {"name": "timm:vit_tiny_patch16_224"}
    assert "vit_tiny_patch16_224, from random weights." in describe(report)


def test_a_training_on_other_weights_is_another(recorded, weights, monkeypatch):
    below = Backbone(name=BACKBONE, weights=weights, frozen=True)
    tiny(recorded, "whole.safetensors", backbone=below)
    train_step = teachers.train_step

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(teachers, "train_step", interrupted)
    for changed in (below, Backbone(name=BACKBONE)):
        with pytest.raises(KeyboardInterrupt):
            tiny(recorded, backbone=changed)
    monkeypatch.setattr(teachers, "train_step", train_step)
    tiny(recorded, backbone=below)
    assert contents("t.safetensors", "t.json") == contents("whole.safetensors", "whole.json")


def test_a_backbone_that_cannot_be_built_is_refused_before_anything_is_read(recorded, weights):
    recorded.write_text("[")
    for below, message in (
        (Backbone(name="timm:resnet51"), "timm:resnet51: timm .* knows no such model"),
        (Backbone(name="timm:resnet18", weights=weights), r"w\.pth: the weights do not fit"),
        (Backbone(name=BACKBONE, weights=Path("v.pth")), r"v\.pth: no weights here"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            tiny(recorded, backbone=below)
    assert not list(Path().glob("t.*"))


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--backbone", "resnet18"], 2, "expected timm:NAME"),
        (["--weights", "w.pth"], 2, "weights of what?"),
        (["--backbone", BACKBONE, "--freeze"], 2, "give its weights"),
        (["--backbone", BACKBONE, "--prefix", "a"], 2, "of which file?"),
        (["--backbone", "timm:resnet51"], 1, "knows no such model"),
        (["--backbone", BACKBONE, "--weights", "w.pth", "--freeze"], 0, "came with weights of"),
    ],
)
def test_the_command_puts_branches_on_a_backbone(
    recorded, weights, monkeypatch, capsys, more, status, message
):
    words = ["teacher", "train", "a.json", "--out", "t.safetensors", "--side", "32"]
    monkeypatch.setattr(sys, "argv", ["attnlabels", *words, "--epochs", "1", *more])
    with pytest.raises(SystemExit) as left:
        main()
    assert (left.value.code or 0) == status
    said = capsys.readouterr()
    assert message in (said.err if status else said.out)


@pytest.mark.real_data
def test_a_hundred_real_photographs_are_enough_to_beat_the_centre_prior(real_data, recorded):
    osie = real_data("osie")
    rows = ["image,x,y,observer"]
    for each in read_json(osie / "eye.json")[:100]:
        rows += [
            f"{each.name},{col + 0.5},{row + 0.5},{who}"
            for (row, col), who in zip(each.points, each.observers)
        ]
    Path("osie.csv").write_text("\n".join(rows))
    report = tiny("osie.csv", images=osie / "images", side=64, epochs=40)
    assert report["val"]["teacher"]["cc"] > report["val"]["centre_prior"]["cc"]
    assert report["val"]["split_half"]["cc"] > 0.8
