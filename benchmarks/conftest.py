"""Options, selections and the session's board; a benchmark file only names its cases."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tqdm import tqdm

from fedfeat import imputers, presets
from fedfeat.case import SETUPS, Case
from fedfeat.commands.places import DATA_HELP, RECORDS
from fedfeat.data import partition_file, sources
from fedfeat.data.partition import Counts
from fedfeat.errors import FedfeatError
from fedfeat.files import make_ready, write_bytes
from fedfeat.pipeline import CaseFailed, Result, execute
from fedfeat.plan import CaseSkipped, Plan, Resources, plan
from fedfeat.results import leaderboard, listing, pairing, store, table3
from fedfeat.results.bootstrap import QUICK_DRAWS
from fedfeat.results.bounds import violations
from fedfeat.results.comparisons import Comparisons
from fedfeat.results.record import Record
from fedfeat.results.table3 import Table3

GROUPS = ("paper", "all")
_OF_CASES = ("--methods", "--imputer", "--partition", "--partition-file", "--list")
SELECTION = pytest.StashKey["Selection"]()
COMMITTED = Path(__file__).resolve().parents[1] / RECORDS


@dataclass(frozen=True)
class Selection:
    """What the options of a session ask for."""

    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    partition: str | None
    dataset: str
    preset: str
    resources: Resources
    records: Path
    rerun: bool

    @property
    def keeps_records(self) -> bool:
        """Whether the cases leave records: those of shortened runs would mean nothing."""
        return not self.resources.shortened

    def cases(self, columns: list[tuple[str, str]]) -> list[Case]:
        """Return the cases of the columns (setup, partition), or of `--partition` in every setup."""
        if self.partition is not None:
            columns = [(setup, self.partition) for setup in SETUPS]
        return [
            Case(method, setup, partition, seed, self.dataset, self.preset)
            for setup, partition in columns
            for method in self.methods
            for seed in self.seeds
        ]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options."""
    group = parser.getgroup("fedfeat", "fedfeat: federated learning with missing modalities")
    group.addoption(
        "--preset",
        default="phantom",
        help="encoders and hyper-parameters: phantom (small, CPU; default), light (pretrained, CPU) or paper (GPU)",
    )
    group.addoption(
        "--dataset", default="phantom", help="phantom (embedded, synthetic; default), manifest, openi_text, cxr, ..."
    )
    group.addoption("--data", type=Path, metavar="PATH", help=DATA_HELP)
    group.addoption("--methods", metavar="A,B", help="methods by name, or the groups paper (default) and all")
    group.addoption("--seeds", default="0,1,2", metavar="A,B", help="seeds (default: 0,1,2)")
    group.addoption("--partition", metavar="I:T:M", help="run this partition in place of the table's columns")
    group.addoption(
        "--partition-file", type=Path, metavar="FILE", help="use this file's partition in place of drawing one"
    )
    group.addoption("--imputer", type=Path, metavar="PATH", help="run the method of this file beside zero")
    group.addoption(
        "--records", type=Path, default=Path("runs"), metavar="DIR", help="where records go (default: runs)"
    )
    group.addoption("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    group.addoption("--rerun", action="store_true", help="run cases again of which a record stands")
    group.addoption("--list", action="store_true", help="run nothing: print which cases are done (`fedfeat list`)")
    group.addoption("--smoke", action="store_true", help="one tiny round a case; nothing is saved")
    group.addoption("--one-round", action="store_true", help="one whole round a case, for time and memory; not saved")
    group.addoption("--uncertain", metavar="POLICY", help="what uncertain labels count as: masked, zeros or ones")
    group.addoption("--image-weights", type=Path, metavar="FILE", help="ResNet-50 weights, for --preset paper")
    group.addoption("--text-weights", type=Path, metavar="DIR", help="a BERT folder, for --preset paper")
    group.addoption("--from-scratch", action="store_true", help="start encoders without pretrained weights")


def pytest_configure(config: pytest.Config) -> None:
    """Check the options: a mistake in them ends in one line, before anything is collected."""
    if config.option.list:
        config.option.dist = "no"  # xdist's workers would have nothing to do
    try:
        config.stash[SELECTION] = _selection(config)
    except FedfeatError as error:
        raise pytest.UsageError(str(error)) from error


def _selection(config: pytest.Config) -> Selection:
    option = config.getoption
    resources = Resources(
        data=option("--data"),
        uncertain=option("--uncertain"),
        image_weights=option("--image-weights"),
        text_weights=option("--text-weights"),
        from_scratch=option("--from-scratch"),
        imputer=option("--imputer"),
        device=option("--device"),
        partition_file=option("--partition-file"),
        smoke=option("--smoke"),
        one_round=option("--one-round"),
    )
    presets.get(option("--preset"))
    sources.check_name(option("--dataset"))
    if option("--records").exists() and not option("--records").is_dir():
        raise FedfeatError(f"--records {option('--records')}: this is not a folder; name one, it is made if need be")
    if not option("--records").name:  # "", or the folder one stands in: records would lie among other files
        raise FedfeatError(f"--records {option('--records')}: name a folder of its own; it is made if need be")
    if option("--records").resolve() == COMMITTED and not option("--list"):
        raise FedfeatError(
            f"--records {option('--records')}: the committed records let no run be skipped, and no run replaces them; "
            "name another folder, and let `fedfeat publish` copy its records"
        )
    if option("--partition") is not None:
        Counts.parse(option("--partition"))
    if resources.partition_file:
        partition_file.read(resources.partition_file)
    return Selection(
        methods=_methods(option("--methods"), resources.imputer),
        seeds=_seeds(option("--seeds")),
        partition=option("--partition"),
        dataset=option("--dataset"),
        preset=option("--preset"),
        resources=resources,
        records=option("--records"),
        rerun=option("--rerun"),
    )


def _methods(names: str | None, imputer: Path | None) -> tuple[str, ...]:
    outside = [imputers.load(imputer).name] if imputer else []
    chosen: list[str] = ["zero"] if outside else []  # the baseline of every gain on the board
    if names is None:
        names = "zero" if outside else "paper"
    for name in names.split(","):
        if name in GROUPS:
            chosen += [known for known, method in imputers.known().items() if name == "all" or method.paper]
        elif name not in outside:
            imputers.get(name)
            chosen.append(name)
    return tuple(dict.fromkeys(chosen + outside))


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise FedfeatError(f"--seeds {text}: not a comma list of whole numbers, such as 0,1,2") from error
    if min(seeds) < 0:
        raise FedfeatError(f"--seeds {text}: {min(seeds)} is negative; use 0 or more")
    return seeds


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a benchmark its cases: the options' methods and seeds in the columns that its module names."""
    if "case" in metafunc.fixturenames:
        cases = metafunc.config.stash[SELECTION].cases(metafunc.module.COLUMNS)
        metafunc.parametrize("case", cases, ids=[_node_id(case) for case in cases])


def _node_id(case: Case) -> str:
    """Return the id without what the options set for the whole session."""
    return replace(case, dataset=Case().dataset, preset=Case().preset).case_id


@pytest.hookimpl(trylast=True)  # after -k: what it left is what is to run
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave every case once: with `--partition`, each table's module names the same ones.

    Table 3, which has no cases, is left out where options ask for certain ones.
    """
    asks_for_cases = any(config.getoption(option) for option in _OF_CASES)
    seen: set[str] = set()
    for item in list(items):
        case = _case_of(item)
        repeated = case is not None and case.case_id in seen
        if repeated or (case is None and asks_for_cases):
            items.remove(item)
        elif case is not None:
            seen.add(case.case_id)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Plan one case a column before the first runs: what is wrong with the data ends the session in one line."""
    if session.config.option.collectonly or session.testsfailed or hasattr(session.config, "workerinput"):
        return None  # a worker of xdist cannot end the session: there each case fails in one line, see `measure`
    selection = session.config.stash[SELECTION]
    cases = [case for case in map(_case_of, session.items) if case is not None]
    if session.config.option.list:
        _list(session.config, cases)
        return True  # the loop is done: nothing runs
    columns = {_column(case): case for case in cases}
    plans: dict[tuple[str, str, int], Plan] = {}
    try:
        _require_column(selection.resources.partition_file, cases)
        for column, case in columns.items():
            with suppress(CaseSkipped):
                plans[column] = plan(case, selection.resources)
        if plans and selection.keeps_records:
            if not selection.rerun:
                _refuse_to_replace(selection.records, cases, plans)
            store.prepare(selection.records, next(iter(plans.values())).case.case_id)
    except FedfeatError as error:
        raise pytest.UsageError(str(error)) from error
    return None


def _list(config: pytest.Config, cases: list[Case]) -> None:
    """Print how each case stands; what is wrong with one ends the session in one line."""
    selection = config.stash[SELECTION]
    if not selection.keeps_records:
        raise pytest.UsageError(
            "--list tells which records stand, and --smoke and --one-round save none; leave one out"
        )
    found: list[listing.Listed] = []
    for case in cases:
        try:
            planned = plan(case, selection.resources)
        except CaseSkipped as reason:
            found.append(listing.Listed(case.case_id, "skipped", str(reason)))
        except FedfeatError as error:
            raise pytest.UsageError(str(error)) from error
        else:
            found.append(listing.listed(selection.records, planned.case.case_id, planned.key))
    # pytest itself ends the line when the session ends
    config.get_terminal_writer().write(listing.render(selection.records, found))


def _column(case: Case) -> tuple[str, str, int]:
    return case.setup, case.partition, case.seed


def _require_column(file: Path | None, cases: list[Case]) -> None:
    """Raise FedfeatError if a partition file is of none of the columns: all cases would be skipped."""
    if file is None or not cases:
        return
    setup, partition = partition_file.read(file).column
    if (setup, partition) not in {(case.setup, case.partition) for case in cases}:
        raise FedfeatError(
            f"{file}: holds a partition of {setup} {partition}, and no selected case is of that column; "
            f"select it (-k), or give --partition {partition} if no table has it"
        )


def _refuse_to_replace(records: Path, cases: list[Case], plans: Mapping[tuple[str, str, int], Plan]) -> None:
    """Raise FedfeatError if results on other data, or from another start, would be lost."""
    for case in cases:
        # Of a column that its last method skips, another's plan will do: data, start and device are the session's.
        planned = plans.get(_column(case), next(iter(plans.values())))
        imported = planned.case.imported_partition if _column(case) in plans else ""
        former = store.latest(records, replace(case, imported_partition=imported).case_id)
        if former is None or former.status != "passed":
            continue
        for what, there, here in (
            ("data", former.data, planned.prepared.digest if planned.resources.data else former.data),
            ("weights", former.weights, planned.start.origin),
            ("device", former.device, planned.resources.device),
        ):
            if there != here:
                raise FedfeatError(
                    f"{records}: holds a result of {former.case_id} on other {what}; "
                    "keep it and name another folder by --records, or replace it by --rerun"
                )


def _case_of(item: pytest.Item) -> Case | None:
    call = getattr(item, "callspec", None)  # a test without parameters has none
    case = call.params.get("case") if call else None
    return case if isinstance(case, Case) else None


@pytest.fixture
def measure(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, record_property: Callable[[str, object], None]
) -> Callable[[Case], Record]:
    """Return a function that runs a case once, writes its record and asserts the sanity bounds."""
    selection = request.config.stash[SELECTION]

    def run(case: Case) -> Record:
        try:
            planned = plan(case, selection.resources)
        except CaseSkipped as reason:
            pytest.skip(str(reason))
        except FedfeatError as error:
            pytest.fail(str(error), pytrace=False)
        case = planned.case
        record_property("case_id", case.case_id)
        if selection.keeps_records and not selection.rerun:
            former = store.find(selection.records, case.case_id, planned.key)
            if former:
                pytest.skip(f"nothing changed: the record in {selection.records} stands (--rerun runs it again)")
        try:
            if selection.keeps_records:  # again: a worker of xdist has had no start of the session
                store.prepare(selection.records, case.case_id)
            record = _measured(planned, selection, benchmark, _Progress(request.config, case), record_property)
        except FedfeatError as error:
            pytest.fail(str(error), pytrace=False)
        assert record.status == "passed", record.error
        return record

    return run


def _measured(
    planned: Plan,
    selection: Selection,
    benchmark: BenchmarkFixture,
    progress: "_Progress",
    record_property: Callable[[str, object], None],
) -> Record:
    try:
        with progress:
            result: Result = benchmark.pedantic(execute, args=(planned, progress.round), rounds=1, iterations=1)
    except CaseFailed as failed:
        if selection.keeps_records:
            _keep(selection.records, failed.record, None, record_property)
        raise
    record = result.record
    wrong = violations(record, result.expected_up, result.expected_down) if selection.keeps_records else []
    if wrong:
        record = replace(record, status="failed", error="; ".join(wrong))
    benchmark.extra_info.update({name: getattr(record, name) for name in Record.__dataclass_fields__})
    if selection.keeps_records:
        _keep(selection.records, record, result, record_property)
    return record


def _keep(records: Path, record: Record, result: Result | None, record_property: Callable[[str, object], None]) -> None:
    """Write a record; the session's board will say if it took the place of one that something else made.

    Raises FedfeatError, with the score, if the disk refuses what was to be kept of minutes of training.
    """
    former = store.latest(records, record.case_id)
    try:
        store.write(records, record, *((result.scores, result.test_set) if result else ()))
    except OSError as error:
        scored = record.error if record.macro_auc is None else f"macro AUC {100 * record.macro_auc:.2f}"
        raise FedfeatError(
            f"{records}: the record of {record.case_id} ({scored}) cannot be written there ({error.strerror}); "
            "mend that and run the case again"
        ) from error
    if former and former.status == "passed" and listing.changes(former, record):
        record_property("replaced", f"{record.case_id}: other {listing.changes(former, record)}")


class _Progress:
    """A bar on the terminal: round, validation AUC, time left; nothing where there is no terminal."""

    def __init__(self, config: pytest.Config, case: Case) -> None:
        reporter = config.pluginmanager.getplugin("terminalreporter")
        self._file = getattr(getattr(reporter, "_tw", None), "_file", None)
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._name = case.case_id
        self._bar: tqdm[Any] | None = None

    def _uncaptured(self) -> AbstractContextManager[object]:
        return self._capture.global_and_fixture_disabled() if self._capture else nullcontext()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            with self._uncaptured():
                self._bar.close()

    def round(self, number: int, rounds: int, validation_auc: float) -> None:
        """Show that a round is over."""
        with self._uncaptured():  # captured, the terminal's file stands for another
            if self._file is None or not self._file.isatty():
                return
            if self._bar is None:
                self._bar = tqdm(total=rounds, desc=self._name, unit="round", leave=False, file=self._file)
            self._bar.set_postfix_str(f"validation AUC {100 * validation_auc:.1f}")
            self._bar.update(number - self._bar.n)


@dataclass(frozen=True)
class Table3File:
    """Where a session keeps Table 3, if it keeps anything."""

    path: Path
    kept: bool
    rerun: bool

    def require(self, key: str) -> None:
        """Skip the test if a table with this key stands; fail if none could be written."""
        if not self.kept:
            return
        try:
            make_ready(self.path.parent)
            former = None if self.rerun else table3.read(self.path)
        except OSError as error:
            pytest.fail(f"{self.path}: cannot be written ({error.strerror}); name another --records", pytrace=False)
        except FedfeatError:
            former = None  # damaged: it is made anew
        if former is not None and former.key == key:
            pytest.skip(f"nothing changed: {self.path} stands (--rerun makes it again)")

    def write(self, made: Table3) -> None:
        """Write a table that was found right."""
        if self.kept:
            write_bytes(self.path, made.to_json().encode())


@pytest.fixture
def table3_file(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Table3File:
    """Return where the session keeps Table 3; its board will show it."""
    selection = request.config.stash[SELECTION]
    if hasattr(request.config, "workerinput"):
        pytest.skip("its times would be those of a shared machine; run it alone: pytest benchmarks -k table3")
    record_property("table3", True)
    return Table3File(table3.path_in(selection.records), selection.keeps_records, selection.rerun)


@pytest.fixture
def resources(request: pytest.FixtureRequest) -> Resources:
    """Return what the session's options say of the machine."""
    return request.config.stash[SELECTION].resources


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the board of the session's cases, and write it beside the records."""
    selection = config.stash[SELECTION]
    if config.option.collectonly or not selection.keeps_records:
        return
    properties = [pair for report in _reports(terminalreporter) for pair in report.user_properties]
    seen = {value for name, value in properties if name == "case_id"}
    counted = any(name == "table3" for name, _ in properties)
    if not seen and not counted:
        return
    try:
        records = store.read(selection.records)
        costs = table3.read(table3.path_in(selection.records))
        comparisons = _comparisons(terminalreporter, selection.records, records)
        leaderboard.write_board(selection.records, records, comparisons, costs)
    except (FedfeatError, OSError) as error:
        terminalreporter.write_line(f"no board: {error}", red=True)
        return
    terminalreporter.section("leaderboard")
    own = [record for record in records if record.case_id in seen]
    shown = costs if counted else None
    terminalreporter.write_line(leaderboard.render(own, comparisons=comparisons, table3=shown))
    for replaced in sorted({str(value) for name, value in properties if name == "replaced"}):
        terminalreporter.write_line(f"replaced the record of {replaced}")
    terminalreporter.write_line(f"records and board: {selection.records.resolve()}")


def _comparisons(terminalreporter: Any, folder: Path, records: list[Record]) -> Comparisons:
    """Return the comparisons of the records; none, with a word about it, if a sidecar is damaged."""
    try:
        return pairing.compare_all(records, pairing.scores_in(folder), QUICK_DRAWS)
    except FedfeatError as error:
        terminalreporter.write_line(f"no intervals on the board: {error}", red=True)
        return Comparisons()


def _reports(terminalreporter: Any) -> Iterator[pytest.TestReport]:
    for reports in terminalreporter.stats.values():
        yield from (report for report in reports if isinstance(report, pytest.TestReport))
