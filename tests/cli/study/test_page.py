"""From metrics.csv to samples, tests, sentences and the page."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path
from typing import List, Optional, Sequence

import pytest

from epo.cli.study import text
from epo.cli.study.analysis import Comparison, Condition, compare, conditions, samples, verdict
from epo.cli.study.definition import EnvironmentCfg, PublishedCfg, StudyCfg
from epo.cli.study.figure import mean_curve
from epo.cli.study.outcome import Curve, Outcome, read
from epo.cli.study.reference import is_reached
from epo.cli.study.runs import expand
from epo.cli.study.statistics import Interval, TTest, welch
from epo.cli.study.table import Provenance, write_readme, write_results
from epo.config import ConfigError
from tests.cli.study.tiny import TINY, load, pretend

SOURCE = Provenance("python -m epo study tiny", "cpu: abacus; Python 3", {}, "")


def outcome(arm: str, seed: int, final: float, seconds: float = 10.0) -> Outcome:
    """Return a run that rises in a straight line over ten iterations of 64 frames."""
    steps = range(1, 11)
    curve = Curve(
        frames=[64.0 * i for i in steps],
        wall_s=[seconds * i / 10 for i in steps],
        value=[final * i / 10 for i in steps],
    )
    return Outcome("policy", arm, seed, 640, seconds, math.nan, curve, {"entropy": 1.0 + seed})


def study(**changes: object) -> StudyCfg:
    published = {"fast": PublishedCfg(t=-2.0642, p="0.0495")}
    environment = EnvironmentCfg(["task=ProbePolicy"], 640, 0.5, published)
    tiny = StudyCfg(
        title="Tiny",
        question="Do larger steps learn faster?",
        num_seeds=2,
        environments={"policy": environment},
        arms={"slow": [], "fast": ["algo.ppo.learning_rate=1e-2"]},
        baseline="slow",
        measures={"entropy": "entropy of the policy"},
    )
    return dataclasses.replace(tiny, **changes)


def outcomes(slow: Sequence[float], fast: Sequence[float]) -> List[Outcome]:
    arms = {"slow": slow, "fast": fast}
    return [outcome(arm, i, v) for arm, finals in arms.items() for i, v in enumerate(finals, 1)]


def comparison(p: float, t: float, published: Optional[PublishedCfg] = None) -> Comparison:
    condition = Condition("policy", "frames", 640.0)
    return Comparison(condition, "fast", TTest(t, 8.0, p), p, Interval(t, t - 1, t + 1), published)


def test_run_is_read_up_to_its_frames(tmp_path: Path):
    run = expand(load(tmp_path), tmp_path)[0]
    assert pretend([], lambda run: 1.0)(run).process.wait() == 0
    found = read(run, load(tmp_path))
    assert (found.frames, found.wall_s) == (640, 10.0)
    # 0.5 was reached after the fifth of ten iterations.
    assert found.frames_to_solve == 320
    # The mean of 1.9, 1.8 ... 1.0.
    assert found.measures["entropy"] == pytest.approx(1.45)
    # Half as long: five iterations, the last tenth of which is the fifth alone.
    half = read(run, load(tmp_path, TINY.replace("frames: 640", "frames: 320")))
    assert (half.frames, half.wall_s) == (320, 5.0)
    assert half.curve.final("frames", 320) == pytest.approx(0.5)


@pytest.mark.parametrize("unknown", ["nan", "", "0.05"], ids=["nan", "empty", "number"])
def test_rows_before_the_first_episode_are_left_out(tmp_path: Path, unknown: str):
    study = load(tmp_path)
    run = expand(study, tmp_path)[0]
    assert pretend([], lambda run: 1.0)(run).process.wait() == 0
    first, *lines = run.folder.metrics.read_text().splitlines(keepends=True)
    cells = lines[0].split(",")
    cells[first.split(",").index(study.metric)] = unknown
    run.folder.metrics.write_text("".join([first, ",".join(cells), *lines[1:]]))
    found = read(run, study)
    # Ten iterations, of the first of which nothing is known; the end is the same.
    assert len(found.curve.value) == (10 if unknown == "0.05" else 9)
    assert found.curve.final("frames", 640) == pytest.approx(1.0)


def test_column_that_does_not_exist_is_one_line(tmp_path: Path):
    wrong = load(tmp_path, TINY + "metric: leader/episode_returns\n")
    run = expand(wrong, tmp_path)[0]
    assert pretend([])(run).process.wait() == 0
    with pytest.raises(ConfigError, match=r"metric=.*did you mean leader/episode_return"):
        read(run, wrong)


def test_final_is_the_mean_over_the_last_tenth():
    curve = Curve([float(i) for i in range(1, 101)], [0.0] * 100, [float(i) for i in range(100)])
    # Frames 91 to 100 have the values 90 to 99; of 50 frames the last five have 45 to 49.
    assert curve.final("frames", 100) == pytest.approx(94.5)
    assert curve.final("frames", 50) == pytest.approx(47.0)
    # No iteration ended between 4.5 and 4.99: the last one before is the fourth.
    assert curve.final("frames", 4.99) == 3.0
    assert math.isnan(curve.final("frames", 0.5))


def test_equal_times_end_with_the_shortest_run():
    runs = [outcome("slow", 1, 1.0, seconds=20.0), outcome("fast", 1, 1.0, seconds=10.0)]
    both = study(axes=["frames", "wall_s"])
    frames, time = conditions(both, runs)
    assert (frames.limit, time.limit) == (640.0, 10.0)
    # After 10 s the slow run is at its fifth iteration.
    assert samples(time, "slow", runs) == pytest.approx([0.5])
    assert samples(time, "fast", runs) == pytest.approx([1.0])
    assert samples(frames, "slow", runs) == pytest.approx([1.0])


def test_comparison_is_of_baseline_minus_arm():
    (found,) = compare(study(), outcomes([1.0, 1.2, 0.8], [2.0, 2.2, 2.1]))
    assert found.test == welch([1.0, 1.2, 0.8], [2.0, 2.2, 2.1])
    assert found.test.t < 0 and found.g.value < 0
    assert found.published is not None and found.published.t == -2.0642


def test_all_tests_of_a_page_are_one_family():
    runs = outcomes([1.0, 1.2, 0.8], [2.0, 2.2, 2.1])
    frames, time = compare(study(axes=["frames", "wall_s"]), runs)
    assert frames.test.p == time.test.p
    assert frames.holm_p == pytest.approx(2.0 * frames.test.p)


@pytest.mark.parametrize(
    ("holm_p", "t", "published", "sentence"),
    [
        (0.049, -3.0, None, "`fast` is significantly higher than `slow` (Holm p = 0.0490, g"),
        (0.049, 3.0, None, "`fast` is significantly lower than `slow`"),
        (0.051, -3.0, None, "no significant difference between `fast` and `slow`"),
        (0.05, -3.0, None, "no significant difference"),
        (math.nan, math.nan, None, "cannot be tested"),
        (0.3, -1.0, "0.0495", "; the paper's difference (p = 0.0495) is not seen here."),
        (0.01, -4.0, "<0.0001", "; the paper's difference (p < 0.0001) is seen here too."),
        (0.01, 4.0, "<0.0001", "; the paper's difference (p < 0.0001) is not seen here."),
        (0.01, -4.0, "0.0778", "; the paper reports no significant difference (p = 0.0778)."),
    ],
)
def test_verdict_follows_the_corrected_p(
    holm_p: float, t: float, published: Optional[str], sentence: str
):
    paper = None if published is None else PublishedCfg(t=-2.0, p=published)
    assert sentence in verdict(comparison(holm_p, t, paper), "slow")


def test_nothing_is_called_significant_that_only_an_uncorrected_p_would_be():
    found = comparison(0.03, -3.0)._replace(holm_p=0.06)
    assert verdict(found, "slow").startswith("no significant difference")


def test_page_holds_samples_tests_and_the_papers_numbers(tmp_path: Path):
    write_readme(
        tmp_path / "README.md", study(), outcomes([1.0, 1.2, 0.8], [2.0, 2.2, 2.1]), SOURCE
    )
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    # Means 1 and 2.1; standard errors 0.2 / sqrt(3) and 0.1 / sqrt(3).
    assert "| `slow` |  | 3 | 1.00 ± 0.12 | 1.00 [0.800, 1.20] | 0 of 3 | – | 3.00 |" in page
    assert "| 2.100 ± 0.058 |" in page
    test = welch([1.0, 1.2, 0.8], [2.0, 2.2, 2.1])
    assert f"| {test.t:.3f} | {test.df:.2f} | {test.p:.4f} | {test.p:.4f} |" in page
    assert "| -2.0642 | 0.0495 |" in page
    assert "policy, at 640 frames: `fast` is significantly higher than `slow`" in page
    assert "Every training seed is one sample" in page
    assert "    python -m epo study tiny\n" in page
    assert "nan" not in page and "trial" not in page and "missing" not in page


@pytest.mark.parametrize(
    ("value", "reference", "is_enough"),
    [(95.0, 100.0, True), (94.9, 100.0, False), (-105.0, -100.0, True), (-105.1, -100.0, False)],
)
def test_reference_is_reached_within_the_tolerance(value: float, reference: float, is_enough: bool):
    assert is_reached(value, reference, 0.05) == is_enough


def test_page_shows_published_numbers_beside_ours(tmp_path: Path):
    environment = EnvironmentCfg(["task=ProbePolicy"], 640, reference=1.06)
    one = study(
        environments={"policy": environment}, arms={"slow": []}, reference="one run of theirs."
    )
    write_readme(tmp_path / "README.md", one, outcomes([1.0, 1.2, 0.8], []), SOURCE)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    # 1.06 less 5 % is 1.007.
    row = "| policy | `slow` | 640 | 3 | 1.00 ± 0.12 | 0.8000 | 1.200 | 1.060 | **no** |"
    assert row in page
    assert "0 of 1 means are at most 5 % below" in page and "one run of theirs." in page
    # A single arm has nothing to be tested against.
    assert "Tests against" not in page and "Findings" not in page and "Welch" not in page


def test_page_says_what_is_missing_or_smaller(tmp_path: Path):
    source = SOURCE._replace(missing={"policy fast seed 2": "kl=nan"}, trial="2 seeds instead of 5")
    write_readme(tmp_path / "README.md", study(), outcomes([1.0, 1.2], [2.0]), source)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "**A trial, not a result: 2 seeds instead of 5.**" in page
    assert "- policy fast seed 2: kl=nan" in page
    assert "cannot be tested" in page and "nan |" not in page


def test_results_have_a_row_per_run(tmp_path: Path):
    write_results(tmp_path / "results.csv", study(), outcomes([1.0], [2.0, 3.0]))
    with open(tmp_path / "results.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["arm"], row["seed"]) for row in found] == [
        ("slow", "1"),
        ("fast", "1"),
        ("fast", "2"),
    ]
    assert [float(row["leader/episode_return at equal frames"]) for row in found] == [1, 2, 3]
    assert [row["frames_to_solve"] for row in found] == ["", "", ""]


def test_mean_curve_ends_with_the_shortest_run():
    runs = [outcome("slow", 1, 1.0, seconds=20.0), outcome("slow", 2, 1.0, seconds=10.0)]
    seconds, means, errors = mean_curve(runs, "wall_s")
    assert (seconds[0], seconds[-1]) == (2.0, 10.0)
    # At 10 s the one is half way up, the other at its end.
    assert means[-1] == pytest.approx(0.75, abs=0.02)
    assert errors[-1] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "–"),
        (0.0, "0"),
        (4321.6, "4322"),
        (12345.6, "12346"),
        (-93.512, "-93.51"),
        (0.00012349, "0.0001235"),
        (1.2349e-7, "1.235e-07"),
        (math.inf, "inf"),
    ],
)
def test_number_has_its_significant_digits_without_an_exponent(value: float, shown: str):
    assert text.number(value) == shown


def test_mean_is_written_as_exactly_as_its_error():
    assert text.with_error(-297.51, 163.2) == "-298 ± 163"
    assert text.with_error(92.3, 0.412) == "92.30 ± 0.41"
    assert text.with_error(3.0, math.nan) == "3.000 ± –"
