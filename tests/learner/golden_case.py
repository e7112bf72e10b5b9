"""Build our model and collector from a golden learner case, in float64 unless told otherwise."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from epo.config import AggregationCfg, AlgoCfg, NetworkCfg, NormalizerCfg, PPOCfg
from epo.envs import EnvSpec, Step
from epo.models.actor_critic import ActorCritic
from epo.rollout.collector import Collector
from epo.rollout.storage import Rollout
from epo.stopwatch import Stopwatch

Arrays = Dict[str, np.ndarray]

OURS = {"lstm": "lstm", "norm": "norm", "mlp": "mlp", "mu": "mean_head", "value": "value_head"}


def tensor(array: np.ndarray) -> Tensor:
    """Return the array as a tensor, floats in float64."""
    return torch.from_numpy(np.array(array))


def assert_close(ours: Tensor, golden: np.ndarray, tolerance: float, what: str) -> None:
    """Compare by |difference| / max(1, max|golden|), the measure of the golden files."""
    expected = tensor(golden).to(torch.float64)
    actual = ours.detach().to(torch.float64).reshape(expected.shape)
    error = (actual - expected).abs().max() / max(1.0, float(expected.abs().max()))
    assert float(error) <= tolerance, f"{what}: {float(error):.2e} > {tolerance:.0e}"


def our_name(golden_name: str) -> str:
    """Translate `lstm.weight_ih` and the like into our parameter names."""
    head, _, rest = golden_name.partition(".")
    return f"{OURS[head]}.{rest}" if rest else head


def build_model(
    arrays: Arrays,
    prefix: str = "",
    normalise: bool = False,
    dtype: torch.dtype = torch.float64,
) -> ActorCritic:
    """Return our network with the weights `<prefix>w/...`."""
    weights = {
        k[len(prefix) + 2 :]: tensor(v) for k, v in arrays.items() if k.startswith(f"{prefix}w/")
    }
    units = [weights[f"mlp.{i}.weight"].shape[0] for i in range(10) if f"mlp.{i}.weight" in weights]
    has_lstm, gene = "lstm.weight_ih" in weights, weights.get("gene")
    width = weights["lstm.weight_ih" if has_lstm else "mlp.0.weight"].shape[1]
    gene_dim = 0 if gene is None else gene.shape[1]
    model = ActorCritic(
        observation_dim=width - gene_dim,
        policy_dim=weights["mu.bias"].shape[0],
        num_agents=1 if gene is None else gene.shape[0],
        network=NetworkCfg(
            kind="lstm" if has_lstm else "mlp",
            lstm_units=weights["lstm.weight_hh"].shape[1] if has_lstm else 0,
            mlp_units=units,
            gene_dim=gene_dim,
        ),
        normalizer=NormalizerCfg(observation=normalise, value=normalise, timing="minibatch"),
    )
    if dtype == torch.float64:
        model.double()
    ours = {our_name(k): v for k, v in weights.items()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(ours[name].reshape(parameter.shape))
    return model


def load_statistics(model: ActorCritic, arrays: Arrays, prefix: str) -> None:
    """Set both normalisers to `<prefix>obs_mean` and so on."""
    for ours, name in ((model.observation_normalizer, "obs"), (model.value_normalizer, "value")):
        ours.mean.copy_(tensor(arrays[f"{prefix}{name}_mean"]))
        ours.var.copy_(tensor(arrays[f"{prefix}{name}_var"]))
        ours.count.copy_(tensor(arrays[f"{prefix}{name}_count"]))


def algo_cfg(arrays: Arrays, is_sapg: bool) -> AlgoCfg:
    """Return the settings of the case, with the original's timing everywhere."""
    number = {k[4:]: v.item() for k, v in arrays.items() if k.startswith("cfg/") and v.ndim == 0}
    return AlgoCfg(
        name="golden",
        normalizer=NormalizerCfg(timing="minibatch"),
        ppo=PPOCfg(
            horizon=number["horizon"],
            num_epochs=number["mini_epochs"],
            minibatch_size=number["minibatch"],
            shuffle=is_sapg,
            gamma=number["gamma"],
            gae_lambda=number["lam"],
            clip_eps=number["clip"],
            value_coef=0.5 * number["critic_coef"],
            bounds_coef=number["bounds"],
            learning_rate=number["lr"],
            kl_target=number["kl"],
            max_grad_norm=number["grad_norm"],
            reward_scale=number["reward_scale"],
        ),
        aggregation=AggregationCfg(
            mode="leader_follower" if is_sapg else "none",
            ratio=float(number["copies"]),
            hidden="stored",
            kl_reference="follower",
            entropy_scale=number["entropy_scale"] if is_sapg else 0.0,
        ),
    )


class ScriptedEnv:
    """Replay the observations, rewards and dones of a golden rollout."""

    def __init__(self, num_envs: int, observation_dim: int, action_dim: int) -> None:
        self.spec = EnvSpec("scripted", "none", num_envs, observation_dim, action_dim, 1.0)
        self.device = torch.device("cpu")
        self.actions: List[Tensor] = []

    def script(self, arrays: Arrays, prefix: str, dtype: torch.dtype) -> None:
        """Take `<prefix>obs [T+1, N, O]`, `rewards`, `dones` as the next rollout."""
        self.obs = tensor(arrays[f"{prefix}obs"]).to(dtype)
        self.rewards = tensor(arrays[f"{prefix}rewards"]).to(dtype)
        self.dones = tensor(arrays[f"{prefix}dones"]).bool()
        self.t = 0
        self.actions = []

    def reset(self) -> Tensor:
        return torch.zeros(self.spec.num_envs, self.spec.observation_dim, dtype=torch.float64)

    def step(self, action: Tensor) -> Step:
        self.actions.append(action.clamp(-1, 1))
        t, self.t = self.t, self.t + 1
        done = self.dones[t + 1]
        nothing = torch.zeros_like(done)
        return Step(self.obs[t + 1], self.rewards[t], done, nothing, self.obs[t + 1], {}, {})

    def state_dict(self) -> Dict[str, Any]:
        return {}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


class NoObserver:
    def update(self, step: Step) -> None:
        pass


def collect(
    model: ActorCritic,
    env: ScriptedEnv,
    arrays: Arrays,
    prefix: str,
    cfg: PPOCfg,
    collector: Optional[Collector] = None,
) -> Tuple[Collector, Rollout]:
    """Replay `<prefix>` through our collector (a new one starts from its `h0`, `c0`)."""
    dtype = model.log_std.dtype
    env.script(arrays, prefix, dtype)
    if collector is None:
        collector = Collector(
            env,
            model,
            NoObserver(),
            cfg,
            seed=0,
            stopwatch=Stopwatch(env.device),
            with_step_memory=True,
        )
        if f"{prefix}h0" in arrays:
            h0, c0 = tensor(arrays[f"{prefix}h0"]), tensor(arrays[f"{prefix}c0"])
            collector._memory = torch.stack([h0, c0]).to(dtype)
    collector._rollout.observation[-1] = env.obs[0]
    collector._rollout.is_first[-1] = env.dones[0]
    noise = iter(tensor(arrays[f"{prefix}noise"]).to(dtype))
    collector.draw_noise = lambda like: next(noise)  # type: ignore[method-assign]
    return collector, collector.collect()
