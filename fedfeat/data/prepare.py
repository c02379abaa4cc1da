"""From the table of studies to the arrays that training reads: decoded once, cached by content."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tokenizers import Tokenizer
from torch import Tensor

from fedfeat.data.images import square
from fedfeat.data.reports import fingerprint, tokenize
from fedfeat.data.studies import UNCERTAIN, Pictures, StudyTable
from fedfeat.errors import FedfeatError

MODALITIES = ("image", "text")  # also the order in which features are concatenated
DECODER_VERSION = 2  # raise it when `images.square` changes what it returns


@dataclass(frozen=True)
class Studies:
    """Rows as one holder has them: a client, the public set, or a split of the server.

    A modality that the holder lacks is not there: its array is None and no row says that it is present.

    Attributes:
        images: (n, 1, S, S) uint8 grey, or None.
        tokens: (n, T) int32 token ids, padded with `PAD_ID`, or None.
        targets: (n, L) float32 in {0, 1}.
        label_mask: (n, L) bool; False: unknown, left out of loss and AUC.
        present: for each of `MODALITIES`, (n,) bool; where False, the row's entry in the array holds zeros.
        patients: the n patient ids.
        rows: (n,) int64, row numbers in the source's table.
        reports: the n reports as they were written, "" where there is none; None without the modality, and in batches.
    """

    images: Tensor | None
    tokens: Tensor | None
    targets: Tensor
    label_mask: Tensor
    present: Mapping[str, Tensor]
    patients: tuple[str, ...]
    rows: Tensor
    reports: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that at least one row has."""
        return tuple(name for name in MODALITIES if bool(self.present[name].any()))

    def batch(self, index: Tensor) -> "Studies":
        """Return the rows `index`, with reports trimmed to the longest of them."""
        tokens = None if self.tokens is None else self.tokens[index]
        if tokens is not None and len(tokens):
            tokens = tokens[:, : max(1, int((tokens != 0).sum(1).max()))]
        return Studies(
            images=None if self.images is None else self.images[index],
            tokens=tokens,
            targets=self.targets[index],
            label_mask=self.label_mask[index],
            present={name: mask[index] for name, mask in self.present.items()},
            patients=(),
            rows=self.rows[index],
        )

    def only(self, modality: str) -> "Studies":
        """Return the same rows without the other modality."""
        kept = {name: mask if name == modality else torch.zeros_like(mask) for name, mask in self.present.items()}
        with_text = modality == "text"
        return replace(
            self,
            images=None if with_text else self.images,
            tokens=self.tokens if with_text else None,
            reports=self.reports if with_text else None,
            present=kept,
        )

    def paired(self, images: Tensor | None = None, tokens: Tensor | None = None) -> "Studies":
        """Return the studies with raw inputs in the rows that lack them; rows that have their own keep it.

        Args:
            images: (n, 1, S, S) uint8, an image for every row that lacks one; None: they go on lacking it.
            tokens: (n, T) int32, likewise.
        """
        filled, present = {"image": self.images, "text": self.tokens}, dict(self.present)
        for name, given in (("image", images), ("text", tokens)):
            if given is None:
                continue
            own, there = filled[name], present[name]
            kept = there.reshape(-1, *(1,) * (given.dim() - 1))
            filled[name] = given if own is None else torch.where(kept, own, given.to(own.dtype))
            present[name] = torch.ones_like(there)
        return replace(self, images=filled["image"], tokens=filled["text"], present=present)

    def to(self, device: torch.device) -> "Studies":
        """Return the same studies with every tensor on `device`."""
        return replace(
            self,
            images=None if self.images is None else self.images.to(device),
            tokens=None if self.tokens is None else self.tokens.to(device),
            targets=self.targets.to(device),
            label_mask=self.label_mask.to(device),
            present={name: mask.to(device) for name, mask in self.present.items()},
            rows=self.rows.to(device),
        )


