"""Exports, read back by the readers that they are for."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import prepare_clickme
from attnlabels.clickmaps.blurring import bubbled
from attnlabels.clickmaps.examples import as_example
from attnlabels.clickmaps.filters import Filters
from attnlabels.clickmaps.reading import read_painted
from attnlabels.clickmaps.sources import Manner
from attnlabels.clickmaps.submissions import read_csv as read_submissions
from attnlabels.clickmaps.tfrecord import Records, parse_example
from attnlabels.gathered.choosing import RoundRules, choose
from attnlabels.gathered.export import FORMS, export_study
from attnlabels.gathered.painted import MapDrawing
from attnlabels.gathered.study import read_study
from attnlabels.interpretation.people import manner_of, read_people
from attnlabels.recordings.fixation_csv import read_csv
from attnlabels.recordings.salicon import read_json
from attnlabels.shards.faults import check
from attnlabels.shards.shards import Shards
from gathered_study import CLASSES, Made, change

each_form = pytest.mark.parametrize("form", sorted(FORMS))


@pytest.fixture
def export(made: Made, tmp_path: Path):
    """Exports the study in a form to a new folder."""

    def call(form: str, out: str = "out", *, of: Made = made, **asked) -> Path:
        export_study(of.study, tmp_path / out, images=of.images, form=form, **asked)
        return tmp_path / out

    return call


def expected_points(made: Made) -> dict[str, list[tuple[int, int, str]]]:
    """The pixels of each image that count, with who made them."""
    points: dict[str, list[tuple[int, int, str]]] = {}
    for each, found in choose(read_study(made.study)).rounds:
        own = points.setdefault(each.image.path, [])
        own += [(row, col, each.participant) for row, col in found.cells.tolist()]
    return points


def test_a_csv_is_read_by_our_reader_to_the_same_points(export, made):
    table = read_csv(export("csv") / "data" / "task-paint_data.csv", made.images)
    expected = expected_points(made)
    assert not table.skipped and not table.n_lost
    assert {each.name for each in table.recordings} == {*expected}
    for each in table.recordings:
        pixels = [(row, col) for row, col, _ in expected[each.name]]
        assert sorted(map(tuple, each.points.tolist())) == sorted(pixels)
        by_player = Counter(who for _, _, who in expected[each.name])
        assert sorted(Counter(each.observers.tolist()).values()) == sorted(by_player.values())


def test_salicons_json_is_read_by_our_reader_to_the_same_points(export, made):
    recordings = read_json(export("salicon") / "paint.json")
    expected = expected_points(made)
    numbers = read_study(made.study).numbers
    assert {each.name for each in recordings} == {*expected}
    for each in recordings:
        found = [*map(tuple, np.column_stack([each.points, each.observers]).tolist())]
        told = [(row, col, numbers[who]) for row, col, who in expected[each.name]]
        assert sorted(found) == sorted(told)


def test_clickmes_table_is_read_by_our_reader(export, made):
    submissions = [*read_submissions(export("clickme") / "paint.csv")]
    chosen = choose(read_study(made.study)).rounds
    assert len(submissions) == len(chosen)
    for each, (played, points) in zip(submissions, chosen):
        assert each.image == played.image.path and each.player == played.participant
        assert each.clicks[:, ::-1].tolist() == points.cells.tolist()
        assert each.is_mobile is False and each.catch_trial in (0.0, 1.0)


def test_clickmes_records_hold_what_players_uncovered(export, made):
    records = Records(export("clickme") / "paint.tfrecords")
    study = read_study(made.study)
    images = sorted({each.round.image.number for each in choose(study).rounds})
    assert len(records) == len(images)
    for number, payload in zip(images, records):
        image = study.images[number]
        example = as_example(parse_example(payload), classes=len(CLASSES))
        assert example.image == (made.images / image.path).read_bytes()
        assert CLASSES[example.label] == image.label
        points = expected_points(made)[image.path]
        assert example.n_clicks == len(points)
        masks = [
            bubbled(np.array([p[:2] for p in points if p[2] == who]), size=example.size, reach=3)
            for who in sorted({p[2] for p in points})
        ]
        share = np.mean(masks, axis=0)
        assert example.map == pytest.approx(share / share.max(), abs=0.51 / 255)


@pytest.mark.parametrize("file", ["paint.csv", "paint.tfrecords"])
def test_clickmes_files_are_read_with_the_images(export, made, file):
    filters = Filters(
        catch_trial=None,
        mobile="drop",
        first_only=True,
        min_clicks=2,
        max_clicks=None,
        beyond="trim",
        colouring_in=None,
        min_players=1,
    )
    manner = Manner(broken="stop", outside="refuse", count="binary", filters=filters)
    if file.endswith("tfrecords"):
        manner = Manner(broken="stop", outside="refuse", count="binary", filters=None)
    found = read_painted(
        made.images, export("clickme") / file, Counter(), [], n_classes=3, manner=manner
    )
    read = [found.images[i] for i in range(len(found.images))]
    painted = [each.painted for each in read if each.painted and each.painted.map is not None]
    assert len(painted) == len(expected_points(made)) and found.classes == [*CLASSES]


def test_shards_hold_maps_of_players_with_their_count(export, made):
    folder = export("shards", drawing=MapDrawing(map_size=24)) / "paint"
    assert not [*check(folder)]
    shards = Shards(folder)
    by = shards.index["maps_by"]
    assert (by["kind"], by["players"], by["task"], by["rounds"]) == ("players", 8, "paint", 64)
    assert manner_of(folder) == ("box_49", "binary") and shards.classes == [*CLASSES]
    expected, numbers = expected_points(made), read_study(made.study).numbers
    for i in range(len(shards)):
        sample = shards[i]
        points = [(row, col, numbers[who]) for row, col, who in expected[sample["name"]]]
        found = np.column_stack([sample["points"], sample["observers"]])
        assert sorted(map(tuple, found.tolist())) == sorted(points)
        assert sample["map"].shape == (24, 24) and sample["map"].max() == 1
    people = read_people(folder, blur_by="box_49", count="binary", map_size=24, crop=1.0)
    assert sum(len(each) for each in people.players.maps) == 64


def test_another_blur_makes_other_maps(export):
    first = Shards(export("shards", "one") / "paint")
    second = Shards(export("shards", "two", drawing=MapDrawing(blur="disc_twice")) / "paint")
    assert second.index["maps_by"]["blur"] == "disc_twice"
    assert any((first[i]["map"] != second[i]["map"]).any() for i in range(len(first)))


def test_jspsychs_trials_are_all_rounds_and_say_which_count(export, made):
    folder = export("jspsych")
    trials = json.loads((folder / "rounds.json").read_text())
    rows = pd.read_csv(folder / "data" / "description-rounds_data.csv", keep_default_na=False)
    study = read_study(made.study)
    assert len(trials) == len(rows) == len(study.rounds) == 96
    assert (rows["left_out"] == "").sum() == 64
    for trial, row, played in zip(trials, rows.to_dict("records"), study.rounds):
        assert trial["subject"] == row["subject"] == played.participant
        assert trial["trial_type"] == "attnlabels-paint"
        assert trial["trial_index"] == row["trial_index"] == played.position
        assert trial["rt"] == played.duration_ms < trial["time_elapsed"]
        samples = trial["mouse_tracking_data"]
        assert json.loads(row["mouse_tracking_data"]) == samples
        moves = [each for each in samples if each["event"] == "mousemove"]
        assert len(moves) == played.samples.event.count("move")
        assert {*samples[0]} == {"x", "y", "t", "event"}
        assert trial["mouse_tracking_targets"]["#image"]["width"] == played.image.width
        assert trial["guesses"][0]["top"][0] == ["cup", 0.6]
    order = [each for each in trials if each["subject"] == trials[0]["subject"]]
    elapsed = [each["time_elapsed"] for each in order]
    assert elapsed == sorted(elapsed)


@each_form
def test_an_export_is_described_as_psych_ds_has_it(export, form):
    folder = export(form)
    described = json.loads((folder / "dataset_description.json").read_text())
    assert described["@type"] == "Dataset" and described["name"] == "study"
    variables = {each["name"] for each in described["variableMeasured"]}
    tables = [*(folder / "data").iterdir()]
    assert tables
    for table in tables:
        parts = table.name.removesuffix("_data.csv").split("_")
        assert all(len(part.split("-")) == 2 for part in parts)
        with table.open(newline="") as file:
            header = next(csv.reader(file))
        assert {*header} <= variables
    assert "64 of 96 finished rounds" in (folder / "README.md").read_text()


@each_form
def test_an_image_that_was_changed_or_is_gone_is_refused_by_name(export, copied, form, tmp_path):
    image = choose(read_study(copied.study)).rounds[0].round.image
    path = copied.images / image.path
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=f"{image.path}: not the image that was shown"):
        export(form, of=copied)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{image.path}: an image of the study is not"):
        export(form, of=copied)
    shutil.rmtree(copied.images / "cup")
    with pytest.raises((ValueError, FileNotFoundError), match="images are gone or others"):
        export(form, of=copied)
    assert not (tmp_path / "out").exists()


@each_form
def test_nothing_that_is_there_is_overwritten(export, form, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="out is there already"):
        export(form)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine.txt"]
    export(form, "second")
    with pytest.raises(FileExistsError, match="second is there already"):
        export(form, "second")


@each_form
def test_a_second_export_leaves_the_same_bytes(export, form):
    one, two = export(form, "one"), export(form, "two")
    files = [each.relative_to(one) for each in sorted(one.rglob("*")) if each.is_file()]
    assert len(files) >= 5
    assert all((one / each).read_bytes() == (two / each).read_bytes() for each in files)


def test_without_images_and_without_a_study_one_is_told(export, made, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        export_study(made.study, tmp_path / "out", images=tmp_path / "nowhere", form="csv")
    with pytest.raises(FileNotFoundError, match="nowhere: no study here"):
        export_study(tmp_path / "nowhere", tmp_path / "out", images=made.images, form="csv")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("task", "event"), [("peek", "click"), ("look", "move")])
@each_form
def test_the_other_tasks_are_exported_too(export, copied, form, task, event):
    change(
        copied.study,
        "UPDATE rounds SET task = ?, outcome = 'done', samples = replace(samples, 'bubble', ?)",
        task,
        event,
    )
    folder = export(form, of=copied, rules=RoundRules(fewest_players=2))
    names = {each.name for each in folder.rglob("*")}
    assert names & {f"task-{task}_data.csv", f"{task}.json", f"{task}.csv", task, "rounds.json"}


def test_clickmes_records_go_through_the_clickme_study(export, made, tmp_path, monkeypatch):
    row = {
        "images": "images",
        "clicks": "clicks",
        "classes": 3,
        "filters": None,
        "count": "binary",
        "blur": "box_49",
        "map_size": [24, 24],
        "share": 1.0,
        "unpainted": "drop",
        "outside": "refuse",
        "broken": "stop",
        "shard_size": 100,
        "workers": 0,
    }
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps({"threads": 1, "prepare_clickme": {"row": row}}))
    clicks = export("clickme") / "paint.tfrecords"
    prepare_clickme.main("row", made.images, clicks, Path("shards"), Path("report.json"))
    shards = Shards(Path("shards"))
    assert len(shards) == len(expected_points(made)) and shards.classes == [*CLASSES]
    labels = [CLASSES[label] for label in shards.labels]
    images = sorted({r.round.image.number for r in choose(read_study(made.study)).rounds})
    assert labels == [read_study(made.study).images[number].label for number in images]


def test_images_without_classes_are_exported_too(export, copied):
    table = copied.study / "images.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    rows = [[*line[:2], "" if i else line[2], *line[3:]] for i, line in enumerate(lines)]
    table.write_text("\n".join(map(",".join, rows)) + "\n")
    shards = Shards(export("shards", "one", of=copied) / "paint")
    assert shards.classes == [] and {*shards.labels} == {-1}
    names = {each.name for each in export("clickme", "two", of=copied).iterdir()}
    assert "paint.csv" in names and "paint.tfrecords" not in names
