"""Data sets by name."""

from functools import partial
from pathlib import Path

import pytest

from fedfeat.data import phantom, sources
from fedfeat.data.phantom.sites import OPENI
from fedfeat.errors import FedfeatError


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.csv"
    path.write_text("patient_id,image,report,label:Edema\n1,,No edema.,0\n2,,Edema?,-1\n")
    return path


@pytest.mark.parametrize("name", ["mnist", "", "Phantom"])
def test_an_unknown_data_set_lists_the_known_ones(name: str) -> None:
    for read in (sources.load, sources.check_name):
        with pytest.raises(FedfeatError) as caught:
            read(name)
        assert str(caught.value) == f"data set {name!r} is unknown; the known ones are {', '.join(sources.SOURCES)}"
    assert {"phantom", "manifest", "openi_text"} <= set(sources.SOURCES)


def test_a_manifest_needs_its_file() -> None:
    with pytest.raises(FedfeatError, match="--dataset manifest needs --data PATH"):
        sources.load("manifest")


def test_the_embedded_studies_take_no_file(manifest: Path) -> None:
    with pytest.raises(FedfeatError) as caught:
        sources.load("phantom", manifest)
    assert str(caught.value).startswith(f"--data {manifest}: the data set phantom is embedded")
    assert "--dataset manifest" in str(caught.value)


@pytest.mark.parametrize("name", ["phantom", "manifest"])
def test_an_unknown_policy_lists_the_known_ones(name: str, manifest: Path) -> None:
    with pytest.raises(FedfeatError, match="--uncertain maybe: unknown; the known ones are masked, zeros, ones"):
        sources.load(name, manifest, "maybe")


@pytest.mark.parametrize(("uncertain", "counts_as"), [(None, "masked"), ("zeros", "zeros"), ("ones", "ones")])
def test_a_manifest_is_read_with_the_policy(manifest: Path, uncertain: str | None, counts_as: str) -> None:
    table = sources.load("manifest", manifest, uncertain)
    assert (table.source, len(table), table.uncertain) == ("manifest", 2, counts_as)


def test_the_cache_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDFEAT_CACHE", str(tmp_path / "mine"))
    assert sources.cache_folder() == tmp_path / "mine"
    few = partial(phantom.load, sizes=phantom.Sizes({OPENI: 2}, 1, 0, 1, 0))
    monkeypatch.setattr(sources.phantom, "load", few)
    assert sources.load("phantom").synthetic
    assert sources.load("phantom", uncertain="ones").uncertain == "ones"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["phantom"]


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_it_is_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("FEDFEAT_CACHE", raising=False)
    else:
        monkeypatch.setenv("FEDFEAT_CACHE", value)
    assert sources.cache_folder().name == "fedfeat"
    assert sources.cache_folder().is_absolute()
