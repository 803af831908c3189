import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import make_stimuli
from attnlabels.psychophysics.trials import read_stimuli
from painted import write_painted_pictures

SECTION: dict[str, Any] = {
    "shares": [0.0, 0.1, 1.0],
    "per_class": 3,
    "side": None,
    "alpha": 6.0,
    "noise": 0.5,
    "background": "other",
    "controls": ["random"],
    "assignment": "between",
    "missing": "stop",
    "seed": 0,
}


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    return write_painted_pictures(tmp_path_factory.mktemp("painted"))


@pytest.fixture
def make(tmp_path, monkeypatch, painted) -> Callable[..., dict[str, Any]]:
    """Makes stimuli of players' maps and of masks into `out`, with changes to the section."""
    monkeypatch.chdir(tmp_path)

    def call(**changed) -> dict[str, Any]:
        maps = {"players": str(painted / "people"), "part": str(painted / "part")}
        section = {"images": str(painted / "images"), "maps": maps, **SECTION, **changed}
        Path("params.yaml").write_text(json.dumps({"threads": 1, "make_stimuli": section}))
        make_stimuli.main(painted / "images", Path("out"), Path("report.json"))
        return json.loads(Path("report.json").read_text())

    return call


def test_stimuli_of_shards_and_pictures_are_made_and_counted(make):
    report = make()
    assert report.pop("made_by")["threads"] == 1
    lost = report.pop("lost")
    assert report == {"images": 9, "map_types": 3, "levels": 3, "sets": 9, "pictures": 9 * 5}
    stimuli = read_stimuli(Path("out/stimuli.csv"))
    assert lost == pytest.approx(stimuli["lost"].sum() / stimuli["pixels"].sum())
    assert all((Path("out") / path).is_file() for path in stimuli["stimulus"])
    assert [*dict.fromkeys(stimuli["map_type"])] == ["players", "part", "random"]


def test_shares_of_nothing_alone_have_nothing_to_lose(make):
    assert make(shares=[0.0])["lost"] == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shares": [0.5, 2.0]}, "make_stimuli.shares.1: .*less than or equal to 1"),
        ({"background": "white"}, "make_stimuli.background: "),
        ({"controls": ["none"]}, "make_stimuli.controls.0: "),
        ({"maps": {}}, "random: nothing to compare; name two or more"),
    ],
)
def test_parameters_that_make_no_experiment_are_refused(make, changed, message):
    with pytest.raises(ValueError, match=message):
        make(**changed)
    assert not Path("out").exists() and not Path("report.json").exists()
