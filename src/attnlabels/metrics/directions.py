"""Feature vectors near length 1, as cosine similarity compares their directions alone."""

import numpy as np


def scale_rows(rows: np.ndarray) -> None:
    """Bring each row's largest value to between a half and 1, in place; a row of zeros stays.

    By a power of two, and so exactly. In float32 the square of 1e-25 is 0 and that of 1e20
    infinite: features of such a size have a direction, but no length could be told.
    """
    _, exponents = np.frexp(np.abs(rows).max(axis=1, keepdims=True))
    rows *= np.ldexp(np.float32(1), np.minimum(-exponents, 126))  # 127 is the last there is
