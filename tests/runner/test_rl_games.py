"""The real rl_games in our loop: it learns, it resumes, and it keeps to the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping

import pytest
import torch

pytest.importorskip("rl_games")

from epo.config import ConfigError
from epo.peers.rl_games.agent import RlGamesPolicy
from epo.population import FitnessTracker
from epo.runner import checkpoint
from epo.runner.checkpoint import CheckpointError
from epo.runner.evaluator import Evaluator
from epo.runner.evaluator import load_policy as load_agent_policy
from epo.runner.fit import load_weights
from epo.runner.rl_games import RlGamesLoop, load_policy
from tests.integration.command import TIMES
from tests.peers.rl_games.small import Settings, small_loop

LEARN: Settings = {
    "num_envs": 128,
    "algo.network.kind": "mlp",
    "algo.network.mlp_units": [32, 32],
    "algo.network.initial_log_std": -0.5,
    "algo.ppo.reward_scale": 1.0,
    "algo.ppo.num_epochs": 4,
    "algo.ppo.num_minibatches": 2,
    "algo.ppo.learning_rate": 1e-3,
    "algo.ppo.bootstrap_truncated": True,
}
Row = Mapping[str, float]


def make_loop(settings: Settings, task: str = "task=ProbeReach") -> RlGamesLoop:
    loop = small_loop(settings, task=task)
    assert isinstance(loop, RlGamesLoop)
    return loop


def run(loop: RlGamesLoop, num_iterations: int) -> List[Row]:
    rows = [loop.iterate() for _ in range(num_iterations)]
    return [{name: row[name] for name in row if name not in TIMES} for row in rows]


def same(rows: List[Row], others: List[Row]) -> bool:
    """Compare rows bit for bit; NaN equals NaN."""
    return repr(rows) == repr(others)


@pytest.fixture(scope="module")
def trained() -> RlGamesLoop:
    loop = make_loop(LEARN)
    run(loop, 30)
    return loop


@pytest.mark.slow
def test_reach_is_learned(trained: RlGamesLoop):
    # Random actions reach less than one goal in 50 steps, steering straight at it 5 to 7.
    assert trained.last_metrics["leader/successes"] > 2.5
    assert trained.frames == trained.agent.agent.frame == 30 * 128 * 16


def test_row_has_the_columns_of_our_own_runs(trained: RlGamesLoop):
    row = trained.last_metrics
    ours = small_loop({"algo.network.kind": "mlp", "algo.diagnostics.enabled": False}, algo="ppo")
    only_ours = set(ours.iterate()) - set(row)
    assert only_ours == {
        *("advantage/std", "clip_fraction/on_policy", "explained_variance", "grad_norm"),
        *("kl/on_policy", "loss/total", "return/mean", "generation"),
    }
    assert row["sim_s"] > 0.0 and row["learn_s"] > 0.0 and row["act_s"] > 0.0
    assert row["sim_s"] + row["act_s"] + row["learn_s"] < row["wall_s"] / 10


def test_trained_policy_acts_without_noise(trained: RlGamesLoop, tmp_path: Path):
    path = tmp_path / "best.pt"
    checkpoint.save(path, trained.policy_state())
    env = make_loop({"num_envs": 64, "seed": 1}).env
    policy = load_policy(trained.cfg.algo, checkpoint.load(path), path, env)
    evaluator = Evaluator(env, policy)
    for _ in range(50):
        evaluator.step()
    reached = [episode.metrics["successes"] for episode in evaluator.episodes]
    assert len(reached) == 64 and sum(reached) / 64 > 2.5


@pytest.mark.filterwarnings("ignore:numpy.core is deprecated")
def test_weights_are_a_checkpoint_that_rl_games_reads(trained: RlGamesLoop, tmp_path: Path):
    path = tmp_path / "policy.pth"
    torch.save(trained.policy_state()["rl_games"], str(path))
    other = make_loop({**LEARN, "seed": 1}).agent.agent
    other.restore(str(path))
    theirs, ours = other.model.state_dict(), trained.agent.agent.model.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)
    assert other.frame == trained.frames


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_resumed_run_equals_uninterrupted_run(kind: str, tmp_path: Path):
    settings = {"algo.network.kind": kind, "algo.ppo.horizon": 24}
    whole = make_loop(settings)
    expected = run(whole, 6)
    first = make_loop(settings)
    rows = run(first, 3)
    checkpoint.save(tmp_path / "last.pt", first.state_dict())
    second = make_loop({**settings, "seed": 5})  # another stream until the state is loaded
    second.load_state_dict(checkpoint.load(tmp_path / "last.pt"))
    assert same(rows + run(second, 3), expected)
    ours, theirs = second.agent.agent.model.state_dict(), whole.agent.agent.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_start_weights_are_networks_and_statistics_only():
    first = make_loop({})
    run(first, 2)
    second = make_loop({"seed": 1})
    second.load_policy(first.policy_state())
    ours, theirs = first.agent.agent, second.agent.agent
    weights = theirs.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in ours.model.state_dict().items())
    assert (second.frames, theirs.frame, len(theirs.optimizer.state)) == (0, 0, 0)


def test_other_weights_are_refused_in_one_line():
    loop = make_loop({})
    wrong: List[Dict[str, Any]] = [
        make_loop({"algo.network.mlp_units": [16]}).policy_state(),
        small_loop({}, algo="ppo").policy_state(),
    ]
    for state in wrong:
        with pytest.raises(CheckpointError, match="its network does not fit") as error:
            load_weights(loop, state, Path("best.pt"))
        assert "\n" not in str(error.value)


def test_player_of_any_checkpoint_finds_this_one():
    loop = make_loop({})
    policy = load_agent_policy(
        loop.cfg.algo, 1, loop.policy_state(), Path("best.pt"), loop.env, [0], None
    )
    assert isinstance(policy, RlGamesPolicy)


def test_nothing_is_printed_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    run(make_loop({}), 2)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_override_that_rl_games_refuses_is_one_line():
    overrides = {"network": {"mlp": {"activation": "bent"}}}
    with pytest.raises(ConfigError, match=r"rl_games refuses it \(ValueError: bent\)"):
        make_loop({"algo.rl_games.overrides": overrides})


def test_fitness_window_begins_anew_with_every_interval(monkeypatch: pytest.MonkeyPatch):
    frames: List[int] = []
    loop = make_loop({"algo.evolution.interval_frames": 600})  # iterations of 256 frames
    monkeypatch.setattr(FitnessTracker, "start_window", lambda self: frames.append(loop.frames))
    run(loop, 6)
    assert frames == [768, 1280]


def test_choices_are_trained_and_resumed(tmp_path: Path):
    pytest.importorskip("gymnasium")
    settings = {"task.env_id": "CartPole-v1", "algo.network.kind": "mlp"}
    first = make_loop(settings, task="task=Gymnasium")
    assert run(first, 3)[-1]["entropy"] < 0.7  # log 2 at most
    second = make_loop(settings, task="task=Gymnasium")
    second.load_state_dict(first.state_dict())
    assert run(second, 1)[-1]["kl"] >= 0.0
    for loop in (first, second):
        loop.env.close()


def test_allegro_kuka_runs():
    pytest.importorskip("mujoco", minversion="4.0")
    loop = make_loop({"num_envs": 8, "algo.ppo.horizon": 8}, task="task=AllegroKukaRegrasping")
    rows = run(loop, 3)
    assert rows[-1]["success_tolerance"] == pytest.approx(0.075)
    assert loop.frames == 3 * 64
    loop.env.close()
