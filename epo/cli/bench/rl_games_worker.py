"""rl_games' PPO timed on synthetic environments: a script, not a module of `epo`.

    python rl_games_worker.py

It runs in an environment of its own (`peer_environment`) and knows rl_games, torch and the
standard library only. A line of JSON on stdin is the job that `epo.cli.bench.peer_job` writes; an
answer says that it is ready, every further line is answered by an epoch, and the end of stdin ends
it. What rl_games prints goes to stderr. Timed is `train_epoch` of rl_games' own agent, without the
console line and the TensorBoard file that its loop adds after every epoch.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from typing import Any, Dict, Iterator, List, Tuple

import torch
from rl_games.common import env_configurations, vecenv
from rl_games.common.gym_compat import spaces
from rl_games.common.ivecenv import IVecEnv
from rl_games.torch_runner import Runner
from torch import Tensor

Job = Dict[str, Any]


class SyntheticEnv(IVecEnv):
    """`epo.cli.bench.synthetic` for rl_games: the same numbers in the same order.

    Random rows are drawn once; at step t, environment i sees row i + t of [N + ring].

    Args:
        job: shapes, `ring`, `done_probability` per step (half by truncation), `seed`.
        device: where the tensors live.
    """

    def __init__(self, job: Job, device: torch.device) -> None:
        self._num_envs, self._ring, self._t = job["num_envs"], job["ring"], 0
        self._spaces = {
            "observation_space": spaces.Box(-math.inf, math.inf, (job["observation_dim"],)),
            "action_space": spaces.Box(-1.0, 1.0, (job["action_dim"],)),
        }
        rows = self._num_envs + self._ring
        generator = torch.Generator(device).manual_seed(job["seed"])

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        self._observation, self._reward = uniform(rows, job["observation_dim"]), uniform(rows)
        self._done = uniform(rows) < job["done_probability"]
        self._cut = self._done & (uniform(rows) < 0.5)

    def reset(self) -> Tensor:
        """Begin at the first window and return the observation [N, O]."""
        self._t = 0
        return self._window(self._observation)

    def step(self, actions: Tensor) -> Tuple[Tensor, Tensor, Tensor, Dict[str, Tensor]]:
        """Ignore the actions [N, A]; return observation [N, O], reward [N], done [N] and infos."""
        self._t = (self._t + 1) % self._ring
        observation, reward = self._window(self._observation), self._window(self._reward)
        return observation, reward, self._window(self._done), {"time_outs": self._window(self._cut)}

    def get_env_info(self) -> Dict[str, Any]:
        """Return the spaces."""
        return {**self._spaces, "state_space": None, "agents": 1, "value_size": 1}

    def _window(self, rows: Tensor) -> Tensor:
        return rows[self._t : self._t + self._num_envs]


def main() -> None:
    """Answer every line on stdin by a line of JSON on stdout."""
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        for answer in answers(json.loads(sys.stdin.readline())):
            print(json.dumps(answer), file=stdout, flush=True)


def answers(job: Job) -> Iterator[Dict[str, Any]]:
    """Return what is run, as soon as it is ready, then an epoch for every line on stdin.

    Args:
        job: `params` of rl_games, shapes, `device`, `threads`, and whether the model is wrapped in
            `torch.compile`.

    Raises:
        FloatingPointError: if a loss was not finite.
    """
    torch.set_num_threads(job["threads"])
    device = torch.device(job["device"])
    agent = make_agent(job, SyntheticEnv(job, device))
    steps: List[None] = []
    agent.optimizer.register_step_post_hook(lambda *_: steps.append(None))
    yield {
        "precision": "mixed" if agent.mixed_precision else "fp32",
        "work": work(agent),
        "versions": {"rl_games": version("rl_games"), "torch": torch.__version__},
    }
    for _ in sys.stdin:
        steps.clear()
        rollout_s, update_s = timed_epoch(agent, device)
        yield {
            "iteration_s": rollout_s + update_s,
            "rollout_s": rollout_s,
            "update_s": update_s,
            "gradient_steps": len(steps),
            "peak_mem_mb": peak_memory_mb(device),
        }


def make_agent(job: Job, env: SyntheticEnv) -> Any:
    """Build rl_games' agent as its `Runner` does, ready for its first epoch."""
    vecenv.register("bench", lambda *_, **__: env)
    env_configurations.register("bench", {"vecenv_type": "bench", "env_creator": lambda **_: env})
    runner = Runner()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch.jit
        names = {"name": "bench", "env_name": "bench", "train_dir": folder}
        params = job["params"]
        runner.load({"params": {**params, "config": {**params["config"], **names}}})
        agent = runner.algo_factory.create(runner.algo_name, base_name="run", params=runner.params)
        agent.writer.close()
    if job["compile"]:
        agent.model = torch.compile(agent.model)
    agent.init_tensors()
    agent.obs = agent.env_reset()
    return agent


def timed_epoch(agent: Any, device: torch.device) -> Tuple[float, float]:
    """Run one epoch and give the seconds of its rollout and of the rest of it.

    Raises:
        FloatingPointError: if a loss was not finite.
    """
    name = "play_steps_rnn" if agent.is_rnn else "play_steps"
    play, rollout_s = getattr(agent, name), []

    def timed_play() -> Any:
        begin = now(device)
        batch = play()
        rollout_s.append(now(device) - begin)
        return batch

    setattr(agent, name, timed_play)
    begin = now(device)
    agent.update_epoch()
    losses = agent.train_epoch()[4:-2]
    agent.dataset.update_values_dict(None)
    agent.frame += agent.curr_frames
    total_s = now(device) - begin
    setattr(agent, name, play)
    if not all(bool(torch.stack(values).isfinite().all()) for values in losses):
        raise FloatingPointError("a loss of rl_games is not finite")
    return rollout_s[0], total_s - rollout_s[0]


def work(agent: Any) -> Dict[str, Any]:
    """Return what an epoch consists of, as rl_games understood its parameters."""
    return {
        "num_parameters": sum(parameter.numel() for parameter in agent.model.parameters()),
        "samples": agent.batch_size,
        "num_epochs": agent.mini_epochs_num,
        "num_minibatches": len(agent.dataset),
        "minibatch_size": agent.minibatch_size,
        "sequence_length": agent.seq_length if agent.is_rnn else None,
        "resets_memory": bool(agent.is_rnn and agent.zero_rnn_on_done),
        "normalizes_observation": agent.normalize_input,
        "normalizes_value": agent.normalize_value,
    }


def now(device: torch.device) -> float:
    """Return the time, s, after the last work on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory_mb(device: torch.device) -> float:
    """Return what torch took on the CUDA device, else this process' peak since its start, MB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
