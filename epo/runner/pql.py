"""Training of one agent by parallel Q-learning: a control step, then its share of updates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict

import torch
from torch import Tensor

from epo.config import AlgoCfg, Config, ConfigError
from epo.config.interface import check_interface
from epo.config.pql import pql_of
from epo.envs import EnvSpec, VecEnv
from epo.learner.pql.collector import ReplayCollector
from epo.learner.pql.heads import make_head
from epo.learner.pql.learner import QLearner
from epo.learner.pql.networks import Networks
from epo.learner.pql.replay import Replay
from epo.learner.pql.sizes import choose_sizes
from epo.record.recorder import Recorder
from epo.runner.checkpoint import CheckpointError
from epo.runner.loop import Loop
from epo.runner.recording import is_sound
from epo.runner.seeds import derive_seed
from epo.runner.snapshot import Numbers
from epo.terminal import say


def check_spec(algo: AlgoCfg, spec: EnvSpec) -> None:
    """Refuse tasks that a deterministic policy of vectors cannot act in.

    Raises:
        ConfigError: naming what does not fit.
    """
    check_interface(algo, spec)
    if spec.num_envs < 2:
        way_out = "algo.trainer=pql learns from parallel environments; use at least 2"
        raise ConfigError("num_envs", spec.num_envs, way_out)


def build_networks(cfg: AlgoCfg, env: VecEnv, seed: int) -> Networks:
    """Return the initial networks for the spaces of `env`, on its device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        networks = Networks(
            env.spec.observation_dim,
            env.spec.action_dim,
            cfg.network.mlp_units,
            make_head(pql_of(cfg), env.device).width,
            cfg.normalizer,
        )
    return networks.to(env.device)


class PQLLoop(Loop):
    """An iteration is `algo.pql.horizon` control steps, each followed by its updates.

    Args:
        cfg: validated and resolved configuration.
        env: the environments.
        recorder: where the numbers go.

    Raises:
        ConfigError: if the task or the memory of the device does not fit.
    """

    optimizer_group = "algo.pql"

    def __init__(self, cfg: Config, env: VecEnv, recorder: Recorder) -> None:
        check_spec(cfg.algo, env.spec)
        super().__init__(cfg, env, recorder)
        pql, spec = pql_of(cfg.algo), env.spec
        self.pql = pql
        sizes = choose_sizes(pql, spec, env.device)
        say(*sizes.choices)
        self.networks = build_networks(cfg.algo, env, cfg.seed)
        self.replay = Replay(
            sizes.capacity,
            spec.num_envs,
            spec.observation_dim,
            spec.action_dim,
            env.device,
            sizes.dtype,
        )
        self.learner = QLearner(
            self.networks,
            make_head(pql, env.device),
            self.replay,
            pql,
            sizes.batch_size,
            seed=derive_seed(cfg.seed, "learner"),
        )
        self.collector = ReplayCollector(
            env,
            self.learner.act,
            self.networks.normalizer,
            self.replay,
            self.tracker,
            pql,
            seed=derive_seed(cfg.seed, "exploration"),
            stopwatch=self.stopwatch,
        )
        self._updates_before = (0, 0)

    @property
    def frames_per_iteration(self) -> int:
        """Return N T."""
        return self.env.spec.num_envs * self.pql.horizon

    def advance(self) -> Numbers:
        """Alternate between acting and learning."""
        learner, collector = self.learner, self.collector
        self._updates_before = (learner.critic_updates, learner.actor_updates)
        for _ in range(self.pql.horizon):
            with self.stopwatch.section("rollout"):
                collector.step()
            with self.stopwatch.section("learn"):
                if collector.is_warm:
                    learner.learn()
        # Watched: the statistics that observations are normalised by.
        is_fine = is_sound(self.networks.normalizer)
        return Numbers(
            {**learner.read_metrics(), "replay/size": self.replay.size},
            collector.read_scalars(),
            {"observation": torch.where(is_fine, 0.0, math.nan)},
        )

    def population_row(self) -> Dict[str, float]:
        """Return what the host counts: updates per control step, uses of a transition, noise."""
        learner, pql = self.learner, self.pql
        critic, actor = (
            (after - before) / pql.horizon
            for after, before in zip(
                (learner.critic_updates, learner.actor_updates), self._updates_before
            )
        )
        return {
            "updates/critic": critic,
            "updates/actor": actor,
            "updates/reuse": critic * learner.batch_size / self.env.spec.num_envs,
            "exploration/sigma": self.collector.exploration.sigma(self.collector.num_steps),
        }

    def policy_state(self) -> Dict[str, Any]:
        """Return the networks and the statistics of the observations."""
        return {"networks": self.networks.state_dict()}

    def load_policy(self, state: Dict[str, Any]) -> None:
        """Take the networks and statistics of a `policy_state`."""
        self.networks.load_state_dict(state["networks"])
        self.learner.policy.load_state_dict(self.networks.actor.state_dict())

    def kept_state(self) -> Dict[str, Any]:
        """Leave out the replay buffer, which is refilled after a failure."""
        return self._state(with_replay=False)

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes; of the replay buffer only with `algo.pql.save_replay`."""
        return self._state(self.pql.save_replay)

    def _state(self, with_replay: bool) -> Dict[str, Any]:
        return {
            **super().state_dict(),
            "learner": self.learner.state_dict(),
            "collector": self.collector.state_dict(),
            "replay": self.replay.state_dict(with_replay),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; without a saved replay buffer, refill it first.

        Raises:
            ValueError: if the saved replay buffer has another capacity.
        """
        super().load_state_dict(state)
        self.learner.load_state_dict(state["learner"])
        self.collector.load_state_dict(state["collector"], is_refilling=not state["replay"])
        self.replay.load_state_dict(state["replay"])


class ActorPolicy:
    """A trained actor without noise, as a `Policy` of the evaluator.

    Args:
        networks: its networks.
    """

    def __init__(self, networks: Networks) -> None:
        self.networks = networks

    def act(self, observation: Tensor, is_first: Tensor) -> Tensor:
        """Return the actions [N, A] for raw observations [N, O]; it has no memory to empty."""
        return self.networks.act(observation)


def load_policy(algo: AlgoCfg, state: Dict[str, Any], path: Path, env: VecEnv) -> ActorPolicy:
    """Build the actor of a checkpoint.

    Args:
        algo: the algorithm that it was trained with.
        state: content of the checkpoint.
        path: where it is from.
        env: what it acts in.

    Raises:
        CheckpointError: if its network does not fit.
    """
    networks = build_networks(algo, env, seed=0)
    try:
        networks.load_state_dict(state["networks"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            path, "its network does not fit the task; use the one that it was trained on"
        ) from error
    return ActorPolicy(networks)
