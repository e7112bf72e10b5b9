"""Sizes that `auto` stands for, and buffers that do not fit."""

from __future__ import annotations

import pytest

import epo.learner.pql.sizes as sizes
from epo import memory
from epo.config import ConfigError, PqlCfg
from epo.envs import EnvSpec
from epo.learner.pql.sizes import auto_batch_size, auto_capacity, choose_sizes
from epo.memory import free_bytes
from tests.learner.pql.small import CPU

GB = 1_000_000_000


def choose(num_envs: int, free: int, monkeypatch: pytest.MonkeyPatch, **settings):
    monkeypatch.setattr(sizes, "free_bytes", lambda device: free)
    spec = EnvSpec("Task", "engine", num_envs, observation_dim=187, action_dim=23, control_dt_s=0.1)
    return choose_sizes(PqlCfg(**settings), spec, CPU)


@pytest.mark.parametrize(
    ("num_envs", "expected"),
    # 8 B / N = 16 uses in between; 8192 and 256 at the ends
    [(24_576, 8192), (4096, 8192), (1024, 2048), (128, 256), (16, 256)],
)
def test_auto_batch_keeps_the_published_uses_per_transition(num_envs, expected):
    assert auto_batch_size(num_envs) == expected


@pytest.mark.parametrize(
    ("num_envs", "most", "expected"),
    [
        (4096, 10**9, 5_000_000),
        (24_576, 10**9, 5_000_000),
        (2048, 10**9, 2_500_000),  # the same history of 1,220 control steps
        (16, 10**9, 1_000_000),
        (4096, 300_000, 300_000),
        (4096, 10, 4096),  # never less than one control step
    ],
)
def test_auto_capacity_keeps_the_published_history(num_envs, most, expected):
    assert auto_capacity(num_envs, most) == expected


def test_choices_are_told(monkeypatch):
    chosen = choose(1024, 100 * GB, monkeypatch)
    assert (chosen.batch_size, chosen.capacity) == (2048, 1_250_000)
    assert chosen.choices == (
        "algo.pql.batch_size=2048 (auto: 16 uses per transition)",
        # 1,250,000 x 1,596 B
        "algo.pql.replay_capacity=1250000 (auto: 2 GB of 100 GB free on cpu)",
    )
    assert choose(1024, GB, monkeypatch, batch_size=64, replay_capacity=5000).choices == ()


def test_auto_capacity_takes_half_of_the_free_memory(monkeypatch):
    # 0.5 x 1 GB / 1,596 B
    assert choose(64, GB, monkeypatch).capacity == 313_283
    # 4 (23 + 2) + 2 x 2 x 187 = 848 B
    assert choose(64, GB, monkeypatch, replay_dtype="float16").capacity == 589_622


def test_buffer_beyond_the_memory_is_refused_with_what_fits(monkeypatch):
    message = (
        r"algo\.pql\.replay_capacity=5000000: takes 7\.98 GB, cpu has 4 GB free; "
        r"use at most 2255639, or algo\.pql\.replay_dtype=float16$"
    )
    with pytest.raises(ConfigError, match=message) as error:
        choose(4096, 4 * GB, monkeypatch, replay_capacity=5_000_000)
    assert "\n" not in str(error.value)
    assert choose(4096, 4 * GB, monkeypatch, replay_capacity=2_255_639).capacity == 2_255_639


def test_memory_too_small_for_one_control_step_is_refused(monkeypatch):
    # 0.9 x 1 MB / 1,596 B = 563
    with pytest.raises(ConfigError, match=r"capacity=4096: .*; use a smaller num_envs, or"):
        choose(4096, 1_000_000, monkeypatch)
    with pytest.raises(ConfigError, match=r"capacity=4096: .*; use a smaller num_envs$"):
        choose(4096, 1_000_000, monkeypatch, replay_dtype="float16")


def test_buffer_smaller_than_one_control_step_is_refused(monkeypatch):
    message = r"algo\.pql\.replay_capacity=100: one control step .* at least num_envs=128"
    with pytest.raises(ConfigError, match=message):
        choose(128, GB, monkeypatch, replay_capacity=100)


def test_free_memory_is_known_here():
    assert 10**7 < free_bytes(CPU) < 10**14


def test_limit_of_a_container_counts(monkeypatch, tmp_path):
    limit, used = tmp_path / "limit", tmp_path / "used"
    limit.write_text("3000000\n")
    used.write_text("1000000\n")
    monkeypatch.setattr(memory, "_CONTAINER_LIMITS", ((str(limit), str(used)),))
    assert free_bytes(CPU) == 2_000_000
    limit.write_text("max\n")
    assert free_bytes(CPU) > 2_000_000
