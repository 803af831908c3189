"""The shape in which a teacher is shown an image: its own, with as many pixels as it was taught."""

STEP = 32  # pixels: sides are multiples, as the network's deepest stride is
SAME_SHAPE = 0.05  # by which share two shapes may differ and be taken for one


def input_size(trained: tuple[int, int], *, like: tuple[int, int]) -> tuple[int, int]:
    """The height and width to show an image at, of about the shape `like` has.

    Those of `trained` themselves, if that is its shape; otherwise multiples of 32 pixels with about
    the same product. A side is at least 32, so that an image longer than that allows is squeezed.
    """
    area, (h, w) = trained[0] * trained[1], like
    if abs(h * trained[1] / (w * trained[0]) - 1) < SAME_SHAPE:
        return trained
    longest = area / STEP
    height, width = (area * h / w) ** 0.5, (area * w / h) ** 0.5
    return _multiple(min(height, longest)), _multiple(min(width, longest))


def _multiple(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)
