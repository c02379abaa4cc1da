"""One record as a person reads it, as text for a terminal or a pipe. The same record gives the very same text."""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from fedfeat.results.record import Record
from fedfeat.results.store import TestSet
from fedfeat.results.text import data_text, sources_text

WIDTH = 80
SPARKS = "▁▂▃▄▅▆▇█"
NOTHING = "-"
"""Stands for what there is not."""
INDENT = "  "


def render(record: Record, test_set: TestSet | None = None, encoding: str = "utf-8") -> str:
    """Return the text of a record; what a record does not have is left out.

    Args:
        record: passed or failed.
        test_set: its test rows, for the number of each label's positives; None: they are not at hand.
        encoding: what the text must fit into. With ASCII the curve is told in numbers alone, and other characters,
            which only names and notes can hold, are escaped.
    """
    blocks = [
        _title(record),
        _block("Data", _pairs(_data(record))),
        _block("Scores on the test rows, in points (0 to 100)", _pairs(_scores(record))),
        _block("AUC by label, in points", _labels(record, test_set)),
        _block("Rounds", _rounds(record, _can_encode(SPARKS, encoding))),
        _block("The method", [*_pairs(_told(record)), *_samples(record)]),
        _block("Clients (1 MB = 1,000,000 bytes, in one round)", _clients(record)),
        _block("Costs", _pairs(_costs(record))),
        _block("Run", _pairs(_run(record))),
    ]
    text = "\n\n".join("\n".join(block) for block in blocks if block) + "\n"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _title(record: Record) -> list[str]:
    extra = "; ".join([*record.marks, *([_named(record.params)] if record.params else [])])
    title = f"{record.title} ({extra})" if extra else record.title
    lines = [_plain(f"{record.case_id}: {record.status}: {title}")]
    if record.status == "failed":
        lines += _wrapped(f"error: {record.error or 'no reason given'}", "")
    return lines


def _data(record: Record) -> list[tuple[str, str]]:
    data = data_text(record.dataset, record.synthetic, record.real_reports)
    drawn = ", real reports with drawn images" if record.real_reports else ""
    warning = f"{drawn}: not a result on MIMIC-CXR" if record.synthetic else ""
    settings = dict(record.configuration)
    policies = [f"{name} {settings.pop(name)}" for name in ("uncertain", "blank") if name in settings]
    settings.pop("name", None)  # the preset's
    return [
        ("data set", f"{data}{warning}"),
        ("data from", sources_text(record.sources)),
        ("clients", f"{record.setup} {record.partition} (image-only : text-only : multimodal), seed {record.seed}"),
        (
            "protocol",
            f"aggregation {record.aggregation}, engine {record.engine}, {100 * record.missing:g} % of a unimodal "
            f"client's rows lack the other modality, test modalities {record.test_modalities}",
        ),
        ("leaves a client", ", ".join(record.sends)),
        ("must hold", f"{', '.join(record.holds)} beside a client's own studies" if record.holds else ""),
        ("labels", f"counted as: {', '.join(policies)}" if policies else ""),
        ("test", f"{record.test_rows:,} rows of {record.test_patients:,} patients" if record.test_rows else ""),
        ("preset", f"{record.preset}: {_named(_flat(settings))}" if settings else record.preset),
    ]


def _scores(record: Record) -> list[tuple[str, str]]:
    if record.macro_auc is None:
        return []
    norms = [("image", record.head_norm_image), ("text", record.head_norm_text)]
    known = [f"{name} {norm:.3f}" for name, norm in norms if norm is not None]
    return [
        ("macro AUC", f"{_points(record.macro_auc)} ({_count(record.labels_scored, 'label')})"),
        ("image only", f"{_points(record.macro_auc_image_only)} (the same model, its text feature zeroed)"),
        ("text only", f"{_points(record.macro_auc_text_only)} (the same model, its image feature zeroed)"),
        ("head norms", f"{', '.join(known)} (of the halves of the head's weights)" if known else ""),
    ]


