"""Studies over sizes: the area under a curve, arms of some environments, the panel of a series."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from epo.cli.study.analysis import compare, verdict
from epo.cli.study.command import StudyOptions, adapt, write_page
from epo.cli.study.figure import line_style
from epo.cli.study.outcome import Curve, Outcome
from epo.cli.study.table import Provenance, write_readme
from tests.cli.study.tiny import TINY, load

SIZES = TINY.replace(
    "    max_frames: 640\n",
    "    max_frames: 640\n    series: {policy over sizes: 8}\n",
).replace(
    "arms:\n",
    """  wide:
    settings: [task=ProbePolicy, num_envs=16]
    max_frames: 640
    arms: [slow]
    series: {policy over sizes: 16}
arms:
""",
    1,
)
NUMBERS = "numbers: [final, area]\nleast_g: 0.5\n"


def outcome(environment: str, arm: str, seed: int, height: float) -> Outcome:
    curve = Curve([64.0, 320.0, 640.0], [1.0, 5.0, 10.0], [0.0, height, height])
    return Outcome(environment, arm, seed, 640, 10.0, math.nan, curve, {"entropy": 0.0})


def test_area_is_the_mean_height_of_the_curve():
    curve = Curve([100.0, 200.0, 400.0], [1.0, 2.0, 4.0], [0.0, 1.0, 2.0])
    # (0.5 * 100 + 1.5 * 200) / 300
    assert curve.area("frames", 400.0) == pytest.approx(350 / 300)
    assert curve.area("frames", 250.0) == pytest.approx(0.5)
    assert curve.area("frames", 150.0) == 0.0
    assert math.isnan(curve.area("frames", 50.0))


def test_an_arm_is_compared_only_where_it_is_run(tmp_path: Path):
    study = load(tmp_path, SIZES + NUMBERS)
    assert list(study.arms_of("policy")) == ["slow", "fast"]
    assert list(study.arms_of("wide")) == ["slow"]
    heights = {"slow": (1.0, 1.1), "fast": (2.0, 2.1)}
    found = [
        outcome(name, arm, seed, heights[arm][seed])
        for name in study.environments
        for arm in study.arms_of(name)
        for seed in (0, 1)
    ]
    compared = [(c.condition.environment, c.condition.number, c.arm) for c in compare(study, found)]
    assert compared == [("policy", "final", "fast"), ("policy", "area", "fast")]


def test_significant_difference_below_the_least_effect_does_not_count(tmp_path: Path):
    study = load(tmp_path, SIZES + NUMBERS)
    found = [
        outcome("policy", arm, seed, base + 0.01 * seed)
        for arm, base in (("slow", 1.0), ("fast", 2.0))
        for seed in range(4)
    ]
    (first, _) = compare(study, found)
    assert "is significantly higher" in verdict(first, "slow")
    assert "by too little to count" in verdict(first._replace(least_g=1e6), "slow")


def test_arms_and_environments_can_be_chosen(tmp_path: Path):
    study = load(tmp_path, SIZES)
    chosen = adapt(study, StudyOptions(arms="fast", environments="policy"))
    assert list(chosen.arms) == ["fast"] and list(chosen.environments) == ["policy"]
    assert study.series == ["policy over sizes"] and chosen.series == []


def test_series_is_drawn_over_its_sizes(tmp_path: Path):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    from epo.cli.study.figure import draw_series

    study = load(tmp_path, SIZES)
    found = [outcome("policy", "slow", seed, 1.0 + seed) for seed in (0, 1)]
    found += [outcome("wide", "slow", seed, 3.0) for seed in (0, 1)]
    axes = figure.add_subplot()
    draw_series(axes, study, found, "policy over sizes")
    ((x, y),) = [line.get_data() for line in axes.get_lines() if len(line.get_xdata()) == 2][:1]
    assert list(x) == [8, 16] and list(y) == [1.5, 3.0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["8", "16"]


def test_an_arm_of_one_size_is_no_line_over_sizes(tmp_path: Path):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    from epo.cli.study.figure import draw_series

    study = load(tmp_path, SIZES)
    found = [outcome("policy", arm, seed, 1.0) for arm in ("slow", "fast") for seed in (0, 1)]
    found += [outcome("wide", "slow", seed, 3.0) for seed in (0, 1)]
    axes = figure.add_subplot()
    draw_series(axes, study, found, "policy over sizes")
    assert axes.get_legend_handles_labels()[1] == ["slow"]


def test_a_study_over_sizes_has_a_picture_of_them(tmp_path: Path):
    pytest.importorskip("matplotlib")
    study = load(tmp_path, SIZES)
    found = [outcome("policy", "slow", seed, 1.0) for seed in (0, 1)]
    write_page(tmp_path / "one", study, found, Provenance("epo study sizes", "here", {}, ""))
    assert (tmp_path / "one/sizes.png").read_bytes().startswith(b"\x89PNG")
    assert "![over sizes](sizes.png)" in (tmp_path / "one/README.md").read_text()


def test_page_has_a_table_over_sizes(tmp_path: Path):
    study = load(tmp_path, SIZES)
    found = [outcome("policy", "slow", seed, 1.0 + seed) for seed in (0, 1)]
    found += [outcome("policy", "fast", seed, 1.0) for seed in (0, 1)]
    found += [outcome("wide", "slow", seed, 3.0) for seed in (0, 1)]
    write_readme(tmp_path / "README.md", study, found, Provenance("epo study", "here", {}, ""))
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    # Means 1.5 and 3; of 1 and 2 the standard error is 0.5. `fast` was run at one size only.
    table = "| arm | 8 | 16 |\n| --- | --- | --- |\n| `slow` | 1.50 ± 0.50 | 3.000 ± 0 |\n\n"
    assert f"**policy over sizes** (`{study.metric}`)\n\n{table}" in page


def test_arms_without_a_difference_share_one_sentence(tmp_path: Path):
    arms = TINY.replace("  fast:", "  other: []\n  third: []\n  fast:")
    study = load(tmp_path, arms)
    heights = {"slow": 1.0, "other": 1.1, "third": 1.2, "fast": 9.0}
    found = [
        outcome("policy", arm, seed, height + seed)
        for arm, height in heights.items()
        for seed in range(6)
    ]
    write_readme(tmp_path / "README.md", study, found, Provenance("epo study", "here", {}, ""))
    page = " ".join((tmp_path / "README.md").read_text(encoding="utf-8").split())
    assert "no significant difference between `slow` and `other` or `third` (least Holm p =" in page
    assert "`fast` is significantly higher than `slow`" in page
    assert page.count("no significant difference") == 1


def test_eleventh_arm_does_not_look_like_the_first():
    styles = [tuple(line_style(i).items()) for i in range(30)]
    assert len(set(styles)) == 30
