"""Every number has a range, and what lies outside of it is one line that names it."""

from __future__ import annotations

import math
import shlex

import pytest

from epo.cli import environment
from epo.config import ConfigError
from epo.config.rules import RANGES
from epo.validation import get, validate
from tasks import ranges
from tests.composed import composed
from tests.settings import every_number

ALL = {**RANGES, **ranges.RANGES}
MIXED = {
    *("num_agents", "num_envs", "algo.pql.batch_size", "algo.pql.replay_capacity"),
}
"""Numbers that may also be `auto`."""


def test_every_number_of_every_schema_has_a_range():
    assert every_number() - {*ALL} == set()


def test_every_range_is_of_a_number():
    assert {*ALL} - every_number() - MIXED == set()


@pytest.mark.parametrize("name", sorted(RANGES))
def test_numbers_outside_their_range_are_refused_by_name(name: str):
    algo = name.split(".")[1] if name.startswith(("algo.pbt", "algo.pql")) else "ppo"
    cfg = composed(f"algo={algo}")
    owner, _, field = name.rpartition(".")
    node = get(cfg, owner) if owner else cfg
    before, allowed = getattr(node, field), RANGES[name]
    bad = [math.nan, -math.inf, math.inf, 10**30 * 10, 1e300]
    if math.isfinite(allowed.least):
        bad.append(allowed.least - max(1, abs(allowed.least)))
    if math.isinf(allowed.most):
        bad = [math.nan]
    for value in bad:
        setattr(node, field, [value] if isinstance(before, list) else value)
        with pytest.raises(ConfigError, match=rf"^{name}="):
            validate(cfg)


@pytest.mark.parametrize(
    "line",
    [
        "record=[true]",
        "task=[true]",
        "algo=null",
        "algo.network.mlp_units=[[1]]",
        "algo.clip.window=9223372036854775807",
        "task.episode_length=99999999999999999999",
        "task.force.scale=nan",
        "task.reward.success=inf",
        "engine.num_threads=99999999999",
        f"run_dir={'a' * 300}",
        f"resume={'a' * 300}",
        f"checkpoint={'a' * 300}",
        "run_dir=",
        "run_dir=1e3",
        "run_dir=[x]",
        "run_dir=a=b",
        "run_dir={a}",
        "run_dir=a,b",
        "run_dir=größe",
    ],
)
def test_no_value_is_a_traceback(line: str):
    environment.register()
    name = line.partition("=")[0]
    with pytest.raises(ValueError, match=rf"^(command=)?(argument=)?{name}=") as caught:
        environment.configurations([line])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        ["algo=pql", "algo.pql.n_step=100000000000000000000000"],
        ["algo=pql", "algo.pql.weight_decay=1e300"],
        ["algo=pql", "algo.pql.target_noise_bound=1e300"],
        ["algo=pbt", "algo.pbt.best_fraction=1e-300"],
        ["algo=ppo", "algo.pbt.best_fraction=0.3"],
    ],
)
def test_settings_of_a_way_of_training_are_checked_and_belong_to_its_runs(lines: list):
    environment.register()
    with pytest.raises(ValueError, match=rf"^{lines[1].partition('=')[0]}=") as caught:
        environment.configurations(lines)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["1e3", "[x]", "a=b", "{a}", "a,b", "größe", "a'b", "a b,c"])
def test_refused_text_comes_with_the_way_to_write_it(value: str):
    environment.register()
    with pytest.raises(ValueError, match="if it is text, write ") as caught:
        environment.configurations([f"run_dir={value}"])
    (line,) = shlex.split(str(caught.value).partition("if it is text, write ")[2])
    (cfg,) = environment.configurations([line])
    assert cfg.run_dir == value


@pytest.mark.parametrize("algo", ["pql", "poem", "rl_games_ppo"])
def test_absorbed_statistics_are_refused_where_nothing_would_heed_them(algo: str):
    cfg = composed(f"algo={algo}", "algo.normalizer.timing=absorbed")
    with pytest.raises(ConfigError, match="timing"):
        validate(cfg)


def test_absorbed_statistics_go_with_a_population():
    validate(composed("algo=epo", "algo.normalizer.timing=absorbed"))
