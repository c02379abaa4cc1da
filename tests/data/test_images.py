"""Pictures of every kind become the same grey square."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from fedfeat.data.images import grey, square

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_modes_give_the_same_grey(mode: str) -> None:
    picture = Image.fromarray(RAMP).convert(mode)
    assert np.abs(square(picture, 64).astype(int) - RAMP).max() <= (3 if mode == "P" else 0)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    picture = Image.fromarray(RAMP.astype(np.uint16) * 256)
    assert np.array_equal(np.asarray(grey(picture)), RAMP)


def reopened(picture: Image.Image, kind: str, **options: Any) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return Image.open(file)


def test_a_cmyk_jpeg_is_not_inverted() -> None:
    picture = reopened(Image.fromarray(RAMP).convert("RGB").convert("CMYK"), "JPEG", quality=95)
    assert picture.mode == "CMYK"
    assert np.abs(np.asarray(grey(picture)).astype(int) - RAMP).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_picture_is_turned_as_its_exif_orientation_says(kind: str) -> None:
    lying = Image.fromarray(RAMP).rotate(90)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be shown turned by 90 degrees, clockwise
    assert np.abs(np.asarray(grey(reopened(lying, kind, exif=exif))).astype(int) - RAMP).max() <= 3
    assert np.abs(np.asarray(grey(reopened(lying, kind))).astype(int) - RAMP).max() > 200


def test_transparency_is_dropped_without_a_warning() -> None:
    picture = reopened(Image.fromarray(RAMP).convert("P"), "PNG", transparency=bytes([0] * 128 + [255] * 128))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.abs(np.asarray(grey(picture)).astype(int) - RAMP).max() <= 3


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_sixteen_bit_files_keep_their_upper_byte(dtype: type) -> None:
    picture = reopened(Image.fromarray(RAMP.astype(dtype) * 256 + 255), "TIFF")
    assert picture.mode.startswith("I")
    assert np.array_equal(np.asarray(grey(picture)), RAMP)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (RAMP.astype(np.float32) / 255, "floating-point values"),
        (RAMP.astype(np.int32) * 1000, "values from 0 to 252000"),
        (RAMP.astype(np.int32) - 1000, "values from -1000 to -748"),
    ],
)
def test_values_without_a_known_range_are_refused(values: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=f"{says}.*; save it with 8 or 16 bits"):
        grey(reopened(Image.fromarray(values), "TIFF"))


def test_the_whole_picture_is_squeezed() -> None:
    wide = Image.fromarray(np.repeat(RAMP, 2, axis=1))
    assert square(wide, 32).shape == (32, 32)
    assert np.abs(square(wide, 64).astype(int) - RAMP).max() <= 3
