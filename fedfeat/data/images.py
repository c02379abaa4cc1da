"""Pictures to grey squares, as the released protocol has them: the whole picture squeezed, nothing cropped."""

import numpy as np
from PIL import Image, ImageOps


def grey(picture: Image.Image) -> Image.Image:
    """Return the picture as 8-bit grey ("L"), turned as its EXIF orientation says, which is how viewers show it.

    16-bit values keep their upper byte, transparency is dropped.

    Raises:
        ValueError: there is no one way to read its values as grey.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16-bit PNGs open as "I;16" or "I", which PIL would clip at 255, not scale
        values = np.asarray(picture, dtype=np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"values from {values.min()} to {values.max()}; save it with 8 or 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if picture.mode == "F":  # PIL would clip at 255, so that a picture in [0, 1] became black
        raise ValueError("floating-point values, whose range no one knows; save it with 8 or 16 bits")
    if picture.mode == "P":
        picture = picture.convert("RGBA")  # PIL warns of palettes with transparency otherwise
    return picture.convert("L")


def square(picture: Image.Image, size: int) -> np.ndarray:
    """Return (size, size) uint8, resized bilinearly with antialiasing."""
    picture = grey(picture)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)
