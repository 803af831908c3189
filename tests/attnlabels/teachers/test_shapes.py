import pytest

from attnlabels.teachers.shapes import input_size


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        ((300, 400), (288, 384)),
        ((300, 390), (288, 384)),
        ((400, 300), (384, 288)),
        ((1000, 1000), (320, 320)),
        ((100, 400), (160, 672)),
        ((10, 4000), (32, 3456)),
        ((4000, 1), (3456, 32)),
    ],
)
def test_an_image_is_shown_in_its_own_shape(like, expected):
    assert input_size((288, 384), like=like) == expected
