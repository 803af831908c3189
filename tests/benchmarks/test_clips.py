import importlib
import re
from types import ModuleType

import pytest

from attnlabels.shards.clips import Clips
from attnlabels.tasks.frames import list_clips, read_frames


@pytest.fixture
def benchmark() -> ModuleType:
    return importlib.import_module("clips")


def test_both_ways_read_the_same_clips_and_a_ratio_is_told(benchmark, tmp_path, capsys):
    benchmark.write(tmp_path, 4, 3, 16)
    paths, shards = [*list_clips(tmp_path / "frames").values()], Clips(tmp_path / "shards")
    for i in range(4):
        assert (read_frames(paths[i]) == shards[i]["frames"]).all()
    benchmark.main(20, 2, 16)
    assert re.search(r"^ratio: \d+\.\d\d$", capsys.readouterr().out, re.M)
