"""Findings and impression are found in reports as hospitals write them; the cases here are made up."""

import pytest

from fedfeat.data.radiology import Sections, sections, tidy

PLAIN = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with cough  // rule out pneumonia

 TECHNIQUE:  Two views.

 COMPARISON:  ___.

 FINDINGS:

 The lungs are clear.  No effusion
 is seen.

 IMPRESSION:

 1.  No acute process.
"""


def test_findings_and_impression_are_found_and_nothing_else() -> None:
    assert sections(PLAIN) == Sections("The lungs are clear. No effusion is seen.", "1. No acute process.", "")
    assert sections(PLAIN).text == "The lungs are clear. No effusion is seen. 1. No acute process."


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("FINDINGS", "Findings").replace("IMPRESSION", "Impression"),
        lambda text: text.replace("FINDINGS", "findings").replace("IMPRESSION", "impression"),
        lambda text: text.replace("FINDINGS:", "FINDINGS").replace("IMPRESSION:", "IMPRESSION"),
        lambda text: text.replace("FINDINGS:", "FINDINGS :").replace("IMPRESSION:", "CONCLUSION:"),
        lambda text: text.replace("FINDINGS:\n\n", "FINDINGS: ").replace("IMPRESSION:\n\n", "IMPRESSION: "),
        lambda text: text.replace("FINDINGS:\n\n", "FINDINGS ").replace("IMPRESSION:\n\n", "IMPRESSION "),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: " ".join(text.split()),
        lambda text: " ".join(text.replace("FINDINGS", "Findings").replace("IMPRESSION", "Impression").split()),
        lambda text: text.replace("FINAL REPORT", ""),
        lambda text: f"{text}\n RECOMMENDATION(S):  A CT in a month.\n",
        lambda text: f"{text}\n NOTIFICATION:  Told to Dr. ___ at 9.\n",
        lambda text: text.replace("No effusion", "No XXXX effusion").replace("clear", "___ clear"),
    ],
    ids=[
        "capitalised",
        "lower case",
        "no colon",
        "space and conclusion",
        "same line",
        "same line without colon",
        "CRLF",
        "CR",
        "one line",
        "one capitalised line",
        "no banner",
        "recommendation",
        "notification",
        "removed words",
    ],
)
def test_other_ways_of_writing_give_the_same(change: object) -> None:
    assert callable(change)
    assert sections(change(PLAIN)) == sections(PLAIN)


@pytest.mark.parametrize("heading", ["FINDINGS AND IMPRESSION:", "FINDINGS/IMPRESSION:", "Findings and impression:"])
def test_one_section_may_be_both(heading: str) -> None:
    found = sections(f"INDICATION: Cough.\n\n{heading} Clear lungs.\n")
    assert found == Sections("Clear lungs.", "", "")


def test_a_missing_section_is_empty() -> None:
    assert sections("FINDINGS: Clear.\n") == Sections("Clear.", "", "")
    assert sections("HISTORY: Fall.\nIMPRESSION: Rib fracture.\nCOMPARISON: None.\n") == Sections(
        "", "Rib fracture.", ""
    )


def test_an_empty_section_counts_as_missing() -> None:
    assert sections("FINDINGS:\n\nIMPRESSION: Clear.\n").text == "Clear."


def test_headings_of_organs_belong_to_the_findings() -> None:
    text = "FINDINGS:\n LUNGS: Clear.\n Heart: Large.\n TUBES AND LINES: None.\n IMPRESSION: Large heart.\n"
    assert sections(text).findings == "LUNGS: Clear. Heart: Large. TUBES AND LINES: None."


def test_words_within_a_sentence_are_no_headings() -> None:
    text = "FINDINGS: There is no comparison. In the impression: of the reader\nthe findings are old.\nIMPRESSION: Old."
    found = sections(text)
    assert found.findings == "There is no comparison. In the impression: of the reader the findings are old."
    assert found.impression == "Old."


def test_a_wet_read_is_left_out() -> None:
    wet = "WET READ: ___ ___ 10:15 PM\n FINDINGS: Maybe a nodule.\n IMPRESSION: Doubtful.\n"
    assert sections(wet + "_" * 20 + "\n" + PLAIN) == sections(PLAIN)
    assert sections("WET READ: 9 PM\n  Maybe a nodule.\n\n\n" + PLAIN) == sections(PLAIN)
    assert sections(f"{PLAIN}\nWET READ VERSION #1 9 PM: \n Maybe a nodule.\n") == sections(PLAIN)


def test_an_addendum_adds_only_what_it_calls_findings_or_impression() -> None:
    assert sections(f"{PLAIN}\n ADDENDUM:  Discussed with Dr. ___.\n") == sections(PLAIN)
    assert sections(f"{PLAIN}\n                 ADDENDUM\n Discussed with Dr. ___.\n") == sections(PLAIN)
    named = sections(f"{PLAIN}\n ADDENDUM: At second look.\n IMPRESSION: Small nodule.\n")
    assert named.impression == "1. No acute process. Small nodule."
    assert named.findings == sections(PLAIN).findings


def test_a_text_with_neither_keeps_what_stands_under_no_other_heading() -> None:
    text = """                FINAL REPORT
 PORTABLE CHEST RADIOGRAPH

 INDICATION:  Line placement.

 COMPARISON:

 The day before.

 A line ends in the right atrium.
 The lungs are clear.

 No pneumothorax.
"""
    found = sections(text)
    assert found == Sections("", "", "A line ends in the right atrium. The lungs are clear. No pneumothorax.")
    assert found.text == found.rest


@pytest.mark.parametrize(
    "text", ["", "   \n", "FINAL REPORT\n", "INDICATION: Cough.\n", "FINDINGS:\n\nIMPRESSION:\n", "____"]
)
def test_a_text_that_says_nothing_is_empty(text: str) -> None:
    assert sections(text) == Sections("", "", "")


def test_marks_of_removed_words_and_markup_are_dropped() -> None:
    assert tidy("Normal chest x-XXXX. The XXXX is\n clear.<BR>No ___ edema &amp; effusion &lt;BR&gt; seen.") == (
        "Normal chest x- . The is clear. No edema & effusion seen."
    )
