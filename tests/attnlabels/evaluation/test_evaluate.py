import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import align_attention
import corrupt_images
import extract_features
import probe_linear
import score_retrieval
import score_robustness
from attnlabels import Running, Scoring, Shown, evaluate
from attnlabels.commands.evaluate import Benchmark, evaluate_
from attnlabels.evaluation import datasets, extraction
from attnlabels.evaluation.benchmarks import Scores
from attnlabels.evaluation.evaluate import BENCHMARKS, Written, default_cache
from attnlabels.models.encoder import Encoder
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA

SOURCES = Path(__file__).parents[3] / "src"
BY_CORRUPTION = {*CORRUPTIONS, *EXTRA}
SMALL = {"size": 24, "crop": 1.0, "table": "cifar"}  # corruptions that are generated


@pytest.fixture(autouse=True)
def alone(params):
    """In a folder of its own, with a cache of its own."""


@pytest.fixture(scope="module")
def data(world) -> dict[str, Path]:
    return {
        "imagenet": world / "data/scenes/imagenet",
        "cifar10": world / "data/scenes/cifar-10-batches-py",
    }


@pytest.fixture(scope="module")
def corrupted(world, data, tmp_path_factory, tiny_params) -> dict[str, Path]:
    """Both sets under all corruptions, as arrays."""
    folder = tmp_path_factory.mktemp("corrupted")
    tiny_params(folder, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        val = str(world / "data/images/val.csv")
        corrupt_images.main("imagenet_c", data["imagenet"] / "val", val, folder / "i")
        corrupt_images.main("cifar10_c", data["cifar10"], "test", folder / "c")
    return {"imagenet_c": folder / "i", "cifar10_c": folder / "c"}


def read_rows(path):
    with open(path, newline="") as file:
        return [*csv.DictReader(file)]


def score(encoder, *on, scoring=None, **given):
    scoring = Scoring(**{"l2_times_n": (3.0,), "queries": 0.25, **(scoring or {})})
    return evaluate(str(encoder), on=on, out=Path("out"), scoring=scoring, **given)


def test_what_is_finished_is_written_though_something_later_fails(student, data):
    split = Path(data["imagenet"].name)
    for part in ("train", "val"):
        shutil.copytree(data["imagenet"] / "train", split / part)
    for image in sorted((split / "val" / "n00000002").iterdir())[1:]:
        image.unlink()
    failed = set()
    for seed in range(8):  # the only image of its class asks with some of them
        try:
            drawn = {"test_seed": seed}
            score(student, "probe", "retrieval", imagenet=split, seed=seed, scoring=drawn)
        except ValueError as error:
            assert "no image of the gallery is of class 'n00000002'" in str(error)
            failed.add(seed)
        assert (Path("out/probe_linear") / f"student-{seed}.json").is_file()
        done = Path("out/score_retrieval") / f"student-{seed}.json"
        assert done.is_file() is (seed not in failed)
    assert failed and len(failed) < 8


def test_what_is_in_the_way_of_a_file_is_told_before_the_encoder_is_opened(data):
    Path("out/probe_linear/student-0.json").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match="student-0.json is a folder"):
        score("student.safetensors", "probe", imagenet=data["imagenet"])


def test_scores_of_another_encoder_do_not_come_beside_those_that_are_there(tmp_path):
    now: dict[str, Any] = {"encoder": "b/a.pt", "sha256": "1", "prefix": "k."}
    now |= {"view": {"size": 32}, "scoring": {}}
    Written(tmp_path, "a-0").require_of(now)
    Written(tmp_path, "a-0").add(Scores("evaluate", now))
    Written(tmp_path, "a-0").require_of(now | {"encoder": "c/a.pt"})  # the file lies elsewhere
    for unlike in ({"sha256": "2"}, {"prefix": "q."}, {"view": {"size": 64}}):
        said = f"a-0.json and .* are of b/a.pt with another {next(iter(unlike))}; pass --name, or"
        with pytest.raises(FileExistsError, match=said):
            Written(tmp_path, "a-0").require_of(now | unlike)


