"""Findings and impression of radiology reports, as the published collections write them."""

import html
import re
from dataclasses import dataclass

# Headings of what a report says of the picture, and of all else. Any other heading is part of the text it stands in:
# "HEART:" or "Lungs:" below FINDINGS is a finding.
_FINDINGS = (
    r"findings?(?:\s+and\s+|\s*(?:/|&)\s*)(?:impressions?|conclusions?|opinion)",
    r"(?:chest\s+|radiographic\s+|imaging\s+)?findings?",
)
_IMPRESSION = (
    r"(?:final\s+)?impressions?(?:\s+and\s+recommendations?)?",
    r"conclusions?",
    r"opinion",
    r"interpretation",
)
_OTHER = (
    r"(?:preliminary\s+|final\s+)?addend(?:um|a)(?:\s+\#?\s*\d+)?",
    r"wet\s+read(?:\s+version)?(?:\s+\#?\s*\d+)?",
    r"(?:clinical\s+)?(?:indications?|history|information)(?:\s+for\s+(?:exam(?:ination)?|study))?",
    r"history\s+and\s+indication",
    r"reasons?\s+for\s+(?:the\s+)?(?:exam(?:ination)?|study)",
    r"comparisons?(?:\s+(?:exams?|stud(?:y|ies)|films?))?",
    r"(?:type\s+of\s+)?(?:exam(?:ination)?|study|procedure)s?(?:\s+performed)?",
    r"techniques?",
    r"recommendations?(?:\(s\))?",
    r"notifications?",
    r"dose",
    r"attestation",
    r"electronically\s+signed\s+by",
)
_KINDS = {"findings": _FINDINGS, "impression": _IMPRESSION, "other": _OTHER}
_ALL = "|".join(f"(?P<{kind}>{'|'.join(names)})" for kind, names in _KINDS.items())
_COLON = r"\s*(?:\(s\)\s*)?[:;]"
# at the beginning of a line in any case; within a line (copies that lost their line breaks) as capitals alone, or
# capitalised after a full stop, or "the impression: clear" would begin a section
_AT_LINE = re.compile(
    rf"^[ \t>]*(?:\d+[.)][ \t]*)?(?:{_ALL})(?:{_COLON}|[ \t]*[-.]?[ \t]*$)", re.IGNORECASE | re.MULTILINE
)
_WITHIN = re.compile(rf"(?<=\s)(?:{_ALL}){_COLON}", re.IGNORECASE)
_BARE = re.compile(  # without a colon: in capitals alone
    r"^[ \t]*(?:(?P<findings>FINDINGS)|(?P<impression>IMPRESSION))[ \t]+(?=\S)|^[ \t]*(?P<other>WET[ \t]+READ)\b",
    re.MULTILINE,
)
_FINAL = re.compile(r"^[ \t]*FINAL[ \t]+REPORT[ \t]*:?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_WET = re.compile(r"^[ \t]*WET[ \t]+READ\b", re.IGNORECASE | re.MULTILINE)
_CAPITALS = re.compile(r"^[ \t]*[A-Z0-9][^a-z:\n]{2,}:?[ \t]*$", re.MULTILINE)  # a line of capitals: a title
_BLANK = re.compile(r"\n[ \t]*\n")
_REMOVED = re.compile(r"X{4,}|_{2,}")  # what stands where text was removed: Open-I's and MIMIC-CXR's
_MARKUP = re.compile(r"<\s*/?\s*[bB][rR]\s*/?\s*>")


@dataclass(frozen=True)
class Sections:
    """What a report says of the picture, each as one line, "" where it is missing.

    Attributes:
        findings: all its findings, addenda included.
        impression: all its impressions, or conclusions.
        rest: only where both are missing: the text that stands under no heading known to speak of other things.
    """

    findings: str
    impression: str
    rest: str

    @property
    def text(self) -> str:
        """The report as one line: findings, then impression, or the rest; "" if it says nothing of the picture."""
        return f"{self.findings} {self.impression}".strip() or self.rest


def tidy(text: str) -> str:
    """Return the text as one line, without marks of removed words and left-over markup."""
    return " ".join(_REMOVED.sub(" ", _MARKUP.sub(" ", html.unescape(text))).split())


def sections(text: str) -> Sections:
    """Find findings and impression in a free text with headings, in capitals or not.

    Preliminary readings before the line FINAL REPORT are left out: the final text repeats or corrects them. Addenda are
    left out but for findings and impressions that they name so. A text with neither section is often a dictation below
    the study's name: then all is kept but the paragraphs under other headings, which tell what was asked, not seen.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    wet = _WET.search(text)
    final = _FINAL.search(text, wet.end()) if wet else None
    if wet and final:
        text = f"{text[: wet.start()]}\n{text[final.end() :]}"
    text = _FINAL.sub("", text)
    marks = _headings(text)
    parts: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    ends = [start for start, _, _ in marks[1:]] + [len(text)] * bool(marks)
    for (_, begin, kind), end in zip(marks, ends, strict=True):
        parts[kind].append(text[begin:end])
    findings, impression = (tidy(" ".join(parts[kind])) for kind in ("findings", "impression"))
    return Sections(findings, impression, "" if findings or impression else tidy(_unnamed(text, marks)))


def _headings(text: str) -> list[tuple[int, int, str]]:
    """Return where each heading starts, where its text begins, and its kind, in order."""
    found: dict[int, tuple[int, int, str]] = {}
    for pattern in (_AT_LINE, _BARE, _WITHIN):
        for match in pattern.finditer(text):
            kind = match.lastgroup or ""
            start = match.start(kind)
            if pattern is _WITHIN and not _begins(text[:start], match[kind]):
                continue
            found.setdefault(start, (start, match.end(), kind))
    marks: list[tuple[int, int, str]] = []
    for mark in sorted(found.values()):
        if not marks or mark[0] >= marks[-1][1]:  # "FINDINGS AND IMPRESSION:" is one heading
            marks.append(mark)
    return marks


def _begins(before: str, name: str) -> bool:
    return name.isupper() or (name[0].isupper() and before.rstrip()[-1:] in (".", ":", "?", ")", ""))


def _unnamed(text: str, marks: list[tuple[int, int, str]]) -> str:
    """Return what belongs to no other section, which here ends with its paragraph."""
    kept, place = [], 0
    for start, begin, _ in marks:
        if start < place:
            continue
        kept.append(text[place:start])
        lead = begin + len(text[begin:]) - len(text[begin:].lstrip())  # its text may begin below a blank line
        end = _BLANK.search(text, lead)
        place = end.end() if end else len(text)
    kept.append(text[place:])
    return _CAPITALS.sub(" ", "\n".join(kept))
