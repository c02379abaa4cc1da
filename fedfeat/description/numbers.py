"""From the table of studies and a partition of it to the numbers of a description."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from fedfeat.data.partition import KINDS, Partition
from fedfeat.data.prepare import MODALITIES, resolve
from fedfeat.data.studies import SPLITS, UNCERTAIN, Setup, StudyTable
from fedfeat.description import lengths
from fedfeat.results.text import sources_text

ALL = "all"  # the name of what holds every split, or every site
SITES_AT_MOST = 20  # that are told of one by one
BINS = 30  # at most, of the histogram of report lengths; the last one holds all longer reports
POINTS = (0, 25, 50, 75, 95, 100)  # the percentiles of report lengths


@dataclass(frozen=True)
class Rows:
    """What a group of rows has.

    Attributes:
        split, site: which rows; `ALL` where it is every one.
        patients: how many they are of.
        rows, images, reports, both: how many there are, and how many have an image, a report, both.
        views: how many show each view, in the order of `Description.views`.
    """

    split: str
    site: str
    patients: int
    rows: int
    images: int
    reports: int
    both: int
    views: tuple[int, ...]


@dataclass(frozen=True)
class Labels:
    """What the labels of a group of rows are; each field has L numbers, in the order of the labels.

    Attributes:
        positive, negative, uncertain, blank: as the source has them.
        ones: how many count as positive under the policy in force.
        known: how many count at all.
    """

    positive: tuple[int, ...]
    negative: tuple[int, ...]
    uncertain: tuple[int, ...]
    blank: tuple[int, ...]
    ones: tuple[int, ...]
    known: tuple[int, ...]

    def prevalence(self, label: int) -> float | None:
        """Return the share of positive rows among the known ones; None if none is known."""
        return self.ones[label] / self.known[label] if self.known[label] else None


@dataclass(frozen=True)
class Scored:
    """The rows of a split that a case is scored on, of the setup's site and with both modalities, and their labels."""

    rows: int
    labels: Labels

    @property
    def unscored(self) -> dict[int, str]:
        """Labels that lack a class among these rows -> what is wrong; they are left out of the macro AUC."""
        found = {}
        for label, (ones, known) in enumerate(zip(self.labels.ones, self.labels.known, strict=True)):
            if not known:
                found[label] = "not known"
            elif ones in (0, known):
                found[label] = "no positive" if not ones else "no negative"
        return found

    def fewest(self, label: int) -> int:
        """Return how many rows the rarer class of a label has."""
        ones, known = self.labels.ones[label], self.labels.known[label]
        return min(ones, known - ones)


@dataclass(frozen=True)
class Reports:
    """How long the reports of a split are, and how many of them say the very same.

    Attributes:
        split: its name, or `ALL`.
        rows: of the split; those without a report count for nothing else here.
        reports: rows that have one.
        words: the percentiles `POINTS` of their words; None without reports.
        beyond: preset -> share of the reports that it cuts (see `Description.exact`).
        shared: share of the reports that stand word for word with another patient.
        trained: share of the reports that stand word for word in the training split; 0 for that split itself and `ALL`.
        histogram: share of the reports in each bin of `Description.edges`.
    """

    split: str
    rows: int
    reports: int
    words: tuple[float, ...] | None
    beyond: Mapping[str, float]
    shared: float
    trained: float
    histogram: tuple[float, ...]


@dataclass(frozen=True)
class Holder:
    """What a client holds, or the public set, or nobody.

    Attributes:
        name: "0", "1", ... for clients, "public", "nobody".
        kind: the client's kind; "" for the others.
        patients: how many are its.
        rows: of its patients.
        used: rows that have something of what its kind holds: what it trains on. The public set is used where a row has
            both; nobody's rows are not used.
        images, reports, both: how many of the used rows have it here; a client that holds no reports has none.
        labels: of the used rows.
    """

    name: str
    kind: str
    patients: int
    rows: int
    used: int
    images: int
    reports: int
    both: int
    labels: Labels


@dataclass(frozen=True)
class Held:
    """A partition to tell of: what to call it, the setup that it is of, and who holds what."""

    title: str
    setup: Setup
    partition: Partition


