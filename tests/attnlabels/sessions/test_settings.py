import re
from dataclasses import replace
from pathlib import Path

import pytest

from attnlabels.sessions.settings import (
    DEFAULTS,
    keys_for,
    read_settings,
    require_same,
    write_settings,
)


@pytest.fixture
def settings(tmp_path: Path):
    """The settings of a file of these lines."""

    def of(*lines: str):
        (tmp_path / "settings.yaml").write_text("\n".join([*lines, ""]))
        return read_settings(tmp_path / "settings.yaml")

    return of


def test_the_defaults_are_the_papers():
    found = read_settings(None)
    assert found.fixation_ms == (1100, 1600)
    assert (found.stimulus_ms, found.answer_ms, found.limit_ms) == (400, 150, 550)
    assert (found.block, found.practice) == (16, 6)
    assert keys_for(found, 2) == ["s", "l"]


def test_the_papers_file_of_the_documents_is_the_default(settings):
    page = Path(__file__).parents[3] / "docs" / "psychophysics.md"
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert settings(block) == replace(read_settings(None), keys=["s", "l"])


def test_what_a_file_does_not_say_is_as_by_default(settings):
    found = settings("stimulus_ms: 250", "keys: [f, j]")
    assert (found.stimulus_ms, found.answer_ms) == (250, 150)
    assert keys_for(found, 2) == ["f", "j"]


def test_all_settings_are_written_with_their_comments(settings, tmp_path):
    found = settings("stimulus_ms: 250", "keys: [f, j]", "fullscreen: false")
    write_settings(tmp_path / "written.yaml", found)
    assert read_settings(tmp_path / "written.yaml") == found
    text, default = (tmp_path / "written.yaml").read_text(), DEFAULTS.read_text()
    assert text.count("#") == default.count("#")
    assert 'keys: ["f", "j"] ' in text and "fullscreen: false " in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stimulus: 300", "settings.yaml.stimulus is unknown; remove it or mend its spelling"),
        ("stimulus_ms: 0", "settings.yaml.stimulus_ms: .*greater than 0"),
        ("stimulus_ms: long", "settings.yaml.stimulus_ms"),
        ("fixation_ms: [1600, 1100]", "fixation_ms: the first is above the second; exchange"),
        ("fixation_ms: [1100]", "settings.yaml.fixation_ms"),
        ("keys: [S, L]", "settings.yaml.keys.0"),
        ("keys: [1, 2]", "settings.yaml.keys.0: .*string"),
        ("block: 0", "settings.yaml.block"),
        ("stimulus_ms: 1\nstimulus_ms: 2", "not valid YAML"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings, line, message):
    with pytest.raises(ValueError, match=message):
        settings(line)


def test_changed_settings_are_refused_by_name(settings):
    one, other = settings("block: 8"), settings("block: 8", "stimulus_ms: 300", "seed: 1")
    require_same(one, one, where=Path("results"), what=Path("mine.yaml"))
    with pytest.raises(
        ValueError, match="mine.yaml: stimulus_ms 300.0, begun with 400.0; seed 1, begun with 0; "
    ):
        require_same(one, other, where=Path("results"), what=Path("mine.yaml"))


@pytest.mark.parametrize(
    ("n_classes", "keys"), [(2, "sl"), (3, "skl"), (4, "sdkl"), (8, "asdfhjkl"), (9, "asdfghjkl")]
)
def test_keys_are_of_the_middle_row_from_left_to_right(n_classes, keys):
    assert keys_for(read_settings(None), n_classes) == [*keys]


def test_keys_that_are_too_few_or_twice_are_refused(settings):
    with pytest.raises(ValueError, match="keys: f, j; expected 3 different ones, one for each"):
        keys_for(settings("keys: [f, j]"), 3)
    with pytest.raises(ValueError, match="keys: f, f; expected 2 different"):
        keys_for(settings("keys: [f, f]"), 2)
    with pytest.raises(ValueError, match="keys: name 10 keys, one for each class"):
        keys_for(read_settings(None), 10)