@dataclass(frozen=True)
class Prepared:
    """All rows of a source as arrays (shapes as in `Studies`, NumPy), and where each row belongs."""

    table: StudyTable
    images: np.ndarray | Pictures
    tokens: np.ndarray
    targets: np.ndarray
    label_mask: np.ndarray
    present: Mapping[str, np.ndarray]
    digest: str
    pieces: Tokenizer

    @property
    def labels(self) -> tuple[str, ...]:
        """The L label names."""
        return self.table.labels

    def hold(self, rows: np.ndarray, modalities: Sequence[str] = MODALITIES) -> Studies:
        """Return what a holder of `modalities` has of `rows`; the arrays of other modalities are not read.

        Rows that have none of the modalities are left out.
        """
        seen = np.zeros(len(rows), dtype=bool)
        for name in modalities:
            seen |= self.present[name][rows]
        rows = rows[seen]
        none = np.zeros(len(rows), dtype=bool)
        return Studies(
            images=torch.from_numpy(self.images[rows][:, None]) if "image" in modalities else None,
            tokens=torch.from_numpy(self.tokens[rows]) if "text" in modalities else None,
            targets=torch.from_numpy(self.targets[rows]),
            label_mask=torch.from_numpy(self.label_mask[rows]),
            present={
                name: torch.from_numpy(self.present[name][rows] if name in modalities else none) for name in MODALITIES
            },
            patients=tuple(self.table.rows["patient"].to_numpy()[rows]),
            rows=torch.from_numpy(rows),
            reports=tuple(self.table.rows["report"].to_numpy()[rows]) if "text" in modalities else None,
        )

    def tokenized(self, written: Sequence[str]) -> Tensor:
        """Return the (n, T) int32 token ids of reports, as those of `tokens` came about."""
        return torch.from_numpy(tokenize(written, self.pieces, self.tokens.shape[1]))

    def rows_of(self, patients: Iterable[str]) -> np.ndarray:
        """Return the row numbers of these patients, ascending."""
        return np.flatnonzero(self.table.rows["patient"].isin(list(patients)).to_numpy())

    def split(self, name: str, site: str | None) -> np.ndarray:
        """Return the row numbers of a split, of one site or (None) of all, that have both modalities."""
        chosen = (self.table.rows["split"] == name).to_numpy()
        if site is not None:
            chosen = chosen & (self.table.rows["site"] == site).to_numpy()
        return np.flatnonzero(chosen & self.present["image"] & self.present["text"])


def resolve(findings: np.ndarray, uncertain: str, blank: str) -> tuple[np.ndarray, np.ndarray]:
    """Turn the table's findings into targets in {0, 1} and a mask of what is known, both (n, L)."""
    is_blank, is_uncertain = np.isnan(findings), findings == UNCERTAIN
    known = ~((is_blank & (blank == "masked")) | (is_uncertain & (uncertain == "masked")))
    positive = (findings == 1) | (is_uncertain & (uncertain == "ones"))
    return (positive & known).astype(np.float32), known


def prepare(table: StudyTable, image_size: int, pieces: Tokenizer, length: int, cache: Path) -> Prepared:
    """Decode and tokenize every row of the table.

    Raises:
        FedfeatError: an image cannot be read, or the pictures were prepared at another size.
    """
    stored = table.stored
    if stored is not None and stored.size != image_size:
        raise FedfeatError(
            f"{table.source}: its images were prepared at {stored.size} pixels, and the preset needs {image_size}; "
            "call `fedfeat prepare` with --preset, into another folder"
        )
    digest = hashlib.blake2b(digest_size=16)
    images: np.ndarray | Pictures
    if stored is None:
        images = decoded = _cached_images(table, image_size, cache)
        _update(digest, decoded)
    else:
        images = stored.pictures
        digest.update(stored.checksum.encode())
    present = {"image": (table.rows["image"] != "").to_numpy(), "text": (table.rows["report"] != "").to_numpy()}
    tokens = _tokens(table, present["text"], pieces, length)
    targets, label_mask = resolve(table.findings, table.uncertain, table.blank)
    for array in (tokens, targets, label_mask, *present.values()):
        _update(digest, array)
    for column in ("patient", "site", "split"):
        digest.update("\x1f".join(table.rows[column]).encode())
    digest.update(repr((table.labels, sorted(table.setups.items()))).encode())
    return Prepared(table, images, tokens, targets, label_mask, present, digest.hexdigest(), pieces)


def _update(digest: "hashlib.blake2b", array: np.ndarray) -> None:
    digest.update(f"{array.shape}{array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)


def _tokens(table: StudyTable, present: np.ndarray, pieces: Tokenizer, length: int) -> np.ndarray:
    """Return (n, length) int32 token ids, zeros where there is no report: those prepared, if they are the same."""
    stored = table.stored
    there = stored.tokens if stored is not None and stored.vocabulary == fingerprint(pieces) else None
    if there is not None and there.shape[1] == length:
        return there
    tokens = tokenize(table.rows["report"].tolist(), pieces, length)
    tokens[~present] = 0
    return tokens


def _decode(table: StudyTable, size: int) -> np.ndarray:
    images = np.zeros((len(table), size, size), dtype=np.uint8)
    for row, key in enumerate(table.rows["image"]):
        if key:
            images[row] = square(table.read_image(key), size)
    return images


def _cached_images(table: StudyTable, size: int, cache: Path) -> np.ndarray:
    if not table.content:
        return _decode(table, size)
    path = cache / "images" / f"{table.source}-{table.content}-{size}-v{DECODER_VERSION}.npy"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            try:
                images: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
                if images.shape == (len(table), size, size) and images.dtype == np.uint8:
                    return images
            except (OSError, ValueError, EOFError):
                pass  # absent or damaged: decode again
            images = _decode(table, size)
            _write_atomically(path, images)
    except OSError as error:
        raise FedfeatError(f"{path}: the cache cannot be written ({error.strerror}); set FEDFEAT_CACHE") from error
    return images


def _write_atomically(path: Path, array: np.ndarray) -> None:
    """Write an array; whoever does holds the lock, so that what is left beside it is of a process that was killed."""
    for left in path.parent.glob(f"{path.name}*.part"):
        left.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, array, allow_pickle=False)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
