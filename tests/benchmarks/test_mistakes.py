"""Every mistake ends before anything is trained, in one line that names it and the way out."""

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

METHOD = """
from dataclasses import dataclass

from fedfeat.imputers.base import Imputer


@dataclass(frozen=True)
class {kind}(Imputer):
    name = title = "{name}"

    {parameter}
"""
FILL = "\n    def fill(self, ctx, features, present, targets):\n        return features\n"
COLUMN = ("-k", "homogeneous and 8:0:2 and seed0 and zero")
# what it is -> arguments, in which {...} stands for a file of `files`; and what the line must hold
MISTAKES: dict[str, tuple[str, list[str]]] = {
    "method": ("--methods zero,gan", ["method 'gan' is unknown", "fin", "zero"]),
    "method left empty": ("--methods=", ["method '' is unknown", "fin", "zero"]),
    "partition left empty": ("--partition=", ["partition '' is not I:T:M", "such as 8:0:2"]),
    "seeds left empty": ("--seeds=", ["--seeds : not a comma list of whole numbers"]),
    "data set": ("--dataset padchest", ["data set 'padchest' is unknown", "phantom, manifest"]),
    "preset": ("--preset huge", ["preset 'huge' is unknown", "phantom, light, paper"]),
    "malformed partition": ("--partition 8:2", ["partition '8:2' is not I:T:M", "such as 8:0:2"]),
    "seeds": ("--seeds one", ["--seeds one: not a comma list of whole numbers, such as 0,1,2"]),
    "no client": ("--partition 0:0:0", ["partition '0:0:0' is not I:T:M", "such as 8:0:2"]),
    "negative seed": ("--seeds=-1", ["--seeds -1: -1 is negative; use 0 or more"]),
    "imputer": ("--imputer {nowhere}", ["{nowhere}: there is no such file; name the Python file of your method"]),
    "imputer of two": ("--imputer {empty}", ["{empty}: 0 classes derive from fedfeat.Imputer"]),
    "imputer that breaks": ("--imputer {broken}", ["{broken}: the method cannot be imported", "mend the file"]),
    "imputer without defaults": (
        "--dataset manifest --data {good} --imputer {required} -k required",
        ["required", "value"],
    ),
    "imputer without fill": (
        "--imputer {unfilled}",
        ["{unfilled}: Unfilled does not define fill (nor pair)", "CONTRIBUTING.md"],
    ),
    "imputer that is no Python": ("--imputer {prose}", ["{prose}: the method cannot be imported (SyntaxError"]),
    "imputer of another kind": ("--imputer {good}", ["{good}: the method cannot be imported", "not a Python file"]),
    "imputer that leaves": ("--imputer {leaving}", ["{leaving}: the method cannot be imported (SystemExit: 0)"]),
    "imputer of a known name": (
        "--imputer {finer}",
        ["{finer}: the name 'finer' and the method 'fin' contain one another", "choose another"],
    ),
    "imputer no record can hold": (
        "--dataset manifest --data {good} --imputer {endless} -k endless",
        ["method endless: parameters", "value", "default that JSON can hold"],
    ),
    "impossible partition": (
        "--dataset manifest --data {good} --partition 90:0:2 -k homogeneous",
        ["partition 90:0:2: 92 clients and the public set need 94 training patients", "use fewer clients"],
    ),
    "no label": ("--dataset manifest --data {unlabelled}", ["{unlabelled}: no label column", "label:<name>"]),
    "no image": (
        "--dataset manifest --data {imageless}",
        ["{imageless}: row 3: image '1.jpg' cannot be read", "restore the file or leave the column empty"],
    ),
    "damaged image": (
        "--dataset manifest --data {damaged}",
        ["{damaged}: row 3: image '1.jpg' cannot be decoded", "replace"],
    ),
    **{
        f"manifest, {what}": (f"--dataset manifest --data {{{name}}}", [f"{{{name}}}: ", *says])
        for what, name, says in (
            ("no column", "reportless", ["column 'report' is missing", "patient_id, image, report"]),
            ("label value", "maybe", ["row 3, column label:Edema: 'maybe' is no label value", "use 1 (present)"]),
            ("label number", "two", ["row 3, column label:Edema: '2' is no label value", "leave it blank"]),
            ("bare row", "bare", ["row 3 has neither image nor report", "give it one of them or remove it"]),
            ("no patient", "nobody", ["row 3 has no patient_id", "give it one"]),
            ("split", "dev", ["row 3: split 'dev' is none of train, validate, test"]),
            ("truncated image", "truncated", ["row 3: image '1.jpg' cannot be decoded", "replace the file"]),
            ("image of no bytes", "hollow", ["row 3: image '1.jpg' cannot be decoded", "replace the file"]),
            ("bomb", "bomb", ["row 3: image '1.jpg' cannot be decoded", "decompression bomb", "replace the file"]),
            ("image of floats", "floats", ["row 3: image '1.tif' cannot be decoded", "save it with 8 or 16 bits"]),
            ("folder for an image", "nested", ["row 3: image '1.jpg' cannot be read", "restore the file"]),
            ("climbing image", "climbing", ["row 3: image '../1.jpg' lies outside", "use paths below it"]),
            ("absolute image", "absolute", ["row 3: image '/etc/passwd' lies outside", "use paths below it"]),
            ("linked image", "linked", ["row 3: image '1.jpg' lies outside", "use paths below it"]),
            ("two splits", "torn", ["patient 'p0' is in two splits", "keep every row of a patient in one"]),
            (
                "shared image",
                "lent",
                ["rows 2 and 3: image '0.jpg' is of two patients, 'p0'", "its own image"],
            ),
            ("twice a row", "twice", ["rows 2 and 68 are the same in every column", "remove one"]),
            ("no bytes", "zero", ["not a CSV", "see docs/manifest.md"]),
            ("no rows", "headed", ["the manifest has no rows", "add one row an image"]),
            ("a folder", "directory", ["the manifest cannot be read", "check --data"]),
            ("a column twice", "columns", ["column 'report' stands twice", "rename or remove one"]),
            ("a label twice", "labels", ["column 'label:Edema' stands twice", "rename or remove one"]),
            ("a label without a name", "anonymous", ["the column 'label:' names no label", "label:<name>"]),
            ("open quote", "unclosed", ["row 3: a quote is opened and never closed", "close it"]),
            ("a cell too many", "surplus", ["not a CSV", "line 3", "see docs/manifest.md"]),
        )
    },
    "one label to score": (
        "--dataset manifest --data {scarce}",
        ["the 16 rows of 'test' hold both classes of 1 label only", "at least 2 must be scored; add rows"],
    ),
    "no validation": ("--dataset manifest --data {unvalidated}", ["manifest", "'validate'", "add"]),
    "validation of one class": (
        "--dataset manifest --data {one_class}",
        ["both classes", "of 'validate' hold no label", "add rows"],
    ),
    "no data": ("--dataset manifest", ["--dataset manifest needs --data PATH"]),
    "data of none": ("--dataset phantom --data {good}", ["the data set phantom is embedded", "use --dataset manifest"]),
    "data nowhere": ("--dataset manifest --data {nowhere}", ["{nowhere}: the manifest cannot be read", "check --data"]),
    "device": (
        "--dataset manifest --data {good} --device tpu",
        ["--device tpu: no such device; use cpu, cuda or cuda:N"],
    ),
    "uncertain": ("--dataset manifest --data {good} --uncertain maybe", ["--uncertain maybe", "masked, zeros, ones"]),
    "weights": (
        "--dataset manifest --data {good} --preset paper",
        ["no ResNet-50 weights here", "--image-weights", "torchvision", "--from-scratch"],
    ),
    "text weights": (
        "--dataset manifest --data {good} --preset paper --image-weights {good}",
        ["bert-base-uncased is not in the Hugging Face cache", "--text-weights", "hf download", "--from-scratch"],
    ),
    "records": (
        "--dataset manifest --data {good} --records {good}",
        ["--records {good}", "not a folder"],
    ),
    "records left empty": ("--dataset manifest --data {good} --records=", ["--records .: name a folder of its own"]),
    "records below a file": (
        "--dataset manifest --data {good} --records {good}/records",
        ["{good}/records: records cannot be written there", "name another folder by --records"],
    ),
    "list of a smoke": (
        "--dataset manifest --data {good} --list --smoke",
        ["--list tells which records stand, and --smoke and --one-round save none", "leave one out"],
    ),
    "useless weights": (
        "--dataset manifest --data {good} --image-weights {good}",
        ["{good}: weights cannot be used, since the preset brings its own"],
    ),
}


