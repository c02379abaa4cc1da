"""The file of pictures, called as `making` calls it."""

from pathlib import Path

import numpy as np
from PIL import Image

from fedfeat.data.disk.decoding import LOG, decode
from fedfeat.data.folders import BrokenPicture


def test_a_broken_picture_is_black_even_where_another_lay(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    assert not decode(path, ["a", "b"], _grey, 4, 0, 1, _silent)
    (tmp_path / LOG).unlink()  # as when the list of pictures has changed
    broken = decode(path, ["a", "broken"], _grey, 4, 1, 1, _silent)
    assert broken == {1: "broken"}
    np.testing.assert_array_equal(np.load(path), np.stack([np.full((4, 4), 97), np.zeros((4, 4))]))


def _grey(key: str) -> Image.Image:
    if key == "broken":
        raise BrokenPicture(key)
    return Image.new("L", (8, 8), ord(key))


def _silent(more: int, already: bool) -> None:
    """No bar."""
