from __future__ import annotations

import io
import math

from rich.console import Console

from epo.cli.eval.measure import Result
from epo.cli.eval.table import mean, percentage, table
from epo.cli.study.statistics import Interval
from epo.runner.evaluator import Episode

EPISODES = [Episode(0, 600, 1234.5 + i, {"successes": float(i % 3)}) for i in range(100)]


def test_cells_show_mean_and_interval():
    assert mean(Interval(-0.31239, -0.46, -0.1573)) == "-0.312 ±0.16"
    assert mean(Interval(1234.56, 1200.0, 1269.1)) == "1235 ±35"
    assert mean(Interval(2.0, math.nan, math.nan)) == "2"
    assert percentage(Interval(0.04, 0.0157, 0.0984)) == "4% (2-10)"
    assert mean(None) == percentage(None) == mean(Interval(math.nan, math.nan, math.nan)) == "-"


def test_table_of_one_engine_fits_80_columns_and_engines_are_told_apart():
    found = [Result("mujoco_warp", "deterministic", 63, EPISODES, 0, "successes")]
    for with_engines in (False, True):
        output = io.StringIO()
        Console(file=output, width=80 + 20 * with_engines).print(table(found, with_engines))
        printed = output.getvalue()
        assert "…" not in printed
        assert len(printed.splitlines()) == 2
        assert ("mujoco_warp" in printed) == with_engines
        for text in ("63", "deterministic", "100", "1284 ±5.8", "66% (56-75)", "600 ±0"):
            assert text in printed
