"""Rules of health: each fires on its trouble, none on a healthy run, none too often."""

from __future__ import annotations

import io
import math
import random
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from rich.console import Console

from epo.config import HealthCfg, RecordCfg
from epo.record.console import LiveConsole
from epo.record.csv import WARNINGS, MetricsCsv, rows, truncate
from epo.record.health import Finding, HealthMonitor, HealthWarnings, read_targets
from epo.record.health_rules import RULES, Targets, noise, trend
from epo.record.progress import RunPlan
from epo.record.recorder import build_recorder

NAN = float("nan")
TARGETS = Targets(kl=0.016, min_learning_rate=1e-6, coef=1.0)
Row = Dict[str, float]


def healthy(i: int) -> Row:
    """Return the row of update `i` of a run that learns."""
    noise = random.Random(i).gauss(0.0, 1.0)
    return {
        "iteration": i,
        "frames": 16 * i,
        "lr": 1e-4,
        "kl": 0.012,
        "loss/total": 0.1,
        "grad_norm": 0.8 + 0.1 * noise,
        "penalty/beta": 1.0,
        "health/return": 2.0 * i + noise,
        "health/kill_last": 0.12,
        "health/kill_pos_last": 0.12,
        "health/kill_neg_last": 0.12,
        "health/penalty_share": 0.1,
        "health/kl_exact_last": 0.012,
        "health/ratio_max": 2.0,
        "health/log_ratio_max": 0.8,
        "health/entropy_n": 0.6,
        "health/std_rel": 0.6,
        "health/entropy_gain": -0.01 * i,
        "health/kl_ema": 0.01,
        "health/expl_var": 0.7,
        "health/advantage_std": 1.0,
        "health/advantage_peak": 6.0,
        "health/advantage_positive": 0.45,
        "health/grad_norm_max": 1.2,
        "health/ess": 0.4,
    }


def judge(change: Callable[[int], Row], num: int = 100, **settings: Any) -> List[Finding]:
    """Judge a run that is healthy but for `change` from update 41 on."""
    monitor, findings = HealthMonitor(HealthCfg(**settings), TARGETS), []
    for i in range(1, num + 1):
        findings += monitor.update({**healthy(i), **(change(i) if i > 40 else {})})
    return findings


FLAT = {"health/return": 80.0}
TROUBLE: Dict[str, Callable[[int], Row]] = {
    "H1": lambda i: {**FLAT, "health/kill_last": 0.4},
    "H2": lambda i: {**FLAT, "health/penalty_share": 0.6},
    "H3": lambda i: {**FLAT, "health/kill_last": 0.2, "health/penalty_share": 0.4},
    "H4": lambda i: {"health/return": 80.0 - 9.0 * (i - 40), "health/ratio_max": 30.0},
    "H5": lambda i: {**FLAT, "health/entropy_n": 0.05, "health/kl_ema": 1e-5},
    "H6": lambda i: {"health/expl_var": -0.1},
    "H7": lambda i: {"health/kl_exact_last": 1e-7},
    "H8": lambda i: {"health/grad_norm_max": 50.0} if i == 60 else {},
    "H9": lambda i: {"health/ess": 0.02},
    "H10": lambda i: {"health/advantage_positive": 0.02},
    "H11": lambda i: {"health/entropy_gain": 0.02 * i},
}


def test_healthy_run_is_silent():
    assert judge(lambda i: {}, num=300) == []


@pytest.mark.parametrize("rule", TROUBLE)
def test_rule_fires_on_its_trouble_alone(rule: str):
    found = {finding.rule for finding in judge(TROUBLE[rule])}
    assert found == {rule}


def test_every_rule_is_tested():
    assert [rule.id for rule in RULES] == list(TROUBLE)


