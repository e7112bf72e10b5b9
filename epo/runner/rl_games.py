"""Training by rl_games' own PPO: an iteration is one of its epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from epo.config import AlgoCfg, Config, ConfigError
from epo.config.interface import check_interface
from epo.config.rl_games import overrides_of
from epo.envs import VecEnv
from epo.peers.rl_games.agent import RlGamesAgent, RlGamesPolicy, build_model
from epo.peers.rl_games.env import RlGamesEnv
from epo.peers.rl_games.parameters import parameters
from epo.record.recorder import Recorder
from epo.runner.checkpoint import CheckpointError
from epo.runner.loop import Loop
from epo.runner.seeds import derive_seed
from epo.runner.snapshot import Numbers

NUM_SEEDS = 2**32 - 1
"""numpy takes no larger ones, and rl_games takes 0 for none."""


class RlGamesLoop(Loop):
    """One agent of rl_games; clock, limits, records and checkpoints are those of every loop.

    Args:
        cfg: validated and resolved configuration.
        env: the environments.
        recorder: where the numbers go.

    Raises:
        ConfigError: if the task does not fit or rl_games refuses `algo.rl_games.overrides`.
    """

    def __init__(self, cfg: Config, env: VecEnv, recorder: Recorder) -> None:
        check_interface(cfg.algo, env.spec)
        super().__init__(cfg, env, recorder)
        self.peer_env = RlGamesEnv(env, self.tracker.update, self.stopwatch)
        seed = 1 + derive_seed(cfg.seed, "rl_games") % NUM_SEEDS
        params = parameters(cfg.algo, env.spec, str(env.device), seed)
        overrides = overrides_of(cfg.algo)
        try:
            self.agent = RlGamesAgent(params, self.peer_env, self.stopwatch)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if not overrides:
                raise
            way_out = f"rl_games refuses it ({type(error).__name__}: {error})"
            raise ConfigError("algo.rl_games.overrides", overrides, way_out) from error

    @property
    def frames_per_iteration(self) -> int:
        """Return N T."""
        return self.env.spec.num_envs * self.cfg.algo.ppo.horizon

    def advance(self) -> Numbers:
        """Run one epoch."""
        return Numbers(self.agent.epoch(), self.peer_env.scalars)

    def policy_state(self) -> Dict[str, Any]:
        """Return rl_games' own checkpoint."""
        return {"rl_games": self.agent.weights()}

    def load_policy(self, state: Dict[str, Any]) -> None:
        """Take the networks and statistics of a `policy_state`."""
        self.agent.load_weights(state["rl_games"])

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes, so that a resumed run equals an uninterrupted one."""
        return {**super().state_dict(), "agent": self.agent.state_dict()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        super().load_state_dict(state)
        self.agent.load_state_dict(state["rl_games"], state["agent"])


def load_policy(algo: AlgoCfg, state: Dict[str, Any], path: Path, env: VecEnv) -> RlGamesPolicy:
    """Build the network of a checkpoint.

    Args:
        algo: the settings that it was trained with.
        state: content of the checkpoint.
        path: where it is from.
        env: what it acts in.

    Raises:
        CheckpointError: if its network does not fit.
    """
    model = build_model(parameters(algo, env.spec, str(env.device), 1), env.spec, env.device)
    try:
        model.load_state_dict(state["rl_games"]["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            path, "its network does not fit the task; use the one that it was trained on"
        ) from error
    return RlGamesPolicy(model, env.device)
