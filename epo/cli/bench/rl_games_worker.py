"""rl_games' PPO timed on synthetic environments: a script, not a module of `epo`.

    python rl_games_worker.py < job.json

It runs in an environment of its own (`peer_environment`) and knows rl_games, torch and the
standard library only. `epo.cli.bench.peer_job` writes the job, `peer_process` reads the line of
JSON that comes back; what rl_games prints goes to stderr. Timed is `train_epoch` of rl_games' own
agent, without the console line and the TensorBoard file that its loop adds after every epoch.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import statistics
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from typing import Any, Dict, List, Tuple

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
        """Give the spaces."""
        return {**self._spaces, "state_space": None, "agents": 1, "value_size": 1}

    def _window(self, rows: Tensor) -> Tensor:
        return rows[self._t : self._t + self._num_envs]


def main() -> None:
    """Measure the job on stdin and print the result as one line of JSON."""
    job = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        result = measure(job)
    print(json.dumps(result), flush=True)


def measure(job: Job) -> Dict[str, Any]:
    """Run warm-up and timed epochs.

    Args:
        job: `params` of rl_games, shapes, `device`, `threads`, `warm_up` and `repetitions` in
            epochs, and whether the model is wrapped in `torch.compile`.

    Returns:
        Medians, the range of the rate, and what the work consisted of.

    Raises:
        FloatingPointError: if a loss was not finite.
    """
    torch.set_num_threads(job["threads"])
    device = torch.device(job["device"])
    agent = make_agent(job, SyntheticEnv(job, device))
    steps: List[None] = []
    agent.optimizer.register_step_post_hook(lambda *_: steps.append(None))
    for _ in range(job["warm_up"]):
        timed_epoch(agent, device)
    steps.clear()
    times = [timed_epoch(agent, device) for _ in range(job["repetitions"])]
    totals = [rollout_s + update_s for rollout_s, update_s in times]
    samples = agent.batch_size
    return {
        "bench": "learn",
        "device": job["device"],
        "algo": "rl_games_ppo",
        "num_envs": job["num_envs"],
        "horizon": agent.horizon_length,
        "net": job["net"],
        "precision": "fp32",
        "threads": torch.get_num_threads(),
        "samples_per_s": samples / statistics.median(totals),
        "samples_per_s_min": samples / max(totals),
        "samples_per_s_max": samples / min(totals),
        "rollout_s": statistics.median(rollout_s for rollout_s, _ in times),
        "update_s": statistics.median(update_s for _, update_s in times),
        "peak_mem_mb": peak_memory_mb(device),
        "work": {**work(agent), "gradient_steps": len(steps) / job["repetitions"]},
        "versions": {"rl_games": version("rl_games"), "torch": torch.__version__},
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
    """Give what an epoch consists of, as rl_games understood its parameters."""
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
    """Give the time, s, after the last work on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory_mb(device: torch.device) -> float:
    """Give what is taken on the CUDA device, else this process' peak since its start, MB."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return (total - free) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
