"""The numbers of a small table, counted by hand."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fedfeat.data.partition import Client, Counts, Partition, draw
from fedfeat.data.studies import COLUMNS, Pool, Setup, StudyTable
from fedfeat.description.doubts import doubts
from fedfeat.description.numbers import ALL, SITES_AT_MOST, Description, Held, Rows, describe
from fedfeat.description.page import render
from fedfeat.description.pictures import draw as drawn

NAN, UNCERTAIN = float("nan"), -1.0
# patient, image, report, split, view, Edema, Fracture
STUDIES = [
    ("a", "a1", "No edema seen.", "train", "AP", 0, NAN),
    ("a", "a2", "", "train", "PA", 1, UNCERTAIN),
    ("b", "", "Edema.", "train", "", 1, 0),
    ("c", "c", "1. Edema. 2. Old fracture", "train", "AP", 1, 1),
    ("d", "d", "Clear", "train", "AP", 0, 0),
    ("e", "e", "Edema.", "validate", "AP", 1, 0),
    ("f", "f", "Clear lungs", "validate", "AP", 0, 0),
    ("g", "g", "Edema.", "test", "PA", 1, UNCERTAIN),
    ("h", "h", "", "test", "AP", 0, 1),
    ("i", "i", "No edema, no fracture!", "test", "AP", 0, 0),
]
EVERYONE = Pool(None, None)
SETUP = Setup({"image": EVERYONE, "text": EVERYONE, "multimodal": EVERYONE}, None)
CLIENTS = (
    Client(0, "image", ("a",)),
    Client(1, "image", ("b",)),
    Client(2, "text", ("d",)),
    Client(3, "multimodal", ("c",)),
)
HELD = Held("by hand", SETUP, Partition(CLIENTS, ()))


def table(uncertain: str = "masked", blank: str = "masked") -> StudyTable:
    rows = pd.DataFrame(
        [
            (patient, image, report, "north" if patient < "d" else "south", split, view)
            for patient, image, report, split, view, *_ in STUDIES
        ],
        columns=[*COLUMNS, "view"],
    )
    return StudyTable(
        source="mine",
        labels=("Edema", "Fracture"),
        rows=rows,
        findings=np.array([study[-2:] for study in STUDIES], dtype=np.float32),
        uncertain=uncertain,
        blank=blank,
        setups={"homogeneous": SETUP},
        no_setup={"heterogeneous": "one source only"},
        read_image=lambda key: Image.new("L", (1, 1)),
        notes=("3 images left out: lateral",),
    )


@pytest.fixture
def told() -> Description:
    return describe(table(), HELD, {"short": 5, "long": 100})


def test_rows_by_split_and_site(told: Description) -> None:
    assert told.views == ("AP", "PA", "")
    assert told.rows == (
        Rows("train", "north", 3, 4, 3, 3, 2, (2, 1, 1)),
        Rows("train", "south", 1, 1, 1, 1, 1, (1, 0, 0)),
        Rows("validate", "south", 2, 2, 2, 2, 2, (2, 0, 0)),
        Rows("test", "south", 3, 3, 3, 2, 2, (2, 1, 0)),
        Rows("train", ALL, 4, 5, 4, 4, 3, (3, 1, 1)),
        Rows("validate", ALL, 2, 2, 2, 2, 2, (2, 0, 0)),
        Rows("test", ALL, 3, 3, 3, 2, 2, (2, 1, 0)),
        Rows(ALL, ALL, 9, 10, 9, 8, 7, (7, 2, 1)),
    )


def test_labels_by_split(told: Description) -> None:
    train, test = told.by_split["train"], told.by_split["test"]
    assert (train.positive, train.negative, train.uncertain, train.blank) == ((3, 1), (2, 2), (0, 1), (0, 1))
    assert (train.ones, train.known) == ((3, 1), (5, 3))
    assert (test.positive, test.negative, test.uncertain, test.blank) == ((1, 1), (2, 1), (0, 1), (0, 0))
    assert [test.prevalence(label) for label in (0, 1)] == [1 / 3, 1 / 2]
    assert told.by_split[ALL].positive == (5, 2)


@pytest.mark.parametrize(
    ("uncertain", "blank", "ones", "known"),
    [("ones", "masked", 2, 4), ("zeros", "masked", 1, 4), ("masked", "zeros", 1, 4), ("ones", "zeros", 2, 5)],
)
def test_labels_count_by_the_policy(uncertain: str, blank: str, ones: int, known: int) -> None:
    train = describe(table(uncertain, blank), HELD, {}).by_split["train"]
    assert (train.ones[1], train.known[1]) == (ones, known)
    assert (train.uncertain[1], train.blank[1]) == (1, 1)


def test_scored_are_the_rows_with_both(told: Description) -> None:
    test = told.scored["test"]
    assert (test.rows, test.labels.ones, test.labels.known) == (2, (1, 0), (2, 1))
    assert (test.unscored, test.fewest(0)) == ({1: "no positive"}, 1)
    assert told.scored["validate"].unscored == {1: "no positive"}


def test_scored_are_the_rows_of_the_setups_site() -> None:
    held = Held("elsewhere", replace(SETUP, evaluation_site="north"), HELD.partition)
    assert {split: scored.rows for split, scored in describe(table(), held, {}).scored.items()} == {
        "validate": 0,
        "test": 0,
    }


def test_a_label_may_be_known_and_positive_alone() -> None:
    rows = table()
    rows.findings[7:, 0], rows.findings[7:, 1] = 1, NAN
    assert describe(rows, HELD, {}).scored["test"].unscored == {0: "no negative", 1: "not known"}


def test_lengths_of_reports_in_words(told: Description) -> None:
    train, validate, test, every = told.reports
    assert (train.rows, train.reports, train.words) == (5, 4, (1, 1, 2, 3, 3, 3))
    assert (test.rows, test.reports) == (3, 2)
    assert test.words == pytest.approx((1, 1.75, 2.5, 3.25, 3.85, 4))
    assert (train.beyond, test.beyond) == ({"short": 0, "long": 0}, {"short": 0.5, "long": 0})
    assert every.beyond["short"] == 1 / 8
    assert (train.shared, validate.shared, test.shared, every.shared) == (1 / 4, 1 / 2, 1 / 2, 3 / 8)
    assert (train.trained, validate.trained, test.trained, every.trained) == (0, 1 / 2, 1 / 2, 0)


def test_an_exact_preset_is_told_in_tokens() -> None:
    rows = table()
    rows.rows.loc[7, "report"] = "zyzzyvas"  # one word, and more tokens than two
    told = describe(rows, HELD, {"exact": 4, "bound": 4}, ("exact",))
    assert told.reports[2].beyond["exact"] == 1
    assert told.reports[2].beyond["bound"] == 1 / 2


def test_reports_of_one_patient_alone_are_not_shared() -> None:
    rows = table()
    rows.rows.loc[:, "report"] = ""
    rows.rows.loc[[0, 1], "report"] = "The same."
    assert [part.shared for part in describe(rows, HELD, {}).reports] == [0, 0, 0, 0]


def test_clients_have_what_their_kind_holds(told: Description) -> None:
    first, second, third, fourth, public = told.holders
    assert (first.kind, first.patients, first.rows, first.used) == ("image", 1, 2, 2)
    assert (first.images, first.reports, first.both) == (2, 0, 0)
    assert (first.labels.ones, first.labels.known) == ((1, 0), (2, 0))
    assert (second.rows, second.used, second.images, second.labels.known) == (1, 0, 0, (0, 0))
    assert (third.kind, third.used, third.images, third.reports, third.both) == ("text", 1, 0, 1, 0)
    assert (fourth.used, fourth.images, fourth.reports, fourth.both, fourth.labels.ones) == (1, 1, 1, 1, (1, 1))
    assert (public.name, public.rows, public.used) == ("public", 0, 0)


def test_rows_that_nobody_holds_are_counted() -> None:
    held = replace(HELD, partition=Partition(CLIENTS[:1], ("d",)))
    *_, public, nobody = describe(table(), held, {}).holders
    assert (public.patients, public.rows, public.used, public.both) == (1, 1, 1, 1)
    assert (nobody.name, nobody.patients, nobody.rows, nobody.used) == ("nobody", 2, 2, 0)


def test_the_rows_of_a_drawn_partition_are_all_there(make_table: Callable[..., StudyTable]) -> None:
    rows = make_table({"train": 50, "validate": 4, "test": 6})
    counts = Counts.parse("3:2:1")
    partition = draw(rows, rows.setups["homogeneous"], counts, 1)
    told = describe(rows, Held("drawn", rows.setups["homogeneous"], partition), {})
    assert [client.kind for client in told.clients] == [client.kind for client in partition.clients]
    assert [client.patients for client in told.clients] == [len(client.patients) for client in partition.clients]
    assert sum(holder.rows for holder in told.holders) == told.of("train").rows == 100
    assert told.holders[-1].name == "public"


def test_many_sites_are_pooled() -> None:
    count = 2 * SITES_AT_MOST
    rows = table()
    many = replace(
        rows,
        rows=pd.concat(
            [
                rows.rows.assign(site=f"site {number:02d}", patient=rows.rows["patient"] + str(number))
                for number in range(count)
            ]
        ).reset_index(drop=True),
        findings=np.tile(rows.findings, (count, 1)),
    )
    told = describe(many, "no partition", {})
    sites = {row.site for row in told.rows}
    assert len(sites) == SITES_AT_MOST + 1 and f"{count - SITES_AT_MOST + 1} smaller sites" in sites
    assert sum(row.rows for row in told.rows if row.site != ALL) == told.of(ALL).rows == count * len(STUDIES)


def test_what_is_doubtful_is_said(told: Description) -> None:
    assert doubts(told) == (
        "validate: 1 of 2 labels cannot be scored: Fracture (no positive)",
        "validate: fewer than 10 rows of the rarer class, so that the AUC hangs on single rows: Edema (1)",
        "test: 1 of 2 labels have both classes among the 2 rows with image and report, and a case needs at least 2",
        "test: 1 of 2 labels cannot be scored: Fracture (no positive)",
        "test: fewer than 10 rows of the rarer class, so that the AUC hangs on single rows: Edema (1)",
        "test: 2 rows with image and report; below 500 the board tests no significance",
        "client 1 (image) has nothing to train on: 1 row, none with an image",
        "the public set has no row with image and report: methods that use public studies are skipped",
        "train: 25% of the reports stand word for word with another patient as well",
        "validate: 50% of the reports stand word for word with another patient as well",
        "validate: 50% of the reports stand word for word in train",
        "test: 50% of the reports stand word for word with another patient as well",
        "test: 50% of the reports stand word for word in train",
        "preset short cuts at least 12% of the reports, at 5 tokens",
    )


def test_labels_that_no_client_can_learn_are_named() -> None:
    rows = table()
    rows.findings[3, 1] = 0
    assert "no positive on any client: Fracture" in doubts(describe(rows, HELD, {}))
    assert "no positive in train: Fracture" in doubts(describe(rows, "no partition", {}))
    rows.findings[:, 1] = NAN
    assert "blank in every row: Fracture" in doubts(describe(rows, HELD, {}))


def test_without_reports_no_case_can_be_run_and_the_page_stands() -> None:
    rows = table()
    rows.rows.loc[:, "report"] = ""
    told = describe(rows, HELD, {"short": 5}, ("short",))
    assert [part.words for part in told.reports] == [None] * 4
    found = doubts(told)
    assert "test: no row has both image and report, so that no case can be run" in found
    assert "client 2 (text) has nothing to train on: 1 row, none with a report" in found
    assert "no row has both image and report at client 3 (multimodal)" in found
    assert set(drawn(told)) == {"clients", "labels"}
    assert "| train    |         0 |  100.0% |" in render(told)


def test_splits_without_a_row_are_told_of() -> None:
    rows = table()
    rows = replace(rows, rows=rows.rows[:5], findings=rows.findings[:5])
    told = describe(rows, HELD, {})
    assert [part.split for part in told.reports] == ["train", ALL]
    assert told.of("test").rows == 0 and "test: no row has both" in " ".join(doubts(told))
    only = describe(replace(rows, rows=rows.rows.assign(split="test")), "none", {})
    assert doubts(only)[0] == "train has no row: nothing can be trained"
    for each in (told, only):
        assert render(each).startswith("# Description of the data set mine\n") and "labels" in drawn(each)


def test_a_table_without_views_says_so() -> None:
    rows = table()
    told = describe(replace(rows, rows=rows.rows.drop(columns="view")), HELD, {})
    assert told.views == () and "The source tells no views." in render(told)


def test_many_clients_stand_in_several_tables(make_table: Callable[..., StudyTable]) -> None:
    rows = make_table({"train": 80, "validate": 2, "test": 2}, labels=50)
    setup = rows.setups["homogeneous"]
    told = describe(rows, Held("drawn", setup, draw(rows, setup, Counts.parse("10:40:10"), 0)), {})
    headings = [line for line in render(told).splitlines() if re.search(r"^\| label .*(image|text|public)", line)]
    named = [cell.split()[0] for line in headings for cell in line.strip("| ").split("|")[1:]]
    assert named == [*(f"{number}" for number in range(60)), "public"]
    assert max(map(len, headings)) < 200
    assert drawn(told) == drawn(told), "equal numbers give equal bytes"


def test_other_numbers_give_other_pictures(told: Description) -> None:
    rows = table()
    rows.findings[0, 0], rows.rows.loc[0, "report"] = 1, "No edema is seen."
    other = describe(rows, replace(HELD, partition=Partition(CLIENTS[1:], ())), {"short": 5, "long": 100})
    first, second = drawn(told), drawn(other)
    assert first.keys() == second.keys() == {"clients", "labels", "reports"}
    assert all(first[name] != second[name] for name in first)