def _labels(record: Record, test_set: TestSet | None) -> list[str]:
    if not record.per_label_auc:
        return []
    headings = ["label", "AUC", *(["positives", "known rows"] if test_set else [])]
    rows = [
        [_plain(name), "one class only" if auc is None else _points(auc), *_positives(test_set, name)]
        for name, auc in record.per_label_auc.items()
    ]
    missing = f"positives are not known: no test-{record.test_set}.npz beside the record"
    return [*_table(headings, rows, left=1), *([] if test_set or not record.test_set else _wrapped(missing, INDENT))]


def _positives(test_set: TestSet | None, name: str) -> list[str]:
    if test_set is None:
        return []
    if name not in test_set.names:
        return [NOTHING, NOTHING]
    column = test_set.names.index(name)
    known = test_set.known[:, column]
    return [f"{int(test_set.labels[known, column].sum()):,}", f"{int(known.sum()):,}"]


def _rounds(record: Record, sparks: bool) -> list[str]:
    curve, best = record.validation_auc, record.best_round
    history = {entry["round"]: entry for entry in record.history if isinstance(entry.get("round"), int)}
    lines: list[str] = []
    if curve:
        drawn = f" {_sparkline(curve)} " if sparks else " to "
        chosen = "" if best is None or not 0 <= best < len(curve) else f"; best: round {best}, {_points(curve[best])}"
        lines.append(f"{INDENT}validation macro AUC {_points(curve[0])}{drawn}{_points(curve[-1])}{chosen}")
    metrics = [
        name
        for name in dict.fromkeys(name for entry in record.history for name in entry)
        if name not in ("round", "validation_auc", "seconds")
    ]
    rows = [
        [
            f"{'* ' if number == best else ''}{number}",
            _points(curve[number]) if 0 <= number < len(curve) else NOTHING,
            *(_value(history.get(number, {}).get(name)) for name in (*metrics, "seconds")),
        ]
        for number in dict.fromkeys([*range(len(curve)), *history])
    ]
    if rows:
        lines += _table(["round", "AUC", *map(_plain, metrics), "seconds"], rows, left=0)
        lines.append(f"{INDENT}* best round by validation AUC: its model is tested; 0: the untrained model")
    return lines


def _told(record: Record) -> list[tuple[str, str]]:
    """Return how the method's own rounds went, and its numbers."""
    history = record.pretraining.get("history", [])
    best = record.pretraining.get("best_round")
    losses = [entry["validation_loss"] for entry in history if "validation_loss" in entry]
    went = f"{_count(len(history), 'round')} before the classifier's, best: round {best}" if history else ""
    if losses:
        went += f"; validation loss {_value(losses[0])} to {_value(losses[-1])}"
    return [("learns", went), ("numbers", ", ".join(f"{k} {v:.4g}" for k, v in record.method_numbers.items()))]


def _samples(record: Record) -> list[str]:
    lines: list[str] = []
    for sample in record.samples:
        lines += _pairs(sample.items())
    return lines


