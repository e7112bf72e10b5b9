from __future__ import annotations

import errno
from pathlib import Path
from typing import Dict

import pytest

from epo.record import csv
from epo.record.csv import METRIC_COLUMNS, GenerationsCsv, MetricsCsv, header, rows, truncate

THIRD = 1.0 / 3.0


def record(run: Path, first: int, last: int, **extra: float) -> MetricsCsv:
    """Write iterations `first` to `last` and leave the file open, as a killed run does."""
    sink = MetricsCsv(run)
    for iteration in range(first, last + 1):
        row: Dict[str, float] = {"iteration": iteration, "frames": iteration * 16, "kl": THIRD}
        sink.write(iteration * 16, {**row, **extra})
    return sink


def iterations(run: Path) -> list:
    return [int(row["iteration"]) for row in rows(run / "metrics.csv")]


def test_metrics_begin_with_the_fixed_columns_and_sort_the_others(tmp_path: Path):
    record(tmp_path, 1, 1, zeta=1.0, alpha=2.0)
    assert header(tmp_path / "metrics.csv") == [*METRIC_COLUMNS, "alpha", "zeta"]
    (row,) = rows(tmp_path / "metrics.csv")
    assert row["frames"] == "16"
    assert row["lr"] == ""


def test_row_is_on_the_disk_as_soon_as_it_is_written(tmp_path: Path):
    sink = record(tmp_path, 1, 3)  # not closed: a killed process closes nothing
    assert iterations(tmp_path) == [1, 2, 3]
    sink.close()


def test_new_column_keeps_old_rows_and_does_not_depend_on_when_it_came(tmp_path: Path):
    late, early = tmp_path / "late", tmp_path / "early"
    late.mkdir()
    early.mkdir()
    sink = record(late, 1, 2, zeta=1.0)
    sink.write(48, {"iteration": 3, "frames": 48, "alpha": 7.0})
    sink.write(64, {"iteration": 4, "frames": 64})
    record(early, 1, 1, zeta=1.0, alpha=7.0)
    assert header(late / "metrics.csv") == header(early / "metrics.csv")
    table = list(rows(late / "metrics.csv"))
    assert [row["alpha"] for row in table] == ["", "", "7", ""]
    assert [row["zeta"] for row in table] == ["1", "1", "", ""]


def test_resumed_run_with_more_columns_extends_the_table(tmp_path: Path):
    record(tmp_path, 1, 2).close()
    record(tmp_path, 3, 3, new=5.0).close()
    assert iterations(tmp_path) == [1, 2, 3]
    assert [row["new"] for row in rows(tmp_path / "metrics.csv")] == ["", "", "5"]


def test_kill_and_resume_gives_the_file_of_an_uninterrupted_run(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    record(whole, 1, 9).close()
    record(killed, 1, 7).close()
    with open(killed / "metrics.csv", "a") as file:
        file.write("8,128,0.3")  # torn by kill -9
    truncate(killed, 5)  # the last checkpoint
    record(killed, 6, 9).close()
    assert (killed / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_truncate_drops_later_generations_too(tmp_path: Path):
    sink = GenerationsCsv(tmp_path)
    for iteration in (2, 5, 6):
        sink.generation({"iteration": iteration, "frames": 0, "replaced": [1, 2], "fitness": "[]"})
    sink.close()
    truncate(tmp_path, 5)
    table = list(rows(tmp_path / "generations.csv"))
    assert [row["iteration"] for row in table] == ["2", "5"]
    assert table[0]["replaced"] == "[1, 2]"


@pytest.mark.parametrize("torn", ["iterat", "", "\x00\x00\x00"])
def test_truncate_removes_a_table_without_a_complete_header(torn: str, tmp_path: Path):
    (tmp_path / "metrics.csv").write_text(torn)
    truncate(tmp_path, 5)
    assert not (tmp_path / "metrics.csv").exists()


def test_truncate_accepts_a_run_without_tables(tmp_path: Path):
    truncate(tmp_path, 5)
    assert list(tmp_path.iterdir()) == []


def test_opening_drops_a_torn_line(tmp_path: Path):
    record(tmp_path, 1, 2).close()
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("3,48,0.")
    record(tmp_path, 3, 3).close()
    assert iterations(tmp_path) == [1, 2, 3]


def test_rows_wait_for_a_full_disk_and_are_written_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    sink = record(tmp_path, 1, 1)
    with monkeypatch.context() as full:
        full.setattr(csv, "_rewrite", fail)
        for iteration in (2, 3):
            row = {"iteration": iteration, "frames": 16 * iteration, "new column": 1.0}
            sink.write(16 * iteration, row)
    assert iterations(tmp_path) == [1]
    (line,) = capsys.readouterr().err.splitlines()  # said once
    assert "metrics.csv (No space left on device); training continues, the rows wait" in line
    sink.write(64, {"iteration": 4, "frames": 64, "new column": 1.0})
    assert iterations(tmp_path) == [1, 2, 3, 4]
    assert "metrics.csv is complete again" in capsys.readouterr().err
    sink.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_row_that_does_not_fit_leaves_no_half_line_and_no_error_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    sink = record(tmp_path, 1, 1)
    sink._file = open("/dev/full", "w")  # noqa: SIM115 - the sink closes it
    sink._writer = csv.csv.writer(sink._file)
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("2,3")  # what went onto the disk before it was full
    sink.write(32, {"iteration": 2, "frames": 32})
    assert (tmp_path / "metrics.csv").read_text().endswith("\n")
    sink.close()
    assert iterations(tmp_path) == [1, 2]
    assert "No space left on device" in capsys.readouterr().err


def test_rows_that_were_never_written_are_counted_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    sink = MetricsCsv(tmp_path / "gone")
    sink.write(16, {"iteration": 1, "frames": 16})
    sink.write(32, {"iteration": 2, "frames": 32})
    sink.close()
    assert "warning: 2 rows of" in capsys.readouterr().err


def test_waiting_rows_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(csv, "MAX_WAITING", 3)
    sink = MetricsCsv(tmp_path / "gone")
    for iteration in range(1, 6):
        sink.write(iteration, {"iteration": iteration, "frames": iteration})
    (tmp_path / "gone").mkdir()
    sink.write(6, {"iteration": 6, "frames": 6})
    assert iterations(tmp_path / "gone") == [4, 5, 6]
    sink.close()


def test_a_complete_table_is_not_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record(tmp_path, 1, 1).close()
    monkeypatch.delattr(csv, "_rewrite")  # an append needs no room for a second table
    record(tmp_path, 2, 2).close()
    assert iterations(tmp_path) == [1, 2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        # float32(0.1) is 0.100000001490116...: 9 digits tell all float32 apart.
        (0.100000001490116, "0.100000001"),
        (float("nan"), "nan"),
        (393216, "393216"),
        ([[1, 2], [3, 4]], "[[1, 2], [3, 4]]"),
    ],
)
def test_cell_writes_values_short_and_exactly(value: object, text: str):
    assert csv.cell(value) == text
