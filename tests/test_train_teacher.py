import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import train_teacher
from attnlabels.images.crops import WHOLE, crop_map
from attnlabels.images.decoding import decode, resize
from attnlabels.metrics.saliency import cc
from attnlabels.models.files import load_weights, read_config
from attnlabels.pipeline.params import load
from attnlabels.shards.shards import Sample, Shards, write_shards
from attnlabels.teachers.network import OUTPUT, Teacher
from attnlabels.training import step, teachers

N_EPOCHS = 3
Train = Callable[..., Path]


def words(out: Path, world: Path, *, row: str = "teacher") -> list[Any]:
    """The arguments that train a row's teacher on the world's recordings into the folder `out`."""
    sets = (world / "data/attention" / name for name in ("train", "dev"))
    return [row, *sets, out / "teacher.safetensors", out / "curve.csv", out / "report.json"]


@pytest.fixture
def train(params, world) -> Train:
    """Trains a row's teacher into a folder; a change without a dot is of `train_teacher`."""

    def call(out: str, *, row: str = "teacher", **changed) -> Path:
        changed = {"epochs": N_EPOCHS} | changed
        params(
            {key if "." in key else f"train_teacher.{key}": value for key, value in changed.items()}
        )
        train_teacher.main(*words(Path(out), world, row=row))
        return Path(out)

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows(out: Path) -> list[dict[str, float]]:
    with (out / "curve.csv").open(newline="") as file:
        return [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


def dev_cc(weights: Path, world: Path, *, size: tuple[int, int]) -> float:
    """Mean CC of a teacher's maps of the development images, shown to it at `size`."""
    teacher = Teacher(**read_config(weights)["teacher"])
    load_weights(weights, teacher)
    teacher.eval()
    scores = []
    for sample in Shards(world / "data/attention/dev"):
        pixels = resize(decode(sample["image"], name=sample["name"]), *size)
        with torch.no_grad():
            map = teacher(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
        scores.append(cc(map[0].numpy(), crop_map(sample["map"], WHOLE, size=size)))
    return float(np.mean(scores))


def test_it_leaves_weights_a_curve_and_a_report(train, world):
    out = train("out")
    assert set(contents(out)) == {"teacher.safetensors", "curve.csv", "report.json"}
    per_epoch = len(Shards(world / "data/attention/train")) // 4
    assert list(rows(out)[0]) == ["epoch", "step", "loss", "dev_cc"]
    assert [row["epoch"] for row in rows(out)] == [1, 2, 3]
    assert [row["step"] for row in rows(out)] == [per_epoch, 2 * per_epoch, 3 * per_epoch]
    config = read_config(out / "teacher.safetensors")
    assert config["image_size"] == [24, 32] and config["teacher"]["taps"] == [3, 5, 7, 9]
    # Recorded at 48 x 64 with a σ of 3 px, by params.yaml.
    assert config["sigma_px"] == pytest.approx([1.5, 1.5])


def test_a_step_that_does_not_fit_is_refused_and_what_is_offered_fits(train, small_memory):
    with pytest.raises(ValueError, match=r"train_teacher\.batch_size to 3"):
        train("none", batch_size=8)
    assert not Path("none").exists()
    assert (train("out", batch_size=3) / "teacher.safetensors").is_file()


@pytest.mark.parametrize(
    ("image_size", "sigma_px"), [((240, 320), (9.6, 9.6)), ((256, 256), (10.24, 7.68))]
)
def test_sigma_is_that_of_the_densities_in_pixels_of_the_input_both_ways(image_size, sigma_px):
    by, sizes = {"sigma_px": 12.0, "sigma_width": 400}, [(300, 400), (600, 800), (400, 300)]
    found = teachers.sigma_of(by, sizes, Path("shards"), input_size=image_size)
    assert found == pytest.approx(sigma_px)
    with pytest.raises(ValueError, match="shards: does not say the σ of its densities"):
        teachers.sigma_of({"kind": "human"}, sizes, Path("shards"), input_size=image_size)


def test_the_weights_are_those_of_the_epoch_with_the_best_cc_on_dev(train, world):
    out = train("out", learning_rate=0.05)
    report = json.loads((out / "report.json").read_text())
    assert report.pop("made_by")["threads"] == 1
    best = max(rows(out), key=lambda row: row["dev_cc"])
    assert 0.5 <= report.pop("fitted_sigma") <= 8
    assert report == {key: best[key] for key in ("dev_cc", "epoch", "loss")}
    expected = dev_cc(out / "teacher.safetensors", world, size=(24, 32))
    assert report["dev_cc"] == pytest.approx(expected, abs=1e-4)


def test_at_another_test_size_it_is_scored_and_says_its_geometry(train, world):
    out = train("out", test_size=[48, 64])
    config = read_config(out / "teacher.safetensors")
    assert config["image_size"] == [48, 64] and config["sigma_px"] == pytest.approx([3.0, 3.0])
    best = max(row["dev_cc"] for row in rows(out))
    expected = dev_cc(out / "teacher.safetensors", world, size=(48, 64))
    assert best == pytest.approx(expected, abs=1e-4)
    smaller = train("smaller")
    assert [row["loss"] for row in rows(smaller)] == [row["loss"] for row in rows(out)]
    assert [row["dev_cc"] for row in rows(smaller)] != [row["dev_cc"] for row in rows(out)]


def test_two_runs_with_one_seed_are_the_same_to_the_byte_and_another_seed_differs(train):
    assert contents(train("a")) == contents(train("b"))
    other = contents(train("c", seed=1))
    assert all(other[name] != data for name, data in contents(Path("a")).items())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_number_of_workers_changes_nothing(train):
    assert contents(train("two", workers=2)) == contents(train("none", workers=0))


@pytest.mark.parametrize("before", range(1, N_EPOCHS * 2))
def test_a_run_interrupted_before_any_step_goes_on_there_to_the_same_bytes(
    train, monkeypatch, before
):
    whole, n_steps = contents(train("whole", checkpoint_minutes=0.0)), 0
    total = int(rows(Path("whole"))[-1]["step"])
    train_step, stop = teachers.train_step, before

    def interrupted(*args, **kwargs):
        nonlocal n_steps
        if n_steps == stop:
            raise KeyboardInterrupt
        n_steps += 1
        return train_step(*args, **kwargs)

    monkeypatch.setattr(teachers, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train("cut", checkpoint_minutes=0.0)
    assert not list(Path().glob("cut/*"))
    n_steps, stop = 0, -1
    assert contents(train("cut", checkpoint_minutes=0.0)) == whole
    assert n_steps == total - before
    assert not list(Path("scratch").iterdir())


def test_a_measured_precision_is_recorded_and_gives_what_asking_for_it_does(train, monkeypatch):
    monkeypatch.setattr(step, "faster", lambda trial, *, world: "bf16")
    auto, asked = train("auto", precision="auto"), train("asked", precision="bf16")
    assert (auto / "curve.csv").read_bytes() == (asked / "curve.csv").read_bytes()
    measured = {"precision": "bf16"}
    configs = [read_config(out / "teacher.safetensors") for out in (auto, asked)]
    reports = [json.loads((out / "report.json").read_text()) for out in (auto, asked)]
    made_by = [each.pop("made_by") for each in reports]
    assert configs[0] == configs[1] | measured and made_by[0] == made_by[1] | measured
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate": 1e-3},
        {"teacher.output": "tanh_half"},
        {"row": "teachers.taps_5"},
    ],
)
def test_what_is_changed_does_not_go_on_from_the_old_state(train, monkeypatch, changed):
    fresh = contents(train("fresh", **changed))
    move = train_teacher.Scratch.write

    def interrupted(self, state) -> None:
        move(self, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_teacher.Scratch, "write", interrupted)
        train("cut")
    assert list(Path("scratch").rglob("state.pt"))
    assert contents(train("cut", **changed)) == fresh


def test_image_map_and_points_stay_on_one_another_under_any_augmentation(params, tmp_path):
    params(
        {
            "train_teacher.image_size": [60, 80],
            "train_teacher.jitter_strength": 0.0,
            "train_teacher.zoom": 0.6,
        }
    )
    y, x = np.mgrid[:60, :80]
    spot = np.exp(-((y - 35) ** 2 + (x - 30) ** 2) / (2 * 4**2)).astype(np.float32)
    image = np.repeat(np.rint(255 * spot).astype(np.uint8)[..., None], 3, axis=2)
    folder = tmp_path / "shards"
    sample = Sample(
        key="spot",
        image=cv2.imencode(".png", image)[1].tobytes(),
        map=spot,
        points=np.array([[35, 30]]),
        observers=None,
        label=-1,
        grid=(60, 80),
        image_size=(60, 80),
        source="test",
        name="spot.png",
    )
    by = {"kind": "human", "sigma_px": 4.0, "sigma_width": 80}
    write_shards(folder, [sample], maximum_count=1, maps_by=by, classes=[])
    samples = teachers.Recordings(folder, load(train_teacher.TrainTeacher, "train_teacher"))
    places = []
    for epoch in range(20):
        sample = samples[epoch, 0]
        bright = np.unravel_index(sample["image"][..., 0].argmax(), (60, 80))
        looked = np.unravel_index(sample["map"].argmax(), (60, 80))
        (point,) = np.argwhere(sample["points"])
        assert np.abs(np.subtract(bright, looked)).max() <= 1
        assert np.abs(point - looked).max() <= 1
        places.append(looked)
    assert len(set(places)) > 10


def test_points_are_counted_only_where_the_loss_asks_for_them(params, world):
    folder = world / "data/attention/dev"
    for weight, names in (
        (0.1, {"image", "map", "points", "index"}),
        (0, {"image", "map", "index"}),
    ):
        params({"train_teacher.nss_weight": weight})
        samples = teachers.Recordings(folder, load(train_teacher.TrainTeacher, "train_teacher"))
        assert samples[0, 0].keys() == names


def test_without_nss_the_loss_is_the_divergence(train):
    with_points, without = (rows(train(str(w), nss_weight=w)) for w in (1e-9, 0.0))
    assert [row["loss"] for row in without] == pytest.approx(
        [row["loss"] for row in with_points], rel=1e-4
    )


def test_a_loss_that_is_not_finite_stops_with_the_step(train):
    with pytest.raises(ValueError, match=r"step \d: the .* not finite.*lower learning_rate"):
        train("out", learning_rate=1e30)
    assert not list(Path().glob("out/*"))


def test_a_row_of_the_table_gives_the_teacher_it_says(train):
    config = read_config(train("out", row="teachers.taps_7") / "teacher.safetensors")
    assert config["teacher"] == {"taps": [7], "pool_stride": 1, "output": "learnt_offset"}
    config = read_config(train("out", row="teachers.output_tanh_half") / "teacher.safetensors")
    assert config["teacher"]["output"] == "tanh_half"


def test_rows_that_say_the_same_give_the_same_teacher_to_the_byte(train):
    same = train("a", **{"teacher.taps": [7]})
    assert contents(train("b", row="teachers.taps_7")) == contents(same)


def test_a_row_that_is_not_there_is_one_clear_error(params, fail, world):
    message = fail(train_teacher, *words(Path("out"), world, row="teachers.taps_4"))
    assert "no section 'teachers.taps_4'; expected one of: taps_3, taps_5" in message


@pytest.mark.parametrize("output", OUTPUT)
def test_a_teacher_whose_branches_all_died_is_trained_to_its_end(train, monkeypatch, output):
    def dead(**design) -> Teacher:
        teacher = Teacher(**design)
        for branch in teacher.branches:
            torch.nn.init.zeros_(branch.collapse.weight)
            torch.nn.init.constant_(branch.collapse.bias, -200.0)
        return teacher

    monkeypatch.setattr(train_teacher, "Teacher", dead)
    out = train("out", **{"teacher.output": output})
    assert [row["dev_cc"] for row in rows(out)] == [0, 0, 0]
    assert json.loads((out / "report.json").read_text())["epoch"] == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 100}, "samples do not fill one batch of 100; lower batch_size"),
        ({"warmup_epochs": 3.0}, "warm-up steps of .*warm up for fewer"),
        ({"teacher.taps": [5, 3]}, r"taps \[5, 3\]: expected increasing numbers"),
        ({"teacher.output": "sigmoid"}, r"params\.yaml: teacher\.output: .*'learnt_offset'"),
        ({"epochs": 0}, r"params\.yaml: train_teacher\.epochs: .*greater than 0"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(train, changed, message):
    with pytest.raises(ValueError, match=message):
        train("out", **changed)
    assert not list(Path().glob("out/*"))


def test_missing_recordings_are_one_clear_error(params, fail, world):
    arguments = words(Path("out"), world)
    arguments[1] = Path("nowhere")
    message = fail(train_teacher, *arguments)
    assert "nowhere/index.json: not here, so nowhere is no finished set" in message


def test_an_output_folder_that_cannot_be_made_is_one_clear_error(params, fail, world):
    Path("out").write_text("a file where the folder should be")
    assert "out" in fail(train_teacher, *words(Path("out/teacher"), world))
    assert Path("out").is_file()


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(params, fail, full_disk, world):
    with full_disk(10_000):
        message = fail(train_teacher, *words(Path("out"), world))
    assert "state.pt: cannot be written" in message and "make room" in message
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["params.yaml"]
