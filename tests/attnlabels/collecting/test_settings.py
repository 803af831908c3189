import pytest
from ruamel.yaml import YAML

from attnlabels.collecting.settings import (
    SETTINGS,
    TEMPLATES,
    TEXTS,
    read_settings,
)
from attnlabels.serving.texts import read_texts


def changed(tmp_path, name, change):
    tree = YAML(typ="safe").load(TEMPLATES / name)
    change(tree)
    YAML().dump(tree, tmp_path / name)
    return tmp_path / name


def test_the_defaults_are_the_games_constants():
    settings = read_settings(TEMPLATES / SETTINGS)
    paint = settings.paint
    assert settings.played is paint
    assert (paint.bubble_px, paint.patch_px, paint.seconds, paint.guess_every) == (14, 21, 7.0, 10)
    assert (paint.step_px, paint.most_bubbles) == (7, 141)  # at most 140 after the first


@pytest.mark.parametrize("task", ["paint", "peek", "look"])
def test_each_task_has_settings(tmp_path, task):
    path = changed(tmp_path, SETTINGS, lambda tree: tree.update(task=task))
    settings = read_settings(path)
    assert settings.played is getattr(settings, task)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.update(rouds=3), r"study.yaml.rouds is unknown"),
        (lambda tree: tree.pop("rounds"), r"study.yaml.rounds is missing"),
        (lambda tree: tree["paint"].pop("seconds"), r"study.yaml.paint.seconds is missing"),
        (lambda tree: tree["paint"].update(seconds="7"), r"study.yaml.paint.seconds: .*'7'"),
        (lambda tree: tree["paint"].update(seconds=0), r"study.yaml.paint.seconds: .*greater than"),
        (lambda tree: tree.update(task="draw"), r"study.yaml.task: .*'draw'"),
        (lambda tree: tree.update(rounds=True), r"study.yaml.rounds: "),
        (lambda tree: tree["paint"].update(top_k=6), r"study.yaml.paint.top_k: .*equal to 5"),
        (
            lambda tree: tree["paint"].update(seconds=300, period_ms=50),
            "make 6001 bubbles of a round, more than the 5000 that are kept; shorten it, or",
        ),
        (lambda tree: tree.update(catch_share=0.1), "catch and catch_share go together"),
        (lambda tree: tree.update(catch=["easy/*"]), "catch and catch_share go together"),
        (
            lambda tree: tree.update(catch=["a"], catch_share=0.6, repeat_share=0.5),
            "above 1 together",
        ),
    ],
    ids=range(12),
)
def test_what_is_wrong_in_the_settings_is_named(tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        read_settings(changed(tmp_path, SETTINGS, change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.pop("skip"), r"texts.yaml: skip is missing; add it"),
        (lambda tree: tree.update(skipp="x"), r"texts.yaml: skipp is unknown; remove it"),
        (lambda tree: tree.update(skip=None), r"texts.yaml: skip is None; expected a sentence"),
        (lambda tree: tree.update(classes={"a": 1}), r"texts.yaml: classes: expected FOLDER: name"),
        (lambda tree: tree.update(classes=["a"]), r"texts.yaml: classes: expected FOLDER: name"),
    ],
    ids=range(5),
)
def test_what_is_wrong_in_the_texts_is_named(tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        read_texts(changed(tmp_path, TEXTS, change), template=TEMPLATES / TEXTS)


def test_texts_can_be_translated(tmp_path):
    path = changed(tmp_path, TEXTS, lambda tree: tree.update(skip="Überspringen", language="de"))
    assert read_texts(path, template=TEMPLATES / TEXTS)["skip"] == "Überspringen"
