"""The record that a person names: by case id, by pytest's node id, or by its file."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from fedfeat.errors import FedfeatError
from fedfeat.files import read_text
from fedfeat.results.record import Record, file_name

_NAMED = 3


def lookup(name: str, records: Path) -> tuple[Record, Path]:
    """Return a record and the folder it lies in, where its sidecars are.

    Args:
        name: a case id; a node id as pytest prints it, `benchmarks/test_table1.py::test_table1[...]`; or the path of a
            record's JSON file, which alone says where it lies.
        records: the folder of records that ids are looked for in.

    Raises:
        FedfeatError: there is no such record, several cases have that node id, or the record cannot be read.
    """
    if name.endswith(".json"):
        path = Path(name)
        if not path.is_file():
            raise _absent(f"{path}: no such file", path.stem, path.parent)
        return Record.from_json(read_text(path), path), path.parent
    node = re.search(r"\[([^\[\]]+)\]$", name)
    case_id = node[1] if node else name
    if node:
        found = [record for record in _readable(records) if _node_id(record) == case_id]
        if len(found) > 1:
            ids = ", ".join(sorted(record.case_id for record in found))
            raise FedfeatError(f"{records}: {case_id} stands for {len(found)} cases there: {ids}; name one of them")
        if found:
            return found[0], records
    path = records / f"{_stem(case_id)}.json"
    if path.is_file():
        record = Record.from_json(read_text(path), path)
        if file_name(record.case_id) == path.stem:  # the store lets no two cases share a file
            return record, records
    raise _absent(f"{records}: no record of {name!r}", case_id, records)


def _stem(case_id: str) -> str:
    try:
        return file_name(case_id)
    except ValueError:  # no id at all, so no file has its name; a slash would lead out of the folder
        return ""


def _node_id(record: Record) -> str:
    """Return the case id as pytest shows it: without what a session's options set for all of its cases.

    That is the data set and the preset, which stand behind the seed where they are not the default.
    """
    before, seed, after = record.case_id.partition(f"-seed{record.seed}")
    parts = [part for part in after.split("-") if part not in (record.dataset, f"preset.{record.preset}")]
    return before + seed + "-".join(parts)


def _readable(folder: Path) -> Iterator[Record]:
    """Yield the records of a folder; others' damaged files do not matter here."""
    for path in sorted(folder.glob("*.json")):
        try:
            yield Record.from_json(read_text(path), path)
        except FedfeatError:
            continue


def _absent(what: str, case_id: str, folder: Path) -> FedfeatError:
    if not folder.is_dir():
        return FedfeatError(
            f"{what}: there is no folder {folder}; name another by --records (published ones: leaderboard/records)"
        )
    ids = {file_name(record.case_id): record.case_id for record in _readable(folder)}
    if not ids:
        return FedfeatError(f"{what}: no record at all is there; run `pytest benchmarks` first, or check --records")
    closest = difflib.get_close_matches(case_id.replace(":", "."), ids, n=_NAMED, cutoff=0.0)
    return FedfeatError(f"{what}; closest there: {', '.join(ids[one] for one in closest)}")