@pytest.fixture(scope="module")
def files(make_manifest: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mistakes")
    found = {name: folder / f"{name}.py" for name in ("nowhere", "empty", "broken", "leaving", "prose")}
    found["leaving"].write_text("import sys\n\nsys.exit(0)\n")
    found["prose"].write_text("Fill the missing feature with what is likely.\n")
    for name, parameter, fill in (
        ("required", "value: float", FILL),
        ("endless", "value: float = float('inf')", FILL),
        ("finer", "value: float = 0.0", FILL),
        ("unfilled", "value: float = 0.0", ""),
    ):
        found[name] = folder / f"{name}.py"
        found[name].write_text(METHOD.format(kind=name.title(), name=name, parameter=parameter) + fill)
    found["empty"].write_text("")
    found["broken"].write_text("import no_such_module_at_all\n")
    for name in ("good", "unlabelled", "imageless", "damaged", "one_class"):
        found[name] = make_manifest()
    found["unvalidated"] = make_manifest(validate=0)
    found["unlabelled"].write_text(found["unlabelled"].read_text().replace("label:", ""))
    (found["imageless"].parent / "1.jpg").unlink()
    (found["damaged"].parent / "1.jpg").write_bytes(b"no picture")
    rows = [
        line[:-5] + "0,0,0" if ",validate," in line else line for line in found["one_class"].read_text().splitlines()
    ]
    found["one_class"].write_text("\n".join(rows) + "\n")
    return found | odd_manifests(make_manifest(), folder)


def odd_manifests(good: Path, folder: Path) -> dict[str, Path]:
    """Copy a manifest and its images once a mistake in its second row, or in the whole."""
    head, first, second, *others = good.read_text().splitlines()
    patient, image, report, split, *values = second.split(",")
    picture = (good.parent / image).read_bytes()
    Image.new("L", (8, 8)).save(folder / "bomb.png")
    small = (folder / "bomb.png").read_bytes()
    size = b"IHDR" + struct.pack(">II", 60_000, 60_000) + small[24:29]  # the file stays as small as it was
    bomb = small[:12] + size + struct.pack(">I", zlib.crc32(size)) + small[33:]

    def row(*changes: tuple[int, str]) -> str:
        cells = [patient, image, report, split, *values]
        for place, cell in changes:
            cells[place] = cell
        return "\n".join([head, first, ",".join(cells), *others])

    whole = row()
    texts = {
        "reportless": whole.replace("report", "text", 1),
        "maybe": row((5, "maybe")),
        "two": row((5, "2")),
        "bare": row((1, ""), (2, " ")),
        "nobody": row((0, "")),
        "dev": row((3, "dev")),
        "floats": row((1, "1.tif")),
        "climbing": row((1, "../1.jpg")),
        "absolute": row((1, "/etc/passwd")),
        "torn": row((0, "p0"), (3, "test")),
        "lent": row((1, "0.jpg")),
        "twice": f"{whole}\n{first}",
        "zero": "",
        "headed": head,
        "columns": f"{head},report\n" + "\n".join(f"{line},again" for line in (first, second, *others)),
        "labels": f"{head},label:Edema\n" + "\n".join(f"{line},0" for line in (first, second, *others)),
        "anonymous": f"{head},label:\n" + "\n".join(f"{line},0" for line in (first, second, *others)),
        "unclosed": row((2, f'"{report}')),
        "surplus": row((2, f"{report}, and no more")),
        "scarce": "\n".join(line[:-4] + ",0,0" if ",test," in line else line for line in whole.splitlines()),
        **dict.fromkeys(("truncated", "hollow", "bomb", "nested", "linked"), whole),
    }
    found = {"directory": folder}
    for name, text in texts.items():
        found[name] = shutil.copytree(good.parent, folder / f"{name} of images") / "studies.csv"
        found[name].write_text(text + "\n" if text else "")
    for name, content in (("truncated", picture[: len(picture) // 2]), ("hollow", b""), ("bomb", bomb)):
        (found[name].parent / image).write_bytes(content)
    Image.new("F", (8, 8)).save(found["floats"].parent / "1.tif")
    for name in ("nested", "linked"):
        (found[name].parent / image).unlink()
    (found["nested"].parent / image).mkdir()
    (found["linked"].parent / image).symlink_to(good.parent / image)
    return found


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="module")
def ended(sessions: Callable[..., list[Any]], files: dict[str, Path], records: Path) -> dict[str, Any]:
    """Make every mistake, each with a folder for records."""
    lines = []
    for number, (arguments, _) in enumerate(MISTAKES.values()):
        words = arguments.split(" -k ")
        chosen = ("-k", words[1]) if len(words) > 1 else COLUMN
        given = [word.format_map(files) for word in words[0].split()]
        lines.append(["--records", records / str(number), "--methods", "zero", "--seeds", "0", *given, *chosen])
    return dict(zip(MISTAKES, sessions(lines), strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_one_line(ended: dict[str, Any], files: dict[str, Path], mistake: str) -> None:
    session = ended[mistake]
    assert session.status == 4, session.output
    (line,) = session.errors
    for text in MISTAKES[mistake][1]:
        assert text.format_map(files) in line
    assert "Traceback" not in session.output
    assert "INTERNALERROR" not in session.output
    assert " leaderboard " not in session.output


def test_a_mistake_leaves_no_record(ended: dict[str, Any], records: Path) -> None:
    assert len(ended) == len(MISTAKES) >= 40
    assert list(records.rglob("*")) == []


def test_workers_name_a_mistake_as_well(command: Callable[..., Any], files: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    line = ["--dataset", "manifest", "--data", files["imageless"], *COLUMN, "--records", tmp_path / "records"]
    session = command("-n", 1, *line)
    assert session.status != 0
    assert "image '1.jpg' cannot be read" in session.output
    assert "Traceback" not in session.output
    assert "INTERNALERROR" not in session.output
    assert not (tmp_path / "records").exists()
