"""The table, its cache, and that it follows from the seed alone."""

import numpy as np
import pytest

from fedfeat.data.phantom import Sizes, fingerprint, generate, load, store, vocabulary_corpus
from fedfeat.data.phantom.dataset import sample
from fedfeat.data.phantom.drawing import draw
from fedfeat.data.phantom.findings import label_values, sample_patient, sample_studies
from fedfeat.data.phantom.grammar import write
from fedfeat.data.phantom.sites import BENCHMARK, CHEXPERT, MIMIC, OPENI, SEED
from fedfeat.data.studies import CHEXPERT_LABELS, COLUMNS
from fedfeat.errors import FedfeatError

SMALL = Sizes(
    train={MIMIC: 6, CHEXPERT: 5, OPENI: 4}, validation_rows=6, validation_positives=0, test_rows=8, test_positives=0
)


@pytest.fixture(scope="module")
def small():
    return generate(3, SMALL)


@pytest.fixture(scope="module")
def benchmark_studies():
    return sample(SEED, BENCHMARK)


def test_same_seed_gives_the_same_table(small):
    assert fingerprint(generate(3, SMALL)) == fingerprint(small)


def test_another_seed_gives_other_pictures_reports_and_findings(small):
    other = generate(4, SMALL)
    assert fingerprint(other) != fingerprint(small)
    assert set(other.rows["report"]).isdisjoint(small.rows["report"])
    mine, theirs = (table.read_image(table.rows["image"][0]).tobytes() for table in (small, other))
    assert mine != theirs


def test_fingerprint_sees_a_changed_finding_and_a_changed_word(small):
    before = fingerprint(small)
    findings = small.findings.copy()
    findings[0, 3] = 0.0 if findings[0, 3] != 0.0 else 1.0
    changed = type(small)(**{**vars(small), "findings": findings})
    assert fingerprint(changed) != before
    rows = small.rows.copy()
    rows.loc[0, "report"] += "."
    assert fingerprint(type(small)(**{**vars(small), "rows": rows})) != before


def test_a_study_does_not_depend_on_what_was_made_before():
    def last(numbers):
        for number in numbers:
            studies = sample_studies(1, sample_patient(1, MIMIC, "train", number))
            result = draw(1, studies[0]).tobytes(), write(1, studies[0]).text
        return result

    assert last([5]) == last([0, 9, 2, 5])


def test_more_patients_leave_the_first_ones_as_they_are(small):
    more = generate(3, Sizes({**SMALL.train, CHEXPERT: 9}, 6, 0, 8, 0))
    mine, theirs = (table.rows[table.rows["site"] == CHEXPERT].reset_index(drop=True) for table in (small, more))
    assert len(theirs) > len(mine)
    assert theirs.iloc[: len(mine)].equals(mine)


def test_table_is_what_a_source_returns(small):
    assert small.source == "phantom" and small.synthetic and small.labels == CHEXPERT_LABELS
    assert list(small.rows.columns) == list(COLUMNS)
    assert small.rows["image"].is_unique and (small.rows["report"].str.len() > 10).all()
    assert small.findings.shape == (len(small.rows), 14) and small.findings.dtype == np.float32
    known = np.isin(small.findings, [1.0, 0.0, -1.0]) | np.isnan(small.findings)
    assert known.all()
    picture = small.read_image(small.rows["image"].iloc[-1])
    assert picture.size == (64, 64) and picture.mode == "L"
    assert np.asarray(picture).std() > 10
    evaluation = small.rows[small.rows["split"] != "train"]
    assert set(evaluation["site"]) == {MIMIC}
    assert set(small.setups) == {"homogeneous", "heterogeneous"}


def test_an_unknown_picture_is_named(small):
    with pytest.raises(FedfeatError, match="nobody-0"):
        small.read_image("nobody-0")


def test_the_benchmark_has_the_asked_for_positives_and_rows(benchmark_studies):
    values = {split: [] for split in ("train", "validate", "test")}
    for _, study in benchmark_studies:
        values[study.patient.split].append(label_values(study, frozenset()))
    counts = {split: (np.array(rows) == 1.0).sum(axis=0) for split, rows in values.items()}
    assert len(values["test"]) >= 1_000 and counts["test"].min() >= 10
    assert len(values["validate"]) >= 400 and counts["validate"].min() >= 3


def test_the_test_set_ends_with_the_patient_who_completes_it(benchmark_studies):
    test = [(name, study) for name, study in benchmark_studies if study.patient.split == "test"]
    short = [label_values(study, frozenset()) for name, study in test if name != test[-1][0]]
    assert len(short) < 1_000 or (np.array(short) == 1.0).sum(axis=0).min() < 10


def test_patients_keep_to_one_site_and_split_and_have_one_to_several_studies(benchmark_studies):
    homes, studies = {}, {}
    for name, study in benchmark_studies:
        homes.setdefault(name, set()).add((study.patient.site, study.patient.split))
        studies[name] = studies.get(name, 0) + 1
    assert all(len(home) == 1 for home in homes.values())
    for site, mean in ((MIMIC, 1.6), (CHEXPERT, 1.4), (OPENI, 1.0)):
        counts = [count for name, count in studies.items() if name.startswith(site)]
        assert min(counts) == 1 and np.mean(counts) == pytest.approx(mean, abs=0.1)
        assert (max(counts) > 2) == (site != OPENI)
    for site, patients in BENCHMARK.train.items():
        assert sum(home == {(site, "train")} for home in homes.values()) == patients


def test_vocabulary_reports_are_repeatable_and_not_those_of_the_studies(small):
    corpus = vocabulary_corpus(3, 60)
    assert len(corpus) == 60 and corpus == vocabulary_corpus(3, 60)
    assert corpus[:20] == vocabulary_corpus(3, 20)
    assert not set(corpus) & set(small.rows["report"])


def test_the_second_load_reads_and_the_same_comes_back(tmp_path, monkeypatch):
    first = load(tmp_path, seed=3, sizes=SMALL)
    monkeypatch.setattr(store, "make", lambda *_: pytest.fail("drawn again"))
    assert fingerprint(load(tmp_path, seed=3, sizes=SMALL)) == fingerprint(first)


@pytest.mark.parametrize("part", ["rows.json", "findings.npy", "images.npy", "checksums.json"])
@pytest.mark.parametrize("harm", ["truncate", "alter", "remove"])
def test_a_damaged_cache_is_rebuilt(tmp_path, part, harm):
    sizes = Sizes({OPENI: 2}, 1, 0, 1, 0)
    whole = fingerprint(load(tmp_path, seed=3, sizes=sizes))
    (path,) = tmp_path.glob(f"phantom-*/{part}")
    content = path.read_bytes()
    if harm == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "alter":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    else:
        path.unlink()
    assert fingerprint(load(tmp_path, seed=3, sizes=sizes)) == whole
    assert path.read_bytes() == content


def test_the_cache_key_follows_seed_and_sizes():
    keys = {store.cache_key(1, SMALL), store.cache_key(2, SMALL), store.cache_key(1, BENCHMARK)}
    assert len(keys) == 3