@dataclass(frozen=True)
class Description:
    """All numbers about a source and one partition of it.

    Attributes:
        source, synthetic, real_reports, notes, labels, uncertain, blank: as in the table of studies.
        views: the views that rows have, sorted; "" for an unknown one comes last; empty if no view is known.
        rows: each split at each site, then each split, then all; without the former where there is one site.
        by_split: the labels of each split, and of `ALL`.
        scored: "validate" and "test" -> what they are scored on.
        reports: of each split that has rows, and of `ALL`.
        edges: of the histogram's bins, in words; none without reports.
        limits: preset -> tokens at which it cuts reports.
        exact: the presets whose tokens were counted; for others words and two more stand for them, a lower bound.
        partition: what the partition is called; empty if there is none.
        no_partition: why there is none; empty if there is one.
        holders: the clients, the public set, and nobody if training rows are left; none without a partition.
    """

    source: str
    synthetic: bool
    real_reports: bool
    notes: tuple[str, ...]
    labels: tuple[str, ...]
    uncertain: str
    blank: str
    views: tuple[str, ...]
    rows: tuple[Rows, ...]
    by_split: Mapping[str, Labels]
    scored: Mapping[str, Scored]
    reports: tuple[Reports, ...]
    edges: tuple[float, ...]
    limits: Mapping[str, int]
    exact: tuple[str, ...]
    partition: str
    no_partition: str
    holders: tuple[Holder, ...]

    def of(self, split: str) -> Rows:
        """Return what there is of a split, or of `ALL`, at every site."""
        return next(rows for rows in reversed(self.rows) if rows.split == split)

    @property
    def clients(self) -> tuple[Holder, ...]:
        """The holders that are clients."""
        return tuple(holder for holder in self.holders if holder.kind)


def _prepared(table: StudyTable) -> tuple[str, ...]:
    """Return where the rows come from and at which size they were prepared, in words."""
    size = f"images prepared at {table.stored.size} pixels, for presets of that size" if table.stored else ""
    return tuple(filter(None, (sources_text(asdict(origin) for origin in table.origins), size)))


def describe(
    table: StudyTable, held: Held | str, limits: Mapping[str, int], exact: tuple[str, ...] = ()
) -> Description:
    """Return the numbers of a source.

    Args:
        table: the source.
        held: the partition, or why there is none.
        limits: preset -> tokens at which it cuts reports.
        exact: the presets that read reports by the embedded vocabulary: their tokens are counted.
    """
    frame = _Frame(table)
    splits = {name: frame.split == name for name in SPLITS}
    parts = {**splits, ALL: np.ones(len(table), dtype=bool)}
    site = held.setup.evaluation_site if isinstance(held, Held) else None
    there = np.ones(len(table), dtype=bool) if site is None else (table.rows["site"] == site).to_numpy()
    both = frame.present["image"] & frame.present["text"]
    scored = {}
    for name in SPLITS[1:]:
        places = np.flatnonzero(splits[name] & there & both)
        scored[name] = Scored(len(places), frame.labels(places))
    told, edges = _reports(frame, parts, limits, exact)
    return Description(
        source=table.source,
        synthetic=table.synthetic,
        real_reports=table.real_reports,
        notes=(*table.notes, *_prepared(table)),
        labels=table.labels,
        uncertain=table.uncertain,
        blank=table.blank,
        views=frame.views,
        rows=tuple(_rows(frame, parts)),
        by_split={name: frame.labels(np.flatnonzero(chosen)) for name, chosen in parts.items()},
        scored=scored,
        reports=told,
        edges=edges,
        limits=limits,
        exact=exact,
        partition=held.title if isinstance(held, Held) else "",
        no_partition="" if isinstance(held, Held) else held,
        holders=tuple(_holders(frame, held.partition)) if isinstance(held, Held) else (),
    )


class _Frame:
    """The table's columns as arrays, and what is counted of any of its rows."""

    def __init__(self, table: StudyTable) -> None:
        rows = table.rows
        self.patient, self.patients = (np.asarray(part) for part in pd.factorize(rows["patient"]))
        self.split = rows["split"].to_numpy()
        self.site = _few(rows["site"])
        self.reports = rows["report"]
        self.present = {"image": (rows["image"] != "").to_numpy(), "text": (rows["report"] != "").to_numpy()}
        self.view = table.views.to_numpy()
        known = sorted({str(view) for view in np.unique(self.view) if view})
        unknown = [""] if known and bool((self.view == "").any()) else []
        self.views = (*known, *unknown)
        findings = table.findings
        self.values = (findings == 1, findings == 0, findings == UNCERTAIN, np.isnan(findings))
        targets, self.known = resolve(findings, table.uncertain, table.blank)
        self.ones = (targets == 1) & self.known

    def labels(self, places: np.ndarray) -> Labels:
        """Count the labels of the rows at these places."""
        counts = [array[places].sum(0).tolist() for array in (*self.values, self.ones, self.known)]
        return Labels(*map(tuple, counts))

    def rows(self, split: str, site: str, chosen: np.ndarray) -> Rows:
        """Count what the rows have that a mask chooses."""
        image, text = self.present["image"][chosen], self.present["text"][chosen]
        return Rows(
            split=split,
            site=site,
            patients=len(np.unique(self.patient[chosen])),
            rows=int(chosen.sum()),
            images=int(image.sum()),
            reports=int(text.sum()),
            both=int((image & text).sum()),
            views=tuple(int((self.view[chosen] == view).sum()) for view in self.views),
        )


