import logging

import pytest

from attnlabels.labelling.skipped import Unlabelled, leave_out


def test_an_image_without_a_label_stops_the_run_or_is_noted(caplog):
    skipped = ["before.png"]
    with pytest.raises(Unlabelled, match=r"^a\.png: cut short$"):
        leave_out(skipped, "a.png", "a.png: cut short", broken="stop")
    assert skipped == ["before.png"]
    with caplog.at_level(logging.INFO, logger="attnlabels"):
        leave_out(skipped, "a.png", "a.png: cut short", broken="skip")
    assert skipped == ["before.png", "a.png"]
    assert caplog.messages == ["left out: a.png: cut short"]
