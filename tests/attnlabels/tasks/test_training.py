import copy

import pytest

from attnlabels.pipeline.params import check
from attnlabels.tasks.training import TASKS, Row, Setting, Task, require_runs
from tiny_tasks import tiny


def setting(task: str = "segmentation", **changed) -> Setting:
    """The tiny setting of a task, its run `implicit` with changes."""
    node = copy.deepcopy(tiny()["tasks"][task])
    node["runs"]["implicit"] |= changed
    return check(Setting, node, where="tasks")


@pytest.mark.parametrize("task", TASKS)
def test_the_study_s_runs_mean_something(task):
    require_runs(task, setting(task))
    assert TASKS[task].SHOWN


@pytest.mark.parametrize("task", TASKS)
def test_a_module_of_a_task_has_all_that_one_has(task):
    wanted = {name for name in vars(Task) if not name.startswith("_")}
    assert wanted <= {*dir(TASKS[task])} and len(wanted) == 5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"block": "cbam"}, "block is 'cbam'; expected none, mask, residual_mask, side, given"),
        ({"shown": "flow"}, "shown is 'flow'; expected image"),
        ({"people": "nobody"}, "people is 'nobody', which tasks.segmentation.people lacks"),
        ({"weight": 0.3}, "a weight above 0 needs maps that are given"),
        ({"given": "people"}, "a weight above 0 needs maps that are given, and these one"),
        ({"block": "given"}, "no maps are given in the place of a mask"),
        ({"block": "given", "given": "people", "weight": 1.0}, "a weight above 0 needs maps"),
        ({"block": "none", "given": "people", "weight": 1.0}, "without a block there is no mask"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else "",
)
def test_a_run_that_means_nothing_is_named(changed, message):
    with pytest.raises(ValueError, match=rf"tasks\.segmentation\.runs\.implicit.*{message}"):
        require_runs("segmentation", setting(**changed))


def test_a_task_and_a_run_that_there_are_not_are_named():
    with pytest.raises(ValueError, match=r"tasks\.video: no such task; expected some of segm"):
        require_runs("video", setting())
    fused = check(Setting, vars(setting()) | {"runs": {}, "fused": "frame"}, where="tasks")
    with pytest.raises(ValueError, match=r"tasks\.segmentation\.fused is 'frame'"):
        require_runs("segmentation", fused)


@pytest.mark.parametrize("weight", [-0.1, float("inf")])
def test_a_weight_out_of_range_is_named(weight):
    row = tiny()["tasks"]["segmentation"]["runs"]["explicit_03"] | {"weight": weight}
    with pytest.raises(ValueError, match=r"weight: .*"):
        check(Row, row, where="tasks.segmentation.runs.explicit_03")
