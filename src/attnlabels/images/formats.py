"""What an encoded image is by its first bytes, whatever its name says, and where it ends."""

import re

JPEG_START, PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
ENDS = {"jpg": b"\xff\xd9", "png": b"IEND\xaeB`\x82"}  # of a whole file
STARTS = {
    JPEG_START: "jpg",
    PNG_START: "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}
KINDS = ("jpg", "png", "webp", "tif", "bmp", "gif", "avif", "heic")  # also their suffixes
AVIF = (b"avif", b"avis")
HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")  # brands
SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # a mark within a JPEG's scan that ends it
SCAN, END, ALONE = 0xDA, 0xD9, {0x01, *range(0xD0, 0xD9)}  # marks; those that have no length
SEVERAL = b"\xff\xe2", b"MPF\0"  # the segment of a JPEG that announces pictures behind the first


def kind_of(data: bytes) -> str:
    """One of KINDS, or an empty string for what is none of them."""
    for start, kind in STARTS.items():
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        brands = {data[at : at + 4] for at in (8, *range(16, min(data[3], 64), 4))}
        return "avif" if brands & {*AVIF} else "heic" if brands & {*HEIC} else ""
    return ""


def end_of(data: bytes) -> int:
    """The byte at which an image ends, which other bytes may follow; `len(data)` if none is known.

    Known of JPEG, PNG and WebP. What a camera announces to follow, as phones do, belongs to it.
    """
    kind = kind_of(data)
    if kind == "png":
        found = data.find(ENDS["png"])
        return len(data) if found < 0 else found + len(ENDS["png"])
    if kind == "webp":
        return min(8 + int.from_bytes(data[4:8], "little"), len(data))
    return _end_of_jpeg(data) if kind == "jpg" else len(data)


def _end_of_jpeg(data: bytes) -> int:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        mark, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if (data[at : at + 2], data[at + 4 : at + 8]) == SEVERAL:
            break
        if mark == 0xFF:  # a byte that fills
            at += 1
        elif mark in ALONE:
            at += 2
        elif mark == END:
            return at + 2
        else:
            at += 2 + length
        if mark == SCAN:
            found = SCAN_END.search(data, at)
            at = found.start() if found else len(data)
    return len(data)