@pytest.mark.parametrize(
    ("rule", "row", "evidence"),
    [
        ("H1", {**FLAT, "health/kill_last": 0.4, "health/kill_pos_last": 0.7}, "of good actions"),
        ("H1", {**FLAT, "health/kill_last": 0.4, "health/kill_neg_last": 0.7}, "of bad actions"),
        ("H2", {"penalty/beta": 16.0, "health/kl_exact_last": 1e-3}, "beta 16, though KL 1.0e-03"),
        ("H2", {"lr": 1e-6, "health/kl_exact_last": 1e-3}, "step size at its floor"),
        ("H5", {**FLAT, "health/std_rel": 0.02, "health/kl_ema": 1e-5}, "policy at rest"),
        ("H6", {"health/expl_var": 0.1}, "explained variance 0.10, expected 0.2"),
        ("H7", {"health/advantage_std": 1e-9}, "hardly differ"),
        ("H8", {"health/log_ratio_max": 2.4}, "change by a factor of 11"),
        ("H8", {"loss/total": NAN}, "not finite"),
        ("H10", {"health/advantage_peak": 40.0}, "40 standard deviations"),
        ("H10", {"health/advantage_positive": 0.97}, "97% of the advantages positive"),
    ],
)
def test_evidence_names_what_was_seen(rule: str, row: Row, evidence: str):
    (finding,) = [f for f in judge(lambda i: row, num=80) if f.rule == rule]
    assert evidence in finding.evidence and "\n" not in str(finding)
    assert str(finding).startswith(f"{rule} ")


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (lambda i: {"health/ratio_max": 30.0}, "ratio of 30"),
        (lambda i: {"health/kl_exact_last": 0.1}, "KL 0.1"),
        (lambda i: {"poem/accepted": 1.0}, "an accepted mutant"),
        (lambda i: {"pbt/copies": float(i > 42)}, "a copied member"),  # all copies so far
        (lambda i: {"loss/total": NAN}, "not finite"),
    ],
)
def test_collapse_names_its_cause_and_needs_one(cause: Callable[[int], Row], text: str):
    def falling(i: int) -> Row:
        return {"health/return": 80.0 - 9.0 * (i - 40)}

    (finding, *_) = [f for f in judge(lambda i: {**falling(i), **cause(i)}) if f.rule == "H4"]
    assert text in finding.evidence
    assert not [f for f in judge(falling) if f.rule == "H4"]


def test_noise_around_a_return_that_never_rose_is_no_collapse():
    def at_chance(i: int) -> Row:
        return {**healthy(i), "health/return": random.Random(i).gauss(0, 1), "poem/accepted": 1.0}

    monitor = HealthMonitor(HealthCfg(), TARGETS)
    assert not [f for i in range(1, 2000) for f in monitor.update(at_chance(i)) if f.rule == "H4"]


def test_noise_is_measured_around_a_moving_mean():
    chance = random.Random(0)
    values = [0.01 * i + chance.gauss(0, 2.0) for i in range(5000)]
    assert noise(values) == pytest.approx(2.0, rel=0.03)


def test_solved_task_is_not_converged_early():
    trouble = TROUBLE["H5"]
    assert not judge(trouble, solved_return=79.0)
    assert judge(trouble, solved_return=81.0)


def test_state_must_be_sustained_and_an_event_need_not():
    def sometimes(i: int) -> Row:
        return {"health/ess": 0.02} if i % 10 < 7 else {}  # 7 of 10

    assert not judge(sometimes)
    assert judge(sometimes, sustained=7)
    (event,) = judge(TROUBLE["H8"])
    assert event.iteration == 60 and event.evidence == "gradient 50, usually 1.2"
    (first, *_) = judge(TROUBLE["H9"])
    assert first.iteration == 48  # the eighth update of the trouble


def test_first_updates_are_silent_and_warnings_do_not_repeat_soon():
    always = [{**healthy(i), "health/ess": 0.01} for i in range(1, 200)]
    monitor = HealthMonitor(HealthCfg(quiet_updates=30, repeat_updates=60), TARGETS)
    fired = [f.iteration for row in always for f in monitor.update(row)]
    assert fired == [31, 91, 151]


def test_missing_numbers_keep_rules_silent():
    monitor = HealthMonitor(HealthCfg(), Targets())
    for i in range(1, 100):
        assert monitor.update({"iteration": i, "frames": i, "kl": 0.01}) == []


def test_trend_of_a_straight_rise_and_of_nothing():
    assert trend([float(i) for i in range(20)]) == pytest.approx(20 / (5.766 + 0.475), rel=1e-3)
    assert trend([1e6 + i for i in range(20)]) == pytest.approx(0.0004, abs=1e-5)
    assert trend([5.0] * 20) == 0.0
    noise = random.Random(0)
    sizes = [abs(trend([noise.gauss(0, 1) for _ in range(20)])) for _ in range(2000)]
    assert sum(sizes) / 2000 == pytest.approx(0.6, abs=0.05)


