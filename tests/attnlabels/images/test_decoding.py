import errno
import importlib.util
import io
import os
import re
import struct
from functools import partial
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from attnlabels.images import decoding
from attnlabels.images.decoding import (
    decode,
    decode_reduced,
    fault_of,
    read_image,
    reduction,
    resize,
    resize_map,
)
from attnlabels.images.formats import end_of

RED, GREEN = (200, 30, 20), (10, 180, 40)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def photograph(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Left half red, right half green."""
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2], pixels[:, size[0] // 2 :] = RED, GREEN
    return Image.fromarray(pixels).convert(mode)


def noise(side: int = 120) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", quality=90)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ENOENT, "no longer there; put it back"),
        (errno.EACCES, "may not be read; make it readable (chmod +r)"),
        (errno.EPERM, "may not be read; make it readable (chmod +r)"),
    ],
)
def test_a_file_that_is_gone_or_forbidden_has_a_fault(tmp_path, monkeypatch, number, why):
    def refused(path):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert fault_of(tmp_path / "a.jpg") == f"{tmp_path}/a.jpg: {why}"


def test_a_disk_that_fails_is_no_fault_of_an_image(tmp_path, monkeypatch):
    def fails(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(OSError, match="Input/output error"):
        fault_of(tmp_path / "a.jpg")


def test_channels_are_red_green_blue():
    pixels = decode(encoded(photograph(), "PNG"), name="a.png")
    assert pixels.dtype == np.uint8 and pixels.shape == (48, 64, 3)
    assert tuple(pixels[0, 0]) == RED and tuple(pixels[-1, -1]) == GREEN


@pytest.mark.parametrize(("mode", "kind"), [("P", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG")])
def test_palette_alpha_and_cmyk_become_rgb(mode, kind):
    pixels = decode(encoded(photograph(mode), kind), name="a")
    expected = np.asarray(photograph(mode).convert("RGB"), int)
    assert np.abs(pixels - expected)[:, [0, 20, 40, 63]].max() <= 12


def test_grey_is_repeated_over_the_channels():
    pixels = decode(encoded(photograph("L"), "JPEG"), name="a.jpg")
    assert pixels.shape == (48, 64, 3)
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
@pytest.mark.parametrize("value", [0, 0x00FF, 0x8011, 0xFFFF])
def test_sixteen_bits_are_reduced_to_their_upper_eight(value, channels):
    _, png = cv2.imencode(".png", np.full((4, 4, *channels), value, np.uint16))
    assert (decode(png.tobytes(), name="a.png") == value >> 8).all()


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_a_tiff_of_a_compression_that_pillow_alone_reads(compression, mode):
    image = photograph(mode)
    if mode == "RGBA":
        image.putalpha(7)
    pixels = decode(encoded(image, "TIFF", compression=compression), name="a.tif")
    assert np.array_equal(pixels, np.asarray(photograph(mode).convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_has_the_colour_stored_for_it(mode):
    image = photograph(mode)
    image.putalpha(0)
    expected = photograph("RGB").convert(mode[:-1]).convert("RGB")
    assert np.array_equal(decode(encoded(image, "PNG"), name="a.png"), np.asarray(expected))


def test_a_transparent_colour_of_a_palette_is_that_colour():
    data = encoded(photograph("P"), "PNG", transparency=photograph("P").getpixel((0, 0)))
    assert np.array_equal(decode(data, name="a"), np.asarray(photograph("P").convert("RGB")))


def test_one_bit_is_black_or_white():
    board = np.indices((9, 11)).sum(0) % 2 == 1
    pixels = decode(encoded(Image.fromarray(board), "PNG"), name="a.png")
    assert np.array_equal(pixels, np.repeat(board[..., None] * np.uint8(255), 3, axis=2))


OTHERS = ["BMP", "GIF", "TIFF", "WEBP", "AVIF"]


@pytest.mark.parametrize("kind", OTHERS)
def test_another_format_than_the_suffix_says_is_read(kind):
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}.get(
        kind, {}
    )
    data = encoded(photograph(), kind, **options)
    found = decode(data, name="a.jpg").astype(int)
    assert np.abs(found - np.asarray(photograph())).max() <= (2 if kind == "AVIF" else 0)


def test_an_avif_is_read_by_pillow_where_opencv_was_built_without_it(monkeypatch):
    monkeypatch.setattr(decoding, "BY_PILLOW", {"heic", "avif"})
    data = encoded(photograph(), "AVIF", quality=100, subsampling="4:4:4")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    assert np.abs(decode(data, name="a").astype(int) - np.asarray(photograph())).max() <= 2


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 3)], ids=["grey", "colour"])
def test_what_is_wrong_with_a_tiff_may_be_its_32_bits(shape, capfd):
    _, data = cv2.imencode(".tif", np.zeros(shape, np.float32))
    said = "^a.tif: .*; fetch it again, or convert it if its samples have more than 16 bits"
    with pytest.raises(ValueError, match=said):
        decode(data.tobytes(), name="a.tif")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def test_a_heic_photograph_wants_a_library_and_says_so():
    if importlib.util.find_spec("pillow_heif"):
        pytest.skip("pillow-heif is installed")
    with pytest.raises(ValueError, match="^a.heic: HEIF is read with pillow-heif alone; install"):
        decode(HEIC, name="a.heic")


def test_a_heic_photograph_is_read_where_its_library_is():
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(photograph()).save(stream, quality=-1)
    found = decode(stream.getvalue(), name="a.heic").astype(int)
    assert np.abs(found - np.asarray(photograph())).max() <= 4


@pytest.mark.parametrize("kind", [*OTHERS, "PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_of_any_format_that_is_cut_short_is_refused(kind, share):
    data = encoded(Image.open(io.BytesIO(noise())), kind)
    with pytest.raises(
        ValueError, match=r"^a: (truncated or (damaged|not an image)|damaged or not)"
    ):
        decode(data[: int(share * len(data))], name="a")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "AVIF"])  # the others have no checksum
def test_a_file_whose_middle_is_lost_is_refused(kind):
    data = encoded(Image.open(io.BytesIO(noise())), kind)
    third = len(data) // 3
    with pytest.raises(ValueError, match=r"^a: (truncated|damaged) or not an image"):
        decode(data[:third] + bytes(third) + data[2 * third :], name="a")


@pytest.mark.parametrize("first", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("second", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("between", [b"", bytes(7)])
def test_two_files_glued_together_are_refused(first, second, between):
    one = encoded(photograph(), first)
    with pytest.raises(ValueError, match=rf"^a: a second image .* ends at byte {len(one)}; keep"):
        decode(one + between + encoded(photograph(), second), name="a")


def test_a_thumbnail_within_a_jpeg_is_no_second_image():
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(noise(20))) + noise(20)
    data = noise()
    assert np.array_equal(decode(data[:2] + exif + data[2:], name="a"), decode(data, name="a"))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restarts", [0, 2])
def test_the_end_of_a_jpeg_is_found_behind_all_its_scans(progressive, restarts):
    image = Image.open(io.BytesIO(noise()))
    options = {"progressive": progressive, "restart_marker_blocks": restarts}
    data = encoded(image, "JPEG", **options)
    assert end_of(data + noise()) == len(data)


def test_pictures_that_a_camera_announces_behind_the_first_belong_to_it():
    stream = io.BytesIO()
    photograph().save(stream, "MPO", save_all=True, append_images=[photograph("L")])
    assert decode(stream.getvalue(), name="a").shape == (48, 64, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 10_000), (10_000, 3)])
def test_the_smallest_and_the_longest_are_read(h, w, kind):
    pixels = decode(encoded(Image.new("RGB", (w, h), (90, 90, 90)), kind), name="a")
    assert pixels.shape == (h, w, 3) and (pixels == 90).all()


def test_ten_thousand_by_ten_thousand_is_within_the_limit():
    assert 10_000**2 <= decoding.LARGEST == 2**27  # as the docstring says


def png_of(w: int, h: int) -> bytes:
    """A PNG of a few bytes whose header tells of w x h pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc32(kind + content))
        for kind, content in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_of(w: int, h: int) -> bytes:
    """A small JPEG with EXIF data before its size, which is then said to be w x h."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    data = encoded(photograph(), "JPEG", exif=exif)
    small, large = (struct.pack(">HH", *size) for size in ((48, 64), (h, w)))
    assert data.count(small) == 1
    return data.replace(small, large)


def bmp_of(w: int, h: int) -> bytes:
    data = encoded(photograph(), "BMP")
    return data[:18] + struct.pack("<ii", w, h) + data[26:]


@pytest.mark.parametrize("made", [png_of, jpeg_of, bmp_of])
@pytest.mark.parametrize(("w", "h"), [(12_000, 11_185), (65_000, 65_000)])
def test_a_bomb_is_refused_by_its_header(monkeypatch, made, w, h):
    def decoded(*_):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decoded)
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    for read in (decode, partial(decode_reduced, size=(h, w), reduction=8)):
        with pytest.raises(ValueError, match="^bomb: .*134,217,728"):
            read(made(w, h), name="bomb")


def test_a_bomb_behind_a_mark_without_length_is_refused():
    bomb = b"\xff\xd8\xff\xd0" + jpeg_of(65_000, 65_000)[2:]
    skipped = struct.unpack_from(">H", bomb, 4)[0]  # were the next mark a length
    small = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, 48, 64) + b"\xff\xd9"
    with pytest.raises(ValueError, match="^bomb: .*134,217,728"):
        decode(bomb.ljust(4 + skipped, b"\0") + small, name="bomb")


@pytest.mark.parametrize("made", [png_of, jpeg_of, bmp_of])
def test_a_size_within_the_limit_is_not_refused_for_its_header(monkeypatch, made):
    grey = np.full((4, 4, 3), 128, np.uint8)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: grey)
    monkeypatch.setattr(decoding, "_decode_jpeg", lambda *_: grey)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: None)
    decode(made(12_000, 11_184), name="large")


def test_orientation_is_ignored_so_that_annotated_pixels_stay_where_they_are():
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees to show"
    assert decode(encoded(photograph(), "JPEG", exif=exif), name="a").shape == (48, 64, 3)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_truncated_jpeg_is_refused_by_name(share):
    data = noise()
    cut = data[: int(share * len(data))]
    with pytest.raises(ValueError, match=r"n01/cut\.jpg: truncated .*fetch it again"):
        decode(cut, name="n01/cut.jpg")


def test_truncated_jpeg_is_refused_even_where_opencv_would_read_it(monkeypatch):
    grey = np.full((4, 4, 3), 128, np.uint8)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: grey)  # as OpenCV 4 does
    with pytest.raises(ValueError, match="cut.jpg: truncated"):
        decode(noise()[:-900], name="cut.jpg")


def test_truncated_png_is_refused_by_name():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    data = encoded(Image.fromarray(pixels), "PNG")
    with pytest.raises(ValueError, match=r"cut\.png: truncated"):
        decode(data[:-40], name="cut.png")


def test_bytes_after_the_end_of_a_whole_jpeg_are_harmless():
    assert np.array_equal(decode(noise() + b"\0\0", name="a"), decode(noise(), name="a"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("length", [2, 9, 20, 30])
def test_a_file_cut_in_its_header_is_refused_by_name(kind, length):
    with pytest.raises(ValueError, match="cut.jpg: truncated or (damaged|not an image) .*bytes"):
        decode(encoded(photograph(), kind)[:length], name="cut.jpg")


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"\xff\xd8 no image \xff\xd9"])
def test_what_is_no_image_is_refused_by_name(data):
    with pytest.raises(ValueError, match=r"page\.jpg.*bytes: none of JPEG, .*fetch it again"):
        decode(data, name="page.jpg")


def test_read_image_names_the_whole_path(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(noise()[:2000])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_image(path)


@pytest.mark.parametrize(
    ("side", "times"), [(10, 1), (127, 1), (128, 2), (255, 2), (256, 4), (511, 4), (4000, 8)]
)
def test_reduction_leaves_as_many_pixels_as_are_asked(side, times):
    assert reduction(noise(), side=side, size=64) == times


def test_only_jpegs_are_reduced():
    assert reduction(encoded(photograph(), "PNG"), side=4000, size=64) == 1


def test_a_photograph_that_is_not_reduced_is_decoded_exactly():
    found = decode_reduced(noise(), size=(120, 120), reduction=1, name="a")
    assert np.array_equal(found, decode(noise(), name="a"))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("times", [2, 4, 8])
def test_a_reduced_photograph_is_near_the_means_of_areas(times, progressive, mode):
    exif = Image.Exif()
    exif[0x0112] = 6  # ignored, as in full
    smooth = cv2.GaussianBlur(decode(noise(128), name="a"), (0, 0), 12)[:, :96]
    image = Image.fromarray(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)).convert(mode)
    data = encoded(image, "JPEG", quality=95, exif=exif, progressive=progressive)
    found = decode_reduced(data, size=(128, 96), reduction=times, name="a").astype(int)
    means = resize(decode(data, name="a"), 128 // times, 96 // times)
    assert found.shape == means.shape and abs(found - means).max() <= 5


def test_a_reduced_side_is_rounded_up():
    data = encoded(photograph(size=(65, 47)), "JPEG")
    assert decode_reduced(data, size=(47, 65), reduction=4, name="a").shape == (12, 17, 3)


def test_a_photograph_of_another_size_than_said_is_refused():
    with pytest.raises(ValueError, match="a.jpg: 60 x 60 pixels at 1/2; expected 60 x 80"):
        decode_reduced(noise(), size=(120, 160), reduction=2, name="a.jpg")


def test_shrinking_averages_every_pixel():
    board = np.indices((64, 64)).sum(0).astype(np.uint8) % 2 * 200
    assert (resize(board, 16, 16) == 100).all()


def test_enlarging_keeps_a_constant_image_and_the_asked_shape():
    assert (resize(np.full((5, 7, 3), 90, np.uint8), 20, 30) == 90).all()
    assert resize(np.zeros((5, 7, 3), np.uint8), 20, 30).shape == (20, 30, 3)


def stripes(h, w):
    """Stripes of one pixel, across or down, whichever side is the longer."""
    return (255 * (np.indices((h, w))[int(w > h)] % 2)).astype(np.uint8)


@pytest.mark.parametrize("size", [(200, 500), (500, 200), (256, 500), (500, 256)])
def test_a_side_that_shrinks_is_averaged_though_the_other_grows(size):
    # 3.5 where both sides shrink; 88.9 where what is between pixels was taken
    grey = stripes(*size)
    assert resize(grey, 256, 256).std() < 10
    assert resize(np.stack([grey] * 3, axis=2), 256, 256).std() < 10
    assert resize_map(grey.astype(np.float32), 256, 256).std() < 10


def test_a_side_that_grows_is_as_smooth_though_the_other_shrinks():
    ramp = np.repeat(np.arange(8, dtype=np.float32)[:, None], 64, axis=1)
    np.testing.assert_allclose(resize(ramp, 32, 16), resize(ramp[:, :16], 32, 16))


def test_enlarging_is_bilinear_and_shrinking_takes_means():
    small = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    enlarged = resize_map(small, 2, 4)
    np.testing.assert_allclose(enlarged[0], [0, 0.25, 0.75, 1])
    large = np.random.default_rng(0).random((6, 8), np.float32)
    means = large.reshape(3, 2, 2, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(resize_map(large, 3, 2), means, atol=1e-6)


def test_enlarging_one_side_stays_bilinear_where_the_other_shrinks():
    ramp = np.repeat(np.arange(4, dtype=np.float32)[None], 9, axis=0)
    found = resize_map(ramp, 3, 16)
    np.testing.assert_allclose(np.diff(found[0, 2:-2]), 0.25, atol=1e-6)


def test_a_map_of_the_right_size_is_kept():
    map = np.random.default_rng(0).random((6, 8), np.float32)
    assert np.array_equal(resize_map(map, 6, 8), map)


WHOLE = {
    "JPEG": noise(40),
    "progressive JPEG": encoded(
        Image.open(io.BytesIO(noise(40))), "JPEG", progressive=True, restart_marker_blocks=3
    ),
    **{kind: encoded(Image.open(io.BytesIO(noise(40))), kind) for kind in ["PNG", *OTHERS]},
    "tiled TIFF": encoded(
        Image.open(io.BytesIO(noise(40))), "TIFF", compression="tiff_lzw", tiffinfo={700: b"xmp"}
    ),
    "palette": encoded(photograph("P"), "PNG", transparency=3),
    "MPO": encoded(photograph(), "MPO", save_all=True, append_images=[photograph("L")]),
}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damaged_image_gives_another_error_than_ours(data):
    """A right file with one thing wrong: bytes replaced, taken out, repeated or of another file."""
    whole = WHOLE[data.draw(st.sampled_from([*WHOLE]))]
    # most of what can be wrong is in the headers
    at = data.draw(st.one_of(st.integers(0, 120), st.integers(0, len(whole) - 1)))
    n = data.draw(st.sampled_from([1, 2, 4, 50, 1000]))
    other = WHOLE[data.draw(st.sampled_from([*WHOLE]))]
    spoilt = data.draw(
        st.sampled_from(
            [
                whole[:at] + bytes(n) + whole[at + n :],
                whole[:at] + b"\xff" * n + whole[at + n :],
                whole[:at] + bytes([whole[min(at, len(whole) - 1)] ^ 1]) + whole[at + 1 :],
                whole[:at] + whole[at + n :],
                whole[:at] + whole[max(at - n, 0) :],
                whole[:at] + other[at:],
                whole + other[at:],
            ]
        )
    )
    try:
        assert decode(spoilt, name="a.jpg").shape[2] == 3
    except ValueError as error:
        assert str(error).startswith("a.jpg: ") and " object at 0x" not in str(error)
        assert "\n" not in str(error)


def large(seed: int, **options) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    smooth = cv2.resize(pixels, (400, 300), interpolation=cv2.INTER_CUBIC)
    return encoded(Image.fromarray(smooth), "JPEG", quality=85, **options)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kind", ["cut", "zero", "other", "end"])
def test_a_jpeg_whose_middle_is_lost_is_refused_by_what_its_decoder_says(kind, progressive):
    data, other = (large(seed, progressive=progressive) for seed in (0, 1))
    a, b = len(data) // 3, 2 * len(data) // 3
    spoilt = {
        "cut": data[:a] + data[b:],
        "zero": data[:a] + bytes(b - a) + data[b:],
        "other": data[:a] + other[len(other) // 2 :],
        "end": data[:a] + b"\xff\xd9",
    }[kind]
    with pytest.raises(ValueError, match=r"^a: truncated or (damaged|not an image)"):
        decode(spoilt, name="a")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("times", [1, 2, 4, 8])
def test_the_bits_of_a_jpeg_are_those_of_opencv(mode, times):
    data = encoded(Image.open(io.BytesIO(large(0))).convert(mode), "JPEG", quality=85)
    flags = decoding.FLAGS[times] | cv2.IMREAD_IGNORE_ORIENTATION
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    found = decode_reduced(data, size=(300, 400), reduction=times, name="a")
    assert np.array_equal(found, expected)


def test_an_odd_version_in_the_header_is_no_damage():
    data = large(0)
    at = data.index(b"JFIF\0") + 5
    assert np.array_equal(
        decode(data[:at] + b"\0" + data[at + 1 :], name="a"), decode(data, name="a")
    )
