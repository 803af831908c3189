from attnlabels.tasks import classification, parts


def test_it_is_a_task_of_classification():
    for name in ("head", "loss", "answer", "scores"):
        assert getattr(parts, name) is getattr(classification, name)
    assert parts.SHOWN == ("image",)  # what `read` does: test_stills.py