def rows_of(name):
    """A row of a curve."""
    return [{"set": name, "corruption": "clean", "severity": 0, "k": 1, "precision": 1.0}]


def test_calls_at_the_same_time_leave_the_scores_and_settings_of_both(tmp_path):
    one, other = (Written(tmp_path, "a-0") for _ in range(2))
    drawn = {"queries": 0.1}
    for written, stage, how in ((one, "probe_knn", {"k": [3]}), (other, "score_retrieval", drawn)):
        scoring = {"probe_linear": {"tolerance": 0.1}, stage: how}
        written.require_of({"encoder": "a.pt", "sha256": "1", "scoring": scoring})
        about = {"encoder": "a.pt", "sha256": "1", "scoring": scoring, "left_out": {stage: 1}}
        written.add(Scores("evaluate", about))
    for written, name in ((other, "cifar10"), (one, "imagenet")):
        written.add(Scores("probe_linear", {name: {"top1": 0.5}}))
        written.add(Scores("score_retrieval", {name: {"map": 0.5}}, rows_of(name)))
    one.add(Scores("probe_knn", {"imagenet": {"top1": 0.5}}))
    assert one.scores["probe_linear"].keys() == {"imagenet"}
    for stage in ("probe_linear", "score_retrieval"):
        there = json.loads((tmp_path / stage / "a-0.json").read_text())
        assert there.keys() == {"imagenet", "cifar10"}
    curves = read_rows(tmp_path / "score_retrieval/a-0.csv")
    assert {row["set"] for row in curves} == {"imagenet", "cifar10"}
    told = json.loads((tmp_path / "evaluate/a-0.json").read_text())
    assert told["left_out"] == {"probe_knn": 1, "score_retrieval": 1}
    stages = {"probe_linear": {"tolerance": 0.1}, "probe_knn": {"k": [3]}, "score_retrieval": drawn}
    assert told["scoring"] == stages
    assert not [*tmp_path.rglob("*.lock")]


def test_a_call_at_the_same_time_by_other_settings_or_of_another_encoder_is_refused(tmp_path):
    def told(sha256, k):
        scoring = {"probe_knn": {"k": k}, "probe_linear": {}}
        return {"encoder": "a.pt", "sha256": sha256, "scoring": scoring}

    one, other, strange = (Written(tmp_path, "a-0") for _ in range(3))
    one.add(Scores("evaluate", told("1", [3])))
    other.add(Scores("evaluate", told("1", [5])))  # nothing is scored yet
    one.add(Scores("probe_knn", {"imagenet": {}}))
    before = (tmp_path / "probe_knn/a-0.json").read_bytes()
    with pytest.raises(FileExistsError, match=r"a-0.json was scored with k \[3\], not \[5\]; pass"):
        other.add(Scores("probe_knn", {"cifar10": {}}))
    with pytest.raises(FileExistsError, match="are of a.pt with another sha256; pass --name, or"):
        strange.add(Scores("evaluate", told("2", [3])))
    assert (tmp_path / "probe_knn/a-0.json").read_bytes() == before
    other.add(Scores("probe_linear", {"cifar10": {}}))  # whose settings are alike
    scoring = json.loads((tmp_path / "evaluate/a-0.json").read_text())["scoring"]
    assert scoring == {"probe_knn": {"k": [3]}, "probe_linear": {}}


def test_nothing_is_lost_where_many_write_at_once(tmp_path):
    calls = [(Written(tmp_path, "a-0"), str(number)) for number in range(12)]

    def find(call):
        written, name = call
        written.add(Scores("evaluate", {"encoder": "a.pt", "scoring": {}, "left_out": {name: 0}}))
        written.add(Scores("score_retrieval", {name: {"map": 0.5}}, rows_of(name)))

    with ThreadPoolExecutor(12) as pool:
        assert len([*pool.map(find, calls)]) == 12
    names = {name for _, name in calls}
    assert json.loads((tmp_path / "score_retrieval/a-0.json").read_text()).keys() == names
    assert {row["set"] for row in read_rows(tmp_path / "score_retrieval/a-0.csv")} == names
    assert json.loads((tmp_path / "evaluate/a-0.json").read_text())["left_out"].keys() == names


