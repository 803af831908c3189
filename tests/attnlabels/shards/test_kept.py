import pytest

from attnlabels.shards.kept import keep_shard


def samples_that_raise(error):
    raise error
    yield  # a generator


def keep(folder, samples=()):
    path = folder / "shard-000000.tar"
    keep_shard(path, samples, n_classes=1, images=folder, skipped=[])


def test_a_folder_that_cannot_be_written_is_one_line_with_the_variable(tmp_path):
    (tmp_path / "scratch").write_text("a file in the folder's place")
    with pytest.raises(OSError, match=r"shard-000000.tar: cannot be written \(Not a .*; set ATTN"):
        keep(tmp_path / "scratch")


def test_an_image_that_cannot_be_read_is_not_taken_for_the_shard(tmp_path):
    missing = tmp_path / "images" / "a.jpg"
    for error in (FileNotFoundError(2, "No such file", str(missing)), OSError(5, "I/O error")):
        with pytest.raises(OSError) as raised:
            keep(tmp_path, samples_that_raise(error))
        assert raised.value is error
        assert [*tmp_path.iterdir()] == []