def test_targets_are_those_of_the_controllers():
    ppo = {"schedule": "adaptive", "kl_target": 0.016, "min_learning_rate": 1e-6}
    penalty = {"kind": "adaptive", "kl_target": 0.03, "coef": 2.0}
    found = read_targets({"algo": {"ppo": ppo, "penalty": {**penalty, "kind": "none"}}})
    assert found.kl == 0.016 and found.min_learning_rate == pytest.approx(1e-6)
    assert found.coef == math.inf
    fixed = {**ppo, "schedule": "fixed"}
    assert read_targets({"algo": {"ppo": fixed, "penalty": penalty}}) == Targets(0.03, 0.0, 2.0)
    assert read_targets({}) == Targets(0.01, 0.0, math.inf)


def run_of(folder: Path, first: int, last: int, said: List[str]) -> None:
    """Record a run whose off-policy data is useless; a resumed one if `first` is not 1."""
    metrics = MetricsCsv(folder)
    health = HealthWarnings(folder, HealthCfg(), TARGETS, said.append)
    for i in range(first, last + 1):
        row = {**healthy(i), "health/ess": 0.01}
        metrics.write(16 * i, row)
        health.write(16 * i, row)
    metrics.close()
    health.close()


def test_warnings_are_said_and_kept(tmp_path: Path):
    said: List[str] = []
    run_of(tmp_path, 1, 100, said)
    table = list(rows(tmp_path / WARNINGS))
    assert [(row["iteration"], row["rule"]) for row in table] == [("21", "H9"), ("71", "H9")]
    assert len(said) == 2 and said[0].startswith("warning: H9 off-policy data useless")


def test_resumed_run_warns_like_an_uninterrupted_one(tmp_path: Path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    whole.mkdir()
    halves.mkdir()
    run_of(whole, 1, 100, [])
    run_of(halves, 1, 80, [])
    truncate(halves, 60)  # the last checkpoint
    assert [row["iteration"] for row in rows(halves / WARNINGS)] == ["21"]
    run_of(halves, 61, 100, [])
    assert (halves / WARNINGS).read_text() == (whole / WARNINGS).read_text()


def test_recorder_prints_warnings_between_its_lines(tmp_path: Path, capsys: pytest.CaptureFixture):
    cfg = RecordCfg(console="plain", tensorboard=False)
    config = {"algo": {"ppo": {"schedule": "fixed"}}}
    with build_recorder(tmp_path, cfg, RunPlan("task", "details", "x"), config) as recorder:
        for i in range(1, 31):
            recorder.write(i, 16 * i, {**healthy(i), "health/ess": 0.01})
    out = capsys.readouterr().out.splitlines()
    assert len([line for line in out if line.startswith("warning: H9")]) == 1
    assert [row["rule"] for row in rows(tmp_path / WARNINGS)] == ["H9"]


@pytest.mark.parametrize("cfg", [{"console": "off"}, {"health": HealthCfg(enabled=False)}])
def test_recorder_without_console_or_warnings(
    cfg: Dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture
):
    settings = RecordCfg(**{"console": "plain", "tensorboard": False, **cfg})
    with build_recorder(tmp_path, settings, RunPlan("task", "details", "x"), {}) as recorder:
        for i in range(1, 31):
            recorder.write(i, 16 * i, {**healthy(i), "health/ess": 0.01})
    assert "H9" not in capsys.readouterr().out
    assert (tmp_path / WARNINGS).exists() == (settings.console == "off")


def test_live_view_shows_a_warning_above_its_panel():
    output = io.StringIO()
    screen = Console(file=output, width=80, force_terminal=True, color_system=None)
    live = LiveConsole(RunPlan("Probe", "details", "runs/x"), screen, lambda: 0.0)
    live.write(16, {**healthy(1), "wall_s": 1.0})
    live.say("warning: [H9] " + "long " * 30)
    live.close()
    text = output.getvalue()
    assert text.index("warning: [H9] long") < text.rindex("╭")  # the panel is drawn again below
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