SETTINGS = {  # other ones, and the stages whose scores depend on them
    "development": (0.4, {"probe_linear", "probe_knn", "score_robustness"}),
    "l2_times_n": ((10.0, 1.0), {"probe_linear", "score_robustness"}),
    "tolerance": (0.1, {"probe_linear", "score_robustness"}),
    "k": ((3,), {"probe_knn"}),
    "queries": (0.5, {"score_retrieval"}),
    "test_seed": (7, {"score_robustness", "score_retrieval"}),
    "corrupt_queries_alone": (True, {"score_retrieval"}),
}


@pytest.mark.parametrize("key", SETTINGS)
def test_scores_by_other_settings_do_not_come_beside_those_that_are_there(tmp_path, key):
    images = [each for each in BENCHMARKS if each != "alignment"]

    def about(scoring):
        return {"encoder": "a.pt", "scoring": json.loads(json.dumps(scoring.of(images)))}

    written = Written(tmp_path, "a-0")
    written.add(Scores("evaluate", about(Scoring())))
    value, stages = SETTINGS[key]
    other = about(Scoring(**{key: value}))
    usual = about(Scoring())["scoring"]
    assert {each for each, now in other["scoring"].items() if now != usual[each]} == stages
    Written(tmp_path, "a-0").require_of(other)  # nothing is scored yet
    for stage in other["scoring"]:
        written.add(Scores(stage, {"imagenet": {}}))
    Written(tmp_path, "a-0").require_of(about(Scoring()))
    with pytest.raises(FileExistsError, match=rf"a-0.json was scored with {key} .*, not .*; pass"):
        Written(tmp_path, "a-0").require_of(other)


def test_settings_are_compared_by_what_depends_on_them(student, data, monkeypatch):
    monkeypatch.setitem(datasets.GENERATED, "imagenet", datasets.GENERATED["imagenet"] | SMALL)
    about = Path("out/evaluate/student-0.json")
    score(student, "retrieval", imagenet=data["imagenet"], scoring={"queries": 0.25})
    score(student, "knn", cifar10=data["cifar10"], scoring={"queries": 0.3, "k": (3,)})
    with pytest.raises(
        FileExistsError,
        match=r"score_retrieval/student-0.json was scored with queries 0.25, not 0.3; pass --name",
    ):
        score(student, "knn", "retrieval", **data, scoring={"queries": 0.3, "k": (3,)})
    images = {"imagenet": data["imagenet"]}
    score(student, "retrieval", **images, scoring={"queries": 0.3}, name="other")
    score(student, "retrieval-c", **images, scoring={"corrupt_queries_alone": True})
    with pytest.raises(FileExistsError, match="corrupt_queries_alone True, not False; pass"):
        score(student, "retrieval-c", **data)
    told = json.loads(about.read_text())["scoring"]
    drawn = {"queries": 0.25, "test_seed": 0, "corrupt_queries_alone": True}
    assert told == {"probe_knn": {"development": 0.2, "k": [3]}, "score_retrieval": drawn}


def test_agreement_by_other_labels_or_another_teacher_does_not_come_beside(
    student, world, people_as_labels
):
    attention = {"eye": world / "data/attention/eye"}
    found = score(student, "alignment", attention=attention, labels=people_as_labels)
    index = people_as_labels / "index.json"
    labels = {"labels": hashlib.sha256(index.read_bytes()).hexdigest()}
    assert found["evaluate"]["scoring"] == {"align_attention": labels}
    score(student, "alignment", attention=attention)  # says itself that it has none
    other = Path(shutil.copytree(people_as_labels, "other"))
    tree = json.loads(index.read_text())
    (other / "index.json").write_text(json.dumps(tree | {"maps_by": {"kind": "teacher"}}))
    with pytest.raises(FileExistsError, match="align_attention/.* was scored with labels .*, not"):
        score(student, "alignment", attention=attention, labels=other)


