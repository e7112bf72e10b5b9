from __future__ import annotations

from pathlib import Path

import pytest

from epo.cli.study import definition
from epo.cli.study.runs import expand
from epo.config import ConfigError
from epo.runner.run_folder import as_plain
from epo.runner.start import differences
from tests.cli.study.tiny import TINY, load


@pytest.mark.parametrize("name", definition.names())
def test_every_study_can_be_read(name: str):
    study = definition.load(name)
    assert study.baseline in study.arms and study.num_seeds >= 3


def test_studies_of_the_poem_paper_quote_its_tests():
    environments = definition.load("poem").environments
    quoted = {name: e.published["poem"] for name, e in environments.items()}
    assert {name: (test.t, test.p) for name, test in quoted.items()} == {
        "MountainCarContinuous-v0": (-6.2431, "<0.0001"),
        "LunarLanderContinuous-v3": (-1.8707, "0.0778"),
        "BipedalWalker-v3": (-2.0642, "0.0495"),
    }
    assert [test.bound for test in quoted.values()] == [0.0001, 0.0778, 0.0495]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_seeds: 2", "num_seeds: 0", "num_seeds=0: use at least 1"),
        ("num_seeds: 2", "num_seeds: two", "study=.*two"),
        ("num_seeds: 2", "num_seed: 2", "study=.*num_seed"),
        ("title: Tiny", "{title: Tiny", "study="),
        ("title: Tiny\n", "", "study=.*title"),
        ("baseline: slow", "baseline: slo", r"baseline=slo: no arm .*\(arms: slow, fast\)"),
        ("{fast: {t:", "{fats: {t:", r"policy\.published=fats: no arm .*did you mean fast\?"),
        ('p: "0.0495"', "p: small", r"policy\.published\.fast=small: give t as a number"),
        ("t: -2.0642", "t: .nan", r"policy\.published\.fast=0.0495: give t as a number"),
        ("baseline: slow", "baseline: slow\naxes: [time]", "axes=time: unknown"),
        ("baseline: slow", "baseline: slow\nnumbers: [peak]", "numbers=peak: unknown"),
        ("baseline: slow", "baseline: slow\ncurves: [x]", "curves=x: no environment"),
        ("    max_frames", "    reference: 1\n    max_frames", r"policy\.reference=1.*whose"),
        ("baseline: slow", "baseline: slow\ntolerance: 5", "tolerance=5.0: use a share"),
        ("    max_frames", "    arms: [fats]\n    max_frames", r"policy\.arms=fats: no arm .*fast"),
    ],
)
def test_mistake_in_a_study_is_one_line(old: str, new: str, message: str, tmp_path: Path):
    assert old in TINY
    with pytest.raises(ConfigError, match=message) as error:
        load(tmp_path, TINY.replace(old, new))
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", definition.names())
def test_every_study_can_be_run(name: str, tmp_path: Path):
    pytest.importorskip("gymnasium")
    pytest.importorskip("mujoco")
    pytest.importorskip("rl_games")
    study = definition.load(name)
    runs = expand(study, tmp_path)
    num_cells = sum(len(study.arms_of(name)) for name in study.environments)
    assert len(runs) == num_cells * study.num_seeds
    # Arms differ in the algorithm alone, and in nothing that a processor chooses.
    for run in runs:
        assert run.cfg.precision == "fp32"
        first = next(other for other in runs if other.environment == run.environment)
        changed = differences(as_plain(first.cfg), as_plain(run.cfg))
        assert all(setting.startswith(("algo.", "seed", "num_agents")) for setting in changed)
