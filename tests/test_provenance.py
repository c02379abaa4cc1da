"""What changes a case's key, and what does not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedfeat import imputers, provenance

METHOD = """
from dataclasses import dataclass
{imports}

@dataclass(frozen=True)
class {name}({base}):
    name = "{name}"
    title = "{name}"

    def fill(self, ctx, features, present, targets):
        return features
"""
DIGESTS = """
import json, pathlib, sys
from fedfeat import imputers, provenance

methods = {"fin": imputers.get("fin"), "complete": imputers.get("complete"), "borrower": imputers.get("borrower")}
methods["outsider"] = imputers.load(pathlib.Path(sys.argv[1]))


def digests():
    core = provenance.core_digest()
    found = {name: core + provenance.method_digest(method) for name, method in methods.items()}
    alone = {f"{name} alone": provenance.method_digest(method) for name, method in methods.items()}
    return {"core": core} | found | alone


before, changed = digests(), {}
for edited in sys.argv[2:]:
    path = pathlib.Path(edited)
    content = path.read_bytes() if path.exists() else None
    path.write_bytes((content or b"") + b"#")
    after = digests()
    changed[edited] = [name for name in before if after[name] != before[name]]
    path.write_bytes(content) if content else path.unlink()
assert digests() == before
print(json.dumps({"changed": changed, "commit": provenance.commit(methods["fin"])}))
"""
EVERY = ["core", "fin", "complete", "borrower", "outsider"]
EDITS = {
    "federation/aggregation.py": EVERY,
    "imputers/base.py": EVERY,
    "imputers/__init__.py": EVERY,
    "data/vocabulary.txt": EVERY,
    "pipeline.py": EVERY,
    "imputers/zero.py": ["complete"],  # which derives from it
    "imputers/complete.py": ["complete"],
    "imputers/uniform.py": [],
    "imputers/brand_new.py": [],
    "results/record.py": [],
    "results/leaderboard.py": [],
    "description/numbers.py": [],
    "data/partition_file.py": EVERY,
    "canaries.py": [],
    "calibration.py": [],
    "rates.py": [],
    "report_quality.py": [],
    "cli.py": [],
    "commands/publish.py": [],
    "__main__.py": [],
}
BESIDE = ["helper.py", "deeper.py", "parts/__init__.py", "parts/nets.py", "parts/layers.py"]
Copied = tuple[dict[str, list[str]], list[object]]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Copied:
    """Edit one file after the other in a copy of the package: path -> methods whose digest changed; and the commit."""
    folder = tmp_path_factory.mktemp("copy")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(provenance.PACKAGE, folder / "fedfeat", ignore=ignore)
    borrower = METHOD.format(
        name="borrower",
        base="Imputer",
        imports="from fedfeat.imputers.base import Imputer\nfrom fedfeat.imputers.fin import DIRECTIONS, _prefixed",
    )
    (folder / "fedfeat" / "imputers" / "borrower.py").write_text(borrower)
    outsider = METHOD.format(name="outsider", base="FIN", imports="from fedfeat.imputers.fin import FIN")
    (folder / "outsider.py").write_text(f"from helper import WIDTH\nimport parts.nets\n{outsider}")
    (folder / "helper.py").write_text("import numpy\n\nWIDTH = 3\n\ndef later():\n    import deeper\n")
    (folder / "parts").mkdir()
    for name in ("deeper.py", "unused.py", "parts/nets.py", "parts/layers.py"):
        (folder / name).write_text("import json\n")
    (folder / "parts" / "__init__.py").write_text("from .layers import *\n")
    edits = [f"fedfeat/{name}" for name in (*EDITS, "imputers/fin.py")] + ["outsider.py", *BESIDE, "unused.py"]
    ran = subprocess.run(
        [sys.executable, "-c", DIGESTS, "outsider.py", *edits],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    return {path.removeprefix("fedfeat/"): names for path, names in found["changed"].items()}, found["commit"]


@pytest.mark.parametrize("edited", EDITS)
def test_one_character_changes_the_digests_that_depend_on_it_and_no_other(copied: Copied, edited: str) -> None:
    assert [name for name in copied[0][edited] if " " not in name] == EDITS[edited]


@pytest.mark.parametrize("method", ["fin", "borrower", "outsider"])
def test_a_digest_covers_the_methods_that_a_method_is_built_on(copied: Copied, method: str) -> None:
    assert method in copied[0]["imputers/fin.py"]


@pytest.mark.parametrize("beside", BESIDE)
def test_what_a_users_file_imports_of_the_users_own_counts(copied: Copied, beside: str) -> None:
    assert copied[0][beside] == ["outsider", "outsider alone"]
    assert copied[0]["unused.py"] == []


def test_a_file_outside_the_package_counts_for_its_own_method(
    copied: Copied,
) -> None:
    assert copied[0]["outsider.py"] == ["outsider", "outsider alone"]
    assert not {"complete", "core"} & set(copied[0]["imputers/fin.py"])


@pytest.mark.parametrize("edited", [name for name, changed in EDITS.items() if changed == EVERY])
def test_the_core_is_no_part_of_a_methods_digest(copied: Copied, edited: str) -> None:
    assert copied[0][edited] == EVERY
    assert {"fin alone", "borrower alone"} <= set(copied[0]["imputers/fin.py"])


def test_outside_a_checkout_there_is_no_commit(copied: Copied) -> None:
    assert copied[1] == [None, None]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_is_of_the_checkout_that_holds_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    text = METHOD.format(name="nought", base="Imputer", imports="from fedfeat import Imputer")
    (tmp_path / "nought.py").write_text(text)
    method = imputers.load(tmp_path / "nought.py")
    monkeypatch.setattr(provenance, "method_files", lambda method: [imputers.file_of(method)])  # base.py lies elsewhere
    git(tmp_path, "init")
    (tmp_path / "file").write_text("1")
    (tmp_path / ".gitignore").write_text("nought.py\n__pycache__\n")
    git(tmp_path, "add", "file", ".gitignore")
    git(tmp_path, "commit", "-m", "without the package")
    assert provenance.commit(method) == (None, None), "installed inside another project's checkout"
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "-m", "with the package")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert provenance.commit(method) == (head, True), "no commit holds the method's file"
    git(tmp_path, "add", "--force", "nought.py")
    git(tmp_path, "commit", "-m", "with the method")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert provenance.commit(method) == (head, False)
    (tmp_path / "file").write_text("2")
    assert provenance.commit(method) == (head, True)


def test_a_key_depends_on_every_value_and_not_on_the_order() -> None:
    parts = {"case": {"seed": 0, "method": "fin"}, "data": "x"}
    key = provenance.key(parts)
    assert provenance.key({"data": "x", "case": {"method": "fin", "seed": 0}}) == key
    others = [
        {"case": {"seed": 1, "method": "fin"}, "data": "x"},
        {"case": {"seed": 0, "method": "zero"}, "data": "x"},
        {"case": {"seed": 0, "method": "fin"}, "data": "y"},
        {"case": {"seed": 0, "method": "fin"}},
        {"case": {"seed": 0, "method": "fin", "data": "x"}},
    ]
    assert len({key, *map(provenance.key, others)}) == len(others) + 1


def test_versions_name_what_results_depend_on() -> None:
    found = provenance.versions()
    assert {"python", "torch", "transformers", "numpy"} <= set(found)
    assert all(found.values())