def test_what_is_found_on_other_sets_stays_beside_what_is_found_now(student, data):
    first = score(student, "probe", "retrieval", **data, scoring={"queries": 0.25})
    curves = read_rows("out/score_retrieval/student-0.csv")
    again = score(student, "retrieval", imagenet=data["imagenet"], scoring={"queries": 0.25})
    assert again["score_retrieval"].keys() == {"imagenet"} and "probe_linear" not in again
    for stage in ("evaluate", "probe_linear", "score_retrieval"):
        there = json.loads(Path(f"out/{stage}/student-0.json").read_text())
        assert there == first[stage]
    left = read_rows("out/score_retrieval/student-0.csv")
    assert sorted(map(str, left)) == sorted(map(str, curves))


def test_a_file_of_scores_that_cannot_be_read_is_told_before_the_encoder_is_opened(data):
    for stage, text in (
        ("probe_linear", "{"),
        ("evaluate", '{"left_out": 3}'),
        ("evaluate", '{"scoring": {"probe_knn": 3}}'),
    ):
        path = Path(f"out/{stage}/student-0.json")
        path.parent.mkdir(parents=True)
        path.write_text(text)
        with pytest.raises(
            ValueError, match="student-0.json: not as it was written .*; name another -"
        ):
            score("student.safetensors", "probe", imagenet=data["imagenet"])
        shutil.rmtree("out")


def test_all_scores_are_those_of_the_pipelines_stages(
    params, student, world, data, corrupted, people_as_labels
):
    params({"probe_linear.l2_times_n": [3], "score_retrieval.queries": 0.25})
    found = score(
        student,
        "probe",
        "knn",
        "robustness",
        "retrieval-c",
        "alignment",
        **data,
        **corrupted,
        attention={name: world / "data/attention" / name for name in ("val", "eye")},
        labels=people_as_labels,
        name="run",
        seed=1,
    )
    images = world / "data/images"
    extract_features.main(
        student,
        data["imagenet"] / "train",
        images / "train.csv",
        data["imagenet"] / "val",
        images / "val.csv",
        corrupted["imagenet_c"],
        data["cifar10"],
        corrupted["cifar10_c"],
        Path("f"),
    )
    probe_linear.main("run", 1, Path("f"), Path("c.npz"), Path("probe.json"))
    score_robustness.main("run", 1, Path("f"), Path("c.npz"), Path("robust.json"))
    score_retrieval.main("run", 1, Path("f"), Path("curves.csv"), Path("retrieval.json"))
    params({"align_attention.refit_images": 1000, "align_attention.refit_steps": 200})
    align_attention.main(
        student,
        people_as_labels,
        *(world / "data/attention" / name for name in ("val", "eye")),
        Path("a.csv"),
        Path("a.npz"),
        Path("align.json"),
    )
    pairs = {
        "probe_linear": "probe",
        "score_robustness": "robust",
        "score_retrieval": "retrieval",
        "align_attention": "align",
    }
    for stage, name in pairs.items():
        ours = json.loads(Path(f"out/{stage}/run-1.json").read_text())
        assert ours == found[stage]
        theirs = json.loads(Path(f"{name}.json").read_text())
        assert theirs.pop("made_by")["threads"] == 1
        assert ours.keys() == theirs.keys()
        for key, scores in theirs.items():
            assert {each: ours[key][each] for each in scores} == scores
    with open("out/score_retrieval/run-1.csv") as one, open("curves.csv") as other:
        assert [*csv.reader(one)] == [*csv.reader(other)]