def _sparkline(values: Sequence[float]) -> str:
    """Return a bar a value, the lowest and the highest of them as high as bars get."""
    low, high = min(values), max(values)
    scale = (len(SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(SPARKS[round((value - low) * scale)] for value in values)


def _clients(record: Record) -> list[str]:
    numbers = dict.fromkeys([*record.bytes_up, *record.bytes_down])
    clients: list[Mapping[str, Any]] = [*record.clients] or [{"client": number} for number in numbers]
    if not clients:
        return []
    names = list(dict.fromkeys(name for client in clients for name in client))
    traffic = [traffic for traffic in (record.bytes_up, record.bytes_down) if traffic]
    ways = [way for way, traffic in (("MB up", record.bytes_up), ("MB down", record.bytes_down)) if traffic]
    rows = [
        [
            *(_value(client.get(name)) for name in names),
            *(_megabytes(sent.get(str(client.get("client")))) for sent in traffic),
        ]
        for client in clients
    ]
    totals = ["" if name == "kind" else _value(_total(clients, name)) for name in names[1:]]
    rows.append(["all", *totals, *(_megabytes(sum(sent.values())) for sent in traffic)])
    headings = [f"{name} rows" if name in ("image", "text") else _plain(name) for name in names]
    return _table([*headings, *ways], rows, left=0, kinds=names)


def _total(clients: Sequence[Mapping[str, Any]], name: str) -> int | None:
    counts = [client[name] for client in clients if isinstance(client.get(name), int)]
    return sum(counts) if len(counts) == len(clients) else None


def _costs(record: Record) -> list[tuple[str, str]]:
    parameters = [f"{name} {count:,}" for name, count in record.parameters.items()]
    macs = [f"{name} {NOTHING if count is None else _scaled(count)}" for name, count in record.macs.items()]
    left_out = [f"{name} {_operators(operators)}" for name, operators in record.unsupported_ops.items() if operators]
    return [
        ("parameters", ", ".join(parameters)),
        ("MACs", f"{', '.join(macs)} (multiply-accumulates for one study)" if macs else ""),
        ("not counted", f"by MACs: {'; '.join(left_out)}" if left_out else ""),
    ]


def _operators(operators: Any) -> str:
    if isinstance(operators, Mapping) and all(isinstance(count, int) for count in operators.values()):
        return f"{_count(sum(operators.values()), 'call')} of {_count(len(operators), 'operator')}"
    return json.dumps(operators, ensure_ascii=False)


def _run(record: Record) -> list[tuple[str, str]]:
    threads = "" if record.threads is None else f", {_count(record.threads, 'thread')}"
    state = {True: "dirty: with uncommitted changes", False: "clean", None: "working tree unknown"}[record.dirty]
    return [
        ("time", "" if record.seconds is None else f"{record.seconds:,.1f} s"),
        (
            "speed",
            "" if record.samples_per_second is None else f"{record.samples_per_second:,.1f} rows a second",
        ),
        ("peak memory", "" if record.peak_memory_mb is None else f"{record.peak_memory_mb:,.1f} MB"),
        ("device", f"{record.device}{threads}" if record.device else ""),
        ("date", record.date),
        ("commit", f"{record.commit} ({state})" if record.commit else "none: outside a git repository"),
        ("weights", record.weights),
        ("versions", _named(record.versions)),
        ("hashes", ", ".join(f"{name} {value}" for name, value in _hashes(record).items() if value)),
        ("key", record.key),
        *(("note", note) for note in record.notes),
    ]


def _hashes(record: Record) -> dict[str, str]:
    return {
        "data": record.data,
        "partition": record.partition_hash,
        "test set": record.test_set,
        "scores": record.scores_hash,
        "core": record.core,
        "method": record.method_source,
    }


def _block(heading: str, lines: list[str]) -> list[str]:
    return [heading, *lines] if lines else []


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return names and values in two columns; pairs without a value are left out."""
    lines: list[str] = []
    for name, value in pairs:
        if value:
            lines += _wrapped(value, f"{INDENT}{name:<12} ")
    return lines


def _wrapped(text: str, start: str) -> list[str]:
    """Return the lines of a text behind `start`, no longer than `WIDTH` but where a word is."""
    return textwrap.wrap(
        _plain(text),
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int, kinds: Sequence[str] = ()) -> list[str]:
    """Return an aligned table: the first `left` columns and those of `kinds` that hold words to the left."""
    aligns = [
        "left" if place < left or (place < len(kinds) and kinds[place] == "kind") else "right"
        for place in range(len(headings))
    ]
    text = tabulate([headings, *rows], tablefmt="plain", colalign=aligns, disable_numparse=True)
    return [f"{INDENT}{line}".rstrip() for line in text.splitlines()]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _named(values: Mapping[str, Any]) -> str:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def _points(auc: float | None) -> str:
    return NOTHING if auc is None else f"{100 * auc:.2f}"


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:#.4g}"
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) else _plain(str(value))


def _megabytes(count: int | None) -> str:
    return NOTHING if count is None else f"{count / 1e6:,.3f}"


def _scaled(count: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:,.3f} {unit}"
    return f"{count:g}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _plain(text: str) -> str:
    """Return text of a record as one line without control characters, which a terminal would obey."""
    return "".join(one if one.isprintable() else "?" for one in " ".join(text.split()))
