"""Pictures to grey squares, as the released protocol has them: the whole picture squeezed, nothing cropped."""

import numpy as np
from PIL import Image


def grey(picture: Image.Image) -> Image.Image:
    """Return the picture as 8-bit grey ("L"); 16-bit values keep their upper byte, transparency is dropped."""
    if picture.mode.startswith("I"):  # 16-bit PNGs open as "I;16" or "I", which PIL would clip at 255, not scale
        values = np.asarray(picture, dtype=np.int64)
        return Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8))
    return picture.convert("L")


def square(picture: Image.Image, size: int) -> np.ndarray:
    """Return (size, size) uint8, resized bilinearly with antialiasing."""
    picture = grey(picture)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)