def test_images_are_encoded_once_for_all_benchmarks_and_calls(student, data, monkeypatch):
    encoded: list[str] = []
    read = extraction.encode_squares

    def noting(squares, encode, **values):
        encoded.append(squares.images.name)
        return read(squares, encode, **values)

    monkeypatch.setattr("attnlabels.evaluation.evaluate.encode_squares", noting)
    first = score(student, "probe", "knn", "retrieval", **data)
    assert sorted(encoded) == ["cifar10_test", "cifar10_train", "imagenet_train", "imagenet_val"]
    assert score(student, "probe", "knn", "retrieval", **data, running=Running(workers=0)) == first
    assert len(encoded) == 4
    score(student, "retrieval", cifar10=data["cifar10"], shown=Shown(size=20), name="small")
    assert encoded[4:] == ["cifar10_test"]


def test_corruptions_are_generated_where_none_are_given_and_marked(student, data, monkeypatch):
    for name in ("imagenet", "cifar10"):
        monkeypatch.setitem(datasets.GENERATED, name, datasets.GENERATED[name] | SMALL)
    found = score(
        student, "robustness", "retrieval-c", **data, scoring={"corrupt_queries_alone": True}
    )
    for key in ("imagenet_c", "cifar10_c"):
        assert found["score_robustness"][key]["generated"] == 1
        assert found["score_retrieval"][key]["generated"] == 1
        assert found["score_retrieval"][key]["queries_alone"] == 1
        assert found["score_robustness"][key].keys() > BY_CORRUPTION
        assert "mce" not in found["score_robustness"][key]


@pytest.fixture
def torchvision_weights() -> Path:
    torch.manual_seed(0)
    encoder = Encoder("resnet18", width=64, stem="imagenet", taps="stages", zero_init=False)
    save_file(encoder.state_dict(), "w.safetensors")
    return Path("w.safetensors")


def test_an_encoder_of_others_is_scored_and_described(torchvision_weights, data):
    found = score(
        "torchvision:resnet18",
        "knn",
        weights=torchvision_weights,
        shown=Shown(size=32),
        imagenet=data["imagenet"],
        scoring={"k": (1, 3)},
    )
    (path,) = Path("out/probe_knn").iterdir()
    assert path.name == "torchvision-resnet18-0.json"
    assert list(found["probe_knn"]) == ["imagenet"]
    about = json.loads(Path("out/evaluate/torchvision-resnet18-0.json").read_text())
    assert about["n_features"] == 512 and about["view"]["size"] == 32
    assert len(about["sha256"]) == 64 and about["encoder"] == "torchvision:resnet18"


def test_alignment_is_with_recordings(student):
    with pytest.raises(ValueError, match="alignment is with recordings of people"):
        score(student, "alignment")


def test_what_is_asked_without_images_is_said(student):
    with pytest.raises(ValueError, match="probe, knn: on which images"):
        score(student, "probe", "knn")
    with pytest.raises(ValueError, match="on accuracy: expected one or more of probe, knn"):
        score(student, "accuracy")
    with pytest.raises(ValueError, match="on nothing: expected"):
        score(student)
    with pytest.raises(ValueError, match="the name 'a/b-0' is to be part of a file's"):
        score(student, "probe", name="a/b")


def copy(data, name="imagenet") -> Path:
    return Path(shutil.copytree(data["imagenet"], name))


