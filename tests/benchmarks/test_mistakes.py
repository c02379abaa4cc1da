"""Every mistake ends before anything is trained, in one line that names it and the way out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COLUMN = ("-k", "homogeneous and 8:0:2 and seed0 and zero")
# what it is -> arguments, in which {...} stands for a file of `files`; and what the line must hold
MISTAKES: dict[str, tuple[str, list[str]]] = {
    "method": ("--methods zero,gan", ["method 'gan' is unknown", "fin", "zero"]),
    "data set": ("--dataset padchest", ["data set 'padchest' is unknown", "phantom, manifest"]),
    "preset": ("--preset huge", ["preset 'huge' is unknown", "phantom, paper"]),
    "malformed partition": ("--partition 8:2", ["partition '8:2' is not I:T:M", "such as 8:0:2"]),
    "seeds": ("--seeds one", ["--seeds one: not a comma list of whole numbers, such as 0,1,2"]),
    "negative seed": ("--seeds=-1", ["--seeds -1: -1 is negative; use 0 or more"]),
    "imputer": ("--imputer {nowhere}", ["{nowhere}: there is no such file; name the Python file of your method"]),
    "imputer of two": ("--imputer {empty}", ["{empty}: 0 classes derive from fedfeat.Imputer"]),
    "imputer that breaks": ("--imputer {broken}", ["{broken}: the method cannot be imported", "mend the file"]),
    "imputer without defaults": (
        "--dataset manifest --data {good} --imputer {required} -k required",
        ["required", "value"],
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
    "useless weights": (
        "--dataset manifest --data {good} --image-weights {good}",
        ["{good}: weights cannot be used, since preset phantom"],
    ),
}


@pytest.fixture(scope="module")
def files(make_manifest: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mistakes")
    found = {name: folder / f"{name}.py" for name in ("nowhere", "empty", "broken", "required")}
    found["empty"].write_text("")
    found["broken"].write_text("import no_such_module_at_all\n")
    found["required"].write_text(
        "from dataclasses import dataclass\nfrom fedfeat.imputers.base import Imputer\n\n\n"
        "@dataclass(frozen=True)\nclass Required(Imputer):\n    name = title = 'required'\n    value: float\n\n"
        "    def fill(self, ctx, features, present, targets):\n        return features\n"
    )
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
        lines.append(["--records", records / str(number), *words[0].format_map(files).split(), *chosen])
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
    assert len(ended) == len(MISTAKES)
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
