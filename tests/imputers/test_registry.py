"""A method is found by being there; a file that is none is named."""

from itertools import permutations
from pathlib import Path

import pytest

from fedfeat import FedfeatError, Imputer, imputers

METHOD = """
from dataclasses import dataclass

from fedfeat import Imputer


@dataclass(frozen=True)
class Halves(Imputer):
    name = "halves"
    title = "Halves"

    strength: float = 0.5

    def fill(self, ctx, features, present, targets):
        return {name: feature + self.strength for name, feature in features.items()}
"""


def write(folder: Path, text: str, name: str = "my_method.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_every_file_of_the_package_is_a_method() -> None:
    files = {path for path in imputers.FOLDER.glob("*.py") if path.stem not in ("__init__", "base")}
    packages = set(imputers.FOLDER.glob("*/__init__.py"))
    assert {imputers.file_of(method) for method in imputers.known().values()} == files | packages
    assert len(imputers.known()) == len(files | packages)
    assert {"zero", "uniform", "fin", "complete", "multimodal_only"} <= set(imputers.known())
    assert all(imputers.get(name) is method and method.name == name for name, method in imputers.known().items())


def test_no_name_contains_another() -> None:
    assert not [(one, other) for one, other in permutations(imputers.known(), 2) if one in other]


def test_every_method_has_a_title_of_its_own() -> None:
    titles = [method.title for method in imputers.known().values()]
    assert len(set(titles)) == len(titles)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(FedfeatError, match=r"method 'magic' is unknown; the known ones are car_mfl, complete, .*zero"):
        imputers.get("magic")


def test_a_dropped_in_file_is_a_method(tmp_path: Path) -> None:
    file = write(tmp_path, METHOD)
    method = imputers.load(file)
    assert issubclass(method, Imputer)
    assert (method.name, method.title) == ("halves", "Halves")
    assert method().params == {"strength": 0.5}
    assert imputers.file_of(method) == file
    assert "halves" not in imputers.known()


@pytest.mark.parametrize("name", ["my-method.py", "2nd.try.py", "fin.py"])
def test_a_file_may_be_called_anything(tmp_path: Path, name: str) -> None:
    assert imputers.load(write(tmp_path, METHOD, name)).name == "halves"


def test_a_method_may_build_on_another(tmp_path: Path) -> None:
    text = (
        "from fedfeat.imputers.zero import Zero\n\n"
        'class Nought(Zero):\n    name = "nought"\n    title = "Nought"\n    marks = ("a control",)\n'
    )
    method = imputers.load(write(tmp_path, text))
    assert (method.name, method.marks) == ("nought", ("a control",))


def test_a_nameless_class_is_a_base_for_others(tmp_path: Path) -> None:
    text = (
        "from fedfeat import Imputer\n\nclass Base(Imputer):\n"
        "    def fill(self, ctx, features, present, targets):\n        return features\n\n"
        'class Nought(Base):\n    name = "nought"\n    title = "Nought"\n'
    )
    assert imputers.load(write(tmp_path, text)).name == "nought"


def test_a_method_may_pair_in_place_of_filling(tmp_path: Path) -> None:
    text = (
        "from fedfeat import Imputer\n\nclass Raw(Imputer):\n"
        '    name = "raw"\n    title = "Raw"\n\n'
        "    def pair(self, ctx, studies):\n        return studies, ctx.own\n"
    )
    assert imputers.load(write(tmp_path, text)).name == "raw"


def test_a_file_of_the_package_is_named_by_its_method() -> None:
    with pytest.raises(FedfeatError, match=r"fin\.py: it is part of the package already; name it by --methods"):
        imputers.load(imputers.FOLDER / "fin.py")


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    imputers.load(write(tmp_path, METHOD))
    assert imputers.load(write(tmp_path, METHOD.replace("0.5", "0.125")))().params == {"strength": 0.125}


def test_two_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    files = [write(tmp_path / folder, METHOD.replace("halves", folder)) for folder in ("first", "second")]
    methods = [imputers.load(file) for file in files]
    assert [imputers.file_of(method) for method in methods] == files


BASE = "from fedfeat import Imputer\n"
FILL = "    def fill(self, ctx, features, present, targets):\n        return features\n"
NAMED = '    name = "halves"\n    title = "Halves"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def fill(:\n", "the method cannot be imported (SyntaxError: "),
        ("import no_such_module\n", "the method cannot be imported (ModuleNotFoundError: No module named"),
        ("raise ValueError('one\\ntwo')\n", "the method cannot be imported (ValueError: one two)"),
        ("import sys\nsys.exit('no fedfeat here')\n", "the method cannot be imported (SystemExit: no fedfeat here)"),
        ("\0", "the method cannot be imported ("),
        ("answer = 42\n", "0 classes derive from fedfeat.Imputer"),
        ("class Halves:\n" + NAMED + FILL, "0 classes derive from fedfeat.Imputer"),
        ("from fedfeat.imputers.zero import Zero\n", "0 classes derive from fedfeat.Imputer"),
        (f"{BASE}class A(Imputer):\n{NAMED}{FILL}\nclass B(Imputer):\n{NAMED}{FILL}", "2 classes derive from"),
        (f"{BASE}class Halves(Imputer):\n{NAMED}", "Halves does not define fill (nor pair)"),
        (f"{BASE}class Halves(Imputer):\n    title = 'Halves'\n{FILL}", "Halves has no name"),
        (f"{BASE}class Halves(Imputer):\n    name = 'halves'\n{FILL}", "Halves has no title"),
        (f"{BASE}class Halves(Imputer):\n    name = 5\n    title = 'Halves'\n{FILL}", "Halves has no name"),
        (f"{BASE}class Halves(Imputer):\n{NAMED}    x: float = 1.0\n{FILL}", "Halves lacks @dataclass(frozen=True)"),
        (METHOD.replace("name =", "name: str ="), "Halves.name is a parameter"),
        (METHOD.replace("halves", "my-halves"), "the name 'my-halves' holds more than letters, digits and '_'"),
        (METHOD.replace("halves", "a:b"), "the name 'a:b' holds more than letters, digits and '_'"),
        (METHOD.replace("halves", ""), "the name '' holds more than letters, digits and '_'"),
        (METHOD.replace("halves", "zero"), "the name 'zero' and the method 'zero' contain one another"),
        (METHOD.replace("halves", "Uni"), "the name 'Uni' and the method 'uniform' contain one another"),
        (METHOD.replace("halves", "fine"), "the name 'fine' and the method 'fin' contain one another"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(FedfeatError) as caught:
        imputers.load(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["nowhere.py", ""])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FedfeatError) as caught:
        imputers.load(tmp_path / name)
    assert str(caught.value).startswith(f"--imputer {(tmp_path / name).resolve()}: there is no such file")


def test_a_file_that_is_no_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(FedfeatError, match=r"method\.txt: the method cannot be imported"):
        imputers.load(write(tmp_path, METHOD, "method.txt"))