def test_folders_that_do_not_fit_are_refused_before_anything_is_encoded(student, data, corrupted):
    folder = copy(data)
    (folder / "val" / "n00000003").rename(folder / "val" / "n00000009")
    with pytest.raises(ValueError, match="n00000003 is a class folder of only one of train and va"):
        score(student, "probe", imagenet=folder)
    shutil.rmtree(folder / "val")
    with pytest.raises(FileNotFoundError, match="imagenet/val: no such folder"):
        score(student, "retrieval", imagenet=folder)
    (folder / "val").mkdir()
    with pytest.raises(ValueError, match="imagenet/val: no class folders in it"):
        score(student, "retrieval", imagenet=folder)
    (folder / "val/n1").mkdir()
    (folder / "val/n1/notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="notes.txt is no image"):
        score(student, "retrieval", imagenet=folder)
    with pytest.raises(ValueError, match="20 corrupted images that are not the 15 of imagenet_val"):
        score(student, "robustness", imagenet=data["imagenet"], imagenet_c=corrupted["cifar10_c"])
    assert not default_cache().exists() and not Path("out").exists()


@pytest.mark.parametrize(
    ("on", "given", "said"),
    [
        ("knn", {"labels": Path("labels")}, "labels and teacher are for alignment, which is not"),
        ("knn", {"attention": {"eye": Path("eye")}}, "attention, labels and teacher are for"),
        ("alignment", {}, "imagenet: no benchmark of images is asked for; add one to on, or drop"),
        ("knn", {"imagenet_c": Path("c")}, "^c: read for robustness and retrieval-c alone; add"),
        ("robustness", {"cifar10_c": Path("c")}, "^c: corrupted images of which. give cifar10"),
    ],
)
def test_data_that_no_benchmark_would_read_are_refused(student, data, world, on, given, said):
    if on == "alignment":
        given = {"attention": {"eye": world / "data/attention/eye"}}
    with pytest.raises(ValueError, match=said):
        score(student, on, imagenet=data["imagenet"], **given)
    assert not list(Path("out").rglob("*.json"))


def test_scores_on_other_images_do_not_come_under_one_name(student, data):
    folder = copy(data)
    score(student, "knn", imagenet=folder, scoring={"k": (3,)})
    before = Path("out/evaluate/student-0.json").read_text()
    sorted((folder / "val").rglob("*.*"))[-1].unlink()
    with pytest.raises(FileExistsError, match=r"on other images of imagenet_val; pass --name, or"):
        score(student, "retrieval", imagenet=folder)
    assert Path("out/evaluate/student-0.json").read_text() == before
    assert not list(Path("out").glob("score_*"))
    score(student, "knn", imagenet=folder, scoring={"k": (3,)})  # all of them anew
    score(student, "retrieval", imagenet=folder)


def test_a_broken_image_is_named_and_no_score_is_written(student, data):
    folder = copy(data)
    broken = sorted((folder / "val").rglob("*.*"))[-1]
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(ValueError, match=f"{broken.name}: truncated"):
        score(student, "retrieval", imagenet=folder)
    assert not list(Path("out").glob("score_*"))


def test_broken_images_are_left_out_and_counted_and_features_follow(student, data):
    folder = copy(data)
    whole = score(student, "knn", imagenet=folder, scoring={"k": (3,)}, broken="skip")
    assert whole["evaluate"]["left_out"] == {"imagenet_train": 0, "imagenet_val": 0}
    for split, which in (("train", 0), ("val", -1)):
        broken = sorted((folder / split).rglob("*.*"))[which]
        times = broken.stat()
        broken.write_bytes(broken.read_bytes()[:-40])
        os.utime(broken, ns=(times.st_atime_ns, times.st_mtime_ns))
    found = score(student, "knn", imagenet=folder, scoring={"k": (3,)}, broken="skip")
    assert found["evaluate"]["left_out"] == {"imagenet_train": 1, "imagenet_val": 1}
    assert found["probe_knn"]["imagenet"]["n"] == whole["probe_knn"]["imagenet"]["n"] - 1
    assert json.loads(Path("out/evaluate/student-0.json").read_text()) == found["evaluate"]
    for path in (folder / "train", folder / "val"):
        for image in path.rglob("*.*"):
            if image.read_bytes()[-2:] != b"\xff\xd9":
                image.unlink()
    assert (
        score(student, "knn", imagenet=folder, scoring={"k": (3,)})["probe_knn"]
        == (found["probe_knn"])
    )


@pytest.mark.parametrize("named", [True, False])
def test_a_place_for_features_that_cannot_be_written_is_told_first(student, data, named):
    place = Path("no-folder") if named else default_cache().parent
    place.write_text("a file")
    running = Running(cache=place) if named else Running()
    with pytest.raises(
        OSError, match=f"{place}.*: no place for features .*pass --cache, or set AT"
    ):
        score(student, "knn", imagenet=data["imagenet"], running=running)
    assert not list(Path("out").rglob("*.json"))


def test_scores_that_are_asked_of_too_few_images_are_refused(student, data):
    with pytest.raises(ValueError, match="no image of the gallery is of class 'airplane', 'bird'"):
        score(student, "retrieval", cifar10=data["cifar10"], scoring={"queries": 0.8})
    with pytest.raises(ValueError, match="neighbours of 40 training images; take fewer"):
        score(student, "knn", cifar10=data["cifar10"], scoring={"k": (45,)})


@pytest.fixture
def command(call_python: Any) -> Callable[..., tuple[int, str, str]]:
    """Calls `attnlabels evaluate`: its status, output and errors."""

    def call(*words: object) -> tuple[int, str, str]:
        run = "from attnlabels.cli import main; main()"
        done = call_python("-c", run, "evaluate", *map(str, words))
        return done.returncode, done.stdout, done.stderr

    return call


def test_the_command_writes_and_shows_the_scores(command, student, data, world):
    status, said, _ = command(
        student,
        "--on",
        "retrieval",
        "--on",
        "alignment",
        "--imagenet",
        data["imagenet"],
        "--out",
        "metrics",
        "--queries",
        "0.2",
        "--workers",
        "0",
        "--attention",
        f"eye={world / 'data/attention/eye'}",
    )
    assert status == 0
    assert "score_retrieval imagenet: map 0." in said and "n_queries 3 n_gallery 12" in said
    assert "align_attention eye: as_trained CC" in said
    assert Path("metrics/score_retrieval/student-0.json").is_file()


def test_the_command_tells_failure_from_misuse(command, student, data):
    status, _, said = command("timm:resnet18", "--on", "knn", "--out", "m")
    assert status == 1
    assert said.startswith("attnlabels: error: timm:resnet18 comes without weights")
    images = ("--imagenet", data["imagenet"], "--out", "m")
    assert command(student, "--on", "accuracy", *images)[0] == 2
    assert command(student, *images)[0] == 2
    assert command(student, "--on", "alignment", "--attention", "eye", *images)[0] == 2
    twice = ("--attention", "eye=a", "--attention", "val=b", "--attention", "eye=c")
    status, _, said = command(student, "--on", "alignment", *twice, *images)
    assert status == 2 and "--attention: 'eye=c': eye is there twice; name each set" in said
    for option in ("--development", "--tolerance", "--queries", "--crop"):
        status, _, said = command(student, "--on", "knn", *images, option, "nan")
        assert status == 2 and f"{option[2:]} nan: expected a " in said
    for option in ("--seed", "--test-seed"):
        status, _, said = command(student, "--on", "knn", *images, option, "-1")
        assert status == 2 and option in said and "0" in said


def test_the_benchmarks_of_the_command_are_those_of_the_function():
    assert [each.value for each in Benchmark] == [*BENCHMARKS]
    assert signature(evaluate_).parameters["readout"].default == [*Scoring().readouts]


class Features(nn.Module):
    """Mean colour by quarter of the image."""

    def forward(self, images):
        return nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_real_images_are_told_apart_better_than_by_chance(real_data, tmp_path):
    traced = torch.jit.trace(Features(), torch.zeros(2, 3, 32, 32))
    traced.save(str(tmp_path / "colours.pt"))
    found = score(
        tmp_path / "colours.pt",
        "probe",
        "knn",
        "retrieval",
        shown=Shown(size=32, crop=1.0, normalise="none"),
        cifar10=real_data("cifar10") / "cifar-10-batches-py",
        scoring={"l2_times_n": (50.0,), "k": (50,), "queries": 0.1},
    )
    assert found["probe_linear"]["cifar10"]["n"] == 509
    assert found["probe_linear"]["cifar10"]["top1"] > 0.17
    assert found["probe_knn"]["cifar10"]["top1"] > 0.17
    assert found["score_retrieval"]["cifar10"]["map"] > 0.11
    assert np.isfinite(found["score_retrieval"]["cifar10"]["pr_area"])
