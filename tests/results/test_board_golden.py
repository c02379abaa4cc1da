"""Stored records must render the very same board. All numbers are invented: see golden/README.md."""

from pathlib import Path

from fedfeat.results import leaderboard, store

GOLDEN = Path(__file__).parent / "golden"


def test_the_golden_records_give_the_golden_board() -> None:
    board = leaderboard.render(store.read(GOLDEN))
    assert board == (GOLDEN / "board.md").read_text(encoding="utf-8")


def test_the_order_of_the_records_changes_nothing() -> None:
    records = store.read(GOLDEN)
    assert leaderboard.render(reversed(records)) == leaderboard.render(records)


def test_write_board_puts_it_beside_the_records(tmp_path: Path) -> None:
    path = leaderboard.write_board(tmp_path, store.read(GOLDEN))
    assert path == tmp_path / "leaderboard.md"
    assert path.read_bytes() == (GOLDEN / "board.md").read_bytes()
