"""rl_games' PPO agent, driven an epoch at a time, and its policy."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from typing import Any, Dict, Iterator, Mapping, Tuple

import torch
from rl_games.algos_torch.model_builder import ModelBuilder
from rl_games.common.algo_observer import AlgoObserver
from rl_games.torch_runner import Runner
from torch import Tensor, nn

from epo.envs import EnvSpec
from epo.peers.rl_games.env import RlGamesEnv
from epo.stopwatch import Stopwatch


class RlGamesAgent:
    """One PPO agent of rl_games, built by its `Runner`, without its training loop and its files.

    As in its own command, TF32 is allowed on CUDA; unlike there, nothing is compiled.

    Args:
        params: as rl_games reads them.
        env: what it acts in.
        stopwatch: gets the sections `rollout` and `learn`.

    Attributes:
        agent: rl_games' own object.
    """

    def __init__(self, params: Mapping[str, Any], env: RlGamesEnv, stopwatch: Stopwatch) -> None:
        self._split = _Split(stopwatch)
        env.register()
        runner = Runner(self._split)
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            config = {**params["config"], "train_dir": folder}
            runner.load({"params": {**params, "config": config}})
            self.agent = runner.algo_factory.create(
                runner.algo_name, base_name="run", params=runner.params
            )
            self.agent.writer.close()
        self.agent.init_tensors()
        self.agent.obs = self.agent.env_reset()

    def epoch(self) -> Dict[str, Tensor]:
        """Collect a rollout and learn from it; give the means over the update, name -> []."""
        agent = self.agent
        agent.update_epoch()
        with self._split.epoch():
            result = agent.train_epoch()
        # Four times, then lists; that of the bounds is there for Gaussian policies only.
        surrogate, value, *bounds, entropy, kl, _, _ = result[4:]
        agent.dataset.update_values_dict(None)
        agent.frame += agent.curr_frames
        lists = {"loss/surrogate": surrogate, "loss/value": value, "entropy": entropy, "kl": kl}
        if bounds:
            lists["loss/bounds"] = bounds[0]
        metrics = {name: torch.stack(values).detach().mean() for name, values in lists.items()}
        metrics["lr"] = torch.full_like(metrics["kl"], agent.last_lr, dtype=torch.float64)
        return metrics

    def weights(self) -> Dict[str, Any]:
        """Return rl_games' own checkpoint: networks, statistics, optimiser, counters."""
        return self.agent.get_full_state_weights()

    def load_weights(self, weights: Dict[str, Any]) -> None:
        """Take networks and statistics.

        Raises:
            RuntimeError, KeyError: if they are of another network.
        """
        self.agent.set_weights(weights)

    def state_dict(self) -> Dict[str, Any]:
        """Return what `weights` lacks: step size, position in the episodes, torch's random numbers.

        rl_games draws from torch's global generators.
        """
        agent = self.agent
        state = {
            "learning_rate": agent.last_lr,
            "observation": agent.obs["obs"].clone(),
            "done": agent.dones.clone(),
            "memory": [state.clone() for state in agent.rnn_states or ()],
            "random": torch.get_rng_state(),
        }
        if agent.obs["obs"].is_cuda:
            state["random_cuda"] = torch.cuda.get_rng_state(agent.device)
        return state

    def load_state_dict(self, weights: Dict[str, Any], state: Dict[str, Any]) -> None:
        """Continue exactly where `weights` and `state_dict` were taken."""
        agent = self.agent
        agent.set_full_state_weights(weights)
        agent.last_lr = float(state["learning_rate"])
        agent.obs = {"obs": state["observation"].to(agent.device)}
        agent.dones = state["done"].to(agent.device)
        if agent.is_rnn:
            agent.rnn_states = [memory.to(agent.device) for memory in state["memory"]]
        torch.set_rng_state(state["random"])
        if "random_cuda" in state:
            torch.cuda.set_rng_state(state["random_cuda"], agent.device)


class RlGamesPolicy:
    """A trained network without noise, as a `Policy` of the evaluator.

    Args:
        model: rl_games' network with its statistics, see `build_model`.
        device: where it lives.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model = model.eval()
        states = model.get_default_rnn_state() if model.is_rnn() else ()
        self._memory: Tuple[Tensor, ...] = tuple(state.to(device) for state in states)

    @torch.no_grad()
    def act(self, observation: Tensor, is_first: Tensor) -> Tensor:
        """Return the actions [N, A]; the memory of episodes that begin is empty."""
        keep = (~is_first).float().unsqueeze(-1)
        memory = tuple(state * keep for state in self._memory)  # [layers, N, H]
        output = self.model(
            {"is_train": False, "prev_actions": None, "obs": observation, "rnn_states": memory}
        )
        self._memory = output["rnn_states"]
        if "mus" in output:
            return output["mus"]
        return output["logits"].argmax(-1, keepdim=True).float()


def build_model(params: Mapping[str, Any], spec: EnvSpec, device: torch.device) -> nn.Module:
    """Return the network that an agent of these parameters has, with fresh weights."""
    with _quiet():
        model = (
            ModelBuilder()
            .load(params)
            .build(
                {
                    "actions_num": spec.policy_dim,
                    "input_shape": (spec.observation_dim,),
                    "num_seqs": spec.num_envs,
                    "value_size": 1,
                    "normalize_value": params["config"]["normalize_value"],
                    "normalize_input": params["config"]["normalize_input"],
                }
            )
        )
    return model.to(device)


class _Split(AlgoObserver):
    """Return the time of an epoch to the sections `rollout` and `learn`."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        super().__init__()
        self._stopwatch = stopwatch
        self._running = contextlib.ExitStack()

    @contextlib.contextmanager
    def epoch(self) -> Iterator[None]:
        """Time the body."""
        with contextlib.ExitStack() as self._running:
            self._running.enter_context(self._stopwatch.section("rollout"))
            yield

    def after_steps(self) -> None:
        """Begin to learn: rl_games calls it between its two halves."""
        self._running.close()
        self._running.enter_context(self._stopwatch.section("learn"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what rl_games prints while it is built, and what torch says about its style, away."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
