"""Cleaning, and words to ids and back."""

import pytest

from fedfeat.imputers.r2gen.vocabulary import UNKNOWN, Vocabulary, clean, vocabulary, word_counts


@pytest.mark.parametrize(
    ("report", "cleaned"),
    [
        ("Heart size normal. No edema.", "heart size normal . no edema ."),
        ("Lungs are clear", "lungs are clear ."),
        ("1. No pneumothorax. 2. Clear lungs.", "no pneumothorax . clear lungs ."),
        ("IMPRESSION: 1. Clear lungs. 2) No edema.", "impression clear lungs . no edema ."),
        ("1. Clear lungs\n2. No edema\n", "clear lungs . no edema ."),
        ("Grade 2. No edema.", "grade 2 . no edema ."),
        ("T12 fracture, 12 ribs.", "t12 fracture 12 ribs ."),
        ("Clear... No edema. . Small  \n heart..", "clear . no edema . small heart ."),
        ("Chest of ___ and __ years, seen on _.", "chest of and years seen on ."),
        ("Well-expanded; (post-operative) lungs!", "well-expanded post-operative lungs ."),
        ("A 2.5 cm mass, 50% larger.", "a 25 cm mass 50 larger ."),
        ("XXXX-year-old <unk> \u201cfilm\u201d", "xxxx-year-old unk film ."),
        ("Überwässerung. \u200bKlar.", "überwässerung . klar ."),
        ("", ""),
        (" . .. , _ ", ""),
    ],
)
def test_reports_are_cleaned(report: str, cleaned: str) -> None:
    assert clean(report) == cleaned
    assert clean(cleaned) == cleaned


REPORTS = ("No edema. No effusion.", "Small effusion. Clear lungs.", "No mass.")


def test_words_are_counted_in_cleaned_reports() -> None:
    assert word_counts(REPORTS) == {"no": 3, ".": 5, "effusion": 2} | dict.fromkeys(
        ("edema", "small", "clear", "lungs", "mass"), 1
    )
    assert word_counts(REPORTS[:1]) + word_counts(REPORTS[1:]) == word_counts(REPORTS)


@pytest.mark.parametrize(
    ("threshold", "words"),
    [(1, (".", "clear", "edema", "effusion", "lungs", "mass", "no", "small")), (2, (".", "effusion", "no")), (9, ())],
)
def test_a_vocabulary_holds_what_is_frequent_in_a_fixed_order(threshold: int, words: tuple[str, ...]) -> None:
    assert vocabulary(word_counts(REPORTS), threshold) == Vocabulary((UNKNOWN, *words))
    assert vocabulary(word_counts(reversed(REPORTS)), threshold) == Vocabulary((UNKNOWN, *words))


def test_ids_begin_at_one_and_end_with_zero() -> None:
    ids = Vocabulary((UNKNOWN, ".", "edema", "no")).encode(["No edema.", "No mass.", ""], 6)
    assert ids.dtype == "int32"
    assert ids.tolist() == [[4, 3, 2, 0, 0, 0], [4, 1, 2, 0, 0, 0], [0] * 6]


def test_long_reports_are_cut_and_still_end() -> None:
    words = vocabulary(word_counts(REPORTS), 1)
    assert words.encode(REPORTS, 4)[:, 3].tolist() == [0, 0, 0]
    assert (words.encode(REPORTS, 4)[:, :3] > 0).all()
    assert words.decode(words.encode(REPORTS, 4)[0]) == "no edema ."


def test_known_words_come_back() -> None:
    words = vocabulary(word_counts(REPORTS), 1)
    assert [words.decode(row) for row in words.encode(REPORTS, 12)] == [clean(report) for report in REPORTS]
    frequent = vocabulary(word_counts(REPORTS), 2)
    assert frequent.decode(frequent.encode(["Small effusion."], 12)[0]) == f"{UNKNOWN} effusion ."


def test_nothing_behind_the_end_is_read() -> None:
    words = Vocabulary((UNKNOWN, "no", "edema"))
    assert words.decode([2, 3, 0, 2]) == "no edema"
    assert words.decode([0, 2]) == ""
