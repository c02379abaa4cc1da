"""What is odd about studies is read as it is meant, and said; a method that breaks while running fails its case."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from fedfeat.data import manifest, reports
from fedfeat.data.prepare import Prepared, prepare
from fedfeat.results import store

COLUMN = "homogeneous and 8:0:2 and seed0"
FRACTURE = "Left out of the macro average, because the test rows hold one class only: Fracture"
NOT_UTF8 = "the manifest is not UTF-8 throughout: unreadable bytes were replaced"
METHOD = """
from dataclasses import dataclass

from fedfeat.imputers.base import Imputer


@dataclass(frozen=True)
class Faulty(Imputer):
    name = title = "faulty"

    def fill(self, ctx, features, present, targets):
        return {body}
"""
EACH = "{{name: {value} for name, feature in features.items()}}"
# what `fill` returns -> what the one line says
FAULTS = {
    EACH.format(value="feature[:, :3]"): r"fill returned shape \(\d+, 3\) for text, not shape \(\d+, \d+\)",
    EACH.format(value="feature[:1]"): r"fill returned shape \(1, \d+\) for text, not shape \(\d+, \d+\)",
    EACH.format(value="feature * float('nan')"): r"fill returned NaN or infinity for text in round 1 at client \d",
    EACH.format(value="feature + float('inf')"): r"fill returned NaN or infinity for text in round 1 at client \d",
    EACH.format(value="feature.tolist()"): "fill returned list, no tensor, for text",
    "features['text']": "fill returned Tensor, not features by modality",
    "None": "fill returned NoneType, not features by modality",
}


@dataclass(frozen=True)
class Ran:
    """The sessions of these tests: one on odd studies, and one of each fault, with the folders of their records."""

    odd: Any
    records: Path
    faults: list[Any]
    faulty: list[Path]


def redraw(folder: Path) -> None:
    """Save pictures as 16-bit, palette, transparent, CMYK and lying on their side with a note to turn them."""
    turn = Image.Exif()
    turn[ExifTags.Base.Orientation] = 6  # to be shown turned by 90 degrees, clockwise
    for number in range(30):
        path = folder / f"{number}.jpg"  # the content tells the format, whatever a file is called
        picture = Image.open(path).convert("L")
        kind = number % 5
        if kind == 0:
            Image.fromarray(np.asarray(picture, dtype=np.uint16) * 256 + 99).save(path, "PNG")
        elif kind == 1:
            picture.convert("P").save(path, "PNG", transparency=bytes([0] * 128 + [255] * 128))
        elif kind == 2:
            picture.convert("RGBA").save(path, "PNG")
        elif kind == 3:
            picture.convert("RGB").convert("CMYK").save(path, "JPEG", quality=100)
        else:
            picture.rotate(90, expand=True).save(path, "PNG", exif=turn)


@pytest.fixture(scope="module")
def plain(make_manifest: Callable[..., Path]) -> Path:
    """Studies of which the test rows hold one class of Fracture; a report has a letter that is not ASCII."""
    path = make_manifest()
    lines = [line[:-1] + "0" if ",test," in line else line for line in path.read_text().splitlines()]
    lines[1] = lines[1].replace("heart normal", "\u00d6dem")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def odd(make_manifest: Callable[..., Path], plain: Path) -> Path:
    """The same studies, written as old spreadsheets and many devices write them."""
    path = make_manifest()
    text = plain.read_text(encoding="utf-8").replace(",", ";")
    path.write_bytes(text.replace("\n", "\r\n").encode("latin-1"))
    redraw(path.parent)
    return path


@pytest.fixture(scope="module")
def ran(sessions: Callable[..., list[Any]], odd: Path, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("odd_input")
    records, faulty, lines = folder / "records", [], []
    lines.append(["-k", COLUMN, "--dataset", "manifest", "--data", odd, "--methods", "zero,uniform"])
    lines[0] += ["--records", records]
    for number, body in enumerate(FAULTS):
        method = folder / f"method{number}.py"
        method.write_text(METHOD.format(body=body))
        faulty.append(folder / str(number))
        line = ["-k", f"{COLUMN} and faulty", "--dataset", "manifest", "--data", plain]
        lines.append([*line, "--imputer", method, "--records", faulty[-1]])
    first, *others = sessions(lines)
    return Ran(first, records, others, faulty)


def read(path: Path, cache: Path) -> Prepared:
    return prepare(manifest.load(path), 24, reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16), 16, cache)


def test_odd_studies_are_read_as_the_plain_ones(plain: Path, odd: Path, tmp_path: Path) -> None:
    meant, found = read(plain, tmp_path), read(odd, tmp_path)
    reports_meant = ["\ufffddem" + text[4:] if "\u00d6" in text else text for text in meant.table.rows["report"]]
    assert found.table.rows["report"].tolist() == reports_meant
    assert reports_meant[0].startswith("\ufffd")
    assert found.table.rows.drop(columns="report").equals(meant.table.rows.drop(columns="report"))
    assert np.array_equal(found.targets, meant.targets)
    difference = np.abs(found.images.astype(int) - meant.images).reshape(len(found.images), -1)
    assert difference.max() <= 4, difference.max(1)
    assert meant.images[0].std() > 10
    assert found.table.notes == (NOT_UTF8,)
    assert meant.table.notes == ()


def test_a_label_of_one_class_is_left_out_alike_and_said(ran: Ran) -> None:
    assert (ran.odd.status, ran.odd.count("passed")) == (0, 2), ran.odd.output
    records = store.read(ran.records)
    assert [record.method for record in records] == ["uniform", "zero"]
    for record in records:
        scored = {name: auc for name, auc in record.per_label_auc.items() if auc is not None}
        assert (set(scored), record.labels_scored) == ({"Effusion", "Edema"}, 2)
        assert record.macro_auc == pytest.approx(sum(scored.values()) / 2)
    assert FRACTURE in ran.odd.output
    assert FRACTURE in (ran.records / "leaderboard.md").read_text(encoding="utf-8")


def test_bytes_that_are_not_utf8_are_noted_in_every_record_and_on_the_board(ran: Ran) -> None:
    assert [record.notes for record in store.read(ran.records)] == [[NOT_UTF8]] * 2
    assert f"Note: {NOT_UTF8}" in ran.odd.output


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=list(FAULTS))
def test_a_method_that_returns_what_it_must_not_fails_its_case(ran: Ran, number: int) -> None:
    session, folder = ran.faults[number], ran.faulty[number]
    assert (session.status, session.count("failed"), session.count("passed")) == (1, 1, 0), session.output
    assert "INTERNALERROR" not in session.output
    (summary,) = [line for line in session.output.splitlines() if line.startswith("FAILED ")]
    assert "CaseFailed: BadFill: method faulty: " in summary
    (record,) = store.read(folder)
    assert (record.status, record.macro_auc) == ("failed", None)
    assert record.error is not None
    assert re.match(f"BadFill: method faulty: {list(FAULTS.values())[number]}", record.error), record.error
    assert "\n" not in record.error
    assert sorted(path.name for path in folder.iterdir()) == [
        "homogeneous-8.0.2-faulty-seed0-manifest.json",
        "leaderboard.md",
    ]