def _few(sites: "pd.Series[str]") -> np.ndarray:
    """Return the sites, with all but the largest under one name where they are many."""
    sizes = sites.value_counts()
    if len(sizes) <= SITES_AT_MOST:
        return sites.to_numpy()
    kept = list(sizes.index[: SITES_AT_MOST - 1])
    return sites.where(sites.isin(kept), f"{len(sizes) - len(kept)} smaller sites").to_numpy()


def _rows(frame: _Frame, parts: Mapping[str, np.ndarray]) -> Iterator[Rows]:
    sites = sorted(map(str, np.unique(frame.site)))
    if len(sites) > 1:
        for split in SPLITS:
            for site in sites:
                chosen = parts[split] & (frame.site == site)
                if chosen.any():
                    yield frame.rows(split, site, chosen)
    for split, chosen in parts.items():
        yield frame.rows(split, ALL if len(sites) > 1 else sites[0], chosen)


def _reports(
    frame: _Frame, parts: Mapping[str, np.ndarray], limits: Mapping[str, int], exact: tuple[str, ...]
) -> tuple[tuple[Reports, ...], tuple[float, ...]]:
    """Return what there is to say of the reports of each part, and the edges of the histogram."""
    codes, texts = pd.factorize(frame.reports)
    words = lengths.words(texts)[codes]
    bound = words + lengths.SPECIAL
    tokens = lengths.tokens(texts)[codes] if exact else bound
    there = frame.present["text"]
    shared = _of_several(codes, frame.patient, len(texts))[codes]
    trained = np.zeros(len(texts), dtype=bool)
    trained[codes[parts["train"] & there]] = True
    edges: tuple[float, ...] = ()
    if there.any():
        top = int(np.percentile(words[there], 99)) + 1
        width = -(-top // BINS)  # whole words, or bins would hold now more of them, now fewer
        edges = tuple(map(float, range(0, top + width, width)))
    told = []
    for split, chosen in parts.items():
        if not chosen.any():
            continue
        own = chosen & there
        told.append(
            Reports(
                split=split,
                rows=int(chosen.sum()),
                reports=int(own.sum()),
                words=tuple(np.percentile(words[own], POINTS).tolist()) if own.any() else None,
                beyond={
                    preset: _share((tokens if preset in exact else bound)[own] > limit)
                    for preset, limit in limits.items()
                },
                shared=_share(shared[own]),
                trained=_share(trained[codes[own]]) if split in SPLITS[1:] else 0.0,
                histogram=_histogram(words[own], edges),
            )
        )
    return tuple(told), edges


def _of_several(codes: np.ndarray, patient: np.ndarray, texts: int) -> np.ndarray:
    """Return whether each text stands with two patients or more."""
    pairs = pd.DataFrame({"text": codes, "patient": patient}).drop_duplicates()
    several: np.ndarray = np.bincount(pairs["text"], minlength=texts) > 1
    return several


def _share(chosen: np.ndarray) -> float:
    return float(chosen.mean()) if len(chosen) else 0.0


def _histogram(words: np.ndarray, edges: tuple[float, ...]) -> tuple[float, ...]:
    if not len(words):
        return ()
    counts, _ = np.histogram(np.minimum(words, edges[-1] - 1), bins=np.array(edges))
    return tuple((counts / len(words)).tolist())


def _holders(frame: _Frame, partition: Partition) -> Iterator[Holder]:
    """Tell of each client, of the public set, and of the training rows that nobody holds."""
    nobody, public = -1, len(partition.clients)
    number = {patient: client.number for client in partition.clients for patient in client.patients}
    number |= dict.fromkeys(partition.public, public)
    held = np.array([number.get(patient, nobody) for patient in frame.patients], dtype=np.int64)[frame.patient]
    held[(held == nobody) & (frame.split != "train")] = public + 1
    order = np.argsort(held, kind="stable")
    first = np.searchsorted(held[order], np.arange(nobody, public + 2))
    places = {code: order[first[code + 1] : first[code + 2]] for code in range(nobody, public + 1)}
    for client in partition.clients:
        own = KINDS[client.kind]
        yield _holder(frame, str(client.number), client.kind, len(client.patients), places[client.number], own)
    yield _holder(frame, "public", "", len(partition.public), places[public], MODALITIES, both=True)
    if len(places[nobody]):
        patients = len(np.unique(frame.patient[places[nobody]]))
        yield _holder(frame, "nobody", "", patients, places[nobody], ())


def _holder(
    frame: _Frame, name: str, kind: str, patients: int, places: np.ndarray, own: tuple[str, ...], both: bool = False
) -> Holder:
    has = {name: frame.present[name][places] & (name in own) for name in MODALITIES}
    pairs = has["image"] & has["text"]
    used = pairs if both else has["image"] | has["text"]
    return Holder(
        name=name,
        kind=kind,
        patients=patients,
        rows=len(places),
        used=int(used.sum()),
        images=int((has["image"] & used).sum()),
        reports=int((has["text"] & used).sum()),
        both=int(pairs.sum()),
        labels=frame.labels(places[used]),
    )
