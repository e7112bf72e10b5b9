"""EPO is SAPG plus evolution, SAPG is PPO plus agents: bit for bit, through the command."""

from __future__ import annotations

from pathlib import Path

from tests.integration.command import SMALL, assert_same_run, rows, train, weights


def test_epo_with_one_agent_equals_ppo(tmp_path: Path):
    short = [*SMALL, "max_iterations=8"]
    train([*short, "algo=epo", "num_agents=1", "run_dir=epo"], tmp_path)
    train([*short, "algo=ppo", "run_dir=ppo"], tmp_path)
    assert_same_run(tmp_path / "epo", tmp_path / "ppo")
    assert "gene" not in weights(tmp_path / "epo")


def test_epo_without_evolution_equals_sapg(tmp_path: Path):
    short = [*SMALL, "max_iterations=8", "num_agents=4"]
    train([*short, "algo=epo", "algo.evolution.enabled=false", "run_dir=epo"], tmp_path)
    train([*short, "algo=sapg", "run_dir=sapg"], tmp_path)
    train([*short, "algo=epo", "run_dir=evolving"], tmp_path)
    assert_same_run(tmp_path / "epo", tmp_path / "sapg")
    # The comparison can fail: with evolution on, the same command goes another way.
    assert rows(tmp_path / "evolving", "generations.csv")
    assert rows(tmp_path / "evolving") != rows(tmp_path / "epo")
