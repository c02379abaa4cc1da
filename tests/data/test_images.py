"""Pictures of every kind become the same grey square."""

import numpy as np
import pytest
from PIL import Image

from fedfeat.data.images import grey, square

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_modes_give_the_same_grey(mode: str) -> None:
    picture = Image.fromarray(RAMP).convert(mode)
    assert np.abs(square(picture, 64).astype(int) - RAMP).max() <= (3 if mode == "P" else 0)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    picture = Image.fromarray(RAMP.astype(np.uint16) * 256)
    assert np.array_equal(np.asarray(grey(picture)), RAMP)


def test_the_whole_picture_is_squeezed() -> None:
    wide = Image.fromarray(np.repeat(RAMP, 2, axis=1))
    assert square(wide, 32).shape == (32, 32)
    assert np.abs(square(wide, 64).astype(int) - RAMP).max() <= 3
